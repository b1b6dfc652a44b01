"""A few hundred numbers that stand for a set of vectors, so that sets are compared without reading them again.

The sketch is the mean random Fourier feature of the vectors (Rahimi and Recht, "Random features for large-scale kernel
machines", 2007): the inner product of two means approximates the mean Gaussian kernel between the sets, and the squared
distance of the means the squared maximum mean discrepancy (MMD; Gretton et al., "A kernel two-sample test", 2012),
which is zero only for equal distributions. Means of several sets, weighted by their sizes, give the mean of the union.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

FREQUENCIES = 256
BANDWIDTH_SQUARED = 0.5
"""Of the Gaussian kernel exp(-d^2 / 2b): unit vectors are 0 to 4 apart (squared), photos of a shop about 1."""

SEED = 20260601
METHOD = f"random Fourier features {FREQUENCIES}/{BANDWIDTH_SQUARED}/{SEED}"
"""Changes with whatever makes sketches incomparable."""


@dataclass(frozen=True)
class Sketch:
    """A set of vectors: how many, their mean feature, float64 (2 * FREQUENCIES,), and how the features spread.

    `spread_squared` is the sum of the squared elements of the features' covariance, corrected for the sample's size.
    """

    count: int
    mean: np.ndarray
    spread_squared: float

    @staticmethod
    def union(sketches: list[Sketch]) -> Sketch:
        """The sketch of all their vectors; `spread_squared` is the weighted mean of theirs."""
        counts = np.array([sketch.count for sketch in sketches], np.float64)
        weights = counts / counts.sum()
        mean = np.einsum("s,sf->f", weights, np.stack([sketch.mean for sketch in sketches]))
        spread = float(weights @ np.array([sketch.spread_squared for sketch in sketches]))
        return Sketch(int(counts.sum()), mean, spread)


class SketchBuilder:
    """Takes vectors a block at a time; holds one matrix of a megabyte or two, however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = np.zeros(2 * FREQUENCIES)
        self._products = np.zeros((2 * FREQUENCIES, 2 * FREQUENCIES))

    def add(self, vectors: np.ndarray) -> None:
        """Take in unit vectors, any float type, (n, dim); `dim` has to stay the same."""
        features = fourier_features(np.asarray(vectors, np.float32))
        self.count += len(features)
        self._sum += features.sum(axis=0)
        self._products += features.T @ features

    def sketch(self) -> Sketch:
        """What was taken in.

        Raises:
            ValueError: nothing was.
        """
        if not self.count:
            raise ValueError("no vector was added")
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        trace = float(np.trace(covariance))
        plain = float(np.sum(covariance**2))
        # a sample's covariance has its noise in it, about trace^2 / count; it can't be below an even spread
        corrected = max(plain - trace**2 / self.count, trace**2 / len(mean))
        return Sketch(self.count, mean, corrected)


def fourier_features(vectors: np.ndarray) -> np.ndarray:
    """Features of length one, float64 (n, 2 * FREQUENCIES), of float32 vectors (n, dim)."""
    phases = (vectors @ _frequencies(vectors.shape[1])).astype(np.float64)
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=1) / np.sqrt(FREQUENCIES)


@lru_cache(maxsize=2)
def _frequencies(dim: int) -> np.ndarray:
    """The same float32 (dim, FREQUENCIES) for ever: stored sketches rest on them."""
    stream = np.random.RandomState(SEED)  # numpy promises the streams of this old class alone
    return (stream.standard_normal((dim, FREQUENCIES)) / np.sqrt(BANDWIDTH_SQUARED)).astype(np.float32)
