"""Distances between a run and its reference, and how large they get by chance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.drift.sketch import Sketch

CHANCE = 0.99
"""Share of runs of the same kind that stay below what is called chance."""

MOVED = 5

Counts = Mapping[str | None, int]


def divergence(counts: Counts, reference: Counts) -> float:
    """Jensen-Shannon divergence of two distributions in bits: 0 the same, 1 nothing in common.

    (Lin, "Divergence measures based on the Shannon entropy", 1991.) Unlike PSI it needs no filling for labels that one
    side never gave; near zero it is PSI / (8 ln 2), so that PSI's customary 0.25 is about 0.045 bit.

    Args:
        counts: how often each label was given, at least one of them positive.
        reference: the same.
    """
    ours, theirs = _shares(counts, reference)
    middle = (ours + theirs) / 2
    return float(max(0.0, (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle)) / 2))


def divergence_by_chance(counts: Counts, reference: Counts, products: int, reference_products: int) -> float:
    """What `divergence` exceeds in one of a hundred runs although nothing changed, in bits.

    Where both sides are drawn from one distribution, 8 ln(2) JS / (1/m + 1/n) goes to chi-squared with one degree of
    freedom less than there are labels. Photos of a product are alike, so m and n are counted in products.
    """
    from scipy.stats import chi2

    freedom = max(len(set(counts) | set(reference)) - 1, 1)
    return float(chi2.ppf(CHANCE, freedom) / (8 * np.log(2)) * (1 / products + 1 / reference_products))


def discrepancy(ours: Sketch, theirs: Sketch, products: int, reference_products: int) -> tuple[float, float]:
    """Squared MMD of two sets of vectors as a share of the reference's spread, and what chance alone gives.

    0: the same distribution; 1: the sets' means are as far apart as single photos are from their mean. Free of the bias
    that small sets have. The chance (one in a hundred) takes the squared distance of two means for a scaled
    chi-squared variable of the same mean and variance (Welch and Satterthwaite). As above, products count.

    Raises:
        ZeroDivisionError: one side shows a single product.
    """
    from scipy.stats import chi2

    inner = [(n * float(s.mean @ s.mean) - 1) / (n - 1) for s, n in ((ours, products), (theirs, reference_products))]
    spread = max(1 - inner[1], 1e-9)
    distance = max(0.0, inner[0] + inner[1] - 2 * float(ours.mean @ theirs.mean)) / spread
    freedom = spread**2 / theirs.spread_squared
    scale = theirs.spread_squared / spread**2 * (1 / products + 1 / reference_products)
    return distance, float((chi2.ppf(CHANCE, freedom) - freedom) * scale)


def moved(counts: Counts, reference: Counts) -> list[dict[str, str | float | None]]:
    """The labels whose share changed most: bin, share, usual_share; the largest change first."""
    total, usual = sum(counts.values()), sum(reference.values())
    shares = [
        (label, counts.get(label, 0) / total, reference.get(label, 0) / usual) for label in {**counts, **reference}
    ]
    shares.sort(key=lambda found: (-abs(found[1] - found[2]), found[0] or ""))
    return [
        {"bin": label, "share": share, "usual_share": usual_share}
        for label, share, usual_share in shares[:MOVED]
        if share != usual_share
    ]


def _shares(counts: Counts, reference: Counts) -> tuple[np.ndarray, np.ndarray]:
    labels = list({**counts, **reference})
    ours, theirs = (np.array([found.get(label, 0) for label in labels], np.float64) for found in (counts, reference))
    return ours / ours.sum(), theirs / theirs.sum()


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / q[there])))
