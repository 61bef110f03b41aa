#!/usr/bin/env python3
"""Whether both sides of the comparison are the same. Enters: a model folder; leaves: nothing, or an error with the figures.

The front end here has to give the model's golden log-mel frames, and onnxruntime, fed with these frames, its golden logits.
Otherwise no figure of the comparison would mean anything, so the benchmark runs this first. By itself: parity.py [MODEL].
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from engines import onnx_runtime
from errors import RunError, UsageError
from frontend import LogMel
from model import Model, load_model

# As the daemon's own tests have them, across platforms.
LOG_MEL_TOLERANCE = 1e-3
LOGITS_TOLERANCE = 1e-2


def check_parity(model: Model) -> str:
    """Says how far both are from the golden files; raises if it is too far."""
    golden = model.dir / "golden"
    try:
        samples, rate = soundfile.read(golden / "clip.wav", dtype="float32")
        log_mel, logits = (np.load(golden / name) for name in ("log_mel.npy", "logits.npy"))
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise UsageError(f"golden files of {model.dir}: {error}") from error
    if rate != model.frontend["sample_rate"]:
        raise UsageError(f"{golden}/clip.wav: expected {model.frontend['sample_rate']} Hz, actual {rate}")

    frames = LogMel(model.frontend).frames(samples)
    in_log_mel = difference("log-mel frames", log_mel, frames, LOG_MEL_TOLERANCE)
    session = onnx_runtime.session(model.f32)
    in_logits = difference("logits of onnxruntime", logits, onnx_runtime.frame_logits(session, frames), LOGITS_TOLERANCE)
    return f"parity with {golden}: log-mel to {in_log_mel:.1e}, logits of onnxruntime to {in_logits:.1e}"


def difference(what: str, expected: np.ndarray, actual: np.ndarray, tolerance: float) -> float:
    """The largest difference, which is an error from `tolerance` on."""
    if expected.shape != actual.shape:
        raise RunError(f"{what}: expected shape {expected.shape} of the golden file, actual {actual.shape}")
    worst = float(np.abs(expected - actual).max())
    # Not the other way round: a NaN has to fail.
    if not worst < tolerance:
        raise RunError(f"{what}: {worst} from the golden file, expected less than {tolerance}")
    return worst


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "models/home"
    try:
        print(check_parity(load_model(Path(folder))))
    except (RunError, UsageError) as error:
        sys.exit(f"parity: {error}")
