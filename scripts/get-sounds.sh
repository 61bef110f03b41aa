#!/usr/bin/env bash
# Fetches recordings of the world from Debian's packages, by name: speech, music and things, to
# train on or to test with. Needs apt-get (elsewhere than on Debian: the .deb files in DIR/debs,
# from any mirror), dpkg-deb or ar, and ffmpeg, which makes Vorbis of Opus and G.722.
# Usage: get-sounds.sh [--list] [--validation | --test] DIR
#   --list        what would be fetched, with sizes and licences; fetches nothing
#   --validation  the packages that thresholds are chosen on, in place of those for training
#   --test        the packages reserved for testing; never train on them
#   DIR           gets KIND/PACKAGE/FILE, sources.csv and debs/ (which may be removed afterwards);
#                 what is there and intact is not fetched again
# From the environment: EARWITNESS_SOUNDS_TABLE (sounds.tsv beside this script), whose columns are
#   package, version, sha256 and size (of the .deb, in bytes), use (train, validation, test), kind
#   (speech, music, things), paths, files, hours, licence
#   `paths` is an extended regular expression for the path below usr/share; a recording belongs to
#   the first line of its package that fits, and is left out if that line's kind is `-`.
set -euo pipefail

usage='usage: get-sounds.sh [--list] [--validation | --test] DIR'
here=$(cd "$(dirname "$0")" && pwd)
table=${EARWITNESS_SOUNDS_TABLE:-$here/sounds.tsv}

say() { printf '== %s\n' "$*" >&2; }
warn() { printf 'get-sounds.sh: %s\n' "$*" >&2; }
fail() {
    warn "$*"
    exit 1
}
# The table's lines of recordings for this use.
lines() { awk -F'\t' -v use="$use" '$1 !~ /^#/ && $5 == use && $6 != "-"' "$table"; }
# Kind and paths of each of a package's lines.
rules_of() { awk -F'\t' -v OFS='\t' -v use="$use" -v name="$1" '$5 == use && $1 == name { print $6, $7 }' "$table"; }
# Prints tab-separated lines with a header as aligned columns. The columns whose numbers RIGHT lists
# are aligned to the right.
aligned() {
    awk -F'\t' -v right=" $1 " '
        { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } if (NF > n) n = NF }
        END {
            for (r = 1; r <= NR; r++) {
                text = ""
                for (i = 1; i <= n; i++) text = text sprintf("%" (index(right, " " i " ") ? "" : "-") width[i] "s  ", cell[r, i])
                sub(/ +$/, "", text)
                print text
            }
        }'
}
megabytes='function mb(bytes) { return sprintf("%.1f MB", bytes / 1e6) }'

list() {
    lines | awk -F'\t' -v OFS='\t' "$megabytes"'
        BEGIN { print "package", "version", "kind", "files", "hours", "download", "licence" }
        {
            print $1, $2, $6, $8, sprintf("%.2f", $9), ($1 == last ? "" : mb($4)), $10
            if ($1 != last) bytes += $4
            last = $1; files += $8; hours += $9
        }
        END { print "total", "", "", files, sprintf("%.2f", hours), mb(bytes), "" }' | aligned '4 5 6'
}

is_named() { [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# Fetches the .deb into $debs and sets $deb to its name.
obtain() {
    local package=$1 version=$2 sha256=$3 offered part=$work/download
    for deb in "$debs/$package"_*.deb; do
        [ -e "$deb" ] || continue
        is_named "$deb" "$sha256" && return 0
        warn "$deb is not the file that the table names (sha256 $sha256): it is damaged or another version; remove it and run this again"
        return 1
    done
    if ! command -v apt-get >/dev/null; then
        warn "$package: there is no apt-get here; fetch ${package}_${version#*:}_all.deb from any mirror of Debian into $debs and run this again"
        return 1
    fi
    say "fetching $package $version"
    mkdir -p "$part"
    # As root, apt would hand over to a user who may not write here.
    if ! (cd "$part" && apt-get -qq -o APT::Sandbox::User=root download "$package=$version") >"$work/apt.log" 2>&1; then
        offered=$(apt-cache madison "$package" 2>/dev/null | awk -F' *[|] *' '{ print $2 }' | sort -u | paste -sd' ')
        case " $offered " in
        *" $version "*) warn "$package: apt-get could not fetch it: $(tail -n1 "$work/apt.log")" ;;
        '  ') warn "$package: apt knows no such package; run 'apt-get update' as root, or fetch ${package}_${version#*:}_all.deb into $debs" ;;
        *)
            warn "$package: the mirror has $offered in place of $version, the version that was measured, and another may sound otherwise;" \
                "fetch ${package}_${version#*:}_all.deb from a mirror of Debian 12 into $debs, or set version and sha256 in $table to the new ones"
            ;;
        esac
        return 1
    fi
    deb=$(find "$part" -name '*.deb')
    if ! is_named "$deb" "$sha256"; then
        rm -f "$deb"
        warn "$package: what the mirror has as $version has another checksum than the table, $sha256: it was repacked or tampered with;" \
            "nothing of it was kept; fetch it from another mirror into $debs, or set sha256 in $table if you trust it"
        return 1
    fi
    mv "$deb" "$debs/"
    deb=$debs/${deb##*/}
}

