"""Balance: a discriminator that is nearly always right teaches nothing, one that guesses teaches nothing either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Verdict = Literal["balanced", "discriminator_ahead", "discriminator_behind"]


@dataclass(frozen=True)
class Band:
    """Where the accuracy of a discriminator is healthy: shares of right answers over real and generated pictures."""

    low: float = 0.6
    high: float = 0.95

    def verdict(self, accuracy: float) -> Verdict:
        """What an accuracy in [0, 1], averaged over an epoch or so, says."""
        if accuracy > self.high:
            return "discriminator_ahead"
        return "discriminator_behind" if accuracy < self.low else "balanced"


def accuracy(real: torch.Tensor, fake: torch.Tensor, boundary: float) -> torch.Tensor:
    """Share of right answers, a scalar on the device of the scores; half of it is for the real pictures.

    Args:
        real: scores of real pictures, any shape.
        fake: scores of generated pictures, any shape.
        boundary: scores above it say "real": 0.5 between the targets 0 and 1, 0 for logits.
    """
    return ((real > boundary).float().mean() + (fake <= boundary).float().mean()) / 2
