#!/usr/bin/env bash
# Installs a program of crates.io that a script needs, unless it is there. Usage: install-cargo-tool.sh NAME VERSION TOOLS
# It gets into TOOLS/bin, which is to be on the path of who calls.
set -euo pipefail

usage='usage: install-cargo-tool.sh NAME VERSION TOOLS'
name=${1:?$usage}
version=${2:?$usage}
tools=${3:?$usage}

command -v "$name" >/dev/null && exit 0
printf '== installing %s %s into %s\n' "$name" "$version" "$tools" >&2
env -u CARGO_TARGET_DIR cargo install --quiet --locked --version "$version" --root "$tools" "$name" >&2
