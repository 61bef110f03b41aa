"""Top-1 over whole clips. Enters: one model folder a fold, trained without that fold, and the data sets; leaves: shares, by
fold.

Own labels: the most likely of the data set's own labels counts, as published figures have it and as the model's card explains.
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from clips import DATA_SETS, Clip, load_clips, read
from engines import onnx_runtime
from engines.earwitness import Earwitness
from engines.quantise import quantise
from errors import RunError, UsageError
from frontend import LogMel
from model import Model, load_model

# Training clips that set the ranges of an int8 network, evenly spaced over the lists.
N_CALIBRATION = 200

# Outputs quieter than the loudest of a clip by more than this do not count.
QUIET_DB = 30

# Scores by label of each clip, or None where the engine has no such model.
Scorer = Callable[[Model, int, list[Clip]], list[dict[str, float]] | None]


class Folds:
    """The models of `pattern`, in which {fold} stands for the number of the fold that a model never heard."""

    def __init__(self, pattern: str, shipped: Model, root: Path):
        if "{fold}" not in pattern:
            raise UsageError(f"--fold-models {pattern}: no {{fold}} in it")
        self.root = root
        self.sets = {name: load_clips(root, name) for name in DATA_SETS}
        folds = sorted({clip.fold for clips in self.sets.values() for clip in clips})
        self.models = {fold: load_model(Path(pattern.replace("{fold}", str(fold)))) for fold in folds}
        for model in self.models.values():
            if model.frontend_hash != shipped.frontend_hash:
                raise UsageError(f"{model.dir}: frontend_hash is not that of {shipped.dir}, whose parity was checked")
            if missing := {clip.label for clips in self.sets.values() for clip in clips} - set(model.labels):
                raise UsageError(f"{model.dir}: labels: {min(missing)!r} of the data sets is not among them")
        self.frames = cache(ClipFrames(shipped))

    def top1(self, scorer: Scorer) -> dict[str, list[float]] | None:
        """Of each data set, the share of clips named right, fold by fold."""
        shares = {name: [] for name in self.sets}
        for fold, model in self.models.items():
            for name, clips in self.sets.items():
                tested = [clip for clip in clips if clip.fold == fold]
                own = {clip.label for clip in clips}
                scores = scorer(model, fold, tested)
                if scores is None:
                    return None
                if len(scores) != len(tested):
                    raise RunError(f"{model.dir}: expected scores of {len(tested)} clips, actual {len(scores)}")
                named = [max(own, key=lambda label: score[label]) for score in scores]
                shares[name].append(float(np.mean([a == clip.label for a, clip in zip(named, tested, strict=True)])))
        return shares

    def daemon(self, engine: Earwitness) -> Scorer:
        """Clips as `earwitness classify` names them."""

        def scores(model: Model, _fold: int, clips: list[Clip]):
            if engine.precision == "int8" and not model.int8:
                return None
            return engine.scores(model.dir, [clip.file for clip in clips])

        return scores

    def onnx(self, *, int8: bool) -> Scorer:
        """Clips as onnxruntime names them: the mean of the loud outputs' logits, of which posteriors keep the order."""

        @cache
        def session(model_file: Path, fold: int):
            if not int8:
                return onnx_runtime.session(model_file)
            training = [clip for clips in self.sets.values() for clip in clips if clip.fold != fold]
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "int8.onnx"
                quantise(model_file, calibration_frames(training, self.frames), out)
                return onnx_runtime.session(out)

        def scores(model: Model, fold: int, clips: list[Clip]):
            network = session(model.f32, fold)
            frames = [self.frames(clip.file) for clip in clips]
            logits = [onnx_runtime.frame_logits(network, clip)[loud_outputs(model, clip)] for clip in frames]
            return [dict(zip(model.labels, clip.mean(axis=0).tolist(), strict=True)) for clip in logits]

        return scores


def loud_outputs(model: Model, frames: np.ndarray) -> np.ndarray:
    """Which outputs over a clip's log-mel frames count for what the clip is: those whose receptive field is at most 30 dB quieter than
    the loudest, as `edge::classify` has it."""
    config = model.frontend
    levels = np.exp(frames.astype(np.float64) * config["std"] + config["mean"]).sum(axis=1)
    fields = np.lib.stride_tricks.sliding_window_view(levels, model.receptive_field_frames)[:: model.pulse_frames].sum(axis=1)
    return fields >= fields.max() * 10 ** (-QUIET_DB / (20 if config["power"] == 1 else 10))


class ClipFrames:
    """Log-mel frames of whole clips for `model`; a clip shorter than its receptive field is filled up with silence, as the daemon
    does it."""

    def __init__(self, model: Model):
        self.log_mel = LogMel(model.frontend)
        self.sample_rate = model.frontend["sample_rate"]
        hop_length, win_length = model.frontend["hop_length"], model.frontend["win_length"]
        self.n_least = (model.receptive_field_frames - 1) * hop_length + win_length

    def __call__(self, file: Path) -> np.ndarray:
        samples = read(file, self.sample_rate)
        return self.log_mel.frames(np.pad(samples, (0, max(0, self.n_least - samples.size))))


def calibration_frames(clips: list[Clip], frames: Callable[[Path], np.ndarray], n_most: int = N_CALIBRATION) -> list[np.ndarray]:
    """Frames of `n_most` of the clips."""
    chosen = np.linspace(0, len(clips) - 1, min(n_most, len(clips))).astype(int)
    return [frames(clips[at].file) for at in chosen]
