#!/usr/bin/env bash
# Installs the package into a small Debian of its own (a folder, by debootstrap) and uses it there:
# the daemon runs as the service's user and reports events, and an upgrade keeps the configuration.
# Nothing is installed on this machine but tools. Needs root.
# Usage: test-deb.sh. From the environment: NO_BUILD=1 to use the existing binary, SUITE (bookworm),
# and as of scripts/deb.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

MAX_BYTES=24000000
SUITE=${SUITE:-bookworm}

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --preserve-env=CACHE,CARGO_TARGET_DIR,NO_BUILD,SUITE,PATH,HOME "$0" "$@"
fi
target_dir=${CARGO_TARGET_DIR:-target}
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}
work=$(mktemp -d)
root=$work/root
trap 'rm -rf "$work"' EXIT

say() { printf '== %s\n' "$*" >&2; }
fail() {
    printf 'test-deb.sh: %s\n' "$*" >&2
    exit 1
}
# A command in the small Debian, with a /proc that is gone when it ends.
inside() {
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"
}
# The daemon there, as the service's user.
daemon() { inside setpriv --reuid=earwitness --regid=earwitness --clear-groups earwitness "$@"; }

scripts/install-system.sh test-deb
deb=$(scripts/deb.sh | tail -n1)
later=$work/later.deb

say "what is in $deb"
dpkg-deb --info "$deb" >&2
dpkg-deb --contents "$deb" >"$work/contents"
for path in usr/bin/earwitness etc/earwitness/earwitness.toml systemd/system/earwitness.service man1/earwitness.1.gz man1/earwitness-run.1.gz \
    bash-completion/completions/earwitness vendor-completions/_earwitness vendor_completions.d/earwitness.fish \
    models/home/manifest.toml models/home/model.onnx models/home/model.int8.onnx models/home/CARD.md \
    doc/earwitness/copyright doc/earwitness/docs/sources.md doc/earwitness/third-party.txt.gz; do
    grep -q "/$path\$" "$work/contents" || fail "$deb has no $path"
done
dpkg-deb --raw-extract "$deb" "$work/first"
[ "$(cat "$work/first/DEBIAN/conffiles")" = /etc/earwitness/earwitness.toml ] || fail "the configuration is no conffile"
bytes=$(stat -c %s "$work/first/usr/bin/earwitness")
say "the program has $bytes bytes, may have $MAX_BYTES"
[ "$bytes" -le "$MAX_BYTES" ] || fail "the program has $bytes bytes"
scripts/later-deb.sh "$deb" "$later"

say "lintian"
lintian --allow-root --fail-on error "$deb" >&2

# The unpacked Debian is kept: it takes a minute and a download.
base=$cache/$SUITE.tar
if [ ! -f "$base" ]; then
    say "unpacking a small Debian ($SUITE)"
    debootstrap --variant=minbase --include=adduser,ca-certificates,libasound2,procps "$SUITE" "$root" >&2
    mkdir -p "$cache"
    tar -C "$root" --exclude=./proc/* --exclude=./sys/* -cf "$base.part" .
    mv "$base.part" "$base"
else
    mkdir -p "$root"
    tar -C "$root" -xf "$base"
fi
# Nothing is started in it.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"

say "installing"
cp "$deb" "$root/first.deb"
cp "$later" "$root/later.deb"
inside dpkg --install /first.deb >&2
inside id earwitness >&2
[ -L "$root/etc/systemd/system/multi-user.target.wants/earwitness.service" ] || fail "the service is not enabled"

say "the daemon recognises the demo's scene as the service's user"
cargo build --quiet --release -p sounds
"$target_dir/release/make-scene" --seed 1 --out "$root/tmp/scene.wav" --truth "$root/tmp/scene.csv"
chmod a+r "$root/tmp/scene.wav"
inside earwitness --version >&2
daemon check --config /etc/earwitness/earwitness.toml >/dev/null
daemon run --config /etc/earwitness/earwitness.toml --source file:/tmp/scene.wav --fast >"$work/events.jsonl"
events=$(grep -c '"phase":"onset"' "$work/events.jsonl" || true)
say "$events events"
[ "$events" -ge 3 ] || fail "the daemon reported $events events"

say "a later version keeps the configuration"
sed -i 's/^#name = "kitchen-pi"$/name = "cellar-pi"/' "$root/etc/earwitness/earwitness.toml"
grep -qx 'name = "cellar-pi"' "$root/etc/earwitness/earwitness.toml" || fail "the example has changed: this test's sed does not fit"
cp "$root/etc/earwitness/earwitness.toml" "$work/mine.toml"
inside dpkg --force-confold --install /later.deb >&2
inside dpkg-query --show earwitness | grep -q '99\.0\.0-1' || fail "the later version is not installed"
cmp "$work/mine.toml" "$root/etc/earwitness/earwitness.toml" || fail "the upgrade has changed the configuration"
[ -f "$root/etc/earwitness/earwitness.toml.dpkg-dist" ] || fail "the later example is not beside the configuration"
daemon run --config /etc/earwitness/earwitness.toml --source file:/tmp/scene.wav --fast | grep -q '"device":"cellar-pi"' ||
    fail "the daemon does not use the configuration"

say "setup writes a password that the service can read"
python3 scripts/answer.py "MQTT broker=mqtt://127.0.0.1:1" "User name=ann" "Password=sesame" "Keep it anyway=y" "Overwrite it=y" -- \
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" earwitness setup --listen 0' "$root" >&2
[ "$(stat -c %a "$root/etc/earwitness/mqtt.password")" = 600 ] || fail "others can read the password"
daemon check --config /etc/earwitness/earwitness.toml >"$work/check.txt" || fail "the service cannot read the configuration that setup has written"
grep -q 'events wait in /var/lib/earwitness/.*\.journal' "$work/check.txt" || fail "check does not name the journal of the service: $(cat "$work/check.txt")"

say "removed, it leaves its configuration; purged, nothing"
inside dpkg --remove earwitness >&2
[ -f "$root/etc/earwitness/earwitness.toml" ] || fail "removal has taken the configuration"
inside dpkg --purge earwitness >&2
[ ! -e "$root/etc/earwitness" ] && [ ! -e "$root/var/lib/earwitness" ] || fail "purging leaves something: $(ls "$root/etc/earwitness")"
[ ! -L "$root/etc/systemd/system/multi-user.target.wants/earwitness.service" ] || fail "the service is still enabled"
say "the package is as it should be"
