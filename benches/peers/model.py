"""A model folder. Enters: its path; leaves: what the comparison needs of its manifest.

Only streaming networks: a network of whole patches computes each patch again here as well, so there is nothing to compare.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from errors import UsageError

# Keys of [frontend] that may be left out of a manifest.
FRONTEND_DEFAULTS = {"mean": 0.0, "std": 1.0}


@dataclass(frozen=True)
class Model:
    """The manifest of `dir`, as far as it matters here; `int8` is None where the folder has no such file."""

    dir: Path
    name: str
    labels: list[str]
    frontend: dict
    frontend_hash: str
    pulse_frames: int
    receptive_field_frames: int
    f32: Path
    int8: Path | None

    def frames(self, seconds: float) -> int:
        """How many log-mel frames begin in this many samples."""
        return round(seconds * self.frontend["sample_rate"] / self.frontend["hop_length"])

    def seconds(self, n_frames: int) -> float:
        """Sound from the begin of one frame to that of the n-th after it."""
        return n_frames * self.frontend["hop_length"] / self.frontend["sample_rate"]


def load_model(folder: Path) -> Model:
    """Reads `folder`/manifest.toml; the error names the file and the field."""
    path = folder / "manifest.toml"
    try:
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"model folder {folder}: {error.strerror}: manifest.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        network = manifest["network"]
        if network["kind"] != "stream":
            raise UsageError(f"{path}: network.kind is {network['kind']!r}, expected 'stream'")
        int8 = manifest["files"].get("int8")
        model = Model(
            dir=folder,
            name=f"{manifest['name']}-{manifest['version']}",
            labels=manifest["labels"],
            frontend=FRONTEND_DEFAULTS | manifest["frontend"],
            frontend_hash=manifest["frontend_hash"],
            pulse_frames=network["pulse_frames"],
            receptive_field_frames=network["receptive_field_frames"],
            f32=folder / manifest["files"]["f32"]["path"],
            int8=int8 and folder / int8["path"],
        )
    except KeyError as error:
        raise UsageError(f"{path}: no field {error}") from error
    if not model.f32.is_file():
        raise UsageError(f"{path}: files.f32.path: no file {model.f32}")
    if model.int8 and not model.int8.is_file():
        raise UsageError(f"{path}: files.int8.path: no file {model.int8}")
    return model
