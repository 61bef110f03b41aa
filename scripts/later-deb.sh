#!/usr/bin/env bash
# Packs a package once more as a later version, whose example of a configuration is another, too.
# Usage: later-deb.sh DEB LATER
set -euo pipefail

usage='usage: later-deb.sh DEB LATER'
deb=${1:?$usage}
later=${2:?$usage}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

dpkg-deb --raw-extract "$deb" "$work/package"
sed -i 's/^Version: .*/Version: 99.0.0-1/' "$work/package/DEBIAN/control"
echo "# A later example." >>"$work/package/etc/earwitness/earwitness.toml"
dpkg-deb --root-owner-group --build "$work/package" "$later" >&2
