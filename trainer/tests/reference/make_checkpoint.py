"""Writes checkpoints as PySlowFast does, and what the network with these weights computes.

    python3 make_checkpoint.py OUT --width 8 --depth 50 --classes 5 --seed 1 --frames 400 404 --files plain module --gradients all first

OUT/NAME.pyth for each name of --files:
    plain       as torch.save writes it today
    module      the same, every name prefixed as DataParallel does
    legacy      the same in the format before PyTorch 1.6
    other_head  the same but for a head of three classes more
    missing     without s3_fuse.bn.bias and s4.pathway0_res1.branch2.b.weight
    unexpected  with s9.pathway0_stem.conv.weight besides
OUT/reference.json and OUT/reference.f32 (see blob.py) hold, T a number of frames, T x F where the patch has not 128 bands:
    input/T, logits/T, posteriors/T                     evaluation
and for each NORMS of --gradients, `all` with batch statistics everywhere, `first` in the stems and the first fusion only:
    NORMS/input, NORMS/targets, NORMS/logits, NORMS/loss    without dropout; cross entropy
    NORMS/gradient/PARAMETER, NORMS/updated/BUFFER          of that loss; running statistics after that one batch

Needs torch alone.
"""

import argparse
import copy
import re
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from blob import Blob
from slowfast import SlowFast

N_MELS = 128
N_TRAINING = 4
LOGIT_STD = 1.0


def patches(n, n_frames, n_mels, generator):
    """Like log-mel: clips of different loudness and contrast, with structure in time and frequency."""
    noise = torch.randn(n, 1, n_frames, n_mels, generator=generator)
    shape = torch.randn(n, 1, n_frames // 8 + 1, n_mels // 8 + 1, generator=generator)
    smooth = F.interpolate(shape, size=(n_frames, n_mels), mode="bilinear")
    level, contrast = torch.rand(2, n, 1, 1, 1, generator=generator)
    return -8 + 6 * level + (0.5 + 2 * contrast) * noise + 2.5 * smooth


@torch.no_grad()
def randomise(network, generator):
    """Gives every parameter and buffer a value that the output depends on.

    Running statistics are those of a batch, so that activations stay in range through all layers, and then moved so that nothing
    agrees that ignores them.
    """

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            normal(module.weight, (2 / module.weight[0].numel()) ** 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            last = name.endswith("c_bn")
            uniform(module.weight, *((0.2, 0.6) if last else (0.6, 1.4)))
            normal(module.bias, 0.2)
            module.momentum = 1.0  # the batch's own statistics
        elif isinstance(module, nn.Linear):
            normal(module.weight, 1.0)
            module.bias.zero_()
    network.train().logits(patches(8, 400, N_MELS, generator))
    for module in norms:
        module.momentum = 0.1
        noise = torch.randn(module.running_mean.shape, generator=generator)
        module.running_mean.add_(0.3 * noise * module.running_var.sqrt())
        noise = torch.rand(module.running_var.shape, generator=generator)
        module.running_var.mul_(0.7 + 0.8 * noise)
        module.num_batches_tracked.fill_(12_345)
    # Differences between clips, not what all clips have in common, decide the posteriors.
    logits = network.eval().logits(patches(8, 400, N_MELS, generator))
    scale = LOGIT_STD / logits.std(0).mean()
    network.head.projection.weight.mul_(scale)
    normal(network.head.projection.bias, 0.5)
    network.head.projection.bias.sub_(scale * logits.mean(0))


def optimizer_state(network):
    """Of SGD after one step, with its momentum buffers."""
    decayed = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    for p in network.parameters():
        p.grad = torch.full_like(p, 1e-3)
    optimizer.step()
    optimizer.zero_grad()
    return optimizer.state_dict()


def write_checkpoint(path, kind, network, config):
    state = network.state_dict()
    if kind == "module":
        state = OrderedDict((f"module.{name}", value) for name, value in state.items())
    elif kind == "other_head":
        weight, bias = state["head.projection.weight"], state["head.projection.bias"]
        state["head.projection.weight"] = torch.cat([weight, weight[:3]])
        state["head.projection.bias"] = torch.cat([bias, bias[:3]])
    elif kind == "missing":
        del state["s3_fuse.bn.bias"], state["s4.pathway0_res1.branch2.b.weight"]
    elif kind == "unexpected":
        state["s9.pathway0_stem.conv.weight"] = torch.zeros(2, 1, 1, 7)
    checkpoint = {
        "epoch": 29,
        "model_state": state,
        "optimizer_state": optimizer_state(network),
        "cfg": f"SLOWFAST:\n  ALPHA: 4\n  BETA_INV: 8\nRESNET:\n  WIDTH_PER_GROUP: {config['width']}\n",
    }
    torch.save(checkpoint, path, _use_new_zipfile_serialization=kind != "legacy")


def add_gradients(tensors, norms, network, generator):
    network.train(norms == "all")
    if norms == "first":
        for part in (network.s1, network.s1_fuse):
            part.train()
    x = patches(N_TRAINING, 400, N_MELS, generator)
    logits = network.logits(x)
    targets = torch.randint(logits.shape[1], (N_TRAINING,), generator=generator)
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    for name, tensor in (("input", x), ("targets", targets), ("logits", logits), ("loss", loss)):
        tensors.add(f"{norms}/{name}", tensor)
    for name, parameter in network.named_parameters():
        tensors.add(f"{norms}/gradient/{name}", parameter.grad)
    for name, buffer in network.named_buffers():
        if not name.endswith("num_batches_tracked"):
            tensors.add(f"{norms}/updated/{name}", buffer)


def frames_and_bands(text):
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither FRAMES nor FRAMESxBANDS")
    return text, int(match[1]), int(match[2] or N_MELS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=50, choices=(50, 101))
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frames", nargs="*", type=frames_and_bands, default=[frames_and_bands("400")])
    parser.add_argument("--clips", type=int, default=2, help="clips a batch in evaluation")
    parser.add_argument("--files", nargs="*", default=["plain"])
    parser.add_argument("--gradients", nargs="*", default=[], choices=("all", "first"))
    args = parser.parse_args()

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)
    config = {"width": args.width, "depth": args.depth, "classes": args.classes, "seed": args.seed}
    network = SlowFast(args.width, args.depth, args.classes, dropout=0.0)
    randomise(network, generator)

    args.out.mkdir(parents=True, exist_ok=True)
    for kind in args.files:
        write_checkpoint(args.out / f"{kind}.pyth", kind, network, config)

    tensors = Blob()
    with torch.no_grad():
        network.eval()
        for name, n_frames, n_mels in args.frames:
            x = patches(args.clips, n_frames, n_mels, generator)
            tensors.add(f"input/{name}", x)
            tensors.add(f"logits/{name}", network.logits(x))
            tensors.add(f"posteriors/{name}", network(x))
    for norms in args.gradients:
        add_gradients(tensors, norms, copy.deepcopy(network), generator)
    tensors.write(args.out, config=config)


if __name__ == "__main__":
    main()
