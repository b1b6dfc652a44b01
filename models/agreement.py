"""Several photos of one product agreed into one answer.

Chosen by measuring, on 150 unseen products of the demo catalog with three photos each (type, color and pattern, whole
photos and the main garment's crops; means of the six):

    rule                                     accuracy   calibration error
    single photos                            0.793      0.07
    mean log-probability                     0.911      0.12, their sum (a product of experts) 0.05
    vote by the score of the best label      0.917      0.24
    mean probability                         0.923      0.22, sharpened (see `agree`) 0.04

A product of experts lets one photo that is sure of nonsense (a worn photo whose largest garment is another) overrule
the rest; a vote forgets the second guesses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.heads import Kind

SHARPEN = 0.75
"""How far photos of one product count as independent: 0 as one photo, 1 fully. Measured best at two and three photos:
0.75 to 1; photos of one product are never quite independent."""


@dataclass(frozen=True)
class Agreed:
    """Products and what their photos say together.

    Args:
        products: int64 (P,), the distinct numbers that were handed in, ascending.
        photos: int64 (P,), photos of each.
        probabilities: float32 (P, C); for a single-label head rows sum to 1.
    """

    products: np.ndarray
    photos: np.ndarray
    probabilities: np.ndarray


def agree(probabilities: np.ndarray, product: np.ndarray, kind: Kind = "single", sharpen: float = SHARPEN) -> Agreed:
    """Mean probability of a product's photos, for a single-label head sharpened by their number.

    The mean of n photos is less sure than n photos are: it is raised to the power n ** sharpen and normalized again.
    This changes no ranking, leaves products of one photo as they are, and makes the score mean what a single photo's
    score means, so that the head's threshold for abstaining serves products too (`LoadedHead.answers`).

    Args:
        probabilities: float (N, C), calibrated, of N photos.
        product: int (N,), which product each photo shows.
        kind: of the head.
        sharpen: see `SHARPEN`; not used for a multi-label head.
    """
    products, place, photos = np.unique(product, return_inverse=True, return_counts=True)
    total = np.zeros((len(products), probabilities.shape[1]))
    np.add.at(total, place, probabilities.astype(np.float64))
    mean = total / photos[:, None]
    if kind == "single":
        logs = np.log(np.maximum(mean, 1e-12)) * (photos[:, None].astype(float) ** sharpen)
        powers = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
        mean = powers / powers.sum(axis=1, keepdims=True)
    return Agreed(products, photos, mean.astype(np.float32))


def vote(answers: Iterable[tuple[str | None, float]]) -> tuple[str | None, float | None, int]:
    """The rule of the view `products`, which knows of each photo one label and its score only.

    Args:
        answers: label (None: the photo abstained) and score of each photo.

    Returns:
        The label with the largest sum of scores (of equal ones the last by name), that sum over the number of photos
        that answered, and that number; (None, None, 0) where all abstained.
    """
    weights: dict[str, float] = {}
    count = 0
    for label, score in answers:
        if label is not None:
            weights[label] = weights.get(label, 0.0) + round(score, 6)
            count += 1
    if not count:
        return None, None, 0
    weight, label = max((round(weight, 6), label) for label, weight in weights.items())
    return label, weight / count, count
