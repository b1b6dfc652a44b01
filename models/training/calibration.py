"""Making probabilities mean what they say, and choosing below which of them a head abstains."""

from __future__ import annotations

import numpy as np
import torch

from models.heads import Kind
from models.training.targets import masked_loss

MIN_ANSWERS = 20
"""A threshold is judged by at least that many validation answers."""

MIN_POSITIVES = 5
"""A label of a multi-label head gets a threshold of its own from that many validation rows on; 0.5 below."""

NEVER = 1.01
"""Threshold of a head that never answers; above 1, because a probability may be rounded to 1."""

CONFIDENCE = 1.2816
"""Standard normal quantile of a one-sided confidence of 90 %."""


def lower_bound(right: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Share of right answers that is exceeded with a confidence of 90 % (Wilson 1927), for counts of any shape."""
    share, square = right / total, CONFIDENCE**2
    spread = CONFIDENCE * np.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return (share + square / (2 * total) - spread) / (1 + square / total)


def fit_temperature(logits: torch.Tensor, allowed: torch.Tensor, kind: Kind = "single") -> float:
    """The temperature with the least validation loss (Guo et al. 2017): one number, found on a fine grid.

    Args:
        logits: (N, C).
        allowed: bool (N, C).
        kind: of the head: softmax over the labels, or a sigmoid for each.
    """
    weights = torch.ones(len(logits))
    grid = np.geomspace(0.25, 4.0, 161)
    losses = [float(masked_loss(logits / float(t), allowed, weights, kind)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def abstain_threshold(score: np.ndarray, right: np.ndarray, precision: float) -> float:
    """The lowest score from which on at least `precision` of the answers are right, with a confidence of 90 %.

    The bound, not the share seen, has to reach it: 20 right answers of 20 show 0.92, not 1. Few validation rows
    therefore make a careful head, not a bold one. 1.0 can't be shown by any sample; 0.99 takes 163 right answers.
    Drawn again and again, with 300 to 1,000 validation rows, the wanted share was kept on new data in 75 to 91 % of
    the draws; by the share seen in 40 to 49 %, because the luckiest of many thresholds wins.

    Args:
        score: (N,) probability of the best label.
        right: bool (N,).
        precision: wanted share, in (0, 1].

    Returns:
        0 where it is reached without abstaining; above 1 where it is never reached: the head then never answers.
    """
    if len(score) == 0:
        return NEVER
    order = np.argsort(-score, kind="stable")
    reached = lower_bound(np.cumsum(right[order]), np.arange(1, len(order) + 1))
    ends = np.append(score[order][1:] < score[order][:-1], True)  # equal scores answer together or not at all
    good = np.flatnonzero((reached >= precision) & ends & (np.arange(1, len(order) + 1) >= MIN_ANSWERS))
    if len(good) == 0:
        return NEVER
    last = int(good[-1])
    if last == len(order) - 1:
        return 0.0
    return float((score[order][last] + score[order][last + 1]) / 2)


def label_thresholds(probabilities: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """For each label of a multi-label head the threshold with the best validation F1; 0.5 where it occurs too rarely.

    Args:
        probabilities: (N, C).
        allowed: bool (N, C).

    Returns:
        float (C,).
    """
    thresholds = np.full(probabilities.shape[1], 0.5)
    for label in np.flatnonzero(allowed.sum(axis=0) >= MIN_POSITIVES):
        order = np.argsort(-probabilities[:, label], kind="stable")
        hits = np.cumsum(allowed[order, label])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + allowed[:, label].sum())
        best = int(f1.argmax())
        here = probabilities[order[best], label]
        below = probabilities[order[best + 1], label] if best + 1 < len(order) else 0.0
        thresholds[label] = (here + below) / 2
    return thresholds
