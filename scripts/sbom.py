#!/usr/bin/env python3
"""Writes what the packages for a processor contain, as a CycloneDX 1.6 bill of materials in JSON.
Usage: sbom.py TRIPLE >OUT

Beside the crates these are SQLite, which one of them brings along, Rust's library, and the model.
Its date is $SOURCE_DATE_EPOCH, or now. The same sources and date give the same file.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

from linked import linked

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/home"


def crate_checksums():
    """SHA-256 of each crate's archive, by name and version."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}


def hashes(sha256):
    return {"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 else {}


def crate(package, checksums):
    name, version = package["name"], package["version"]
    # An old way to write OR.
    licence = (package["license"] or "").replace("/", " OR ")
    links = [("vcs", package["repository"]), ("website", package["homepage"])]
    links = [{"type": kind, "url": url} for kind, url in links if url]
    return {
        "type": "library",
        "bom-ref": package["id"],
        "name": name,
        "version": version,
        **({"description": package["description"].strip()} if package["description"] else {}),
        **({"licenses": [{"expression": licence}]} if licence else {}),
        # Crates of this repository are not on crates.io.
        **({"purl": f"pkg:cargo/{name}@{version}"} if package["source"] else {}),
        **hashes(checksums.get((name, version))),
        **({"externalReferences": links} if links else {}),
    }


def brought_along(packages):
    """C and assembly code inside crates, for those who look for known faults of it by its own name."""
    for package in packages:
        folder = Path(package["manifest_path"]).parent
        if package["name"] == "libsqlite3-sys":
            header = (folder / "sqlite3/sqlite3.h").read_text(encoding="utf-8")
            version = re.search(r'#define SQLITE_VERSION\s+"([^"]+)"', header)[1]
            yield package["id"], {
                "type": "library",
                "bom-ref": "sqlite",
                "name": "sqlite",
                "version": version,
                "description": "Compiled into libsqlite3-sys",
                "licenses": [{"license": {"id": "blessing"}}],
                "cpe": f"cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*",
                "purl": f"pkg:generic/sqlite@{version}",
            }


def rust_library():
    version = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[1]
    return {
        "type": "library",
        "bom-ref": "rust-std",
        "name": "rust-std",
        "version": version,
        "description": "Rust's standard library",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": f"pkg:generic/rust-std@{version}",
    }


def model():
    manifest = tomllib.loads((MODEL / "manifest.toml").read_text(encoding="utf-8"))
    files = [
        {"type": "file", "bom-ref": f"model/{file['path']}", "name": file["path"], **hashes(file["sha256"])}
        for file in manifest["files"].values()
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest["name"],
        "version": manifest["version"],
        "description": "The weights of the network; CARD.md beside them has the data and their terms",
        "licenses": [{"license": {"name": manifest["data"]["licence"]}}],
        "components": files,
    }


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: sbom.py TRIPLE")
    triple = sys.argv[1]
    packages, edges = linked(triple)
    checksums = crate_checksums()
    edge = next(package for package in packages if package["name"] == "edge")
    inside = list(brought_along(packages))
    components = [crate(package, checksums) for package in packages if package is not edge]
    components += [component for _, component in inside] + [rust_library(), model()]
    for by, component in inside:
        edges[by] = [*edges[by], component["bom-ref"]]
    edges[edge["id"]] = [*edges[edge["id"]], "rust-std", "model"]

    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.datetime.now().timestamp())
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    root = crate(edge, checksums) | {"type": "application", "name": "earwitness"}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": root,
            "properties": [{"name": "earwitness:target", "value": triple}],
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(edges.items())],
    }
    # Names of this machine's folders are in the ids of this repository's packages.
    text = json.dumps(bom, indent=1).replace(ROOT.as_uri(), "earwitness")
    bom = json.loads(text)
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"
    json.dump(bom, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
