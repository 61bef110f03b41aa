"""Training steps of the reference network in plain eager PyTorch, for the bench `throughput` to time its own against.

Reads `K` a line from standard input, does K steps, and answers with the seconds they took. The first answer, without a question,
is the number of parameters. Channels last in memory and autocast as PyTorch's own recipes have it on a GPU.
"""

import argparse
import sys
import time

import torch
from torch.nn import functional as F

from slowfast import SlowFast


def optimizer(network):
    """Batch norm does not decay."""
    norms = [p for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()]
    ids = {id(p) for p in norms}
    others = [p for p in network.parameters() if id(p) not in ids]
    groups = [{"params": others, "weight_decay": 1e-4}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=("f32", "bf16"), required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    device = torch.device(args.device)
    network = SlowFast(args.width, args.depth, args.classes).to(device).train()
    on_gpu = device.type == "cuda"
    memory_format = torch.channels_last if on_gpu else torch.contiguous_format
    if on_gpu:
        network = network.to(memory_format=memory_format)
    sgd = optimizer(network)
    views = 3 * torch.randn(args.batch, 1, 400, 128) - 5
    classes = torch.arange(args.batch) % args.classes

    def step():
        x = views.to(device).contiguous(memory_format=memory_format)
        targets = classes.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16"):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), targets)
        value = loss.item()
        assert value == value, "loss is no number"
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return (logits.argmax(1) == targets).float().mean().item()

    print(sum(p.numel() for p in network.parameters()), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        if on_gpu:
            torch.cuda.synchronize()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
