#!/usr/bin/env bash
# Installs what a fresh Debian machine lacks. Usage: install-system.sh PURPOSE
#   demo      a C compiler, ALSA's headers, Rust
#   test      also a broker, Chromium, npm, sound servers, a camera's RTSP server and ffmpeg,
#             cmake (for the trainer's HDF5), Python's venv, systemd's checks of units, an
#             emulator of Arm boards, valgrind, and the targets of the firmware crates
#   deb       what demo installs, and dpkg-dev, which finds the packages that a binary needs
#   test-deb  also debootstrap, for a small Debian to install into, and Debian's checks of packages
#   test-vm   also debootstrap and qemu, for a virtual machine
#   bench-arm what demo installs, and the emulator of ARM programs that takes plugins
#   fuzz      what demo installs, Rust's nightly compiler, and encoders of audio
#   cross-aarch64, cross-armv7, cross-arm
#             what demo installs, and compiler, ALSA, Rust's library and emulator of that processor
# Programs that are installed already are left alone; every step says what it does.
set -euo pipefail

# No release below this compiles the workspace (Cargo.toml, rust-version).
MIN_RUST=1.91
# Cortex-M4 and M0+, and a RISC-V core of the smaller kind.
BARE_TARGETS=(thumbv7em-none-eabihf thumbv6m-none-eabi riscv32imc-unknown-none-elf)

purpose=${1:?usage: install-system.sh demo|test|deb|test-deb|test-vm|bench-arm|fuzz|cross-aarch64|cross-armv7|cross-arm}
packages=(build-essential ca-certificates curl libasound2-dev pkg-config)
case $purpose in
demo) ;;
test)
    packages+=(ffmpeg gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good python3-gi)
    packages+=(cmake libasound2-plugins mosquitto mosquitto-clients openssl pulseaudio pulseaudio-utils python3-venv)
    packages+=(dbus-daemon pipewire pipewire-bin wireplumber)
    packages+=(qemu-system-arm systemd valgrind)
    packages+=(chromium chromium-driver fonts-dejavu-core)
    # npm often comes with a Node.js from elsewhere.
    command -v npm >/dev/null || packages+=(npm)
    ;;
deb) packages+=(dpkg-dev python3) ;;
test-deb) packages+=(debootstrap dpkg-dev lintian python3) ;;
test-vm) packages+=(debootstrap dpkg-dev e2fsprogs python3 qemu-system-x86) ;;
bench-arm) packages+=(qemu-user) ;;
fuzz) packages+=(flac lame python3 vorbis-tools) ;;
cross-*)
    . "$(dirname "$0")/cross-env.sh"
    cross_env "${purpose#cross-}"
    packages+=("gcc-$GNU" "libc6-dev-$DEB_ARCH-cross" "libasound2-dev:$DEB_ARCH" python3 python3-venv qemu-user-static)
    ;;
*)
    echo "install-system.sh: unknown purpose $purpose" >&2
    exit 2
    ;;
esac

say() { printf '== %s\n' "$*" >&2; }

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
    fi
    if [ -n "${DEB_ARCH:-}" ] && ! dpkg --print-foreign-architectures | grep -qx "$DEB_ARCH"; then
        say "adding Debian's architecture $DEB_ARCH, for its ALSA"
        "${as_root[@]}" dpkg --add-architecture "$DEB_ARCH"
    fi
    # A mirror that is being updated is complete again a little later; often the old lists will do.
    local attempt
    for attempt in 1 2 3; do
        "${as_root[@]}" apt-get update -qq && break
        say "the lists of packages cannot be fetched (attempt $attempt of 3)"
        sleep 20
    done
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_rust() {
    if command -v cargo >/dev/null; then
        local have
        have=$(rustc --version | cut -d' ' -f2)
        if [ "$(printf '%s\n' "$MIN_RUST" "$have" | sort -V | head -n1)" != "$MIN_RUST" ]; then
            say "Rust $have is older than $MIN_RUST: run 'rustup update stable'"
            exit 1
        fi
        return 0
    fi
    say "installing Rust (rustup, minimal profile) for this user"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal >&2 && return 0
    say "Rust cannot be fetched from sh.rustup.rs, for the reason above: check the network, or install Rust $MIN_RUST or later in another way (Debian 12's own is older), and run this again"
    exit 1
}

install_rust_parts() {
    command -v rustup >/dev/null || return 0
    local component
    for component in clippy rustfmt; do
        rustup component list --installed | grep -q "^$component" && continue
        say "adding the Rust component $component"
        rustup component add "$component"
    done
    local target
    for target in "${BARE_TARGETS[@]}"; do
        add_rust_target "$target"
    done
}

add_rust_target() {
    command -v rustup >/dev/null || return 0
    rustup target list --installed | grep -qx "$1" && return 0
    say "adding the Rust target $1"
    rustup target add "$1"
}

# Only the nightly compiler has the sanitizers.
install_nightly() {
    rustc +nightly --version >/dev/null 2>&1 && return 0
    say "installing the nightly compiler (rustup, minimal profile)"
    rustup toolchain install nightly --profile minimal
}

if command -v apt-get >/dev/null; then
    install_packages
else
    say "this is no Debian: please install the equivalents of ${packages[*]}"
fi
install_rust
# A Rust that was installed a moment ago is not on the path of this shell yet.
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
case $purpose in
test) install_rust_parts ;;
fuzz) install_nightly ;;
cross-*) [ -n "${BUILD_STD:-}" ] || add_rust_target "$TRIPLE" ;;
esac
