# Sourced by the scripts that build for another processor. `cross_env NAME` sets these variables of
# it, and those by which cargo finds its compiler:
#   TRIPLE    Rust's name of the target
#   DEB_ARCH  Debian's name of its architecture
#   GNU       prefix of its C compiler and binutils
#   QEMU      emulator that runs its programs here
#   CPU_ARCH  the architecture that `readelf -A` must report for a 32-bit ARM program
#   OLD_CPU   an older processor that QEMU can also emulate, with other vector instructions
#   ZIG       the glibc for which Zig compiles and links, where Debian's compiler cannot
# `package_env NAME` is for this machine's own processor, too, and also sets:
#   PROFILE_DIR  the folder of the program that packages contain
#   EMULATOR     what runs it here: nothing, or the emulator (an array)
# `check_glibc PROGRAM OBJDUMP` fails if the program needs a newer glibc than Debian 12 has.

cross_env() {
    ZIG= OLD_CPU=
    case $1 in
    aarch64 | arm64) TRIPLE=aarch64-unknown-linux-gnu DEB_ARCH=arm64 GNU=aarch64-linux-gnu QEMU=qemu-aarch64-static CPU_ARCH= OLD_CPU=cortex-a53 ;;
    armv7 | armhf) TRIPLE=armv7-unknown-linux-gnueabihf DEB_ARCH=armhf GNU=arm-linux-gnueabihf QEMU=qemu-arm-static CPU_ARCH=v7 ;;
    # Pi Zero, Pi 1: of Debian's compiler the start-up code and libgcc are ARMv7, which would die
    # there of an illegal instruction.
    arm | armv6) TRIPLE=arm-unknown-linux-gnueabihf DEB_ARCH=armhf GNU=arm-linux-gnueabihf QEMU=qemu-arm-static CPU_ARCH=v6 ZIG=2.36 ;;
    *)
        echo "unknown target $1: expected aarch64, armv7 or arm" >&2
        return 1
        ;;
    esac
    local under=${TRIPLE//-/_}
    export PKG_CONFIG_ALLOW_CROSS=1
    export "PKG_CONFIG_PATH_$under=/usr/lib/$GNU/pkgconfig"
    [ -z "$ZIG" ] || return 0
    export "CC_$under=$GNU-gcc" "AR_$under=$GNU-ar"
    export "CARGO_TARGET_${under^^}_LINKER=$GNU-gcc"
}

package_env() {
    EMULATOR=()
    if [ "$1" = "$(dpkg --print-architecture)" ]; then
        TRIPLE=$(rustc -vV | sed -n 's/^host: //p')
        PROFILE_DIR=${CARGO_TARGET_DIR:-target}/dist
        return 0
    fi
    cross_env "$1" || return 1
    EMULATOR=("$QEMU")
    PROFILE_DIR=${CARGO_TARGET_DIR:-target}/$TRIPLE/dist
}

# Debian 12 and the Raspberry Pi OS that is made of it.
MAX_GLIBC=2.36

check_glibc() {
    local needs
    needs=$("$2" -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n1)
    printf '== glibc: needs %s, may need %s\n' "${needs#GLIBC_}" "$MAX_GLIBC"
    [ "$(printf '%s\n' "${needs#GLIBC_}" "$MAX_GLIBC" | sort -V | tail -n1)" = "$MAX_GLIBC" ] && return 0
    printf '%s needs %s, which Debian 12 does not have: build it on Debian 12\n' "$1" "$needs"
    return 1
}
