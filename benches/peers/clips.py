"""Sound. Enters: the folder of the data sets; leaves: clips with label and fold, their samples. And the bench's noise."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from errors import UsageError

DATA_SETS = ("kitchen20", "esc10")
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clip:
    """A row of a data set's list."""

    file: Path
    label: str
    fold: int


def data_root(option: Path | None) -> Path:
    """The option, else the environment's EARWITNESS_DATA, else the folder that the recipes name."""
    from_environment = os.environ.get("EARWITNESS_DATA")
    return option or (Path(from_environment) if from_environment else REPOSITORY / "data")


def load_clips(root: Path, data_set: str) -> list[Clip]:
    """The rows of `root`/NAME/NAME.csv; the error names the file and the column."""
    path = root / data_set / f"{data_set}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Clip(path.parent / row["file"], row["label"], int(row["fold"])) for row in csv.DictReader(file)]
    except OSError as error:
        raise UsageError(f"data set {path}: {error.strerror}") from error
    except (KeyError, ValueError) as error:
        raise UsageError(f"data set {path}: {error}") from error


def read(file: Path, sample_rate: int) -> np.ndarray:
    """Mono samples; a clip at another rate is an error, because there is no resampler here."""
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UsageError(f"clip {file}: {error}") from error
    if rate != sample_rate:
        raise UsageError(f"clip {file}: expected {sample_rate} Hz, actual {rate}")
    return samples.mean(axis=1)


def noise(n_samples: int) -> np.ndarray:
    """The first samples of the white noise that `earwitness bench` hears: the same generator, seed and scale."""
    values, state = np.empty(n_samples, dtype=np.float32), 1
    for at in range(n_samples):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFF_FFFF
        values[at] = (state >> 8) / 16_777_216 - 0.5
    return values
