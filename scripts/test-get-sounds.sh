#!/usr/bin/env bash
# Fetches sounds from a package made here, without network: what get-sounds.sh places, skips,
# refuses. Usage: test-get-sounds.sh
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without apt-get, so that nothing is fetched.
mkdir "$work/bin"
for tool in awk ar bash cat cut date dirname dpkg-deb find grep gzip head mkdir mktemp mv od paste rm sed sha256sum sort tail tar tr uniq wc xargs xz zstd; do
    path=$(command -v "$tool") && ln -s "$path" "$work/bin/$tool"
done
n_passed=0

fail() {
    printf 'test-get-sounds.sh: %s\n' "$*" >&2
    exit 1
}
get() { PATH=$work/bin EARWITNESS_SOUNDS_TABLE=$work/sounds.tsv ./get-sounds.sh "$@"; }
# That `get` with these arguments fails and says so.
refuses() {
    local words=$1
    shift
    get "$@" >"$work/log" 2>&1 && fail "get-sounds.sh $* succeeds, where '$words' was expected"
    grep -qF -- "$words" "$work/log" || fail "get-sounds.sh $* does not say '$words' but: $(cat "$work/log")"
    n_passed=$((n_passed + 1))
}
holds() {
    "$@" || fail "does not hold: $*"
    n_passed=$((n_passed + 1))
}
# A table of the package for training and, if there is one, of its use for testing, too.
write_table() {
    local size
    size=$(wc -c <"$deb")
    {
        printf 'noises\t1:2.0-1\t%s\t%s\t%s\tspeech\t_desc\t1\t0.5\tGPL-2\n' "$1" "$size" train
        printf 'noises\t1:2.0-1\t%s\t%s\t%s\t-\tbroken\t0\t0\tGPL-2\n' "$1" "$size" train
        printf 'noises\t1:2.0-1\t%s\t%s\t%s\tthings\t.\t2\t0.25\tGPL-2\n' "$1" "$size" train
        printf 'noises\t1:2.0-1\t%s\t%s\t%s\tmusic\t.\t4\t1\tGPL-2\n' "$1" "$size" test
    } >"$work/sounds.tsv"
}

tree=$work/noises
mkdir -p "$tree/DEBIAN" "$tree/usr/share/games/noises/kitchen" "$tree/usr/share/doc/noises"
printf 'Package: noises\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: noises\n' >"$tree/DEBIAN/control"
for name in kettle.wav kettle_desc.ogg "a pan, hot.ogg" broken.ogg notes.txt; do
    echo "$name" >"$tree/usr/share/games/noises/kitchen/$name"
done
: >"$tree/usr/share/games/noises/empty.wav"
echo "no recording" >"$tree/usr/share/doc/noises/example.wav"
deb=$work/noises_2.0-1_all.deb
dpkg-deb --root-owner-group --build "$tree" "$deb" >/dev/null
sum=$(sha256sum <"$deb" | cut -d' ' -f1)

# The table that is committed: ten columns, all of which are filled, and one package for one use.
holds awk -F'\t' '!/^#/ && (NF != 10 || length($3) != 64 || $5 !~ /^(train|validation|test)$/ || $10 == "") { bad = 1 } END { exit bad }' sounds.tsv
holds awk -F'\t' '!/^#/ { if ($1 in use && use[$1] != $5) bad = 1; use[$1] = $5 } END { exit bad }' sounds.tsv
env PATH="$work/bin" ./get-sounds.sh --list >"$work/list"
holds grep -q '^tuxpaint-stamps-default ' "$work/list"
holds test -z "$(grep -E '^(fillets-ng-data-nl|openclonk-data|asterisk-(core-sounds-en|moh))' "$work/list")"

out=$work/out
write_table "$sum"
refuses 'usage: get-sounds.sh' --test
refuses 'there is no option --tests' --tests "$out"
refuses "noises: there is no apt-get here; fetch noises_2.0-1_all.deb from any mirror of Debian into $out/debs" "$out"
cp "$deb" "$out/debs/"
write_table "${sum//[0-9]/a}"
refuses 'is not the file that the table names' "$out"
holds test ! -e "$out/things"

write_table "$sum"
get "$out" >"$work/log" 2>"$work/steps"
(cd "$out" && find speech things -type f | sort) >"$work/files"
printf '%s\n' speech/noises/noises__kitchen__kettle_desc.ogg things/noises/noises__kitchen__a_pan__hot.ogg \
    things/noises/noises__kitchen__kettle.wav >"$work/expected"
holds cmp "$work/files" "$work/expected"
holds grep -qxF things/noises/noises__kitchen__kettle.wav,noises,things,GPL-2 "$out/sources.csv"
holds grep -qE '^total +things +2 +0[.]25' "$work/log"

# What is intact needs no package; what is not is unpacked again.
mv "$out/debs" "$work/aside"
get "$out" >"$work/log" 2>"$work/steps"
holds test ! -s "$work/steps"
echo damaged >"$out/things/noises/noises__kitchen__kettle.wav"
rmdir "$out/debs" && mv "$work/aside" "$out/debs"
get "$out" >"$work/log" 2>"$work/steps"
holds grep -qx kettle.wav "$out/things/noises/noises__kitchen__kettle.wav"
refuses 'nothing may be both trained on and tested with' --test "$out"
write_table "$sum"
sed -i 's/\ttest\t/\tvalidation\t/' "$work/sounds.tsv"
mkdir "$work/validation"
cp -r "$out/debs" "$work/validation/debs"
get --validation "$work/validation" >"$work/log" 2>"$work/steps"
holds grep -qE '^total +music +4 ' "$work/log"
refuses "holds the recordings for the use 'validation'" "$work/validation"

printf '%s passed, 0 failed\n' "$n_passed"
