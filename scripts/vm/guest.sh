#!/bin/bash
# What test-vm.sh has done in its virtual machine, as root: the package's service with microphones
# that come and go. To the kernel they are real ones, on a USB bus: usb_microphone of the tests.
set -euo pipefail

export SYSTEMD_COLORS=0 DEBIAN_FRONTEND=noninteractive
UNIT=earwitness.service
CONFIG=/etc/earwitness/earwitness.toml
MESSAGES=/run/messages

say() { printf '== %s\n' "$*"; }
fail() {
    printf 'guest.sh: %s\n' "$*"
    journalctl --unit "$UNIT" --no-pager --lines 50 --output short-precise || true
    grep '/status \|/event ' "$MESSAGES" | tail -n 20 || true
    grep '/health ' "$MESSAGES" | tail -n 2 || true
    exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
# To QEMU's isa-debug-exit: after a sleep an emulated machine may neither restart nor switch itself
# off.
trap 'sleep 2; printf "\0" | dd of=/dev/port bs=1 seek=$((0x501)) status=none' EXIT
# until_s LIMIT_S WHAT COMMAND...: waits until the command succeeds, and says how long that took;
# looking takes its time, too.
until_s() {
    local limit_s=$1 what=$2 start
    shift 2
    start=$(date +%s%N)
    until "$@" >/dev/null 2>&1; do
        [ $(($(date +%s%N) - start)) -lt $((limit_s * 1000000000)) ] || fail "not within $limit_s s: $what"
        sleep 0.5
    done
    printf '   %-58s %6d ms\n' "$what" $((($(date +%s%N) - start) / 1000000))
}
property() { systemctl show --value --property "$1" "$UNIT"; }
active() { [ "$(property ActiveState)" = active ]; }
status_says() { [[ $(property StatusText) == *"$1"* ]]; }
same_process() { [ "$(property MainPID)" = "$1" ] || fail "systemd has restarted the daemon"; }
another_process() { active && [ "$(property MainPID)" != "$1" ]; }
# What the journal has had since the mark, and whether a line of it is like this.
journal() { journalctl --unit "$UNIT" --since "@$SINCE" --output cat; }
journal_says() { journal | grep -qE -- "$1"; }
# From here on, for journal and messages.
mark() {
    SINCE=$(date +%s)
    LINE=$(($(wc -l <"$MESSAGES") + 1))
}
messages() { tail -n "+$LINE" "$MESSAGES" | grep -c -- "$1"; }
some() { [ "$(messages "$2")" -ge "$1" ]; }
# What is retained, as somebody would see it who looks now.
retained() { [ "$(mosquitto_sub -t "earwitness/$1" -C 1 -W 2 --retained-only)" = "$2" ]; }
# SOURCE KEY VALUE: whether the newest health message since the mark says so.
health() { tail -n "+$LINE" "$MESSAGES" | grep "/$1/health " | tail -n 1 | grep -qE "\"$2\":$3[,}]"; }

# microphone NAME SOCKET SERIAL: a USB microphone is plugged in, and is as healthy as
# /run/NAME.fault says.
microphone() {
    [ -e "/run/$1.fault" ] || : >"/run/$1.fault"
    nice -n -10 /mnt/usb_microphone "$2" "$3" /mnt/scene.wav "/run/$1.fault" &
    echo $! >"/run/$1.pid"
}
unplug() { kill "$(cat "/run/$1.pid")"; }

say "installed without a microphone or a sound driver: the service runs, and looks for one"
touch "$MESSAGES"
mark
dpkg --install /mnt/first.deb >/dev/null
until_s 30 "the service is active" active
[ "$(property Type)" = notify ] || fail "it is of type $(property Type)"
[ "$(ps -o user= -p "$(property MainPID)")" = earwitness ] || fail "it runs as $(ps -o user= -p "$(property MainPID)")"
until_s 10 "systemctl status says that it is deaf" status_says "trying again until it works"
until_s 10 "and so does the journal" journal_says "trying again until it works"
journalctl --unit "$UNIT" --output json | grep -q '"F_SAMPLE_RATE"\|"F_PRECISION"' || fail "the journal has no fields"
systemd-analyze security --no-pager --threshold=20 "$UNIT" | tail -n1

say "a broker, and a microphone by its identity, which is not plugged in"
until_s 30 "the broker is there" mosquitto_pub -t test -m test
mosquitto_sub -F '%U %r %t %p' -t 'earwitness/#' -t 'homeassistant/#' >>"$MESSAGES" &
cat >"$CONFIG" <<'TOML'
name = "vm"
[source]
name = "kitchen"
device = "usb:1d6b:0101:EAR1"
[mqtt]
url = "mqtt://127.0.0.1"
health_s = 1
home_assistant = true
TOML
systemctl restart "$UNIT"
until_s 10 "kitchen is deaf" retained kitchen/status deaf
pid=$(property MainPID)

say "plugged in, it hears, with the shipped model"
modprobe vhci-hcd
mark
microphone kitchen 0 EAR1
until_s 15 "kitchen is online" retained kitchen/status online
until_s 5 "the health message says so" health kitchen capture '"listening"'
until_s 5 "systemctl status says so" status_says listening
until_s 90 "events" some 2 '/kitchen/event .*"phase":"offset"'
same_process "$pid"
printf '   %-58s %6d kB\n' "peak of the service's memory" $(($(cat "/sys/fs/cgroup/system.slice/$UNIT/memory.peak") / 1000))

say "two microphones, with a network so small that an emulated machine is up to it"
cat >"$CONFIG" <<'TOML'
name = "vm"
[[sources]]
name = "kitchen"
device = "usb:1d6b:0101:EAR1"
[[sources]]
name = "cellar"
device = "usb:1d6b:0101:EAR2"
[model]
dir = "/mnt/tiny"
[mqtt]
url = "mqtt://127.0.0.1"
health_s = 1
home_assistant = true
TOML
cp "$CONFIG" /run/mine.toml
systemctl restart "$UNIT"
pid=$(property MainPID)
mark
until_s 15 "kitchen is online" retained kitchen/status online
until_s 15 "cellar is deaf" retained cellar/status deaf
microphone cellar 1 EAR2
until_s 15 "cellar is online" retained cellar/status online
cat /proc/asound/cards
until_s 60 "kitchen has events" some 2 '/kitchen/event .*"phase":"offset"'
until_s 60 "cellar has events" some 2 '/cellar/event .*"phase":"offset"'

say "pulled out: the other one goes on; plugged into another socket, with another number, it is the same"
mark
unplug kitchen
until_s 3 "kitchen is deaf" retained kitchen/status deaf
retained cellar/status online || fail "cellar is deaf, too"
# Takes its number.
modprobe snd-dummy
microphone kitchen 2 EAR1
until_s 15 "kitchen is online" retained kitchen/status online
cat /proc/asound/cards
until_s 5 "what was missed is marked as a gap" journal_says "kitchen: heard again after"
same_process "$pid"

say "faults that look healthy"
# fault FAULT CONDITION WORDS [SECONDS]: what the health message and the journal say of it.
fault() {
    mark
    until_s 25 "it listens" health kitchen capture '"listening"'
    mark
    echo "$1" >/run/kitchen.fault
    until_s "${4:-12}" "$1: health says $2" health kitchen capture "\"$2\""
    until_s 10 "and the journal has it in words" journal_says "^kitchen: .*$3"
    journal | grep -m 1 "^kitchen: .*$3"
    : >/run/kitchen.fault
    until_s 25 "mended: it listens again" health kitchen capture '"listening"'
    until_s 5 "kitchen is online" retained kitchen/status online
}
fault stalled lost "delivered no samples for"
fault zeros dead "nothing but zeros" 75
fault clipped clipped "is too loud and clips"
fault dc dc "a large DC offset"
fault fast lost "samples per second instead of"
same_process "$pid"

say "held by another program when it is opened: busy, and waited for"
mark
unplug kitchen
until_s 3 "kitchen is deaf" retained kitchen/status deaf
systemctl kill --signal STOP "$UNIT"
microphone kitchen 0 EAR1
until_s 10 "the card is there" test -e /proc/asound/Microphone
until_s 5 "another program has it" sh -c 'arecord -q -D hw:Microphone -f S16_LE -r 24000 -c 1 /dev/null & sleep 1; kill -0 $!'
systemctl kill --signal CONT "$UNIT"
until_s 10 "health says busy" health kitchen capture_reason '"[^"]*busy[^"]*"'
pkill arecord
until_s 15 "kitchen is online" retained kitchen/status online
same_process "$pid"

say "longer without a microphone than the watchdog waits"
unplug kitchen
unplug cellar
until_s 5 "deaf" retained cellar/status deaf
sleep 45
same_process "$pid"
microphone kitchen 3 EAR1
microphone cellar 1 EAR2
until_s 15 "kitchen is online" retained kitchen/status online
until_s 15 "cellar is online" retained cellar/status online

say "another configuration, between two pulses; a wrong one is refused"
mark
sed '$a [decide]\nallow = ["tone"]' /run/mine.toml >"$CONFIG"
systemctl reload "$UNIT"
until_s 10 "read again" journal_says "read again"
mark
printf 'this is no configuration\n' >"$CONFIG"
systemctl reload "$UNIT" || true
until_s 10 "refused" journal_says "the configuration is refused, and the old one stays in force"
active || fail "a wrong configuration has ended it"
same_process "$pid"
cp /run/mine.toml "$CONFIG"
systemctl reload "$UNIT"

say "the daemon hangs: the watchdog has it restarted"
mark
systemctl kill --signal STOP "$UNIT"
until_s 60 "another process" another_process "$pid"
journal | grep -qi watchdog || fail "it was not restarted by the watchdog"
until_s 20 "kitchen is online" retained kitchen/status online

say "killed in the middle of a sound: nothing sticks"
mark
until_s 90 "a sound" some 1 '/event .*"phase":"onset"'
pid=$(property MainPID)
systemctl kill --signal KILL "$UNIT"
until_s 20 "another process" another_process "$pid"
until_s 20 "kitchen is online" retained kitchen/status online
mark
until_s 90 "events" some 1 '/event .*"phase":"offset"'

say "the machine sleeps for ten seconds: the gap is measured"
# The USB host controller of the microphones cannot sleep; a loopback card can.
unplug kitchen
unplug cellar
modprobe snd-aloop
while :; do aplay --quiet --device plughw:Loopback,0 /mnt/scene.wav || sleep 1; done 2>/dev/null &
player=$!
cat >"$CONFIG" <<'TOML'
name = "vm"
[source]
name = "attic"
device = "plughw:CARD=Loopback,DEV=1"
[model]
dir = "/mnt/tiny"
[mqtt]
url = "mqtt://127.0.0.1"
health_s = 1
TOML
systemctl restart "$UNIT"
pid=$(property MainPID)
until_s 20 "attic is online" retained attic/status online
until_s 60 "it listens" health attic capture '"listening"'
sleep 3
mark
rtcwake --mode mem --seconds 10 >/dev/null
# At least 8.3 s at 48 kHz.
until_s 20 "the gap is marked" health attic n_gap_samples '([4-9][0-9]{5}|[0-9]{7,})'
journal | grep '^attic: '
until_s 20 "attic is online" retained attic/status online
until_s 60 "it goes on" some 1 '/attic/event .*"phase":"offset"'
same_process "$pid"
kill "$player"
cp /run/mine.toml "$CONFIG"
systemctl restart "$UNIT"
microphone kitchen 0 EAR1
until_s 20 "kitchen is online" retained kitchen/status online

say "a later version keeps the configuration, and runs"
pid=$(property MainPID)
dpkg --force-confold --install /mnt/later.deb >/dev/null
until_s 20 "another process" another_process "$pid"
cmp /run/mine.toml "$CONFIG" || fail "the upgrade has changed the configuration"
until_s 20 "kitchen is online" retained kitchen/status online
dpkg --purge earwitness >/dev/null
! systemctl is-active --quiet "$UNIT" || fail "it runs on"
[ ! -e /etc/earwitness ] && [ ! -e /var/lib/earwitness ] || fail "purging leaves something"

# Every sound that began has ended, and none twice.
onsets=$(sed -n 's/.*"id":"\([^"]*\)".*"phase":"onset".*/\1/p' "$MESSAGES" | sort -u)
offsets=$(sed -n 's/.*"id":"\([^"]*\)".*"phase":"offset".*/\1/p' "$MESSAGES" | sort -u)
open=$(comm -23 <(echo "$onsets") <(echo "$offsets") | wc -l)
say "$(echo "$onsets" | wc -l) events, $open of them without an end"
[ "$open" = 0 ] || fail "events without an end"
[ "$(comm -13 <(echo "$onsets") <(echo "$offsets") | wc -l)" = 0 ] || fail "ends without a beginning"
say "all is as it should be"
