"""Generators that turn a picture of one kind into one of another kind, of the same size.

`ganilla` is that of Hicsonmez et al. 2020 (GANILLA, arXiv 2002.05638), `resnet_9blocks` and `resnet_6blocks` are those
of CycleGAN (Zhu et al. 2017). `ganilla_no_skip` and `ganilla_deconv` answer what GANILLA's ablation asks: without skip
connections nothing but the deepest map (a 16th of the side) reaches the output, so the source's outline can't be
copied. In the paper's public code the two carry each other's name, and both are wrong (one gives pictures 8 times
too large, one 4 times and unbounded); here every generator gives the size it was given and values in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from models.errors import DataError

STEP = 16
"""Sides of pictures are multiples of this: GANILLA halves them four times."""

MIN_SIZE = 32
"""The deepest map must have more than one place, or there is nothing to normalize over."""


def check_size(size: int) -> int:
    """Return the side of a picture if every generator can take it.

    Raises:
        DataError: it is no multiple of 16, or below 32.
    """
    if size % STEP or size < MIN_SIZE:
        nearest = max(MIN_SIZE, round(size / STEP) * STEP)
        raise DataError(f"size is {size}: it has to be a multiple of {STEP} and at least {MIN_SIZE}, such as {nearest}")
    return size


class Mirrored(nn.Module):
    """Reflection padding, in the precision of what comes in: autocast on a CPU would copy it to float32 and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C, H + 2 width, W + 2 width)."""
        with _as_it_is(x):
            return F.pad(x, [self.width] * 4, mode="reflect")


def _padded(inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Sequential:
    """Reflection padding and a convolution that keeps the side, or halves it at stride 2."""
    return nn.Sequential(Mirrored(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride, bias=bias))


def _normed(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_padded(inputs, outputs, 3, stride), nn.InstanceNorm2d(outputs))


class Block(nn.Module):
    """GANILLA's block: two convolutions, joined to (not added to) the shortcut, and a third one."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _normed(inputs, outputs, stride), _normed(outputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(shortcut, nn.InstanceNorm2d(outputs))
        self.last = _normed(2 * outputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        made = self.second(F.relu(self.first(x)))
        return F.relu(self.last(torch.cat([made, self.shortcut(x)], dim=1)))


class Pyramid(nn.Module):
    """Laterals to equal channels, enlarged by nearest neighbor and summed from the deepest map upwards.

    Args:
        channels: of the maps, from the largest map to the deepest.
        width: of the laterals; the output has half of it.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.out = _padded(width, width // 2, 3, bias=True)

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Maps (N, c, H, W), (N, c, H/2, W/2), ... to (N, width / 2, 2 H, 2 W)."""
        x = self.laterals[-1](maps[-1])
        for lateral, one in zip(list(self.laterals)[-2::-1], maps[-2::-1], strict=True):
            x = _doubled(x) + lateral(one)
        return self.out(_doubled(x))


class BlindPyramid(nn.Module):
    """The pyramid without lateral sums: only the deepest map goes in.

    In place of each sum stands a 3x3 convolution with normalization. Without anything there, every place of the deepest
    map would become a square of 16 x 16 pixels, of which the last two convolutions could only soften the edges.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.deepest = nn.Conv2d(channels[-1], width, 1)
        self.levels = nn.ModuleList(nn.Sequential(_normed(width, width), nn.ReLU()) for _ in channels[:-1])
        self.out = _padded(width, width // 2, 3, bias=True)

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """See `Pyramid.forward`; of the maps only the last one is read."""
        x = self.deepest(maps[-1])
        for level in self.levels:
            x = level(_doubled(x))
        return self.out(_doubled(x))


class Deconvolutions(nn.Module):
    """Four transposed convolutions from the deepest map, halving the channels from four times `width` to a quarter."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        counts = [channels[-1], width * 2, width, width // 2, width // 2]
        self.steps = nn.Sequential(*(_enlarge(a, b) for a, b in pairwise(counts)))

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """See `Pyramid.forward`; of the maps only the last one is read."""
        return self.steps(maps[-1])


def _enlarge(inputs: int, outputs: int) -> nn.Sequential:
    """CycleGAN's transposed convolution: doubles the side."""
    convolution = nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1)
    return nn.Sequential(convolution, nn.InstanceNorm2d(outputs), nn.ReLU())


def _doubled(x: torch.Tensor) -> torch.Tensor:
    with _as_it_is(x):
        return F.interpolate(x, scale_factor=2, mode="nearest")


