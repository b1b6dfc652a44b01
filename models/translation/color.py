"""The color of a garment as a network can learn from it: a mean over the pixels that stand out from the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F

RING = 16
"""The border that is taken for background is a RING-th of the side wide."""

STANDS_OUT, SOFTNESS = 0.3, 0.06
"""Distance from the background (values in [-1, 1]) at which a pixel counts half, and how gradually it gets there."""

LEAST = 0.01
"""Weight of a pixel that is background: a white dress before white has a color, too."""


def foreground_weights(x: torch.Tensor) -> torch.Tensor:
    """How much each pixel belongs to the garment: float32 (N, 1, S, S) above 0, without gradient.

    Central pixels that differ from the median of the border count; a garment that reaches the border all around is not
    told from its background, and then the center decides.

    Args:
        x: (N, 3, S, S) in [-1, 1].
    """
    x = x.detach().float()
    side = x.shape[-1]
    ring = max(1, side // RING)
    strips = x[:, :, :ring], x[:, :, -ring:], x[:, :, ring:-ring, :ring], x[:, :, ring:-ring, -ring:]
    border = torch.cat([strip.flatten(2) for strip in strips], dim=2)
    background = border.median(dim=2).values[:, :, None, None]
    distance = (x - background).square().sum(dim=1, keepdim=True).sqrt()
    place = torch.linspace(-1, 1, side, device=x.device)
    center = torch.exp(-(place[:, None].square() + place[None, :].square()))
    return center * (LEAST + torch.sigmoid((distance - STANDS_OUT) / SOFTNESS))


def garment_color(x: torch.Tensor) -> torch.Tensor:
    """Mean color of the garment, float32 (N, 3) in [-1, 1]; the gradient goes to the pixels, not to the weights.

    Args:
        x: (N, 3, S, S) in [-1, 1].
    """
    weights = foreground_weights(x)
    return (weights * x.float()).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))


def color_error(fake: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the garments' colors of pictures and of what was made of them, a scalar in [0, 2]."""
    return F.l1_loss(garment_color(fake), garment_color(source))
