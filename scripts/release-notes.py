#!/usr/bin/env python3
"""Writes the notes of a release from CHANGELOG.md's section of the version.
Usage: release-notes.py VERSION [FILE...] >OUT

FILE are the names of what the release consists of. Relative links lead to the tag of the release if
$REPOSITORY is its address (https://HOST/OWNER/NAME). Lines of a paragraph are joined, because forges
show each end of a line in notes as one.
"""

import os
import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"

WHAT = (
    (r"_(\w+)\.deb$", "Debian package for {}, with a systemd service"),
    (r"-(amd64|arm64|armhf|armv6)\.tar\.gz$", "program, model, manual and licences for {}, to unpack in `/usr/local`"),
    (r"-source\.tar\.gz$", "the sources"),
    (r"-container-(\w+)\.tar$", "container image for {}"),
    (r"-(\w+)\.cdx\.json$", "what the program for {} contains (CycloneDX)"),
)
PROCESSORS = {
    "amd64": "x86-64",
    "arm64": "64-bit ARM (Raspberry Pi 3 and later, Jetson)",
    "armhf": "32-bit ARMv7 (Raspberry Pi 2 and later)",
    "armv6": "ARMv6 (Raspberry Pi 1, Zero)",
}


def section(version):
    """The lines of the section of `version`, without its heading."""
    sections, dates = {}, {}
    lines = None
    for line in CHANGELOG.read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"## \[?([^]\s]+)\]?(?: - (.+))?", line)
        if heading:
            lines = sections[heading[1]] = []
            dates[heading[1]] = heading[2]
        elif lines is not None:
            lines.append(line)
    if version not in sections:
        sys.exit(
            f"CHANGELOG.md has no section for {version}, the version in Cargo.toml: "
            f"rename the heading '## Unreleased' to '## {version} - YEAR-MONTH-DAY'"
        )
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", dates[version] or ""):
        sys.exit(f"CHANGELOG.md's section for {version} has no date: write '## {version} - YEAR-MONTH-DAY'")
    if not any(line.startswith("- ") for line in sections[version]):
        sys.exit(f"CHANGELOG.md's section for {version} has no entries: write what is new")
    if any(line.startswith("- ") for line in sections.get("Unreleased", [])):
        sys.exit(f"CHANGELOG.md has entries under 'Unreleased', but they are in this release: move them to {version}")
    return sections[version]


def joined(lines):
    """The same Markdown with one line per paragraph and per entry."""
    out = []
    for line in lines:
        starts = re.match(r"\s*([-*|#>]|\d+\. |```)", line) or not line.strip()
        goes_on = out and out[-1].strip() and not out[-1].lstrip().startswith(("|", "#", "```"))
        if goes_on and not starts:
            out[-1] += " " + line.strip()
        else:
            out.append(line)
    return "\n".join(out).strip()


def linked(text, version):
    repository = os.environ.get("REPOSITORY", "").rstrip("/")
    if not repository:
        return text
    return re.sub(r"\]\((?!\w+:|#)", f"]({repository}/blob/v{version}/", text)


def what(name):
    for pattern, text in WHAT:
        found = re.search(pattern, name)
        if found:
            return text.format(*(PROCESSORS.get(group, group) for group in found.groups()))
    return "-"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: release-notes.py VERSION [FILE...]")
    version, *files = sys.argv[1:]
    notes = linked(joined(section(version)), version)
    print(f"# Earwitness {version}\n")
    if files:
        print("## Files\n\n| file | what it is |\n|---|---|")
        for name in files:
            print(f"| `{name}` | {what(name)} |")
        print(
            "\n`sha256sum --check --ignore-missing SHA256SUMS` checks what you have downloaded. Install a package with "
            f"`sudo apt install ./FILE`; {linked('[docs/install.md](docs/install.md)', version)} describes the other ways. "
            "**The weights of the model are for non-commercial use**; the code is under MIT or Apache-2.0.\n"
        )
    print(f"## Changes\n\n{notes}")


if __name__ == "__main__":
    main()
