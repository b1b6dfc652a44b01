"""Augmentation that respects what is learned: hues stay when color is learned, marks keep their direction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Augmentation:
    """What may be changed in a training picture.

    Args:
        flip: mirror half of the pictures.
        crop: a cut-out keeps at least this share of each side, in (0, 1].
        turn: degrees it is turned by, at the most.
        hue: degrees the hue is turned by, at the most.
        saturation: share by which colors get stronger or weaker, at the most.
        light: share by which brightness and contrast change, at the most.
        erase: probability that a random rectangle is painted over.
    """

    flip: bool = True
    crop: float = 0.75
    turn: float = 8.0
    hue: float = 15.0
    saturation: float = 0.3
    light: float = 0.25
    erase: float = 0.25


NOTHING = Augmentation(flip=False, crop=1.0, turn=0.0, hue=0.0, saturation=0.0, light=0.0, erase=0.0)


def augmentation_for(heads: Iterable[str]) -> Augmentation:
    """What may be changed when these heads learn together: what every one of them allows.

    Color keeps hue and saturation and nearly its light. Brand and caption keep the direction of marks and words, and
    most of the picture, because a mark is small.
    """
    names = set(heads)
    color = bool(names & {"color", "caption"})
    mark = bool(names & {"brand", "caption"})
    return Augmentation(
        flip=not mark,
        crop=0.85 if mark else 0.75,
        turn=5.0 if mark else 8.0,
        hue=0.0 if color else 15.0,
        saturation=0.05 if color else 0.3,
        light=0.1 if color else 0.25,
        erase=0.0 if mark else 0.25,
    )


def augment(pictures: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Change each picture in its own random way.

    Args:
        pictures: uint8 (N, 3, S, S).
        generator: source of all randomness.

    Returns:
        float32 (N, 3, S, S) in 0..255, not rounded.
    """
    x = pictures.to(torch.float32)
    if how == NOTHING:
        return x
    x = _moved(x, how, generator)
    x = _recolored(x, how, generator)
    return _erased(x, how, generator).clamp_(0, 255)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _moved(x: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Cut out, turn and mirror in one resampling; beyond the edge lies the edge's color."""
    n = len(x)
    scale = _uniform(n, how.crop, 1.0, generator)
    angle = _uniform(n, -how.turn, how.turn, generator) * math.pi / 180
    mirror = torch.where(torch.rand(n, generator=generator) < (0.5 if how.flip else 0.0), -1.0, 1.0)
    shift = (torch.rand(n, 2, generator=generator) * 2 - 1) * (1 - scale)[:, None]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], dim=1)
    grid = F.affine_grid(rows.reshape(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _recolored(x: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Turn the hue and scale the saturation around the gray axis, then change contrast and brightness."""
    n = len(x)
    angle = _uniform(n, -how.hue, how.hue, generator) * math.pi / 180
    strength = _uniform(n, 1 - how.saturation, 1 + how.saturation, generator)
    bright = _uniform(n, 1 - how.light, 1 + how.light, generator)
    contrast = _uniform(n, 1 - how.light, 1 + how.light, generator)
    gray = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    chroma = torch.eye(3) - gray  # Rodrigues: turning around (1, 1, 1) leaves grays where they are
    turned = angle.cos()[:, None, None] * chroma + angle.sin()[:, None, None] * cross
    matrix = (gray + strength[:, None, None] * turned) * (bright * contrast)[:, None, None]
    mean = x.mean(dim=(1, 2, 3))
    offset = (bright * (1 - contrast) * mean)[:, None, None, None]
    return torch.einsum("nij,njhw->nihw", matrix, x) + offset


def _erased(x: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    n, _, height, width = x.shape
    chosen = torch.rand(n, generator=generator) < how.erase
    sides = torch.rand(n, 4, generator=generator)
    for row in torch.nonzero(chosen)[:, 0].tolist():
        tall, wide = (0.1 + 0.25 * sides[row, :2] * torch.tensor([1.0, 1.0])).tolist()
        top, left = (sides[row, 2:] * torch.tensor([1 - tall, 1 - wide])).tolist()
        a, b = int(top * height), int(left * width)
        x[row, :, a : a + int(tall * height), b : b + int(wide * width)] = x[row].mean(dim=(1, 2), keepdim=True)
    return x
