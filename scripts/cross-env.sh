# Sourced by the scripts that build for another processor. `cross_env NAME` sets what is to be known of it and tells cargo:
#   TRIPLE    Rust's name of the target
#   DEB_ARCH  Debian's name of its architecture
#   GNU       prefix of its C compiler and binutils
#   QEMU      emulator that runs its programs here
#   CPU_ARCH  what readelf -A has to say of a 32-bit ARM program
#   ZIG       the glibc for which Zig compiles and links, where Debian's compiler cannot

cross_env() {
    ZIG=
    case $1 in
    aarch64 | arm64) TRIPLE=aarch64-unknown-linux-gnu DEB_ARCH=arm64 GNU=aarch64-linux-gnu QEMU=qemu-aarch64-static CPU_ARCH= ;;
    armv7 | armhf) TRIPLE=armv7-unknown-linux-gnueabihf DEB_ARCH=armhf GNU=arm-linux-gnueabihf QEMU=qemu-arm-static CPU_ARCH=v7 ;;
    # Pi Zero, Pi 1: of Debian's compiler the start-up code and libgcc are ARMv7, which would die there of an illegal instruction.
    arm) TRIPLE=arm-unknown-linux-gnueabihf DEB_ARCH=armhf GNU=arm-linux-gnueabihf QEMU=qemu-arm-static CPU_ARCH=v6 ZIG=2.36 ;;
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
