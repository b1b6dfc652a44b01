"""Heads: one linear layer, or two, on the backbone's feature that answer one attribute, and may abstain.

A head has two ways to give no label of its own. It abstains (label None): it is not sure enough. Or, if it was trained
with an open set, it answers `(unknown)`: it is sure enough that the label is none of those it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.cards import Card
from models.errors import CardError, DataError
from models.open_set import PREFIX, UNKNOWN, OpenSet, open_from, open_tensors
from models.weights import load_tensors

if TYPE_CHECKING:
    from models.captioner import LoadedCaptioner

Kind = Literal["single", "multi"]
LINEAR, MLP = "linear", "mlp"
"""Architectures of a head in its card; `mlp` has the width of its hidden layer as the option `hidden`."""

HIDDEN = "hidden"
MATRICES = ("linear.weight", "hidden.weight")
ABSTAIN = "abstain"
"""Name of a single-label head's threshold in its card: below it the label is None."""


@dataclass(frozen=True)
class Answer:
    """What a head says of one garment.

    Args:
        label: the answer; None where the head abstains; `(unknown)` where an open head says: none of my labels.
        score: calibrated probability of `best`, in [0, 1], also where the head abstains.
        best: the most probable label, whatever its probability.
        extra: further answers of a multi-label head, best first.
    """

    label: str | None
    score: float
    best: str
    extra: tuple[Answer, ...] = ()


class Head(nn.Module):
    """Standardize, a hidden layer if there is one (GELU), a linear layer, divide by the temperature.

    Args:
        dim: length of the input: the feature and, after it, the extra inputs.
        classes: number of labels.
        extra_inputs: names and lengths of inputs besides the feature, such as a measured color histogram; the caller
            hands them in, in this order.
        hidden: width of the hidden layer; 0: none. It pays where inputs of two kinds have to be weighed against each
            other, such as a feature and a measured histogram.
    """

    mean: torch.Tensor
    std: torch.Tensor
    temperature: torch.Tensor

    def __init__(self, dim: int, classes: int, extra_inputs: Mapping[str, int] | None = None, hidden: int = 0) -> None:
        super().__init__()
        self.extra_inputs = dict(extra_inputs or {})
        self.dim, self.width = dim, hidden
        self.hidden = nn.Linear(dim, hidden) if hidden else None
        self.linear = nn.Linear(hidden or dim, classes)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Calibrated logits: (N, dim) float32 to (N, classes)."""
        return self.logits(self.standardized(x)) / self.temperature

    def logits(self, z: torch.Tensor, dropout: float = 0.0, generator: torch.Generator | None = None) -> torch.Tensor:
        """Logits (N, classes), not calibrated, of standardized inputs (N, dim).

        Args:
            dropout: share of the inputs, and of the hidden values, left out in training; the others grow for it.
        """
        if self.hidden is not None:
            z = F.gelu(self.hidden(dropped(z, dropout, generator)))
        return self.linear(dropped(z, dropout, generator))

    def standardized(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs (N, dim) less the training mean, over the training spread."""
        return (x - self.mean) / self.std

    def standardize_like(self, x: torch.Tensor) -> None:
        """Take mean and spread of the training inputs (N, dim); constant columns keep spread 1."""
        std, mean = torch.std_mean(x, dim=0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))


def dropped(x: torch.Tensor, share: float, generator: torch.Generator | None) -> torch.Tensor:
    """Inverted dropout whose choices come from `generator`, so that a training run can be repeated."""
    if not share:
        return x
    return x * (torch.rand(x.shape, generator=generator) >= share) / (1 - share)


