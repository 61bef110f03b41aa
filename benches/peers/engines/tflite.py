"""A tflite file that the user has. Enters: its path; leaves: measurements of its invocation.

The shape of its input says what it takes: one axis is a waveform, two are a spectrum, of whichever rate and scale. It
is fed noise of that shape: a dense network takes as long for one input as for another. Labels are its own, so there is no top-1.
"""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from engines import Measurement
from engines.process import measure_in_worker


class Tflite:
    """The network in `file`; `n_samples` is the length of a waveform that the file leaves free."""

    def __init__(self, file: Path, n_samples: int | None, n_decisions: int):
        self.file, self.n_samples, self.n_decisions = file, n_samples, n_decisions

    def measure(self) -> Measurement:
        """One invocation a decision."""
        task = {"file": str(self.file), "n_samples": self.n_samples}
        return measure_in_worker("tflite", n_decisions=self.n_decisions, **task)

    def work(self) -> str:
        """What enters for a decision. Raises ValueError for an input that is neither waveform nor spectrum."""
        axes = axes_of(open_file(self.file, self.n_samples).get_input_details()[0]["shape"], self.file)
        return f"{axes[0]} samples" if len(axes) == 1 else f"spectrum {axes[0]} x {axes[1]}"


def prepare(file: str, n_samples: int | None):
    """For `worker.py`: a function that computes one decision, and the precision. Raises ValueError as `open_file` does."""
    interpreter = open_file(Path(file), n_samples)
    details = interpreter.get_input_details()[0]
    axes_of(details["shape"], Path(file))
    interpreter.set_tensor(details["index"], noise(details))
    return interpreter.invoke, details["dtype"].__name__


def open_file(file: Path, n_samples: int | None) -> Interpreter:
    """An interpreter of one thread. Raises ValueError for a file that is not of
    tflite, has several inputs, or has an input of free length."""
    try:
        interpreter = Interpreter(model_path=str(file), num_threads=1)
        inputs = interpreter.get_input_details()
        if len(inputs) != 1:
            raise ValueError(f"expected one input, actual {len(inputs)}")
        details = inputs[0]
        signature = [int(n) for n in details["shape_signature"]]
        # A free first axis before others is the batch.
        if len(signature) > 1 and signature[0] == -1:
            signature[0] = 1
        if signature.count(-1) == 1 and n_samples and all(n in (-1, 1) for n in signature):
            signature[signature.index(-1)] = n_samples
        if -1 in signature:
            raise ValueError(f"input of free length, shape {signature}: give {file}@SAMPLES for a waveform")
        interpreter.resize_tensor_input(details["index"], signature)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error
    return interpreter


def axes_of(shape, file: Path) -> list[int]:
    """Lengths of the axes that are longer than one. Raises ValueError where they are not one or two."""
    axes = [int(n) for n in shape if n > 1]
    if len(axes) not in (1, 2):
        raise ValueError(f"{file}: input of shape {list(map(int, shape))}, expected a waveform (one axis) or a spectrum (two)")
    return axes


def noise(details: dict) -> np.ndarray:
    """Values in [-0.5, 0.5) in the type of the input, quantized as it says."""
    values = np.random.default_rng(1).random(details["shape"]) - 0.5
    dtype = details["dtype"]
    if np.issubdtype(dtype, np.floating):
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    return np.clip(np.round(values / (scale or 1.0)) + zero_point, limits.min, limits.max).astype(dtype)
