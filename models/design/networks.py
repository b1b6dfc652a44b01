"""Networks of designers: DCGAN (Radford et al. 2015), fully connected (Goodfellow et al. 2014), a second stage.

All generators take noise (N, noise) and attributes (N, K), K may be 0, and give pictures (N, 3, S, S) in [-1, 1].
All discriminators take pictures and attributes and give a score a picture, (N,): the sigmoid is part of the loss.
Attributes join the noise of a generator (Mirza and Osindero 2014); in a convolutional discriminator they are a
projection of its last map (Miyato and Koyama 2018), so that no fully connected layer comes in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from models.design.options import check_side
from models.errors import DataError

WIDEST = 8
"""Maps have at most so many times `width` channels: 512 as published."""

HIDDEN = (256, 512, 1024)
"""Hidden layers of the fully connected networks, of a generator from noise to picture."""

RESIDUAL_BLOCKS = 2


def channels(size: int, width: int) -> list[int]:
    """Channels of the maps of 4 x 4, 8 x 8, ..., size / 2: 512, 256, 128, 64 for size 64 and width 64."""
    steps = check_side(size).bit_length() - 3  # doublings from 4 to size, without the last one
    return [width * min(WIDEST, 2**step) for step in reversed(range(steps))]


class Dcgan(nn.Module):
    """Transposed convolutions from noise to a picture, with batch normalization and ReLU; tanh at the end."""

    def __init__(self, size: int, width: int, noise: int, attributes: int) -> None:
        super().__init__()
        counts = channels(size, width)
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise + attributes, counts[0], 4, 1, 0, bias=False)]
        for inputs, outputs in pairwise(counts):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(counts[-1]), nn.ReLU(), nn.ConvTranspose2d(counts[-1], 3, 4, 2, 1)]
        self.body = nn.Sequential(*layers)

    def forward(self, noise: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """(N, noise) and (N, K) to (N, 3, S, S) in [-1, 1]."""
        return torch.tanh(self.body(torch.cat([noise, attributes], dim=1)[:, :, None, None]))


class DcganJudge(nn.Module):
    """Strided convolutions with LeakyReLU 0.2, batch normalization from the second on; no pooling."""

    def __init__(self, size: int, width: int, attributes: int) -> None:
        super().__init__()
        counts = channels(size, width)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(3, counts[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise(counts):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(counts[-1], 1, 4, 1, 0)
        self.wanted = nn.Linear(attributes, counts[-1], bias=False) if attributes else None

    def forward(self, pictures: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) and (N, K) to scores (N,): above 0 means "real, and as the attributes say"."""
        x = self.body(pictures)
        score = self.last(x)[:, 0, 0, 0]
        if self.wanted is None:
            return score
        return score + (self.wanted(attributes) * x.mean(dim=(2, 3))).sum(dim=1)


class Plain(nn.Module):
    """The first GAN's generator: fully connected, LeakyReLU 0.2, tanh at the end."""

    def __init__(self, size: int, noise: int, attributes: int) -> None:
        super().__init__()
        self.size = check_side(size)
        self.body = _connected([noise + attributes, *HIDDEN, 3 * size * size])

    def forward(self, noise: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """See `Dcgan.forward`."""
        made = self.body(torch.cat([noise, attributes], dim=1))
        return torch.tanh(made).reshape(-1, 3, self.size, self.size)


class PlainJudge(nn.Module):
    """The first GAN's discriminator: fully connected."""

    def __init__(self, size: int, attributes: int) -> None:
        super().__init__()
        self.body = _connected([3 * check_side(size) ** 2 + attributes, *HIDDEN[1::-1], 1])

    def forward(self, pictures: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """See `DcganJudge.forward`."""
        return self.body(torch.cat([pictures.flatten(1), attributes], dim=1))[:, 0]


def _connected(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Refiner(nn.Module):
    """The second stage of StackGAN (Zhang et al. 2017): a small picture and attributes to a larger picture.

    The small picture is halved twice, the attributes are laid beside every place of that map, residual blocks join
    the two, and nearest-neighbor doublings with convolutions lead up to the larger size.
    """

    def __init__(self, small: int, size: int, width: int, attributes: int) -> None:
        super().__init__()
        if size not in (2 * small, 4 * small):
            raise DataError(f"a second stage is 2 or 4 times as large as the first: {small} px can't become {size} px")
        self.down = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1),
            nn.ReLU(),
            _convolved(width, 2 * width, 2),
            _convolved(2 * width, 4 * width, 2),
        )
        self.join = _convolved(4 * width + attributes, 4 * width, 1)
        self.blocks = nn.ModuleList(_residual(4 * width) for _ in range(RESIDUAL_BLOCKS))
        doublings = (size // (small // 4)).bit_length() - 1
        counts = [max(4 * width >> step, width // 2, 1) for step in range(doublings + 1)]
        self.up = nn.ModuleList(_convolved(inputs, outputs, 1) for inputs, outputs in pairwise(counts))
        self.last = nn.Conv2d(counts[-1], 3, 3, 1, 1)

    def forward(self, pictures: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """(N, 3, s, s) in [-1, 1] and (N, K) to (N, 3, S, S) in [-1, 1]."""
        x = self.down(pictures)
        places = attributes[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        x = self.join(torch.cat([x, places], dim=1))
        for block in self.blocks:
            x = F.relu(x + block(x))
        for layer in self.up:
            x = layer(F.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.tanh(self.last(x))


class TwoStages(nn.Module):
    """A frozen first stage and the refiner of its pictures: noise and attributes in, a large picture out."""

    def __init__(self, first: nn.Module, refiner: Refiner) -> None:
        super().__init__()
        self.first, self.refiner = first.requires_grad_(requires_grad=False), refiner

    def train(self, mode: bool = True) -> TwoStages:
        """The first stage stays as it was trained: its batch normalization learns no more."""
        super().train(mode)
        self.first.eval()
        return self

    def small(self, noise: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """What the first stage draws, (N, 3, s, s)."""
        with torch.no_grad():
            return self.first(noise, attributes)

    def forward(self, noise: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        """See `Dcgan.forward`."""
        return self.refiner(self.small(noise, attributes), attributes)


def _convolved(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _residual(width: int) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(width, width, 1), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
    )


def first_weights(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02), scales of batch normalization from N(1, 0.02), and set biases to 0.

    Fully connected layers keep PyTorch's own first weights: with N(0, 0.02) nothing gets through four of them.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def build_generator(network: str, size: int, width: int, noise: int, attributes: int) -> nn.Module:
    """A generator of one stage with its first weights, drawn from torch's default random generator.

    Raises:
        DataError: there is no such network of one stage, or no such size.
    """
    if network == "plain":
        return Plain(size, noise, attributes)
    if network != "dcgan":
        raise DataError(f"{network!r} is no network of one stage; there are dcgan, plain")
    made = Dcgan(size, width, noise, attributes)
    first_weights(made)
    return made


def build_judge(network: str, size: int, width: int, attributes: int) -> nn.Module:
    """The discriminator that goes with a generator, with its first weights."""
    if network == "plain":
        return PlainJudge(size, attributes)
    made = DcganJudge(size, width, attributes)
    first_weights(made)
    return made
