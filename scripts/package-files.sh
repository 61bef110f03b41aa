#!/usr/bin/env bash
# Writes what packages contain beside the program: manual pages, completions, and the licences of
# the libraries. The program must have been built. Usage: package-files.sh amd64|arm64|armhf|armv6
# They are written to the folder `package` beside the program. From the environment:
# CARGO_TARGET_DIR (target).
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/cross-env.sh
package_env "${1:?usage: package-files.sh amd64|arm64|armhf|armv6}"

printf '== writing manual, completions and licences\n' >&2
package=$PROFILE_DIR/package
rm -rf "$package"
"${EMULATOR[@]}" "$PROFILE_DIR/earwitness" generate "$package"
gzip -9n "$package"/*.1
python3 scripts/third-party.py "$TRIPLE" | gzip -9n >"$package/third-party.txt.gz"
