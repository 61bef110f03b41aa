"""An int8 network by onnxruntime's own static quantization. Enters: the f32 file and log-mel frames of training clips; leaves:
a QDQ file.

Signed activations and signed weights a channel, which onnxruntime's documentation has as the first choice on processors; ranges
are the smallest and largest values seen.
"""

import contextlib
import io
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

INPUT = "log_mel"


class Frames(CalibrationDataReader):
    """Hands out the clips' frames, a clip at a time."""

    def __init__(self, clips: list[np.ndarray]):
        self.clips = iter(clips)

    def get_next(self):
        frames = next(self.clips, None)
        return None if frames is None else {INPUT: frames[None, None]}


def quantise(source: Path, clips: list[np.ndarray], out: Path):
    """Writes `source`, calibrated on `clips` of (n_frames, n_mels) each, to `out`."""
    prepared = out.with_suffix(".prepared.onnx")
    # The quantizer advises on standard output, where the table belongs.
    with contextlib.redirect_stdout(io.StringIO()):
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            Frames(clips),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
    prepared.unlink()
