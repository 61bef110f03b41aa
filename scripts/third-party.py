#!/usr/bin/env python3
"""Writes down the licences of everything that is linked into the daemon. Usage: third-party.py TRIPLE >OUT

Reads what cargo reports of the packages that `edge` is built with for the target TRIPLE, and their
licence files. A text that many packages share is written once.
"""

import sys
from pathlib import Path

from linked import linked

# How the names of such files begin.
FILES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def licence_files(package):
    folder = Path(package["manifest_path"]).parent
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().startswith(FILES))


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: third-party.py TRIPLE")
    texts = {}
    print("The program contains these libraries, each under the licence that it names; the licences' texts follow.\n")
    # Those without a source are this repository's own.
    for package in (package for package in linked(sys.argv[1])[0] if package["source"]):
        name = f"{package['name']} {package['version']}"
        by = ", ".join(package["authors"]) or "its authors"
        print(f"{name}: {package['license'] or 'see its file'}; by {by}; {package['repository'] or 'no address given'}")
        for path in licence_files(package):
            text = path.read_text(encoding="utf-8", errors="replace").strip().replace("\r\n", "\n")
            texts.setdefault(text, []).append(name)
    for text, names in texts.items():
        print(f"\n{'=' * 80}\n{', '.join(names)}\n{'=' * 80}\n\n{text}")


if __name__ == "__main__":
    main()
