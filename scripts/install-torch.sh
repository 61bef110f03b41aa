#!/usr/bin/env bash
# Makes a virtual environment with the PyTorch that the trainer links to. Usage: install-torch.sh DIR
set -euo pipefail

dir=${1:?usage: install-torch.sh DIR}
requirements=$(dirname "$0")/requirements.txt
# The environment is complete only if this copy of its requirements was written after the installation.
stamp=$dir/installed-requirements.txt

cmp -s "$requirements" "$stamp" && exit 0
printf '== installing PyTorch into %s (about 3 GB to download, once)\n' "$dir" >&2
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
cp "$requirements" "$stamp"
