"""Teaching a head to say "none of my labels": labels left out of training stand for those nobody has seen yet.

Outside are the labels with too few rows to be learned, and a share of the others chosen by hash. Half of the outside
labels (by hash again) calibrate the answer, the other half only test it: what is reported was measured on labels that
neither the layer nor the calibration has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from models.errors import DataError
from models.heads import Head
from models.open_set import EVIDENCE, OpenSet
from models.training.heads import Examples
from models.training.splits import TEST, TRAIN
from models.training.targets import Plan, Targets, split_labels

RANK = 512
"""Directions kept of the whitened input: half the bytes of all 1280, and nearly their figures."""
BANK = 8000
"""Training pictures kept for comparison, at most: 8 MB in the head's weights."""
SHRINK = 0.3
"""Weight of a round covariance mixed into the measured one (Ledoit and Wolf 2004); 0.1 to 0.6 gave the same figures."""
FEWEST = 20
"""Outside rows needed on either side, to calibrate and to test."""


@dataclass(frozen=True)
class OpenRequest:
    """Which heads may answer `(unknown)`.

    Args:
        heads: their names.
        leave_out: share of the labels kept out of training, in [0, 1), besides those with too few rows.
        expected: share of the pictures to come that is expected to show an unknown label, in (0, 1).
        seed: another seed leaves out other labels.
    """

    heads: tuple[str, ...] = ()
    leave_out: float = 0.1
    expected: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.leave_out < 1 and 0 < self.expected < 1):
            raise DataError(f"the shares left out and expected unknown lie in [0, 1) and (0, 1), not {self}")


def leave_out(texts: Sequence[str | None], wanted: OpenRequest) -> list[str | None]:
    """The label texts without the rows that bear a label left out: None in their place."""
    hidden = {label for label in _labels(texts) if _hash(f"{wanted.seed} leave out", label) < wanted.leave_out}
    return [None if hidden.intersection(split_labels(text)) else text for text in texts]


def outside(texts: Sequence[str | None], plan: Plan) -> np.ndarray:
    """The label of each row that has one label which the plan does not have; None elsewhere. object (N,)."""
    known = set(plan.labels)
    said = [split_labels(text) for text in texts]
    return np.array([one[0] if len(one) == 1 and one[0] not in known else None for one in said], object)


def calibrates(label: str, seed: int) -> bool:
    """Whether an outside label calibrates; the others test."""
    return _hash(f"{seed} calibrate", label) < 0.5


def calibration_rows(labels: np.ndarray, parts: np.ndarray, wanted: OpenRequest, head: str) -> np.ndarray:
    """Rows with an outside label that calibrate.

    Raises:
        DataError: there are too few on either side.
    """
    mine = np.array([label is not None and calibrates(label, wanted.seed) for label in labels])
    rows, tests = np.flatnonzero(mine & (parts != TEST)), sum(label is not None for label in labels) - int(mine.sum())
    if min(len(rows), tests) < FEWEST:
        raise DataError(
            f"head {head!r} can't learn to answer (unknown): {len(rows)} rows of labels outside it are there to "
            f"calibrate and {tests} to test, {FEWEST} of each are needed; leave out a larger share of the labels"
        )
    return rows


def as_expected(unknown: np.ndarray, known: int, expected: float) -> np.ndarray:
    """Of the unknown rows as many, evenly spaced, as make up the share `expected` beside `known` others."""
    count = min(len(unknown), max(FEWEST, round(expected / (1 - expected) * known)))
    return unknown[np.unique(np.linspace(0, len(unknown) - 1, count).astype(int))]


def fit_open_set(
    head: Head, examples: Examples, targets: Targets, known: np.ndarray, unknown: np.ndarray, expected: float
) -> OpenSet:
    """Compare with the training pictures, and weigh the evidence on rows the head was not trained on.

    Args:
        head: trained and calibrated on its own labels.
        targets: of those labels.
        known: validation rows with a known label.
        unknown: rows with an outside label.
        expected: share of unknown pictures that the probabilities are meant for; the rows are weighed accordingly.
    """
    one = targets.sets.sum(axis=1) == 1
    rows = np.flatnonzero((examples.parts == TRAIN) & targets.known & one[targets.codes])
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(BANK, len(rows))).astype(int))]
    with torch.no_grad():
        x = head.standardized(examples.inputs(rows, head))
        codes = torch.from_numpy(targets.sets[targets.codes[rows]].argmax(axis=1))
        module = OpenSet(x.shape[1], min(RANK, x.shape[1]), len(rows))
        # float16 before weighing: what is weighed is what ships
        module.directions.copy_(whitening(x, codes, module.directions.shape[1]).half())
        module.bank.copy_(module.whiten(x).half())
        module.codes.copy_(codes)
        seen = torch.cat([_evidence(module, head, examples, part) for part in (known, unknown)])
    truth = torch.cat([torch.zeros(len(known)), torch.ones(len(unknown))])
    share = torch.where(truth > 0, expected / max(1, len(unknown)), (1 - expected) / max(1, len(known)))
    weights, bias = logistic(seen, truth, share)
    module.weights.copy_(weights)
    module.bias.copy_(bias)
    return module


def whitening(x: torch.Tensor, codes: torch.Tensor, rank: int) -> torch.Tensor:
    """Directions float32 (D, rank) along which spread within labels is 1 and spread between them largest.

    Args:
        x: standardized inputs (N, D).
        codes: labels (N,).
    """
    x = x.double()
    sums = torch.zeros(int(codes.max()) + 1, x.shape[1], dtype=x.dtype).index_add_(0, codes, x)
    within = x - (sums / torch.bincount(codes).clamp(min=1)[:, None])[codes]
    covariance = within.T @ within / len(x)
    round_one = torch.eye(len(covariance), dtype=x.dtype) * covariance.trace().clamp(min=1e-6) / len(covariance)
    values, vectors = torch.linalg.eigh((1 - SHRINK) * covariance + SHRINK * round_one)
    white = vectors / values.sqrt()
    spread = (x - x.mean(dim=0)) @ white
    _, turn = torch.linalg.eigh(spread.T @ spread)
    return (white @ turn[:, -rank:]).float()


def logistic(evidence: torch.Tensor, truth: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (E,) and bias of a logistic regression, float32, with a slight pull towards 0.

    Args:
        evidence: (N, E).
        truth: 0 or 1, (N,).
        share: weight of each row, (N,), summing to 1.
    """
    evidence, truth, share = evidence.double(), truth.double(), share.double()
    std, mean = torch.std_mean(evidence, dim=0, correction=0)
    std = std.clamp(min=1e-6)
    x = torch.cat([(evidence - mean) / std, torch.ones(len(evidence), 1, dtype=evidence.dtype)], dim=1)
    found = torch.zeros(EVIDENCE + 1, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([found], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (
            F.binary_cross_entropy_with_logits(x @ found, truth, share, reduction="sum")
            + 1e-3 * found[:-1].square().sum()
        )
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    weights = found.detach()[:-1] / std
    return weights.float(), (found.detach()[-1] - (weights * mean).sum()).float()


def _evidence(module: OpenSet, head: Head, examples: Examples, rows: np.ndarray) -> torch.Tensor:
    inputs = examples.inputs(rows, head)
    return module.evidence(head.standardized(inputs), torch.softmax(head(inputs), dim=1))


def _labels(texts: Sequence[str | None]) -> set[str]:
    return {label for text in texts for label in split_labels(text)}


def _hash(purpose: str, label: str) -> float:
    """In [0, 1); the same for a label in every run."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{label}".encode()).digest()[:8], "big") / 2**64
