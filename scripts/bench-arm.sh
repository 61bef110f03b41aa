#!/usr/bin/env bash
# Counts the instructions of each stage on another processor: the program of `make
# bench-instructions`, built as the packages are, runs under qemu with a plugin that counts.
# Usage: bench-arm.sh aarch64|armv7
# From the environment: CARGO_TARGET_DIR (target).
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/cross-env.sh
target=${1:?usage: bench-arm.sh aarch64|armv7}
cross_env "$target"
# What Debian's compiler does not link has no build of its own here.
[ -z "$ZIG" ] || { echo "bench-arm.sh: $target is not counted: expected aarch64 or armv7" >&2; exit 2; }
target_dir=${CARGO_TARGET_DIR:-target}

say() { printf '== %s\n' "$*" >&2; }

scripts/install-system.sh "cross-$target"
scripts/install-system.sh bench-arm
say "building for $TRIPLE as the packages are (the first time takes many minutes: the inference engine is large)"
cargo build --profile dist -p edge -p benches --bin instructions --target "$TRIPLE"
cargo build --release -p edge -p benches
plugin=$target_dir/$TRIPLE/count.so
cc -O2 -Wall -shared -fPIC -o "$plugin" benches/emulated/count.c

say "counting instructions under ${QEMU%-static}"
"$target_dir/release/instructions" --emulated "${QEMU%-static}" "$plugin" "$target_dir/$TRIPLE/dist/instructions"