# The files of $deb into a folder.
unpack() {
    local into=$1 data
    if command -v dpkg-deb >/dev/null; then
        dpkg-deb --fsys-tarfile "$deb" | tar x --no-same-owner -C "$into"
    elif command -v ar >/dev/null; then
        data=$(ar t "$deb" | grep '^data[.]tar')
        ar p "$deb" "$data" >"$work/$data" && tar xf "$work/$data" --no-same-owner -C "$into"
    else
        warn "neither dpkg-deb nor ar is here to unpack $deb; install dpkg or binutils"
        return 1
    fi
}

# Moves the recordings of a package from the unpacked $tree to their places. Writes their checksums
# to $sums and counts the recordings that could not be moved in $n_left.
place() {
    local package=$1 path name kind paths line source target
    n_left=0
    : >"$work/placed"
    while IFS= read -r -d '' source; do
        path=${source#"$tree"/usr/share/}
        kind=
        while IFS=$'\t' read -r kind paths; do
            [[ $path =~ $paths ]] && break
            kind=
        done <<<"$rules"
        case $kind in '' | -) continue ;; esac
        name=${path#games/}
        name=${name//\//__}
        name=${name//[[:space:],\"\\]/_}
        case $name in
        *.[Oo][Pp][Uu][Ss] | *.g722)
            if [ -z "$has_ffmpeg" ]; then
                n_left=$((n_left + 1))
                continue
            fi
            target=$kind/$package/${name%.*}.ogg
            ffmpeg -nostdin -v error -y -i "$source" -vn -map_metadata -1 -c:a libvorbis -q:a 6 "$tree/converted.ogg" || return 1
            source=$tree/converted.ogg
            ;;
        *) target=$kind/$package/$name ;;
        esac
        if [ -n "${taken[$target]:-}" ]; then
            warn "$package: two recordings would both be $target"
            return 1
        fi
        taken[$target]=1
        mkdir -p "$dir/${target%/*}"
        mv "$source" "$dir/$target" || return 1
        printf '%s\n' "$target" >>"$work/placed"
    done < <(find "$tree/usr/share" -type f -size +0 ! -path '*/share/doc/*' \( -iname '*.wav' -o -iname '*.ogg' -o -iname '*.oga' -o -iname '*.flac' \
        -o -iname '*.mp3' -o -iname '*.opus' -o -name '*.g722' \) -print0 | sort -z)
    (cd "$dir" && LC_ALL=C sort "$work/placed" | tr '\n' '\0' | xargs -0r sha256sum --) >"$work/sums"
}

# One package, unless it is there and intact.
get() {
    local package=$1 version=$2 sha256=$3 stamp=$done_dir/$1.sha256 key rules archive line
    rules=$(rules_of "$package")
    key="# $sha256 $(sha256sum <<<"$rules" | cut -c1-16)"
    if [ -e "$stamp" ]; then
        line=$(head -n1 "$stamp")
        if [ "$line" = "$key" ] || { [ "$line" = "$key without ffmpeg" ] && [ -z "$has_ffmpeg" ]; }; then
            (cd "$dir" && sha256sum --check --quiet --strict --status "$stamp") && return 0
        fi
    fi
    obtain "$package" "$version" "$sha256" || return 1
    say "unpacking $package"
    tree=$work/tree
    rm -rf "$tree"
    mkdir -p "$tree"
    unpack "$tree" || return 1
    while IFS= read -r -d '' archive; do
        "$here/unpack-sounds.sh" "$archive" "$archive.d" || return 1
    done < <(find "$tree/usr/share" -type f \( -path '*/opensfx/*.cat' -o -name Sound.ocg \) -print0)
    local -A taken=()
    local n_left
    rm -rf "$dir"/{speech,music,things}/"$package"
    place "$package" || return 1
    rm -rf "$tree"
    if [ ! -s "$work/sums" ] && [ "$n_left" -eq 0 ]; then
        warn "$package has no recordings where the table looks for them: correct its paths in $table"
        return 1
    fi
    if [ "$n_left" -gt 0 ]; then
        warn "$package: $n_left recordings are Opus or G.722 and were left out, as there is no ffmpeg here; install it and run this again"
        key="$key without ffmpeg"
    fi
    { printf '%s\n' "$key" && cat "$work/sums"; } >"$work/stamp" && mv "$work/stamp" "$stamp"
}

# Where each recording comes from.
write_sources() {
    local package kind licence
    printf 'file,package,kind,licence\n'
    lines | while IFS=$'\t' read -r package _ _ _ _ kind _ _ _ licence; do
        [ -e "$done_dir/$package.sha256" ] || continue
        sed -n "s|^[0-9a-f]\{64\}  \($kind/.*\)|\1,$package,$kind,$licence|p" "$done_dir/$package.sha256"
    done
}

# What is there now, by package and kind.
report() {
    lines | while IFS=$'\t' read -r package _ _ _ _ kind _ n_files hours licence; do
        local n=0 bytes=0
        if [ -e "$done_dir/$package.sha256" ] && [ -d "$dir/$kind/$package" ]; then
            n=$(find "$dir/$kind/$package" -type f | wc -l)
            bytes=$(find "$dir/$kind/$package" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }')
        fi
        # The hours were measured with every file there.
        [ "$n" -eq "$n_files" ] || hours=$(awk -v n="$n" -v of="$n_files" -v hours="$hours" 'BEGIN { print (of ? hours * n / of : 0) }')
        printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$package" "$kind" "$n" "$hours" "$bytes" "$licence"
    done | awk -F'\t' -v OFS='\t' "$megabytes"'
        BEGIN { print "package", "kind", "files", "hours", "size", "licence" }
        { print $1, $2, $3, sprintf("%.2f", $4), mb($5), $6; n[$2] += $3; hours[$2] += $4; bytes[$2] += $5 }
        END {
            split("speech music things", kinds, " ")
            for (i = 1; i <= 3; i++) { k = kinds[i]; print "total", k, n[k] + 0, sprintf("%.2f", hours[k]), mb(bytes[k]), "" }
        }' | aligned '3 4 5'
}

use=train
only_list=
dir=
while [ $# -gt 0 ]; do
    case $1 in
    --list) only_list=1 ;;
    --validation) use=validation ;;
    --test) use=test ;;
    -h | --help)
        sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0"
        exit
        ;;
    -*) fail "there is no option $1; $usage" ;;
    *)
        [ -z "$dir" ] || fail "'$dir' and '$1' are two folders; $usage"
        dir=$1
        ;;
    esac
    shift
done
[ -r "$table" ] || fail "$table, the table of packages, cannot be read"
[ -n "$(lines)" ] || fail "$table has no line for the use '$use'"
if [ -n "$only_list" ]; then
    list
    exit
fi
[ -n "$dir" ] || fail "$usage"

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
for other in train validation test; do
    [ "$other" = "$use" ] || [ ! -e "$dir/.fetched/$other" ] ||
        fail "$dir holds the recordings for the use '$other'; take another folder, as nothing may be both trained on and tested with"
done
debs=$dir/debs
done_dir=$dir/.fetched/$use
mkdir -p "$debs" "$done_dir"
work=$(mktemp -d "$dir/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
has_ffmpeg=$(command -v ffmpeg || true)

n_failed=0
while IFS=$'\t' read -r package version sha256 <&3; do
    get "$package" "$version" "$sha256" || n_failed=$((n_failed + 1))
done 3< <(lines | cut -f1-3 | uniq)
write_sources >"$work/sources.csv"
mv "$work/sources.csv" "$dir/sources.csv"
report
[ "$n_failed" -eq 0 ] || fail "$n_failed packages are not there, for the reasons above; what is there is kept"
