#!/usr/bin/env bash
# Feeds the daemon's readers with damaged files (configuration, manifest, event, samples, recording,
# network) and both ends of the microcontroller's link with damaged bytes. Usage: fuzz.sh
# [TARGET...]; all targets by default. A finding is written to artifacts/ beside the targets, and
# the script fails.
# From the environment: RUNS (1000000, for each target), CACHE (where the corpora grow),
# CARGO_TARGET_DIR (target).
set -euo pipefail
cd "$(dirname "$0")/.."

RUNS=${RUNS:-1000000}
CARGO_FUZZ=0.13.2
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}
export PATH="$cache/tools/bin:$PATH:$HOME/.cargo/bin"
# Files in memory where there is such a folder. Reports do not say where
# a damaged block was allocated: this takes a third of the time, and a finding can be run again.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
asan=malloc_context_size=0:detect_stack_use_after_return=0
targets=("$@")
[ $# -gt 0 ] || targets=(config manifest event raw audio network reader host)

say() { printf '== %s\n' "$*" >&2; }

scripts/install-system.sh fuzz
scripts/install-cargo-tool.sh cargo-fuzz "$CARGO_FUZZ" "$cache/tools"

# Valid inputs to start from, so that not everything fails at the first byte.
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
mkdir -p "$seeds"/{config,manifest,event,raw,audio,network,reader,host}
sed 's/^#\([a-z[]\)/\1/' edge/earwitness.example.toml >"$seeds/config/all.toml"
cp edge/earwitness.example.toml "$seeds/config/"
for manifest in models/home tests/fixtures/tiny tests/fixtures/tiny_window; do
    cp "$manifest/manifest.toml" "$seeds/manifest/$(basename "$manifest").toml"
    [ "$manifest" = models/home ] || cp "$manifest"/*.onnx "$seeds/network/"
done
cat >"$seeds/event/onset.json" <<'JSON'
{"id":"01938f5e-7b5e-7c3a-9d0e-0123456789ab","device":"kitchen","model":"home-2.0.0","label":"blender","class_id":0,"phase":"onset","onset":"2026-01-02T03:04:05.678Z","offset":null,"t_onset_s":1.25,"t_offset_s":null,"duration_s":null,"score":0.9,"peak_score":0.95}
JSON
sed 's/"phase":"onset"/"phase":"offset"/; s/"offset":null/"offset":"2026-01-02T03:04:07.178Z"/; s/"t_offset_s":null/"t_offset_s":2.75/; s/"duration_s":null/"duration_s":1.5/' \
    "$seeds/event/onset.json" >"$seeds/event/offset.json"
# The head and an eighth of a second.
head -c 8044 models/home/golden/clip.wav >"$seeds/raw/clip"
python3 - models/home/golden/clip.wav "$seeds/audio/clip.wav" <<'PY'
import sys, wave
with wave.open(sys.argv[1]) as clip, wave.open(sys.argv[2], "wb") as short:
    short.setparams(clip.getparams())
    short.writeframes(clip.readframes(clip.getframerate() // 8))
PY
# Inputs that once broke something.
cp -r edge/fuzz/found/. "$seeds/"
flac --silent --output-name="$seeds/audio/clip.flac" "$seeds/audio/clip.wav"
oggenc --quiet --output="$seeds/audio/clip.ogg" "$seeds/audio/clip.wav"
lame --silent "$seeds/audio/clip.wav" "$seeds/audio/clip.mp3"

# The same versions as those of the daemon.
cp Cargo.lock edge/fuzz/Cargo.lock
say "building the targets (the first time takes some minutes)"
for target in "${targets[@]}"; do
    fuzz_dir=edge/fuzz options=() max_len=16384
    export CARGO_TARGET_DIR="$target_dir" ASAN_OPTIONS="$asan"
    case $target in
    reader | host) fuzz_dir=firmware-bridge/fuzz ;;
    # These do arithmetic: watching each comparison takes half of the time and finds
    # nothing. Other flags, another folder.
    network) options=(--no-trace-compares) CARGO_TARGET_DIR="$target_dir/arithmetic" ;;
    # Safe code with an intact network: only panics are looked for.
    raw) options=(--no-trace-compares --sanitizer none) CARGO_TARGET_DIR="$target_dir/safe" max_len=4096 ;;
    esac
    cargo +nightly fuzz build --fuzz-dir "$fuzz_dir" "${options[@]}" "$target" >&2
    corpus=$cache/fuzz/$target
    mkdir -p "$corpus"
    say "$target: $RUNS executions"
    # A network of a few bytes may ask for gigabytes, which the system refuses.
    cargo +nightly fuzz run --fuzz-dir "$fuzz_dir" "${options[@]}" "$target" "$corpus" "$seeds/$target" -- \
        -runs="$RUNS" -max_len="$max_len" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -print_funcs=0 -detect_leaks=0 2>&1 |
        tee "$target_dir/$target.log" | sed -u '/^INFO\|^#[0-9]*\t\(NEW\|REDUCE\|RELOAD\)\|^###### \|^"\|^ *DE: /d' >&2
done
