"""What is compared. Enters: a model, the daemon, data sets, tflite files; leaves: the contenders, each with its row of the table,
the engine that measures it, and how it names clips if it can."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import clips
import summary
from accuracy import ClipFrames, Folds, Scorer, calibration_frames
from engines.earwitness import Earwitness
from engines.onnx_runtime import OnnxRuntime
from engines.quantise import quantise
from engines.tflite import Tflite
from errors import UsageError
from frontend import LogMel
from log import say
from model import Model

# The sound that an engine without state computes again for each decision.
PATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Effort:
    """Decisions a round, and training clips that calibrate an int8 network."""

    n_decisions: int
    n_calibration: int


@dataclass
class Contender:
    """One row of the comparison; without a `scorer` it has no top-1."""

    row: summary.Row
    engine: Earwitness | OnnxRuntime | Tflite
    scorer: Scorer | None = None


def ours(model: Model, binary: Path, folds: Folds | None) -> list[Contender]:
    """The daemon, in the precisions that the model has."""
    precisions = ["f32", "int8"] if model.int8 else ["f32"]
    if not model.int8:
        say(f"{model.dir}/manifest.toml: files.int8: the model has no such file, earwitness int8 left out")
    work = f"{model.pulse_frames} new frames, front end, decision"
    engines = [Earwitness(binary, model.dir, precision) for precision in precisions]
    return [
        Contender(summary.Row(f"earwitness {engine.precision}", work), engine, folds and folds.daemon(engine)) for engine in engines
    ]


def onnx(model: Model, root: Path, folds: Folds | None, folder: Path, effort: Effort) -> list[Contender]:
    """onnxruntime on the same network: the whole patch in both precisions, and the least that gives one frame of logits. `root` has
    the training clips; `folder` takes patches and the int8 file."""
    n_field = model.receptive_field_frames
    # At least what one frame of logits depends on.
    n_frames = max(model.frames(PATCH_SECONDS), n_field)
    config = model.frontend
    frames = LogMel(config).frames(clips.noise((n_frames - 1) * config["hop_length"] + config["win_length"]))
    patch, field = folder / "patch.npy", folder / "field.npy"
    np.save(patch, frames)
    np.save(field, frames[-n_field:])

    def contender(name: str, file: Path, patch_file: Path, n_frames: int, precision: str, scorer: Scorer | None):
        engine = OnnxRuntime(file, patch_file, precision, effort.n_decisions)
        return Contender(summary.Row(name, f"{n_frames} frames, network only"), engine, scorer)

    rows = [contender(summary.PEER, model.f32, patch, n_frames, "f32", folds and folds.onnx(int8=False))]
    try:
        training = [clip for name in clips.DATA_SETS for clip in clips.load_clips(root, name)]
    except UsageError as error:
        # Without clips of its training there is nothing to calibrate with.
        say(f"{error}: onnxruntime int8 left out")
    else:
        int8 = folder / "int8.onnx"
        quantise(model.f32, calibration_frames(training, ClipFrames(model), effort.n_calibration), int8)
        rows.append(contender("onnxruntime int8 QDQ", int8, patch, n_frames, "int8", folds and folds.onnx(int8=True)))
    rows.append(contender("onnxruntime f32, field", model.f32, field, n_field, "f32", None))
    return rows


def tflite(text: str, effort: Effort) -> Contender:
    """A tflite file, perhaps with the length of its waveform."""
    name, at, n_samples = text.rpartition("@")
    path, length = (Path(name), n_samples) if at and n_samples.isdecimal() else (Path(text), None)
    if not path.is_file():
        raise UsageError(f"--tflite: no file {path}")
    engine = Tflite(path, length and int(length), effort.n_decisions)
    try:
        return Contender(summary.Row(f"tflite {path.stem}", f"{engine.work()}, whole file"), engine)
    except ValueError as error:
        raise UsageError(f"--tflite: {error}") from error
