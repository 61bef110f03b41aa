#!/usr/bin/env bash
# Brings CED-tiny, the network that the trainer learns from, as DIR/ced-tiny.onnx: it lies in the
# crate `soundevents`, which cargo fetches by name from wherever this machine has its crates. Does
# nothing if the file is there and intact. Usage: get-ced.sh DIR
set -euo pipefail

CRATE=soundevents
VERSION=0.5.0
IN_CRATE=models/tiny.onnx
SHA256=3890f227660be71886ff48633d11a731993e0206db8a486781412c28a0873435

dir=${1:?usage: get-ced.sh DIR}
file=$dir/ced-tiny.onnx

fail() {
    printf 'get-ced.sh: %s\n' "$*" >&2
    exit 1
}
sum() { sha256sum "$1" | cut -d' ' -f1; }

[ ! -f "$file" ] || [ "$(sum "$file")" != "$SHA256" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
: >"$work/src/lib.rs"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"

[dependencies]
$CRATE = { version = "=$VERSION", default-features = false }

[workspace]
TOML
cargo fetch --quiet --manifest-path "$work/Cargo.toml" ||
    fail "cargo cannot fetch the crate $CRATE $VERSION, for the reason above: check the network or cargo's mirror, and run it again"
# Of all packages that came with it, the one; none of them is built.
manifest=$(cargo metadata --offline --format-version 1 --manifest-path "$work/Cargo.toml" |
    python3 -c 'import json, sys; print(*(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$CRATE")
fetched=${manifest%/*}/$IN_CRATE
[ -f "$fetched" ] || fail "the crate $CRATE $VERSION holds no $IN_CRATE at $fetched: remove that crate's folder there and run it again"
is=$(sum "$fetched")
[ "$is" = "$SHA256" ] ||
    fail "$fetched has the SHA-256 $is, expected $SHA256: it is damaged or was changed; remove that crate's folder there and run it again"

mkdir -p "$dir"
cp "$fetched" "$file.$$.part"
mv "$file.$$.part" "$file"
printf '== %s: CED-tiny, from the crate %s %s; licence Apache-2.0\n' "$file" "$CRATE" "$VERSION" >&2
