#!/usr/bin/env bash
# Brings PipeWire's plugin for ALSA as DIR/libasound_module_pcm_pipewire.so: that of this system, or
# else the file of Debian's package pipewire-alsa, which cannot be installed together with
# PulseAudio and is only unpacked here. Does nothing if the file is there. Usage:
# get-pipewire-alsa.sh DIR
set -euo pipefail

dir=${1:?usage: get-pipewire-alsa.sh DIR}
plugin=libasound_module_pcm_pipewire.so
file=$dir/$plugin

fail() {
    printf 'get-pipewire-alsa.sh: %s\n' "$*" >&2
    exit 1
}

[ ! -f "$file" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
from=$(find /usr/lib /usr/lib64 -path "*/alsa-lib/$plugin" -print -quit 2>/dev/null) || true
if [ -z "$from" ]; then
    command -v apt-get >/dev/null || fail "this is no Debian: please install PipeWire's plugin for ALSA"
    cd "$work"
    if ! apt-get download -qq pipewire-alsa >"$work/log" 2>&1; then
        as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        "${as_root[@]}" apt-get update -qq >&2
        apt-get download -qq pipewire-alsa >"$work/log" 2>&1 || {
            cat "$work/log" >&2
            fail "apt-get cannot fetch pipewire-alsa, for the reason above: check the network, and run it again"
        }
    fi
    dpkg-deb --extract pipewire-alsa_*.deb "$work/package"
    from=$(find "$work/package" -name "$plugin" -print -quit)
    [ -n "$from" ] || fail "the package pipewire-alsa does not hold $plugin"
    cd - >/dev/null
fi

mkdir -p "$dir"
cp "$from" "$file.$$.part"
mv "$file.$$.part" "$file"
printf '== %s\n' "$file" >&2