class LoadedHead:
    """A head with its card: features in, answers out.

    Args:
        card: its labels are those of the module and, given an open set, `(unknown)` behind them.
        module: the linear layer.
        open_set: says how likely it is that none of the labels applies.
    """

    def __init__(self, card: Card, module: Head, open_set: OpenSet | None = None) -> None:
        self.card = card
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.open_set = open_set
        self.labels = card.labels
        self.known = card.labels if open_set is None else card.labels[:-1]
        self.kind: Kind = card.options.get("kind", "single")
        self.extra_inputs = tuple(module.extra_inputs)

    def probabilities(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, dim) float32 to (N, labels); rows sum to 1 for a single-label head."""
        logits = self.module(inputs)
        if self.kind == "multi":
            return torch.sigmoid(logits)
        known = F.softmax(logits, dim=1)
        if self.open_set is None:
            return known
        unknown = self.open_set(self.module.standardized(inputs), known)[:, None]
        return torch.cat([known * (1 - unknown), unknown], dim=1)

    def answers(self, probabilities: np.ndarray) -> list[Answer]:
        """One answer a row of probabilities float32 (N, classes)."""
        return [self._one(row) if self.kind == "single" else self._many(row) for row in probabilities]

    def _one(self, row: np.ndarray) -> Answer:
        best = int(row.argmax())
        score = float(row[best])
        label = self.labels[best]
        return Answer(label if score >= self.card.thresholds.get(ABSTAIN, 0.0) else None, score, label)

    def _many(self, row: np.ndarray) -> Answer:
        order = np.argsort(-row, kind="stable")
        said = [
            Answer(self.labels[i], float(row[i]), self.labels[i])
            for i in order
            if row[i] >= self.card.thresholds.get(self.labels[i], 0.5)
        ]
        best = int(order[0])
        if not said:
            return Answer(None, float(row[best]), self.labels[best])
        return Answer(said[0].label, said[0].score, said[0].best, tuple(said[1:]))


def join_inputs(
    features: torch.Tensor, head: LoadedHead | LoadedCaptioner, extra: Mapping[str, np.ndarray]
) -> torch.Tensor:
    """The input of a head or captioner: features (N, D) and, beside them, the extra inputs it asks for.

    Raises:
        DataError: an extra input is not there or has the wrong shape.
    """
    if not head.extra_inputs:
        return features
    parts = [features]
    for name in head.extra_inputs:
        length = head.module.extra_inputs[name]
        if name not in extra:
            raise DataError(f"{head.card.role} {head.card.name!r} needs the input {name!r}, which was not handed in")
        values = torch.as_tensor(np.asarray(extra[name], np.float32), device=features.device)
        if values.shape != (len(features), length):
            raise DataError(f"input {name!r} has the shape {tuple(values.shape)}, not {(len(features), length)}")
        parts.append(values)
    return torch.cat(parts, dim=1)


def load_head(card: Card, folder: Path, device: str, dim: int) -> LoadedHead:
    """Load a head that reads features of length `dim`.

    Raises:
        CardError: weights missing or altered, or made for another backbone or other labels.
    """
    hidden = int(card.options.get(HIDDEN, 0))
    if card.architecture != (MLP if hidden else LINEAR):
        raise CardError(
            f"head {card.name!r}: architecture {card.architecture!r} with {hidden} hidden values; "
            f"there are {LINEAR}, and {MLP} with the option {HIDDEN}"
        )
    tensors = {name: tensor.float() for name, tensor in load_tensors(card, folder).items()}
    open_set = open_from(tensors)
    if (open_set is not None) != (UNKNOWN in card.labels[-1:]):
        raise CardError(f"head {card.name!r}: the label {UNKNOWN} goes with open-set weights, and neither without")
    extra = {name: int(length) for name, length in dict(card.options.get("extra_inputs", {})).items()}
    module = Head(dim + sum(extra.values()), len(card.labels) - (open_set is not None), extra, hidden)
    try:
        module.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(PREFIX)})
    except RuntimeError as error:
        raise CardError(
            f"head {card.name!r} does not fit a backbone of {dim} numbers and its labels: {error}"
        ) from None
    return LoadedHead(card, module.to(device), open_set.to(device) if open_set is not None else None)


def head_tensors(module: Head, open_set: OpenSet | None = None) -> dict[str, torch.Tensor]:
    """What a head's safetensors file holds: matrices in float16, the rest in float32."""
    tensors = module.state_dict()
    made = {name: tensor.half() if name in MATRICES else tensor for name, tensor in tensors.items()}
    return made if open_set is None else made | open_tensors(open_set)


def labels_of(answer: Answer) -> Sequence[str]:
    """All labels an answer gives, best first; empty where the head abstained."""
    return [a.label for a in (answer, *answer.extra) if a.label is not None]
