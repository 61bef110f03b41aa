# Sourced by the scripts that build for another processor. `cross_env NAME` sets what is to be known of it and tells cargo:
#   TRIPLE    Rust's name of the target
#   DEB_ARCH  Debian's name of its architecture
#   GNU       prefix of its C compiler and binutils
#   QEMU      emulator that runs its programs here
#   CPU_ARCH  what readelf -A has to say of a 32-bit ARM program

cross_env() {
    case $1 in
    aarch64 | arm64) TRIPLE=aarch64-unknown-linux-gnu DEB_ARCH=arm64 GNU=aarch64-linux-gnu QEMU=qemu-aarch64-static CPU_ARCH= ;;
    armv7 | armhf) TRIPLE=armv7-unknown-linux-gnueabihf DEB_ARCH=armhf GNU=arm-linux-gnueabihf QEMU=qemu-arm-static CPU_ARCH=v7 ;;
    arm)
        echo "arm (Pi Zero, Pi 1: ARMv6) cannot be built with Debian's cross compiler: its start-up code and libgcc are ARMv7" \
            "and would die there of an illegal instruction. Use: cross build --profile dist -p edge --target arm-unknown-linux-gnueabihf" >&2
        return 1
        ;;
    *)
        echo "unknown target $1: expected aarch64 or armv7" >&2
        return 1
        ;;
    esac
    local under=${TRIPLE//-/_}
    export PKG_CONFIG_ALLOW_CROSS=1
    export "PKG_CONFIG_PATH_$under=/usr/lib/$GNU/pkgconfig"
    export "CC_$under=$GNU-gcc" "AR_$under=$GNU-ar"
    export "CARGO_TARGET_${under^^}_LINKER=$GNU-gcc"
}
