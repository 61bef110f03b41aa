"""Tensors for the Rust tests: reference.f32 holds their values (little-endian, row-major), reference.json where each one lies,
`{"tensors": {name: {"offset", "shape"}}}`, offset in elements."""

import ctypes
import json

import torch


class Blob:
    def __init__(self):
        self.places, self.values, self.offset = {}, [], 0

    def add(self, name, tensor):
        flat = tensor.detach().to(torch.float32).contiguous().flatten()
        self.places[name] = {"offset": self.offset, "shape": list(tensor.shape)}
        self.values.append(flat)
        self.offset += flat.numel()

    def write(self, folder, **more):
        # As they lie in memory, which is little-endian wherever PyTorch is published.
        values = torch.cat(self.values)
        (folder / "reference.f32").write_bytes(ctypes.string_at(values.data_ptr(), 4 * values.numel()))
        (folder / "reference.json").write_text(json.dumps({"tensors": self.places, **more}))
