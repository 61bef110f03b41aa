#!/usr/bin/env bash
# Builds the pages of docs/ with mdBook. Usage: book.sh OUT [REPOSITORY]
# Links to files outside docs/ are made to lead to REPOSITORY, or to this clone where none is given.
set -euo pipefail
cd "$(dirname "$0")/.."

usage='usage: book.sh OUT [REPOSITORY]'
out=${1:?$usage}
repository=${2:-file://$PWD}
tools=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}/tools
export PATH="$tools/bin:$PATH"

scripts/install-cargo-tool.sh mdbook 0.5.4 "$tools"
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
cp -r docs/. "$source"
# Only links: a "](../" that is shown as code is not changed by what it looks like, as there is none.
sed -i "s|](\.\./|]($repository/|g" "$source"/*.md
mkdir -p "$out"
mdbook build --dest-dir "$(realpath "$out")" "$source"
echo "== $out/index.html" >&2
