"""From label texts to what a loss needs, and the losses: rows without a label contribute nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from models.errors import DataError
from models.heads import Kind

MISSING = -1
BETWEEN = "|"
"""Separates labels: any one of them (single-label head), or all of them (multi-label head)."""


@dataclass(frozen=True)
class Plan:
    """One head to train: the attribute, its labels, and the weight of its loss in the sum."""

    head: str
    kind: Kind
    labels: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Targets:
    """Labels of N rows: `codes` int32 (N,) points into the distinct `sets` bool (K, C), `MISSING` where unlabelled."""

    codes: np.ndarray
    sets: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """bool (N,): which rows have a label."""
        return self.codes != MISSING

    def allowed(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """bool (n, C): labels of these rows; all false where missing."""
        codes = self.codes[rows]
        return self.sets[codes] & (codes != MISSING)[:, None]


def split_labels(text: str | None) -> tuple[str, ...]:
    """`A|B` to (A, B); None to nothing."""
    return () if not isinstance(text, str) else tuple(part.strip() for part in text.split(BETWEEN) if part.strip())


def plan_head(head: str, texts: Iterable[str | None], kind: Kind = "single", min_count: int = 10) -> Plan:
    """Choose a head's labels: those with at least `min_count` training rows, in alphabetical order.

    Raises:
        DataError: fewer than two labels are left; the message says how many rows each label has.
    """
    counts = count_labels(texts, kind)
    kept = frequent(counts, min_count)
    if len(kept) < (2 if kind == "single" else 1):
        most = ", ".join(f"{label} {count}" for label, count in counts.most_common(5)) or "no labels at all"
        raise DataError(
            f"head {head!r} has {len(kept)} labels with at least {min_count} training rows, which is too few to learn; "
            f"most frequent: {most}; --min-count sets how many a label needs"
        )
    return Plan(head, kind, kept)


def count_labels(texts: Iterable[str | None], kind: Kind) -> Counter[str]:
    """Rows of each label; for a single-label head only rows with exactly one label count."""
    counts: Counter[str] = Counter()
    for text in texts:
        said = split_labels(text)
        if kind == "multi" or len(said) == 1:
            counts.update(said)
    return counts


def frequent(counts: Counter[str], min_count: int) -> tuple[str, ...]:
    """The labels with at least `min_count` rows, in alphabetical order."""
    return tuple(sorted(label for label, count in counts.items() if count >= min_count))


def encode(texts: Sequence[str | None], plan: Plan) -> Targets:
    """Labels of every row in the plan's terms; a row whose labels the plan does not have is unlabelled."""
    place = {label: number for number, label in enumerate(plan.labels)}
    distinct: dict[tuple[int, ...], int] = {}
    codes = np.full(len(texts), MISSING, np.int32)
    for row, text in enumerate(texts):
        said = tuple(sorted({place[label] for label in split_labels(text) if label in place}))
        if said:
            codes[row] = distinct.setdefault(said, len(distinct))
    sets = np.zeros((max(1, len(distinct)), len(plan.labels)), bool)
    for labels, code in distinct.items():
        sets[code, list(labels)] = True
    return Targets(codes, sets)


def row_weights(targets: Targets, balance: float, counted: np.ndarray) -> np.ndarray:
    """float32 (N,): rarer labels weigh more, to the power `balance` (0 none, 1 every label alike).

    Args:
        counted: bool (N,), the rows that say how rare a label is, those of training; their labelled ones have mean 1,
            the others 0.
    """
    there = targets.known & counted
    counts = np.bincount(targets.codes[there], minlength=len(targets.sets)).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -balance, 0.0)
    rows = np.where(there, weights[targets.codes], 0.0)
    total = rows.sum()
    return (rows * (there.sum() / total if total > 0 else 1.0)).astype(np.float32)


def masked_loss(
    logits: torch.Tensor, allowed: torch.Tensor, weights: torch.Tensor, kind: Kind, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean loss over the labelled rows; exactly 0, with zero gradient, where no row has a label.

    Args:
        logits: (N, C).
        allowed: bool (N, C).
        weights: float (N,), 0 for rows without a label.
        kind: softmax cross entropy over the allowed labels together, or binary cross entropy a label.
        smoothing: share of the target spread evenly over all labels (single-label heads).
    """
    if kind == "multi":
        rows = F.binary_cross_entropy_with_logits(logits, allowed.to(logits.dtype), reduction="none").mean(dim=1)
    else:
        logs = F.log_softmax(logits, dim=1)
        inside = logs.masked_fill(~allowed, -1e9).logsumexp(dim=1)
        rows = -(1 - smoothing) * inside - smoothing * logs.mean(dim=1)
    rows = torch.where(weights > 0, rows, torch.zeros_like(rows))
    return (rows * weights).sum() / weights.sum().clamp(min=1.0)
