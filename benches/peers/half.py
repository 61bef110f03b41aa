#!/usr/bin/env python3
"""A model with half-precision arithmetic: half.py MODEL OUT. Enters: a model folder; leaves: the same folder with the network's
weights and convolutions in float16, its input and output in float32, in the place of the single-precision file.

For measuring whether half precision pays on a processor: `earwitness bench --model OUT --precision f32` beside the same with MODEL.
"""

import hashlib
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper


def halve(model: onnx.ModelProto) -> None:
    """Single-precision constants become half-precision ones; casts stand at both ends."""
    graph = model.graph
    for constant in graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(constant).astype(np.float16)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    enter, leave = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = ["half_input" if name == enter else name for name in node.input]
        node.output[:] = ["half_output" if name == leave else name for name in node.output]
    graph.node.insert(0, helper.make_node("Cast", [enter], ["half_input"], to=onnx.TensorProto.FLOAT16))
    graph.node.append(helper.make_node("Cast", ["half_output"], [leave], to=onnx.TensorProto.FLOAT))


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.copytree(source, out, dirs_exist_ok=True)
    model = onnx.load(out / "model.onnx")
    halve(model)
    data = model.SerializeToString()
    (out / "model.onnx").write_bytes(data)
    manifest = out / "manifest.toml"
    text = manifest.read_text()
    digest = hashlib.sha256(data).hexdigest()
    manifest.write_text(re.sub(r'(\[files\.f32\]\npath = "model\.onnx"\nsha256 = )"[0-9a-f]+"', rf'\1"{digest}"', text))


if __name__ == "__main__":
    main()
