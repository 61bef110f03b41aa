#!/usr/bin/env python3
"""Writes down the licences of everything that is linked into the daemon. Usage: third-party.py TRIPLE >OUT

Reads what cargo says of the packages that `edge` is built with for the target TRIPLE, and the licence files that they bring along.
A text that many packages share is written once.
"""

import json
import subprocess
import sys
from pathlib import Path

# How the names of such files begin.
FILES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def linked(metadata):
    """The packages that end up in the daemon: those reached from `edge` by normal dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    todo = [id for id, package in packages.items() if package["name"] == "edge"]
    seen = set(todo)
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    # Those without a source are this repository's own.
    return sorted((packages[id] for id in seen if packages[id]["source"]), key=lambda package: package["name"])


def licence_files(package):
    folder = Path(package["manifest_path"]).parent
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().startswith(FILES))


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: third-party.py TRIPLE")
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={sys.argv[1]}"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    texts = {}
    print("The program contains these libraries, each under the licence that it names; the licences' texts follow.\n")
    for package in linked(metadata):
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
