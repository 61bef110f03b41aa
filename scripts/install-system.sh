#!/usr/bin/env bash
# Installs what a fresh Debian machine lacks. Usage: install-system.sh demo|test
#   demo  a C compiler, ALSA's headers, Rust
#   test  also a broker, a virtual microphone, cmake (for the trainer's HDF5), Python's venv, an emulator of Arm boards, and the targets of
#         the firmware crates
# What is there already is left alone; every step says what it does.
set -euo pipefail

# No release below this compiles the workspace (Cargo.toml, rust-version).
MIN_RUST=1.91
# Cortex-M4 and M0+, and a RISC-V core of the smaller kind.
BARE_TARGETS=(thumbv7em-none-eabihf thumbv6m-none-eabi riscv32imc-unknown-none-elf)

purpose=${1:?usage: install-system.sh demo|test}
packages=(build-essential ca-certificates curl libasound2-dev pkg-config)
if [ "$purpose" = test ]; then
    packages+=(cmake libasound2-plugins mosquitto openssl pulseaudio pulseaudio-utils python3-venv qemu-system-arm)
fi

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
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
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
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal >&2
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
        rustup target list --installed | grep -qx "$target" && continue
        say "adding the Rust target $target"
        rustup target add "$target"
    done
}

if command -v apt-get >/dev/null; then
    install_packages
else
    say "this is no Debian: please install the equivalents of ${packages[*]}"
fi
install_rust
# A Rust that was installed a moment ago is not on the path of this shell yet.
[ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
[ "$purpose" = test ] && install_rust_parts
exit 0
