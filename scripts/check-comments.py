#!/usr/bin/env python3
"""Fails for lines of comments with more than 100 columns. Usage: check-comments.py

Rows of tables and blocks of code in the documentation of code are left out: they cannot be wrapped.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX = 100
SLASHES = re.compile(r"\s*(//[/!]?|/\*\*?|\*(?= ))(.*)")
HASH = re.compile(r"\s*(#)( .*)")
SUFFIXES = {".rs": SLASHES, ".js": SLASHES, ".css": SLASHES}
OTHERS = (".conf", ".py", ".service", ".sh", ".toml", ".yaml", "/run", "Makefile", "Containerfile", "/acl")


def too_long(path):
    """The numbers and lengths of the lines of comments that are too long."""
    pattern = SUFFIXES.get(path.suffix, HASH)
    is_code = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = pattern.match(line)
        text = found[2].strip() if found else ""
        is_code ^= text.startswith("```")
        if len(line) > MAX and found and not is_code and not text.startswith("|"):
            yield number, len(line)


def main():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    wrong = 0
    for name in names.split("\0"):
        path = ROOT / name
        if not (path.suffix in SUFFIXES or f"/{name}".endswith(OTHERS)) or not path.is_file():
            continue
        for number, length in too_long(path):
            print(f"{name}:{number}: a comment of {length} columns; at most {MAX}", file=sys.stderr)
            wrong += 1
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
