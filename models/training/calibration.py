"""Making probabilities mean what they say, and choosing below which of them a head abstains."""

from __future__ import annotations

import numpy as np
import torch

from models.training.targets import masked_loss

MIN_ANSWERS = 20
"""A threshold is judged by at least that many validation answers."""


def fit_temperature(logits: torch.Tensor, allowed: torch.Tensor) -> float:
    """The temperature with the least validation loss (Guo et al. 2017): one number, found on a fine grid.

    Args:
        logits: (N, C) of a single-label head.
        allowed: bool (N, C).
    """
    weights = torch.ones(len(logits))
    grid = np.geomspace(0.25, 4.0, 161)
    losses = [float(masked_loss(logits / float(t), allowed, weights, "single")) for t in grid]
    return float(grid[int(np.argmin(losses))])


def abstain_threshold(score: np.ndarray, right: np.ndarray, precision: float) -> float:
    """The lowest score from which on at least `precision` of the validation answers are right.

    Args:
        score: (N,) probability of the best label.
        right: bool (N,).
        precision: wanted share, in (0, 1].

    Returns:
        0 where it is reached without abstaining; 1 where it is never reached: the head then never answers.
    """
    if len(score) == 0:
        return 1.0
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(score[order][1:] < score[order][:-1], True)  # equal scores answer together or not at all
    good = np.flatnonzero((reached >= precision) & ends & (np.arange(1, len(order) + 1) >= MIN_ANSWERS))
    if len(good) == 0:
        return 1.0
    last = int(good[-1])
    if last == len(order) - 1:
        return 0.0
    return float((score[order][last] + score[order][last + 1]) / 2)


def label_thresholds(probabilities: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """For each label of a multi-label head the threshold with the best validation F1; 0.5 where a label never occurs.

    Args:
        probabilities: (N, C).
        allowed: bool (N, C).

    Returns:
        float (C,).
    """
    thresholds = np.full(probabilities.shape[1], 0.5)
    for label in np.flatnonzero(allowed.any(axis=0)):
        order = np.argsort(-probabilities[:, label], kind="stable")
        hits = np.cumsum(allowed[order, label])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + allowed[:, label].sum())
        best = int(f1.argmax())
        here = probabilities[order[best], label]
        below = probabilities[order[best + 1], label] if best + 1 < len(order) else 0.0
        thresholds[label] = (here + below) / 2
    return thresholds
