"""Writes what torch.save makes of every kind of value that a state dict or a checkpoint may hold.

    python3 make_pickles.py OUT

OUT/NAME.pt, each also as NAME.protocol4.pt (pickle protocol 4) and NAME.legacy.pt (before PyTorch 1.6):
    kinds       tensors of all floating-point kinds, and integers, which are not read
    views       tensors that share a storage; transposed, offset, expanded, empty, of no dimension
    checkpoint  parameters in `model_state`, amid all that a training may leave
    small       two tensors, to be damaged by the tests
    sparse, list, integers     are errors
OUT/reference.json and OUT/reference.f32 (see blob.py) hold FILE/NAME for each tensor to be read.

Needs torch alone.
"""

import argparse
import collections
import datetime
import sys
from pathlib import Path

import torch

from blob import Blob


class Special(torch.nn.Parameter):
    """A parameter of a class of its own; its attribute makes torch.save write more than the tensor."""


def kinds(generator):
    values = torch.randn(3, 5, generator=generator)
    floats = {str(k): values.to(k) for k in (torch.float32, torch.float64, torch.float16, torch.bfloat16)}
    others = {str(k): torch.arange(6).to(k) for k in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)}
    others |= {"bool": torch.tensor([True, False]), "complex64": torch.zeros(2, dtype=torch.complex64)}
    return floats | others, floats


def views(generator):
    storage = torch.randn(40, generator=generator)
    tensors = collections.OrderedDict(
        first=storage[:12].view(3, 4),
        second=storage[8:32].view(2, 3, 4),
        transposed=storage[4:24].view(4, 5).t(),
        strided=storage[1::3],
        expanded=storage[3:4].expand(2, 3),
        empty=storage[5:5].view(0, 3),
        scalar=storage[7],
    )
    return tensors, tensors


def checkpoint(generator):
    special = Special(torch.randn(2, 2, generator=generator))
    special.origin = {"made": "here"}
    tensors = collections.OrderedDict(
        parameter=torch.nn.Parameter(torch.randn(4, generator=generator)),
        special=special,
        buffer=torch.randn(2, 3, generator=generator),
    )
    state = collections.OrderedDict(tensors, count=torch.tensor(7), text="not a tensor", nothing=None)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    nested = {"groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "foreach": None, "nesterov": True}]}
    everything = {
        "epoch": 3,
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(4)}}, **nested},
        "numbers": [-1, 255, 256, 65535, -40_000, 1 << 40, -(1 << 40), 1 << 100, -(1 << 100), 1.5, float("nan"), 2 + 1j],
        "sets": [{1, 2}, frozenset({"a"}), set()],
        "bytes": [b"x" * 300, b"y", bytearray(b"z")],
        "text": ["x" * 300, "Ä"],
        "objects": [datetime.date(2024, 2, 29), argparse.Namespace(a=1), torch.float32, torch.Size([1, 2]), len, slice(1, 2)],
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, a=[1]),
        "device": torch.device("cpu"),
        "model_state": state,
        "again": state,
    }
    everything["itself"] = everything
    return everything, tensors


def small(generator):
    tensors = {"weight": torch.randn(2, 3, generator=generator), "bias": torch.randn(2, generator=generator).double()}
    return {"model_state": tensors, "epoch": 3}, tensors


def sparse(_):
    return {"dense": torch.ones(2), "sparse": torch.eye(2).to_sparse()}, {}


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(3)
    blob = Blob()
    lone = [("list", lambda _: ([torch.ones(2)], {})), ("integers", lambda _: ({"count": torch.tensor(1)}, {}))]
    for name, make in [(f.__name__, f) for f in (kinds, views, checkpoint, small, sparse)] + lone:
        value, tensors = make(generator)
        for key, tensor in tensors.items():
            blob.add(f"{name}/{key}", tensor)
        torch.save(value, out / f"{name}.pt")
        torch.save(value, out / f"{name}.protocol4.pt", pickle_protocol=4)
        torch.save(value, out / f"{name}.legacy.pt", _use_new_zipfile_serialization=False)
    blob.write(out)


if __name__ == "__main__":
    main()
