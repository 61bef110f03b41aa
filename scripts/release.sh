#!/usr/bin/env bash
# Makes everything that a release consists of, in $CARGO_TARGET_DIR/releases/VERSION (target/...):
# packages, tarballs, bills of materials (CycloneDX), the container image where there is a container
# engine, notes, and SHA256SUMS. What is there and unchanged since is not made again, so the script
# can be interrupted and run again. Nothing is tagged and nothing is uploaded.
# Usage: release.sh [--dry-run]    (only checks, and says what would be made)
# From the environment: ARCHES ("amd64 arm64 armhf armv6"), CONTAINER=none for no container image,
# REPOSITORY (https://HOST/OWNER/NAME, to which the links of the notes lead), and as of
# scripts/deb.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

usage='usage: release.sh [--dry-run]'
dry_run=
for argument; do
    case $argument in
    --dry-run) dry_run=1 ;;
    *)
        printf 'release.sh: there is no option %s; %s\n' "$argument" "$usage" >&2
        exit 2
        ;;
    esac
done
read -ra arches <<<"${ARCHES:-amd64 arm64 armhf armv6}"
for arch in "${arches[@]}"; do
    case $arch in
    amd64 | arm64 | armhf | armv6) ;;
    *)
        printf 'release.sh: ARCHES names %s; expected some of amd64, arm64, armhf and armv6\n' "$arch" >&2
        exit 2
        ;;
    esac
done

say() { printf '== %s\n' "$*" >&2; }
n_missing=0
missing() {
    printf 'release.sh: %s\n' "$*" >&2
    n_missing=$((n_missing + 1))
}

# What has to be right before anything is built: all that is wrong is said at once.
for tool in cargo dpkg git python3 sha256sum tar; do
    command -v "$tool" >/dev/null || missing "$tool is not installed: a release is made on Debian 12 with git, python3 and Rust"
done
if command -v dpkg >/dev/null && [ "$(dpkg --print-architecture)" != amd64 ]; then
    missing "this machine is $(dpkg --print-architecture): a release is made on amd64, for which no other machine cross-compiles here"
fi
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$version" ] || missing "Cargo.toml has no version under [workspace.package]"
if ! git rev-parse --verify --quiet HEAD >/dev/null; then
    missing "this folder is no clone of the repository: a release is made from a commit"
elif [ -n "$(git status --porcelain)" ]; then
    missing "the tree has changes that are not committed: commit or stash them; 'git status' lists them"
fi
notes=$(python3 scripts/release-notes.py "$version" 2>&1 >/dev/null) || missing "$notes"
deb_version=$(sed -n '1s/^earwitness (\(.*\)-[0-9]*) .*/\1/p' packaging/deb/changelog)
[ "$deb_version" = "$version" ] ||
    missing "packaging/deb/changelog begins with version ${deb_version:-none}, but Cargo.toml has $version: add an entry at its top"
tagged=$(git rev-parse --verify --quiet "v$version^{commit}" || true)
[ -z "$tagged" ] || [ "$tagged" = "$(git rev-parse HEAD)" ] ||
    missing "the tag v$version is on another commit: raise the version in Cargo.toml"
[ "$n_missing" -eq 0 ] || exit 1

. scripts/cross-env.sh
target_dir=${CARGO_TARGET_DIR:-target}
out=$target_dir/releases/$version
state=$out/.made
name=earwitness-$version
# All that a file depends on but the libraries of the system.
key="$(git rev-parse 'HEAD^{tree}') $(rustc --version)"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
files=()

work=$(mktemp -d)
making=
ended() {
    rm -rf "$work"
    [ -z "$making" ] || printf 'release.sh: %s was not made, for the reason above; run it again to go on from here\n' "$making" >&2
    [[ $making != *-container-* ]] || printf 'release.sh: CONTAINER=none leaves the container image out\n' >&2
}
trap ended EXIT

# Whether FILE was made of this state of the sources, and is intact.
is_made() {
    [ -f "$state/$1" ] && [ "$(head -n1 "$state/$1")" = "$key" ] && [ -f "$out/$1" ] &&
        [ "$(tail -n1 "$state/$1")" = "$(sha256sum <"$out/$1")" ]
}
# make_file FILE COMMAND...: runs the command, which writes FILE.part, unless FILE is there.
make_file() {
    local file=$1
    shift
    files+=("$file")
    if is_made "$file"; then
        say "$file: unchanged"
        return 0
    fi
    if [ -n "$dry_run" ]; then
        say "$file: would be made"
        return 0
    fi
    say "$file"
    mkdir -p "$state"
    rm -f "$state/$file"
    making=$file
    "$@" "$out/$file.part"
    making=
    mv "$out/$file.part" "$out/$file"
    printf '%s\n%s\n' "$key" "$(sha256sum <"$out/$file")" >"$state/$file"
}

