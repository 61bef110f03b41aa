#!/usr/bin/env bash
# How much flash and memory the emulated board's node takes; fails above 32 kB of flash without the clip. Usage: firmware-size.sh PROGRAM
set -euo pipefail

MAX_FLASH=32768

program=${1:?usage: firmware-size.sh PROGRAM}
read -r text data bss _ < <(size "$program" | tail -n 1)
# Second column: the size in hexadecimal digits.
clip=$((16#$(nm -S --demangle "$program" | grep -E ' mps2_an386::clip::CLIP$' | cut -d' ' -f2)))
flash=$((text + data - clip))
printf '== flash %d bytes without the clip of %d (limit %d), static memory %d\n' "$flash" "$clip" "$MAX_FLASH" $((data + bss)) >&2
[ "$flash" -le "$MAX_FLASH" ]
