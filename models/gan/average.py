"""Moving average of a generator's weights: what it gives is steadier than the weights of the last step."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn


class AveragedWeights:
    """A copy of a network whose weights are the exponential moving average of that network's (Yaz et al. 2019).

    Args:
        network: to follow; its buffers are copied as they are.
        keep: share of the old value kept a step, in [0, 1); the first steps keep less, so that the first weights, which
            are noise, are soon forgotten.
    """

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.keep, self.steps = keep, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take over a little of the weights of `network`."""
        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        mine: list[torch.Tensor] = list(self.network.parameters())
        theirs = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - keep)
        for ours, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            ours.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        """Averaged weights and the number of steps."""
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.steps = int(state["steps"])
