#!/usr/bin/env bash
# Builds the daemon for another processor without a container engine, and checks the binary: it
# needs no newer glibc than that of Debian 12, and under qemu it reports the same events on the
# demo's scene as this machine's own. Usage: cross.sh aarch64|armv7|arm
# From the environment: PROFILE (dist), SEED (1), CARGO_TARGET_DIR (target), CACHE (where Zig and
# cargo-zigbuild are installed), BUILD_ONLY=1 to check nothing, BUILD_STD=1 to compile Rust's
# library, too (component rust-src), for a rustup that has none for the target.
set -euo pipefail
cd "$(dirname "$0")/.."

# Largest size of a stripped binary.
MAX_BYTES=20000000
CARGO_ZIGBUILD=0.24.1

. scripts/cross-env.sh
target=${1:?usage: cross.sh aarch64|armv7|arm}
cross_env "$target"
profile=${PROFILE:-dist}
target_dir=${CARGO_TARGET_DIR:-target}
binary=$target_dir/$TRIPLE/$profile/earwitness

say() { printf '== %s\n' "$*" >&2; }
fail() {
    printf 'cross.sh: %s\n' "$*" >&2
    exit 1
}

scripts/install-system.sh "cross-$target"

with_std=()
[ -z "${BUILD_STD:-}" ] || with_std=(env RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind)
say "building the daemon for $TRIPLE, profile $profile (the first time takes many minutes: the inference engine is large)"
if [ -z "$ZIG" ]; then
    "${with_std[@]}" cargo build --profile "$profile" -p edge --target "$TRIPLE"
else
    cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}
    scripts/install-venv.sh "$cache/venv-zig" scripts/requirements-zig.txt "Zig, for its linker and start-up code"
    export PATH="$cache/tools/bin:$PATH:$HOME/.cargo/bin" CARGO_ZIGBUILD_PYTHON_PATH="$cache/venv-zig/bin/python"
    scripts/install-cargo-tool.sh cargo-zigbuild "$CARGO_ZIGBUILD" "$cache/tools"
    "${with_std[@]}" cargo zigbuild --profile "$profile" -p edge --target "$TRIPLE.$ZIG"
fi
[ -z "${BUILD_ONLY:-}" ] || exit 0

check_glibc "$binary" "$GNU-objdump" >&2

bytes=$(stat -c %s "$binary")
say "size: $bytes bytes, may have $MAX_BYTES"
[ "$profile" != dist ] || [ "$bytes" -le "$MAX_BYTES" ] || fail "$binary has $bytes bytes"

if [ -n "$CPU_ARCH" ]; then
    is=$("$GNU-readelf" -A "$binary" | sed -n 's/ *Tag_CPU_arch: //p')
    say "processor: $is"
    [ "$is" = "$CPU_ARCH" ] || fail "$binary is for ARM $is, expected $CPU_ARCH"
fi

say "building this machine's own daemon to compare with, and the scene"
cargo build --release -p edge -p sounds
work=$target_dir/cross
mkdir -p "$work"
"$target_dir/release/make-scene" --seed "${SEED:-1}" --out "$work/scene.wav" --truth "$work/scene.csv"
# The 8-bit network has kernels of its own for processors with and without dot products.
for run in f32 int8 ${OLD_CPU:+int8-$OLD_CPU}; do
    precision=${run%%-*}
    cpu=${run#"$precision"}
    options=(run --model models/home --precision "$precision" --source "file:$work/scene.wav" --fast)
    "$target_dir/release/earwitness" "${options[@]}" >"$work/host.jsonl" 2>"$work/host.log" || fail "$(cat "$work/host.log")"
    say "running the binary under $QEMU${cpu:+ as a ${cpu#-}}, $precision"
    env ${cpu:+QEMU_CPU="${cpu#-}"} "$QEMU" "$binary" "${options[@]}" >"$work/$target.jsonl" 2>"$work/$target.log" ||
        fail "$(cat "$work/$target.log")"
    python3 scripts/compare-events.py "$work/host.jsonl" "$work/$target.jsonl"
done
