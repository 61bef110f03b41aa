"""onnxruntime on the same network. Enters: an ONNX file and log-mel frames; leaves: measurements, frame logits.

It keeps no state, so each decision computes all frames of its patch again. Log-mel frames and the mean over the logits are not in
its times: they are given.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from engines import Measurement
from engines.process import measure_in_worker


class OnnxRuntime:
    """The network in `file`, over the patch (n_frames, n_mels) saved in `patch_file`."""

    def __init__(self, file: Path, patch_file: Path, precision: str, n_decisions: int):
        self.file, self.patch_file, self.precision, self.n_decisions = file, patch_file, precision, n_decisions

    def measure(self) -> Measurement:
        """The whole patch, decision by decision."""
        task = {"file": str(self.file), "patch_file": str(self.patch_file), "precision": self.precision}
        return measure_in_worker("onnx_runtime", n_decisions=self.n_decisions, **task)


def prepare(file: str, patch_file: str, precision: str):
    """For `worker.py`: a function that computes one decision, and the precision. Input and output stay bound, so that Python costs
    as little as it can."""
    patch = np.load(patch_file)[None, None]
    network = session(Path(file), n_frames=patch.shape[2])
    binding = network.io_binding()
    binding.bind_cpu_input(network.get_inputs()[0].name, patch)
    binding.bind_output(network.get_outputs()[0].name)
    return lambda: network.run_with_iobinding(binding), precision


def session(file: Path, n_frames: int | None = None) -> onnxruntime.InferenceSession:
    """`file` on one thread with all optimisations; `n_frames` fixes the time axis, which lets it plan for that length."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    if n_frames:
        options.add_free_dimension_override_by_name("T", n_frames)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def frame_logits(network: onnxruntime.InferenceSession, frames: np.ndarray) -> np.ndarray:
    """Logits (n_out, n_classes) of a clip's `frames` (n_frames, n_mels)."""
    (logits,) = network.run(None, {network.get_inputs()[0].name: frames[None, None]})
    return logits[0, :, :, 0].T
