#!/usr/bin/env bash
# Takes the sounds out of a game's archive. Usage: unpack-sounds.sh ARCHIVE DIR
#   *.cat  OpenTTD: (offset, size) of each sound, little-endian, the top bit of the first offset
#          set; there: name and RIFF
#   *.ocg  OpenClonk: gzip with two bytes changed; a group is 204 bytes of head, 316 bytes an entry,
#          then the files, some groups themselves
set -euo pipefail

usage='usage: unpack-sounds.sh ARCHIVE DIR'
archive=${1:?$usage}
dir=${2:?$usage}

GROUP_HEAD=204
GROUP_ENTRY=316
GROUP_KEY=237

fail() {
    printf 'unpack-sounds.sh: %s\n' "$*" >&2
    exit 1
}
# The numbers of COUNT bytes from OFFSET of FILE on, of the TYPE that od names so: u1 a byte, u4
# four bytes, little-endian.
numbers() { od --address-radix=n --endian=little --output-duplicates --format="$4" --skip-bytes="$2" --read-bytes="$3" "$1"; }
# COUNT bytes of FILE from OFFSET on.
part() { tail -c +$(($2 + 1)) "$1" 2>/dev/null | head -c "$3" || true; }

unpack_cat() {
    local index first i at name head size
    first=$(numbers "$archive" 0 4 u4)
    read -r -d '' -a index < <(numbers "$archive" 0 $((first & 0x7fffffff)) u4) || true
    for ((i = 0; i < ${#index[@]}; i += 2)); do
        at=$((index[i] & 0x7fffffff))
        name=$(numbers "$archive" "$at" 1 u1)
        head=$((at + 1 + name))
        [ "$(part "$archive" "$head" 4)" = RIFF ] || fail "$archive: sound $((i / 2)) is no RIFF"
        size=$(numbers "$archive" $((head + 4)) 4 u4)
        part "$archive" "$head" $((size + 8)) >"$(printf '%s/%03d.wav' "$dir" $((i / 2)))"
    done
}

# The sounds of the group at OFFSET of the file $plain, into a folder.
unpack_group() {
    local at=$1 into=$2 count entry name fields i
    # The head is scrambled: each byte by a key, and the first and the third of every three change
    # places.
    read -r -a count < <(numbers "$plain" $((at + 36)) 3 u1)
    count=$(((count[2] ^ GROUP_KEY) + 256 * (count[1] ^ GROUP_KEY)))
    mkdir -p "$into"
    for ((i = 0; i < count; i++)); do
        entry=$((at + GROUP_HEAD + i * GROUP_ENTRY))
        name=$(part "$plain" "$entry" 260 | tr -d '\0')
        read -r -a fields < <(numbers "$plain" $((entry + 264)) 16 u4 | tr '\n' ' ') || true
        local is_group=${fields[0]} size=${fields[1]} start=$((at + GROUP_HEAD + count * GROUP_ENTRY + fields[3]))
        case $name in
        */* | '') fail "$archive: an entry is called '$name'" ;;
        *.ogg | *.wav) part "$plain" "$start" "$size" >"$into/$name" ;;
        *) [ "$is_group" -eq 0 ] || unpack_group "$start" "$into/$name" ;;
        esac
    done
}

mkdir -p "$dir"
case $archive in
*.cat) unpack_cat ;;
*.ocg)
    plain=$(mktemp)
    trap 'rm -f "$plain"' EXIT
    { printf '\x1f\x8b' && tail -c +3 "$archive"; } | gzip -dc >"$plain"
    unpack_group 0 "$dir"
    ;;
*) fail "$archive is neither .cat nor .ocg" ;;
esac
