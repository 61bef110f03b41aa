#!/usr/bin/env bash
# Installs a program of crates.io that a script needs, unless it is there, into TOOLS/bin, which
# must be on the caller's path. Usage: install-cargo-tool.sh NAME VERSION TOOLS [CARGO-OPTION...]
set -euo pipefail

usage='usage: install-cargo-tool.sh NAME VERSION TOOLS [CARGO-OPTION...]'
name=${1:?$usage}
version=${2:?$usage}
tools=${3:?$usage}
shift 3

command -v "$name" >/dev/null && exit 0
printf '== installing %s %s into %s\n' "$name" "$version" "$tools" >&2
env -u CARGO_TARGET_DIR cargo install --quiet --locked --version "$version" --root "$tools" "$@" "$name" >&2
