#!/usr/bin/env bash
# Builds the Debian package and writes only its name to standard output.
# Usage: deb.sh [amd64|arm64|armhf] [CARGO-DEB-OPTION...]; default: this machine's own architecture.
# From the environment: CACHE (where cargo-deb is installed if it is missing), CARGO_TARGET_DIR
# (target), NO_BUILD=1 to use the existing binary.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DEB=3.8.0

. scripts/cross-env.sh
own=$(dpkg --print-architecture)
arch=${1:-$own}
shift $(($# > 0 ? 1 : 0))
target_dir=${CARGO_TARGET_DIR:-target}
tools=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}/tools
export PATH="$tools/bin:$PATH:$HOME/.cargo/bin"

say() { printf '== %s\n' "$*" >&2; }

scripts/install-system.sh deb
scripts/install-cargo-tool.sh cargo-deb "$CARGO_DEB" "$tools"

package_env "$arch"
for_target=()
[ "$arch" = "$own" ] || for_target=(--target "$TRIPLE")
if [ -z "${NO_BUILD:-}" ]; then
    if [ "$arch" = "$own" ]; then
        say "building the daemon for $arch (the first time takes many minutes: the inference engine is large)"
        cargo build --profile dist -p edge >&2
    else
        BUILD_ONLY=1 scripts/cross.sh "$arch" >&2
    fi
fi
scripts/package-files.sh "$arch"

say "packing"
cargo-deb deb --quiet --no-build --no-strip -p edge --profile dist "${for_target[@]}" --output "$target_dir/debian/" "$@" >/dev/null
ls -t "$target_dir"/debian/earwitness_*_"$arch".deb | head -n1
