"""The pool of generated pictures that a discriminator learns from (Shrivastava et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch


class ImagePool:
    """Gives a discriminator old fakes among the new ones, so that it does not forget what generators did before.

    Args:
        capacity: pictures kept; 50 as published; 0 passes everything through.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.pictures: list[torch.Tensor] = []

    def exchange(self, fakes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Pictures to learn from now: (N, 3, S, S), same shape, without gradient.

        While the pool fills, new pictures are kept and passed on. Then, half of the time, a new one takes the place of
        an old one, which is returned; the other half the new one is returned.
        """
        fakes = fakes.detach()
        if self.capacity == 0:
            return fakes
        return torch.stack([self._one(fake, generator) for fake in fakes])

    def _one(self, fake: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if len(self.pictures) < self.capacity:
            self.pictures.append(fake.clone())
            return fake
        if torch.rand((), generator=generator) < 0.5:
            return fake
        place = int(torch.randint(0, self.capacity, (), generator=generator))
        old, self.pictures[place] = self.pictures[place], fake.clone()
        return old

    def state_dict(self) -> dict[str, Any]:
        """The pictures, for a checkpoint."""
        return {"pictures": self.pictures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.pictures = list(state["pictures"])
