#!/usr/bin/env bash
# Brings axe-core, which checks whether a page can be used by everybody, as DIR/axe.min.js: the npm
# package of that name, of which nothing is run outside the browser. Does nothing if the file is
# there and intact. Usage: get-axe.sh DIR
set -euo pipefail

VERSION=4.11.0
SHA256=e9e5863c33a874f09bc01acd9234b7e3c871479f5eef8802fa582544465e6d01

dir=${1:?usage: get-axe.sh DIR}
file=$dir/axe.min.js

fail() {
    printf 'get-axe.sh: %s\n' "$*" >&2
    exit 1
}
sum() { sha256sum "$1" | cut -d' ' -f1; }

[ ! -f "$file" ] || [ "$(sum "$file")" != "$SHA256" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-save --ignore-scripts --no-audit --no-fund --silent "axe-core@$VERSION" >&2 ||
    fail "npm cannot fetch axe-core $VERSION, for the reason above: check the network or npm's registry, and run it again"
fetched=$work/node_modules/axe-core/axe.min.js
is=$(sum "$fetched")
[ "$is" = "$SHA256" ] || fail "$fetched has the SHA-256 $is, expected $SHA256: it is damaged or was changed"

mkdir -p "$dir"
cp "$fetched" "$file.$$.part"
mv "$file.$$.part" "$file"
printf '== %s: axe-core %s; licence MPL-2.0\n' "$file" "$VERSION" >&2