# Builds the program for a processor, once in a run, and checks it: those of other processors run
# under qemu and must report the same events as this machine's own.
build() {
    local arch=$1
    [ "$arch" != "${built:-}" ] || return 0
    if [ "$arch" = amd64 ]; then
        cargo build --locked --profile dist -p edge >&2
        check_glibc "$target_dir/dist/earwitness" objdump >&2
    else
        scripts/cross.sh "$arch" >&2
    fi
    built=$arch
}
write_deb() {
    local deb
    build "$1"
    deb=$(NO_BUILD=1 scripts/deb.sh "$1")
    cp "$deb" "$2"
}
# The tree of /usr/local.
write_tarball() {
    local arch=$1 tree=$work/$name-$1 share=$work/$name-$1/share
    build "$arch"
    scripts/package-files.sh "$arch"
    package_env "$arch"
    install -D -m 755 "$PROFILE_DIR/earwitness" "$tree/bin/earwitness"
    install -D -m 644 -t "$share/earwitness/models/home" models/home/manifest.toml models/home/*.onnx models/home/CARD.md
    install -D -m 644 -t "$share/man/man1" "$PROFILE_DIR"/package/*.1.gz
    install -D -m 644 "$PROFILE_DIR/package/earwitness.bash" "$share/bash-completion/completions/earwitness"
    install -D -m 644 -t "$share/zsh/site-functions" "$PROFILE_DIR/package/_earwitness"
    install -D -m 644 -t "$share/fish/vendor_completions.d" "$PROFILE_DIR/package/earwitness.fish"
    install -D -m 644 -t "$share/doc/earwitness" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE packaging/deb/copyright \
        edge/earwitness.example.toml "$PROFILE_DIR/package/third-party.txt.gz"
    install -D -m 644 -t "$share/doc/earwitness/docs" docs/*.md
    sed 's|^ExecStart=/usr/bin/|ExecStart=/usr/local/bin/|' packaging/systemd/earwitness.service >"$share/doc/earwitness/earwitness.service"
    tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - "$name-$arch" |
        gzip -9n >"$2"
}
write_sources() { git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"$1"; }
write_bill() {
    package_env "$1"
    python3 scripts/sbom.py "$TRIPLE" >"$2"
}
write_container() {
    local engine=$1 image=earwitness:$version
    case $engine in
    podman | buildah) "$engine" build --tag "$image" . >&2 ;;
    docker) docker build --tag "$image" --file Containerfile . >&2 ;;
    esac
    case $engine in
    podman) podman save --format oci-archive --output "$2" "$image" >&2 ;;
    buildah) buildah push "$image" "oci-archive:$2:$image" >&2 ;;
    docker) docker save --output "$2" "$image" >&2 ;;
    esac
}

# Before the first build, because each takes many minutes.
for arch in "${arches[@]}"; do
    [ "$arch" != amd64 ] && [ -z "$dry_run" ] || continue
    scripts/install-system.sh "cross-$arch" && continue
    printf 'release.sh: what builds for %s is not installed, for the reason above; ARCHES, a list of processors, can leave %s out\n' "$arch" "$arch" >&2
    exit 1
done
make_file "$name-source.tar.gz" write_sources
for arch in "${arches[@]}"; do
    # The package for armhf is for ARMv7; boards with an ARMv6 take the tarball.
    [ "$arch" = armv6 ] || make_file "earwitness_$version-1_$arch.deb" write_deb "$arch"
    make_file "$name-$arch.tar.gz" write_tarball "$arch"
    make_file "$name-$arch.cdx.json" write_bill "$arch"
done
engine=
for candidate in podman buildah docker; do
    if [ "${CONTAINER:-}" != none ] && "$candidate" info >/dev/null 2>&1; then
        engine=$candidate
        break
    fi
done
if [ -n "$engine" ]; then
    make_file "$name-container-amd64.tar" write_container "$engine"
else
    say "there is no container image in this release: none of podman, buildah and docker runs here, or CONTAINER is none"
fi
[ -z "$dry_run" ] || exit 0

python3 scripts/release-notes.py "$version" "${files[@]}" >"$out/RELEASE_NOTES.md"
files+=(RELEASE_NOTES.md)
(cd "$out" && sha256sum "${files[@]}" >SHA256SUMS)
say "$out has $((${#files[@]} + 1)) files; to publish it, tag this commit: git tag -a v$version, push the tag and upload them"
