#!/usr/bin/env bash
# Makes a release of a copy of this tree, whose compiler is a stand-in that writes a script: what
# release.sh refuses, makes, leaves alone and makes again. Usage: test-release.sh
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
out=$work/target/releases/7.8.9
n_passed=0

fail() {
    printf 'test-release.sh: %s\n' "$*" >&2
    [ ! -s "$work/log" ] || cat "$work/log" >&2
    exit 1
}
holds() {
    "$@" || fail "does not hold: $*"
    n_passed=$((n_passed + 1))
}
release() { PATH=$work/bin:$PATH CARGO_TARGET_DIR=$work/target ARCHES=${ARCHES:-amd64} "$tree/scripts/release.sh" "$@" >"$work/log" 2>&1; }
# That a release is refused with this sentence, and nothing is written.
refuses() {
    ! release --dry-run || fail "release.sh succeeds, where '$1' was expected"
    grep -qF -- "$1" "$work/log" || fail "release.sh does not say '$1'"
    holds test ! -e "$work/target/releases"
}
commit() { git -C "$tree" add -A && git -C "$tree" -c user.name=test -c user.email=test@localhost commit -q --allow-empty -m "$1"; }

mkdir -p "$tree" "$work/bin"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory="$tree" 2>/dev/null || true
# What the compiler and cargo-deb do takes many minutes: tests of packages are test-deb.sh and
# test-vm.sh.
cat >"$work/bin/cargo" <<'SH'
#!/usr/bin/env bash
set -euo pipefail
[ "$1" = build ] || PATH=${PATH#*:} exec cargo "$@"
mkdir -p "$CARGO_TARGET_DIR/dist"
echo built >>"$CARGO_TARGET_DIR/builds"
cat >"$CARGO_TARGET_DIR/dist/earwitness" <<'EARWITNESS'
#!/usr/bin/env bash
mkdir -p "$2" && cd "$2" && touch earwitness.1 earwitness.bash _earwitness earwitness.fish
EARWITNESS
chmod +x "$CARGO_TARGET_DIR/dist/earwitness"
SH
# No container is built, even on a machine that could.
printf '#!/bin/sh\nexit 1\n' | tee "$work/bin/podman" "$work/bin/buildah" >"$work/bin/docker"
printf '#!/bin/sh\necho "GLIBC_%s"\n' '${GLIBC:-2.34}' >"$work/bin/objdump"
chmod +x "$work/bin"/*
cat >"$tree/scripts/deb.sh" <<'SH'
#!/usr/bin/env bash
[ ! -e "$CARGO_TARGET_DIR/fails" ] || exit 1
echo package >"$CARGO_TARGET_DIR/$1.deb"
echo "$CARGO_TARGET_DIR/$1.deb"
SH

# Everything that is missing is said at once.
git -C "$tree" init -q
commit first
sed -i '/^\[workspace.package\]/,/^version/s/^version = .*/version = "7.8.9"/' "$tree/Cargo.toml"
refuses "the tree has changes that are not committed"
holds grep -qF "CHANGELOG.md has no section for 7.8.9" "$work/log"
holds grep -qF "packaging/deb/changelog begins with version" "$work/log"
printf '# Changelog\n\n## Unreleased\n\n## [7.8.9] - 2026-01-02\n\n## 7.8.8 - 2025-01-02\n\n- old\n' >"$tree/CHANGELOG.md"
sed -i '1s/(.*)/(7.8.9-1)/' "$tree/packaging/deb/changelog"
# Cargo.lock has the versions of this repository's crates, too.
(cd "$tree" && cargo metadata --format-version=1 >/dev/null)
commit version
refuses "CHANGELOG.md's section for 7.8.9 has no entries"
entry='- It hears [more](docs/x.md),\n  and [better](https://localhost/y).'
sed -i "s|^## \[7.8.9\].*|## 7.8.9\n\n$entry|" "$tree/CHANGELOG.md"
commit date
refuses "CHANGELOG.md's section for 7.8.9 has no date"
sed -i 's|^## 7.8.9$|## 7.8.9 - 2026-01-02|; s|^## Unreleased$|## Unreleased\n\n- more|' "$tree/CHANGELOG.md"
commit unreleased
refuses "CHANGELOG.md has entries under 'Unreleased'"
sed -i '/^- more$/d' "$tree/CHANGELOG.md"
git -C "$tree" tag v7.8.9
commit right
refuses "the tag v7.8.9 is on another commit"
git -C "$tree" tag -d v7.8.9 >/dev/null
for wrong in "release --all" "env ARCHES=arm9 $tree/scripts/release.sh"; do
    status=0
    $wrong >"$work/log" 2>&1 || status=$?
    holds test "$status" = 2
done

# Nothing is written without a build.
ARCHES="amd64 arm64 armhf armv6" release --dry-run || fail "a dry run fails"
holds test ! -e "$work/target"
for file in source.tar.gz amd64.tar.gz arm64.tar.gz armhf.tar.gz armv6.tar.gz armv6.cdx.json; do
    holds grep -qF -- "-7.8.9-$file: would be made" "$work/log"
done
holds test "$(grep -c '\.deb: would be made' "$work/log")" = 3

# An interrupted release goes on where it ended, and what is unchanged is left alone.
mkdir -p "$work/target"
touch "$work/target/fails"
! release || fail "release.sh succeeds without a package"
holds grep -qF "earwitness_7.8.9-1_amd64.deb was not made" "$work/log"
holds test ! -e "$out/earwitness_7.8.9-1_amd64.deb"
rm "$work/target/fails"
REPOSITORY=https://localhost/a/b release || fail "release.sh fails"
holds grep -qF "earwitness-7.8.9-source.tar.gz: unchanged" "$work/log"
(cd "$out" && sha256sum --quiet --check SHA256SUMS) || fail "SHA256SUMS does not fit"
cp "$out/SHA256SUMS" "$work/first"
release || fail "release.sh fails a second time"
holds test "$(grep -c ': unchanged$' "$work/log")" = 4
holds test "$(wc -l <"$work/target/builds")" = 2
GLIBC=2.41 release || fail "what is there is made again"
echo damaged >"$out/earwitness-7.8.9-amd64.tar.gz"
REPOSITORY=https://localhost/a/b release || fail "release.sh fails after a damage"
holds cmp "$work/first" "$out/SHA256SUMS"
commit another
release || fail "release.sh fails on another commit"
holds test "$(grep -c ': unchanged$' "$work/log")" = 4
echo more >>"$tree/README.md"
commit changed
! GLIBC=2.41 release || fail "a program is accepted that needs a newer glibc than Debian 12 has"
holds grep -qF "needs GLIBC_2.41, which Debian 12 does not have" "$work/log"
REPOSITORY=https://localhost/a/b release || fail "release.sh fails on a changed tree"
holds grep -qF "earwitness-7.8.9-amd64.cdx.json" "$work/log"
holds test "$(grep -c ': unchanged$' "$work/log")" = 1

# What is in it.
tar -tvzf "$out/earwitness-7.8.9-amd64.tar.gz" >"$work/contents"
for path in bin/earwitness share/earwitness/models/home/model.onnx share/man/man1/earwitness.1.gz share/doc/earwitness/third-party.txt.gz share/doc/earwitness/docs/sources.md; do
    holds grep -qE "^-rw.r-.r-. 0/0 .* earwitness-7.8.9-amd64/$path\$" "$work/contents"
done
tar -xzOf "$out/earwitness-7.8.9-amd64.tar.gz" earwitness-7.8.9-amd64/share/doc/earwitness/earwitness.service >"$work/unit"
holds grep -q '^ExecStart=/usr/local/bin/earwitness ' "$work/unit"
tar -xzOf "$out/earwitness-7.8.9-source.tar.gz" earwitness-7.8.9/README.md | cmp - "$tree/README.md" || fail "the sources are others"
holds grep -qxF -- '- It hears [more](https://localhost/a/b/blob/v7.8.9/docs/x.md), and [better](https://localhost/y).' "$out/RELEASE_NOTES.md"
holds grep -qF '| `earwitness_7.8.9-1_amd64.deb` | Debian package for x86-64' "$out/RELEASE_NOTES.md"
! grep -q old "$out/RELEASE_NOTES.md" || fail "the notes have another version's entries"
python3 - "$out/earwitness-7.8.9-amd64.cdx.json" <<'PY' || fail "the bill of materials is not right"
import json, sys
bom = json.load(open(sys.argv[1]))
parts = {part["name"]: part for part in bom["components"]}
assert bom["metadata"]["component"]["version"] == "7.8.9"
assert {"tract-onnx", "rustls", "sqlite", "rust-std", "home"} <= parts.keys(), "something is missing"
# Of the trainer, of tests, of macros, of builds.
assert not {"tch", "proptest", "serde_derive", "cc"} & parts.keys(), "something is not in the program"
assert all(part["licenses"] for part in parts.values())
assert all(len(part["hashes"][0]["content"]) == 64 for part in parts.values() if part.get("purl", "").startswith("pkg:cargo/"))
known = {part["bom-ref"] for part in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
assert all({entry["ref"], *entry["dependsOn"]} <= known for entry in bom["dependencies"])
assert sys.argv[1].split("/")[1] not in json.dumps(parts["edge-frontend"]), "a folder of this machine"
PY
n_passed=$((n_passed + 1))

printf '%s passed, 0 failed\n' "$n_passed"
