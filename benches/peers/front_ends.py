#!/usr/bin/env python3
"""This product's front end beside those of other libraries, in one run and on one thread. Enters: a model folder, whose [frontend]
all of them compute, and the program `front_end` of benches; leaves: a table on standard output.

All get the same noise. Each engine's frames are compared with ours before it is timed: another front end would have another cost.
Exit codes: 0 done, 1 an engine failed or computes something else, 2 bad usage.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

# One thread each; libraries read these when they are imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

from errors import RunError, UsageError
from log import say
from model import load_model

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 60
ROUNDS = 7
# Of natural-log mel values of noise.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Engine:
    """A library's front end. `compute` takes the samples and is timed; `frames` makes an array (n_frames, n_mels) of its result."""

    compute: Callable
    frames: Callable
    # Does all but compute, where that takes time worth taking off.
    copy: Callable | None = None
    # Whether its window lies in the middle of the transform, which then begins before the window.
    centres_window: bool = True


def kaldi(config: dict):
    """kaldi-native-fbank, which streams as we do. Python's samples are copied one by one when it takes them; this is measured with
    one frame for the whole recording and taken off."""
    import kaldi_native_fbank

    def fbank_with(shift_ms: float):
        options = kaldi_native_fbank.FbankOptions()
        frame, mel = options.frame_opts, options.mel_opts
        frame.samp_freq, frame.frame_shift_ms = config["sample_rate"], shift_ms
        frame.frame_length_ms = 1e3 * config["win_length"] / config["sample_rate"]
        frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0.0, 0.0, False
        frame.window_type, frame.snip_edges, frame.round_to_power_of_two = "hann", True, True
        mel.num_bins, mel.low_freq, mel.high_freq = config["n_mels"], config["f_min_hz"], config["f_max_hz"]
        options.use_energy, options.use_power, options.use_log_fbank = False, config["power"] == 2, True
        return kaldi_native_fbank.OnlineFbank(options)

    def take(fbank, samples):
        fbank.accept_waveform(config["sample_rate"], samples)
        return fbank

    def compute(samples):
        return take(fbank_with(1e3 * config["hop_length"] / config["sample_rate"]), samples)

    def copy(samples):
        return take(fbank_with(1e3 * SECONDS), samples)

    def frames(fbank):
        return np.stack([fbank.get_frame(at) for at in range(fbank.num_frames_ready)])

    return Engine(compute, frames, copy, centres_window=False)


def librosa(config: dict):
    """librosa's melspectrogram and logarithm, the whole recording at once."""
    from librosa.feature import melspectrogram

    def compute(samples):
        mel = melspectrogram(
            y=samples,
            sr=config["sample_rate"],
            n_fft=config["n_fft"],
            hop_length=config["hop_length"],
            win_length=config["win_length"],
            window="hann",
            center=False,
            power=config["power"],
            n_mels=config["n_mels"],
            fmin=config["f_min_hz"],
            fmax=config["f_max_hz"],
            htk=config["mel_scale"] == "htk",
            norm=None if config["mel_norm"] == "none" else "slaney",
        )
        return np.log(mel + config["log_offset"])

    return Engine(compute, lambda mel: mel.T)


def torchaudio(config: dict):
    """torchaudio's MelSpectrogram and logarithm, the whole recording at once."""
    import torch
    from torchaudio.transforms import MelSpectrogram

    torch.set_num_threads(1)
    mel = MelSpectrogram(
        sample_rate=config["sample_rate"],
        n_fft=config["n_fft"],
        win_length=config["win_length"],
        hop_length=config["hop_length"],
        f_min=config["f_min_hz"],
        f_max=config["f_max_hz"],
        n_mels=config["n_mels"],
        center=False,
        power=float(config["power"]),
        mel_scale=config["mel_scale"],
        norm=None if config["mel_norm"] == "none" else "slaney",
    )

    def compute(samples):
        with torch.inference_mode():
            return torch.log(mel(torch.from_numpy(samples)) + config["log_offset"])

    return Engine(compute, lambda mel: mel.numpy().T)