def _as_it_is(x: torch.Tensor) -> torch.autocast:
    """In here autocast changes no type."""
    return torch.autocast(x.device.type if not x.is_meta else "cpu", enabled=False)


class Generator(nn.Module):
    """What all generators have in common: parts that can be computed twice instead of being remembered.

    Attributes:
        checkpointing: forget activations inside of `parts` and compute them again in the backward pass: a third more
            time, much less memory.
    """

    checkpointing = False

    def parts(self) -> list[nn.Module]:
        """The parts in the order of the forward pass."""
        raise NotImplementedError

    def run(self, part: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        """One part, remembered or not."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False)
        return part(*inputs)


class Ganilla(Generator):
    """GANILLA's encoder with one of three ways up.

    Args:
        way_up: `Pyramid`, `BlindPyramid` or `Deconvolutions`.
        width: channels of the first convolution; 64 as published.
    """

    def __init__(self, way_up: Callable[[Sequence[int], int], nn.Module], width: int) -> None:
        super().__init__()
        first = [*_padded(3, width, 7, bias=True), nn.InstanceNorm2d(width), nn.ReLU()]
        self.stem = nn.Sequential(*first, Mirrored(1), nn.MaxPool2d(3, 2))
        widths = [width, width, 2 * width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Sequential(Block(widths[n], widths[n + 1], 1 if n == 0 else 2), Block(widths[n + 1], widths[n + 1], 1))
            for n in range(4)
        )
        self.way_up = way_up(widths[1:], 2 * width)
        self.last = _padded(width, 3, 7, bias=True)

    def parts(self) -> list[nn.Module]:
        """Stem, four layers, way up, last convolution."""
        return [self.stem, *self.layers, self.way_up, self.last]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to pictures of the same shape and range."""
        x = self.run(self.stem, x)
        maps = []
        for layer in self.layers:
            x = self.run(layer, x)
            maps.append(x)
        return torch.tanh(self.run(self.last, self.run(self.way_up, *maps)))


class ResidualBlock(nn.Module):
    """CycleGAN's block: two convolutions, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = [*_padded(width, width, 3, bias=True), nn.InstanceNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(*first, *_padded(width, width, 3, bias=True), nn.InstanceNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width, H, W) to the same."""
        return x + self.body(x)


class Resnet(Generator):
    """CycleGAN's generator: two halvings, residual blocks, two doublings.

    Args:
        blocks: 9 as published for 256 pixels, 6 for 128.
        width: channels of the first convolution; 64 as published.
    """

    def __init__(self, blocks: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_padded(3, width, 7, bias=True), nn.InstanceNorm2d(width), nn.ReLU())
        self.down = nn.ModuleList(_halve(width * factor, 2 * width * factor) for factor in (1, 2))
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.up = nn.ModuleList(_enlarge(width * factor, width * factor // 2) for factor in (4, 2))
        self.last = _padded(width, 3, 7, bias=True)

    def parts(self) -> list[nn.Module]:
        """Stem, halvings, blocks, doublings, last convolution."""
        return [self.stem, *self.down, *self.blocks, *self.up, self.last]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to pictures of the same shape and range."""
        for part in self.parts():
            x = self.run(part, x)
        return torch.tanh(x)


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, padding=1), nn.InstanceNorm2d(outputs), nn.ReLU())


GENERATORS: dict[str, Callable[[int], Generator]] = {
    "ganilla": lambda width: Ganilla(Pyramid, width),
    "ganilla_no_skip": lambda width: Ganilla(BlindPyramid, width),
    "ganilla_deconv": lambda width: Ganilla(Deconvolutions, width),
    "resnet_9blocks": lambda width: Resnet(9, width),
    "resnet_6blocks": lambda width: Resnet(6, width),
}
"""Generators by name; each is built for a width."""


def build_generator(name: str, width: int = 64) -> Generator:
    """A generator with first weights from N(0, 0.02) and biases 0, drawn from torch's default random generator.

    Raises:
        DataError: there is no generator of that name, or the width is odd or below 2.
    """
    if name not in GENERATORS:
        raise DataError(f"there is no generator {name!r}; there are {', '.join(GENERATORS)}")
    if width < 2 or width % 2:
        raise DataError(f"width is {width}: it has to be even and at least 2")
    generator = GENERATORS[name](width)
    first_weights(generator)
    return generator


def first_weights(network: nn.Module) -> None:
    """Draw the weights of every convolution from N(0, 0.02) and set its bias to 0; those without numbers stay so."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def parameter_count(network: nn.Module) -> int:
    """Numbers that learn."""
    return sum(parameter.numel() for parameter in network.parameters())
