"""Figures of a classifier on held-out data. Everything is plain numpy on probabilities and the labels allowed.

`allowed` bool (N, C): the labels that count as right for each row. For a single-label head it is one label, or
several where the person who labelled was less precise than the head ("Shoes" for Sneakers, Heels or Boots).
"""

from __future__ import annotations

import numpy as np


def truth_of(probabilities: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The label held against each row: the most probable of the allowed ones. (N,) int."""
    return np.where(allowed, probabilities, -1.0).argmax(axis=1)


def top_k(probabilities: np.ndarray, allowed: np.ndarray, k: int) -> float:
    """Share of rows with an allowed label among the k most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(allowed, best, axis=1).any(axis=1).mean())


def confusion(truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 (C, C): rows are the truth, columns what was said."""
    return np.bincount(truth * classes + said, minlength=classes * classes).reshape(classes, classes)


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 of the classes that occur in the truth."""
    hits, true, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    there = true > 0
    return float((2 * hits[there] / (true[there] + said[there])).mean())


def calibration_error(score: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy - confidence| over bins of confidence, weighted."""
    if len(score) == 0:
        return 0.0
    place = np.minimum((score * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, score, bins) - np.bincount(place, right.astype(float), bins))
    return float(gap[count > 0].sum() / len(score))


def reliability(score: np.ndarray, right: np.ndarray, bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy and count of each bin of confidence that is not empty."""
    place = np.minimum((score * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    there = count > 0
    mean = np.bincount(place, score, bins)[there] / count[there]
    return mean, np.bincount(place, right.astype(float), bins)[there] / count[there], count[there]


def auroc(negative: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC: how often a score (P,) of the positive is above one (N,) of the negative; ties count half.

    0.5 where either is empty.
    """
    if not len(negative) or not len(positive):
        return 0.5
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / 2 / len(negative))


def single_figures(probabilities: np.ndarray, allowed: np.ndarray, threshold: float) -> dict[str, float]:
    """Of a single-label head: n, accuracy, top3, macro, micro and samples F1; at the threshold, coverage and precision.

    With one answer and one truth a row, micro F1 and samples F1 are the same number as accuracy.
    """
    said = probabilities.argmax(axis=1)
    score = probabilities.max(axis=1)
    right = allowed[np.arange(len(said)), said]
    answered = score >= threshold
    matrix = confusion(truth_of(probabilities, allowed), said, probabilities.shape[1])
    return {
        "n": len(said),
        "accuracy": _round(right.mean()),
        "top3": _round(top_k(probabilities, allowed, 3)),
        "macro_f1": _round(macro_f1(matrix)),
        "micro_f1": _round(right.mean()),
        "samples_f1": _round(right.mean()),
        "coverage": _round(answered.mean()),
        "precision_when_answering": _round(right[answered].mean()) if answered.any() else 0.0,
        "calibration_error": _round(calibration_error(score, right)),
    }


def multi_figures(probabilities: np.ndarray, allowed: np.ndarray, thresholds: np.ndarray) -> dict[str, float]:
    """Figures of a multi-label head at its labels' thresholds (C,).

    n; accuracy: rows with all labels right; top3: rows with a true label among the three most probable; macro, micro
    and samples F1; coverage: rows with an answer; precision_when_answering: share of the labels given that are right.
    """
    said = probabilities >= thresholds
    hits = said & allowed
    per_label = _f1(hits.sum(axis=0), said.sum(axis=0), allowed.sum(axis=0))[allowed.any(axis=0)]
    right = allowed.ravel()
    score = np.where(said, probabilities, 1 - probabilities).ravel()
    return {
        "n": len(said),
        "accuracy": _round((said == allowed).all(axis=1).mean()),
        "top3": _round(top_k(probabilities, allowed, 3)),
        "micro_f1": _round(float(_f1(hits.sum(), said.sum(), allowed.sum()))),
        "macro_f1": _round(per_label.mean() if per_label.size else 0.0),
        "samples_f1": _round(samples_f1(said, allowed)),
        "coverage": _round(said.any(axis=1).mean()),
        "precision_when_answering": _round(hits.sum() / said.sum()) if said.any() else 0.0,
        "calibration_error": _round(calibration_error(score, said.ravel() == right)),
    }


def samples_f1(said: np.ndarray, allowed: np.ndarray) -> float:
    """Mean over rows of the F1 between the labels said and the true ones; a row with neither counts 1."""
    return float(_f1((said & allowed).sum(axis=1), said.sum(axis=1), allowed.sum(axis=1)).mean())


def _f1(hits: np.ndarray, said: np.ndarray, true: np.ndarray) -> np.ndarray:
    total = np.asarray(said + true, float)
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0)


def _round(value: float) -> float:
    return round(float(value), 4)