ENGINES = {"kaldi-native-fbank": kaldi, "librosa": librosa, "torchaudio": torchaudio}


def main():
    parser = argparse.ArgumentParser(description="Compares the front end with those of other libraries, side by side.")
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    parser.add_argument("--model", type=Path, default=REPOSITORY / "models/home", metavar="DIR")
    parser.add_argument("--front-end", type=Path, default=target / "release/front_end", metavar="FILE", help="our program")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    args = parser.parse_args()
    try:
        compare(args)
    except (UsageError, RunError) as error:
        say(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)


def compare(args: argparse.Namespace):
    config = load_model(args.model).frontend
    if not args.front_end.is_file():
        raise UsageError(f"--front-end: no file {args.front_end}: cargo build --release -p edge -p benches makes it")
    samples = 0.1 * np.random.default_rng(1).standard_normal(SECONDS * config["sample_rate"]).astype(np.float32)
    engines = {name: engine(config) for name, engine in ENGINES.items()}
    times = {"earwitness": [], **{name: [] for name in engines}}
    with tempfile.TemporaryDirectory(prefix="earwitness-front-ends-") as folder:
        raw, out = Path(folder) / "samples.f32", Path(folder) / "frames.f32"
        raw.write_bytes(samples.tobytes())
        ours(args, raw, out)
        normalised = np.fromfile(out, dtype=np.float32).reshape(-1, config["n_mels"])
        log_mel = normalised * config["std"] + config["mean"]
        lead = np.zeros((config["n_fft"] - config["win_length"]) // 2, dtype=np.float32)
        for name, engine in engines.items():
            heard = np.concatenate([lead, samples]) if engine.centres_window else samples
            same(name, log_mel, engine.frames(engine.compute(heard)))
        for at in range(args.rounds):
            say(f"round {at + 1} of {args.rounds}")
            order = list(times)
            for name in order[at % len(order) :] + order[: at % len(order)]:
                times[name].append(ours(args, raw, out) if name == "earwitness" else cost(engines[name], samples))
    report(times)


def ours(args: argparse.Namespace, raw: Path, out: Path) -> float:
    """Microseconds for the recording, by our program."""
    done = subprocess.run([args.front_end, args.model, raw, out], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(done.stderr.strip())
    return float(done.stdout)


def cost(engine: Engine, samples: np.ndarray) -> float:
    """Microseconds for the recording, without what only hands the samples over."""
    return timed(engine.compute, samples) - (timed(engine.copy, samples) if engine.copy else 0.0)


def timed(compute, samples: np.ndarray) -> float:
    """Microseconds of one call."""
    begin = time.perf_counter_ns()
    compute(samples)
    return (time.perf_counter_ns() - begin) / 1e3


def same(name: str, expected: np.ndarray, actual: np.ndarray):
    """An error unless both are the same front end, up to the last frames, which libraries end in different ways."""
    if abs(len(expected) - len(actual)) > 2:
        raise RunError(f"{name}: {len(actual)} frames, ours are {len(expected)}")
    rows = min(len(expected), len(actual))
    worst = np.abs(expected[:rows] - actual[:rows]).max()
    say(f"{name}: values differ by {worst:.4f} at most")
    # Not the other way round: a NaN has to fail.
    if not worst < TOLERANCE:
        raise RunError(f"{name}: computes other frames than ours: they differ by {worst:.4f}")


def report(times: dict[str, list[float]]):
    """Medians, and each engine's time over ours, taken within each round."""
    mine = np.array(times["earwitness"])
    print(f"{'front end':<32} {'us per second of sound':>28} {'x ours':>22}")
    for name, theirs in times.items():
        us, ratio = np.array(theirs) / SECONDS, np.array(theirs) / mine
        label = name if name == "earwitness" else f"{name} {version(name)}"
        spread = f"{np.median(us):.0f} ({us.min():.0f}..{us.max():.0f})"
        print(f"{label:<32} {spread:>28} {np.median(ratio):>8.2f} ({ratio.min():.2f}..{ratio.max():.2f})")


if __name__ == "__main__":
    main()
