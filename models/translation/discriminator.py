"""The 70 x 70 PatchGAN (Isola et al. 2017): says of every patch of a picture whether it is real."""

from __future__ import annotations

import torch
from torch import nn

from models.translation.networks import first_weights


class PatchDiscriminator(nn.Module):
    """Five convolutions of 4 x 4; one output sees 70 x 70 pixels.

    Args:
        width: channels of the first convolution; 64 as published.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, padding=1), nn.LeakyReLU(0.2)]
        counts = [width, 2 * width, 4 * width, 8 * width]
        for inputs, outputs, stride in zip(counts[:-1], counts[1:], (2, 2, 1), strict=True):
            convolution = nn.Conv2d(inputs, outputs, 4, stride, padding=1)
            layers += [convolution, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (N, 3, S, S) in [-1, 1] to a score a patch, (N, 1, S/8 - 2, S/8 - 2), without a sigmoid."""
        return self.body(x)


def build_discriminator(width: int = 64) -> PatchDiscriminator:
    """A discriminator with first weights from N(0, 0.02)."""
    discriminator = PatchDiscriminator(width)
    first_weights(discriminator)
    return discriminator
