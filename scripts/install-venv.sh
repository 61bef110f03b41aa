#!/usr/bin/env bash
# Makes a virtual environment with what REQUIREMENTS lists. Usage: install-venv.sh DIR REQUIREMENTS
# WHAT
#   WHAT  how to call it in the line that says what is being installed
set -euo pipefail

usage='usage: install-venv.sh DIR REQUIREMENTS WHAT'
dir=${1:?$usage}
requirements=${2:?$usage}
what=${3:?$usage}
# The environment is complete only if this copy of its requirements was written after the
# installation.
stamp=$dir/installed-requirements.txt

cmp -s "$requirements" "$stamp" && exit 0
printf '== installing %s into %s\n' "$what" "$dir" >&2
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
cp "$requirements" "$stamp"
