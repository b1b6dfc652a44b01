"""Balance: a discriminator that is nearly always right teaches nothing, one that guesses teaches nothing either.

Both directions are detected from the share of its right answers, and can be acted on while a training runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

Verdict = Literal["balanced", "discriminator_ahead", "discriminator_behind"]
ACTIONS = ("report", "skip", "ratio")
"""What can be done about a lost balance: nothing, skip a step of the side that is ahead, more steps of the other."""

MEMORY = 20
"""Steps that the running accuracy looks back on, about."""

PATIENCE = 10
"""Steps out of balance after which `ratio` changes by one more."""

MOST_STEPS = 4
"""Steps that one side makes at the most while the other makes one."""


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


class BalanceMonitor:
    """Follows a discriminator's accuracy and says how many steps each side should make.

    `skip`: the side that is ahead makes none until the balance is back. `ratio`: the side that is behind makes more
    steps, one more for every `PATIENCE` steps out of balance, up to `MOST_STEPS`; one less for as many in balance.

    Args:
        action: one of `ACTIONS`.
        band: where all is well.
    """

    def __init__(self, action: str, band: Band | None = None) -> None:
        self.action, self.band = action, band or Band()
        self.accuracy, self.steps, self.extra, self.waited = 0.75, 0, 0, 0

    @property
    def verdict(self) -> Verdict:
        """Of the running accuracy."""
        return self.band.verdict(self.accuracy)

    def see(self, accuracy: float) -> None:
        """Take in the accuracy of one step, also of one in which the discriminator did not learn."""
        self.steps += 1
        self.accuracy += (accuracy - self.accuracy) / min(self.steps, MEMORY)
        self.waited += 1
        if self.waited >= PATIENCE:
            self.waited = 0
            wanted = {"discriminator_ahead": -MOST_STEPS, "discriminator_behind": MOST_STEPS, "balanced": 0}
            towards = wanted[self.verdict] - self.extra
            limit = MOST_STEPS - 1
            self.extra = max(-limit, min(limit, self.extra + (towards > 0) - (towards < 0)))

    def plan(self) -> tuple[int, int]:
        """Steps of the discriminator and of the generator to make now."""
        if self.action == "skip":
            return int(self.verdict != "discriminator_ahead"), int(self.verdict != "discriminator_behind")
        if self.action == "ratio":
            return 1 + max(0, self.extra), 1 + max(0, -self.extra)
        return 1, 1

    def state_dict(self) -> dict[str, Any]:
        """The numbers, for a checkpoint."""
        return {"accuracy": self.accuracy, "steps": self.steps, "extra": self.extra, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.accuracy, self.steps = float(state["accuracy"]), int(state["steps"])
        self.extra, self.waited = int(state["extra"]), int(state["waited"])


def accuracy(real: torch.Tensor, fake: torch.Tensor, boundary: float) -> torch.Tensor:
    """Share of right answers, a scalar on the device of the scores; half of it is for the real pictures.

    Args:
        real: scores of real pictures, any shape.
        fake: scores of generated pictures, any shape.
        boundary: scores above it say "real": 0.5 between the targets 0 and 1, 0 for logits.
    """
    return ((real > boundary).float().mean() + (fake <= boundary).float().mean()) / 2
