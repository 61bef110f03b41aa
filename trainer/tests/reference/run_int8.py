"""What onnxruntime makes of an 8-bit network: run_int8.py OUT MODEL LOG_MEL. Leaves `logits` and `features`, the last convolution's
output in single precision, and its quantization step."""

import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from blob import Blob

out, path, log_mel = Path(sys.argv[1]), sys.argv[2], numpy.load(sys.argv[3])
model = onnx.load(path)
model.graph.output.append(onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, None))
dequantize = next(node for node in model.graph.node if node.output[0] == "features")
constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
# As the file has it: nothing fused, nothing turned into other operations.
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
logits, features = session.run(["logits", "features"], {"log_mel": log_mel[None, None].astype(numpy.float32)})
blob = Blob()
blob.add("logits", torch.from_numpy(logits))
blob.add("features", torch.from_numpy(features))
blob.add("step", torch.from_numpy(constants[dequantize.input[1]].reshape(1).copy()))
blob.write(out)
