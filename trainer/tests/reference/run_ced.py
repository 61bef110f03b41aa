"""What onnxruntime hears with CED-tiny: run_ced.py OUT MODEL WAVE.npy.... Leaves of the i-th wave `log_mel.i` (1, 64, n_frames),
`tokens.i` (1, 4 T, 192) and `tags.i` (1, 527)."""

import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from blob import Blob

out, path, waves = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
# As the graph calls its values.
values = {"log_mel": "mul_53", "tokens": "view_17", "tags": "logits"}
model = onnx.load(path)
known = {output.name for output in model.graph.output}
more = [onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None) for value in values.values() if value not in known]
model.graph.output.extend(more)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
# As the file has it: optimised, onnxruntime 1.32 rounds what it multiplies with 8-bit weights, and
# tokens change by 0.1 and more.
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
blob = Blob()
for i, wave in enumerate(waves):
    heard = session.run(list(values.values()), {"waveform": numpy.load(wave)})
    for name, value in zip(values, heard):
        blob.add(f"{name}.{i}", torch.from_numpy(value))
blob.write(out)
