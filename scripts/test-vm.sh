#!/usr/bin/env bash
# Installs the package into a virtual machine and has systemd run it there, with microphones on a
# (virtual) USB bus, a broker, a stopped process and a night's sleep: what vm/guest.sh says. Nothing
# is installed on this machine but tools. Needs root; takes some minutes, with hardware
# virtualisation (/dev/kvm) or, slower, without.
# Usage: test-vm.sh. From the environment: NO_BUILD=1 to take the binary that is there, SUITE
# (bookworm), and as of scripts/deb.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=${SUITE:-bookworm}
PACKAGES=adduser,alsa-utils,ca-certificates,initramfs-tools,kmod,libasound2,linux-image-amd64,mosquitto,mosquitto-clients,procps,systemd-sysv,udev,zstd
# Longer than this nothing in it takes, even without hardware virtualisation.
LIMIT_S=1800

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --preserve-env=CACHE,CARGO_TARGET_DIR,NO_BUILD,SUITE,PATH,HOME "$0" "$@"
fi
target_dir=${CARGO_TARGET_DIR:-target}
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/earwitness}/vm-$SUITE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '== %s\n' "$*" >&2; }
fail() {
    printf 'test-vm.sh: %s\n' "$*" >&2
    exit 1
}

[ "$(dpkg --print-architecture)" = amd64 ] || fail "the machine that it makes is an amd64 one, as this one would have to be"
scripts/install-system.sh test-vm
deb=$(scripts/deb.sh | tail -n1)
cargo build --quiet --release -p sounds -p tests --bin make-scene --bin usb_microphone

# The machine's disk is kept: it takes some minutes and a download. What a run writes to it is
# thrown away.
if [ ! -f "$cache/disk.img" ]; then
    say "unpacking a Debian ($SUITE) with a kernel"
    root=$work/root
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" >&2
    echo earwitness-vm >"$root/etc/hostname"
    printf '127.0.0.1 localhost earwitness-vm\n' >"$root/etc/hosts"
    printf '/dev/vda / ext4 rw 0 1\n/dev/vdb /mnt ext4 ro 0 0\n' >"$root/etc/fstab"
    cat >"$root/etc/systemd/system/guest.service" <<'UNIT'
[Unit]
Description=What is to be tested
RequiresMountsFor=/mnt
After=multi-user.target mosquitto.service

[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS1
TimeoutStartSec=infinity
# With -no-reboot that ends the emulator; after a sleep the power cannot be switched off in all of
# them.
SuccessAction=reboot-force
FailureAction=reboot-force

[Install]
WantedBy=multi-user.target
UNIT
    chroot "$root" systemctl enable --quiet guest.service >&2
    # Nobody logs in.
    chroot "$root" systemctl mask --quiet getty.target serial-getty@ttyS0.service serial-getty@ttyS1.service >&2
    mkdir -p "$cache"
    cp "$root"/boot/vmlinuz-* "$cache/vmlinuz"
    cp "$root"/boot/initrd.img-* "$cache/initrd"
    mke2fs -q -t ext4 -d "$root" "$cache/disk.part" 2G
    mv "$cache/disk.part" "$cache/disk.img"
fi

say "the disk with $deb and what is to be done with it"
payload=$work/payload
mkdir -p "$payload"
cp "$deb" "$payload/first.deb"
scripts/later-deb.sh "$deb" "$payload/later.deb"
cp scripts/vm/guest.sh "$target_dir/release/usb_microphone" "$payload/"
cp -r tests/fixtures/tiny "$payload/"
"$target_dir/release/make-scene" --seed 1 --out "$payload/scene.wav" --truth "$work/scene.csv"
mke2fs -q -t ext4 -d "$payload" "$work/payload.img" 256M

# Emulated, the machine's time is what its processor has done, two nanoseconds an instruction, and
# what it waits for is there at once: then it is never too slow for a microphone, however busy this
# machine is. Wide vectors cost more than they bring there.
machine=(-accel tcg -cpu Nehalem -smp 1 -icount shift=1,sleep=off)
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
    machine=(-accel kvm -cpu host -smp 2)
fi
say "starting the machine (${machine[*]})"
# Two serial ports: the kernel's console, and what the test says. A byte to the exit device ends the
# emulator, with an odd status.
timeout "$LIMIT_S" qemu-system-x86_64 -machine q35 "${machine[@]}" -m 1G -nodefaults -display none -no-reboot -device isa-debug-exit \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd" -append "root=/dev/vda rw console=ttyS0 quiet panic=-1" \
    -drive "file=$cache/disk.img,format=raw,if=virtio,snapshot=on" -drive "file=$work/payload.img,format=raw,if=virtio,readonly=on" \
    -serial "file:$work/console.log" -serial stdio </dev/null | sed -u 's|\r$||' | tee "$work/said.log" >&2 ||
    [ "${PIPESTATUS[0]}" = 1 ] || fail "the machine did not end"
tail -n1 "$work/said.log" | grep -qx '== all is as it should be' || fail "it ended early; its console:
$(tail -n 20 "$work/console.log")"
