"""Auditory SlowFast in plain PyTorch: what the trainer's network is compared with.

Kazakos et al., "Slow-fast auditory streams for audio recognition", ICASSP 2021; the names of parameters and buffers are those of
the authors' checkpoints. Needs torch alone. Maps are (B, channels, time, frequency); pathway 0 is the slow one.
"""

import torch
from torch import nn
from torch.nn import functional as F

ALPHA = 4  # frames of the fast pathway a frame of the slow one
BETA_INV = 8  # channels of the slow pathway a channel of the fast one
FUSION_RATIO = 2  # channels that the fusion makes of one of the fast pathway
FUSION_KERNEL = 7
POOL = ((25, 4), (100, 4))  # (time, frequency) of the last maps of a view of 400 frames
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
KERNEL_T = ((1, 1, 3, 3), (3, 3, 3, 3))  # by pathway and stage
STRIDE_F = (1, 2, 2, 2)
STEM_KERNEL_T = (1, 5)


def conv(n_in, n_out, kernel, stride=(1, 1)):
    """A convolution without bias that keeps an odd kernel centred."""
    padding = tuple(k // 2 for k in kernel)
    return nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=padding, bias=False)


def norm(n):
    return nn.BatchNorm2d(n, eps=1e-5, momentum=0.1)


def drop_path(x, rate, training):
    """Leaves out the residual of a clip with probability `rate`, and scales what remains (Huang et al. 2016)."""
    if rate == 0 or not training:
        return x
    kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= rate
    return x * kept.to(x.dtype) / (1 - rate)


class Stem(nn.Module):
    def __init__(self, n_out, kernel_t):
        super().__init__()
        self.conv = conv(1, n_out, (kernel_t, 7), stride=(2, 2))
        self.bn = norm(n_out)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.bn(self.conv(x))), kernel_size=3, stride=2, padding=1)


class Stems(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.pathway0_stem = Stem(widths[0], STEM_KERNEL_T[0])
        self.pathway1_stem = Stem(widths[1], STEM_KERNEL_T[1])

    def forward(self, slow, fast):
        return self.pathway0_stem(slow), self.pathway1_stem(fast)


class Fuse(nn.Module):
    """Appends the fast pathway, at the slow one's rate, to the slow pathway's channels."""

    def __init__(self, n_fast):
        super().__init__()
        self.conv_f2s = conv(n_fast, n_fast * FUSION_RATIO, (FUSION_KERNEL, 1), stride=(ALPHA, 1))
        self.bn = norm(n_fast * FUSION_RATIO)

    def forward(self, slow, fast):
        return torch.cat([slow, F.relu(self.bn(self.conv_f2s(fast)))], dim=1), fast


class Bottleneck(nn.Module):
    def __init__(self, n_in, n_inner, n_out, kernel_t, stride_f):
        super().__init__()
        self.a = conv(n_in, n_inner, (kernel_t, 1))
        self.a_bn = norm(n_inner)
        self.b = conv(n_inner, n_inner, (1, 3), stride=(1, stride_f))
        self.b_bn = norm(n_inner)
        self.c = conv(n_inner, n_out, (1, 1))
        self.c_bn = norm(n_out)

    def forward(self, x):
        x = F.relu(self.a_bn(self.a(x)))
        x = F.relu(self.b_bn(self.b(x)))
        return self.c_bn(self.c(x))


class Block(nn.Module):
    def __init__(self, n_in, n_inner, n_out, kernel_t, stride_f, drop):
        super().__init__()
        if n_in != n_out or stride_f != 1:
            self.branch1 = conv(n_in, n_out, (1, 1), stride=(1, stride_f))
            self.branch1_bn = norm(n_out)
        self.branch2 = Bottleneck(n_in, n_inner, n_out, kernel_t, stride_f)
        self.drop = drop

    def forward(self, x):
        shortcut = self.branch1_bn(self.branch1(x)) if hasattr(self, "branch1") else x
        return F.relu(shortcut + drop_path(self.branch2(x), self.drop, self.training))


class Stage(nn.Module):
    """One stage of both pathways; `n_in`, `n_inner`, `n_out` hold a number for each."""

    def __init__(self, stage, n_blocks, n_in, n_inner, n_out, drop):
        super().__init__()
        self.n_blocks = n_blocks
        for p in (0, 1):
            for i in range(n_blocks):
                first = i == 0
                block = Block(
                    n_in[p] if first else n_out[p],
                    n_inner[p],
                    n_out[p],
                    KERNEL_T[p][stage],
                    STRIDE_F[stage] if first else 1,
                    drop,
                )
                self.add_module(f"pathway{p}_res{i}", block)

    def forward(self, *maps):
        out = []
        for p, x in enumerate(maps):
            for i in range(self.n_blocks):
                x = getattr(self, f"pathway{p}_res{i}")(x)
            out.append(x)
        return tuple(out)


class Head(nn.Module):
    def __init__(self, n_in, n_classes, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(n_in, n_classes)

    def forward(self, slow, fast):
        """Logits (B, positions in time, positions in frequency, n_classes)."""
        pooled = [F.avg_pool2d(x, kernel_size=k, stride=1) for x, k in zip((slow, fast), POOL)]
        features = torch.cat(pooled, dim=1).permute(0, 2, 3, 1)
        return self.projection(self.dropout(features))


class SlowFast(nn.Module):
    """Log-mel patches (B, 1, T, 128), T divisible by 4; 400 frames leave the head one position."""

    def __init__(self, width_per_group=64, depth=50, n_classes=44, dropout=0.5, drop_path=0.0):
        super().__init__()
        width = (width_per_group, width_per_group // BETA_INV)
        self.s1 = Stems(width)
        self.s1_fuse = Fuse(width[1])
        n_in = [width[0] + FUSION_RATIO * width[1], width[1]]
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            n_inner = [w << stage for w in width]
            n_out = [4 * n for n in n_inner]
            self.add_module(f"s{stage + 2}", Stage(stage, n_blocks, n_in, n_inner, n_out, drop_path))
            if stage < 3:
                self.add_module(f"s{stage + 2}_fuse", Fuse(n_out[1]))
            n_in = [n_out[0] + FUSION_RATIO * n_out[1], n_out[1]]
        self.head = Head(sum(n_out), n_classes, dropout)
        self.initialise()

    def initialise(self):
        """He et al. 2015 over the outputs; a block begins as its shortcut."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.c_bn.weight)

    def positions(self, x):
        """Logits at each position of the head, (B, time, frequency, n_classes)."""
        n_frames = x.shape[2]
        # Truncated, not rounded: 0, 4, ..., 128, 133, ..., 399 for 400 frames.
        slow = torch.linspace(0, n_frames - 1, n_frames // ALPHA, dtype=torch.float64).long()
        maps = (x.index_select(2, slow.to(x.device)), x)
        maps = self.s1_fuse(*self.s1(*maps))
        maps = self.s2_fuse(*self.s2(*maps))
        maps = self.s3_fuse(*self.s3(*maps))
        maps = self.s4_fuse(*self.s4(*maps))
        return self.head(*self.s5(*maps))

    def logits(self, x):
        """Logits (B, n_classes), mean over positions."""
        return self.positions(x).mean((1, 2))

    def forward(self, x):
        """Posteriors (B, n_classes) in evaluation, mean over positions; logits in training."""
        if self.training:
            return self.logits(x)
        return self.positions(x).float().softmax(-1).mean((1, 2))
