#!/usr/bin/env bash
# Builds the pages of docs/ with mdBook and checks the links. Usage: book.sh OUT [REPOSITORY]
# Links to files outside docs/ are made to lead to REPOSITORY, or to this clone where none is given.
set -euo pipefail
cd "$(dirname "$0")/.."

usage='usage: book.sh OUT [REPOSITORY]'
out=${1:?$usage}
repository=${2:-file://$PWD}
tools=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}/tools
export PATH="$tools/bin:$PATH"

# Not optimised, and without its server: 80 seconds of processor time instead of many minutes.
scripts/install-cargo-tool.sh mdbook 0.5.4 "$tools" --debug --config profile.dev.debug=0 --no-default-features --features search
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
cp -r docs/. "$source"
# No page shows the characters "](../" as code, so only links are changed.
sed -i "s|](\.\./|]($repository/|g" "$source"/*.md
mkdir -p "$out"
mdbook build --dest-dir "$(realpath "$out")" "$source"
# A copy of what only mdBook reads.
rm "$out/book.toml"
scripts/check-book.py "$out"
echo "== $out/index.html" >&2
