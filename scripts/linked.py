"""What the daemon is made of, for the scripts that write it down."""

import json
import subprocess

# Not procedural macros, build scripts and tests: nothing of them is in the program.
EDGES = "normal,no-proc-macro"


def cargo(*arguments):
    """The output of a cargo command on the committed versions."""
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(triple):
    """All packages in the daemon for the target `triple`, this repository's own among them: what
    `cargo metadata` says of each, by name and version, and the ids on which each depends."""
    # `cargo tree` selects the features that `edge` alone asks for; those of `cargo metadata` are
    # the whole workspace's.
    tree = cargo("tree", "-p", "edge", "-e", EDGES, "--target", triple, "--prefix", "none", "--format", "{p}")
    names = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    metadata = json.loads(cargo("metadata", "--format-version=1", f"--filter-platform={triple}"))
    packages = {p["id"]: p for p in metadata["packages"] if (p["name"], f"v{p['version']}") in names}
    edges = {
        node["id"]: [
            dependency["pkg"]
            for dependency in node["deps"]
            if dependency["pkg"] in packages and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
        if node["id"] in packages
    }
    return sorted(packages.values(), key=lambda p: (p["name"], p["version"])), edges
