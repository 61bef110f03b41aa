#!/usr/bin/env bash
# How much flash and memory a board's program takes; fails above a limit of flash, the emulated
# board's clip not counted.
# Usage: firmware-size.sh PROGRAM MAX_FLASH_BYTES
set -euo pipefail

program=${1:?usage: firmware-size.sh PROGRAM MAX_FLASH_BYTES}
max_flash=${2:?usage: firmware-size.sh PROGRAM MAX_FLASH_BYTES}
read -r text data bss _ < <(size "$program" | tail -n 1)
# Second column: the size in hexadecimal digits. A board with a microphone has no clip.
clip=$((16#$(nm -S --demangle "$program" | sed -n 's/^[^ ]* \([^ ]*\) .* mps2_an386::clip::CLIP$/\1/p' | grep . || echo 0)))
flash=$((text + data - clip))
printf '== %s: flash %d bytes without the clip of %d (limit %d), static memory %d\n' "${program##*/}" "$flash" "$clip" "$max_flash" $((data + bss)) >&2
[ "$flash" -le "$max_flash" ]
