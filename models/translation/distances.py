"""Distances between two sets of pictures by their features: FID (Heusel et al. 2017), KID (Binkowski et al. 2018).

Both compare distributions, not pictures. FID is biased: it falls as n grows, so it may be compared only at equal n,
which has to be said with it. KID is unbiased at every n, small n only makes it uncertain.
"""

from __future__ import annotations

import numpy as np

from models.errors import DataError

KID_ROWS = 1000
"""Pictures a subset of KID: the kernel matrix has as many rows, whatever the sets have."""


def fid(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance between normal distributions with the means and covariances of two sets of features.

    The trace of the root of the product of the covariances is the sum of the singular values of the product of the two
    centered matrices: exact also with fewer rows than columns, where a matrix root of the covariances is not.

    Args:
        first: (n, D).
        second: (m, D).

    Raises:
        DataError: fewer than two rows.
    """
    _check(first, second)
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_distance = float(np.square(x.mean(axis=0) - y.mean(axis=0)).sum())
    x, y = _reduced(x), _reduced(y)
    traces = float(np.square(x).sum() + np.square(y).sum())
    cross = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return max(0.0, mean_distance + traces - 2 * cross)


def _reduced(x: np.ndarray) -> np.ndarray:
    """A matrix with the covariance of `x` (n, D) as its Gram matrix, of at most D rows."""
    centered = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if len(x) <= x.shape[1]:
        return centered
    return np.asarray(np.linalg.qr(centered, mode="r"))


def kid(first: np.ndarray, second: np.ndarray, seed: int = 0, subsets: int = 10) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy with the kernel (x y / D + 1)^3, and its spread over subsets.

    Sets of at most `KID_ROWS` rows are compared as a whole, and the spread is that of halves drawn at random; larger
    ones in subsets of that size.

    Args:
        first: (n, D).
        second: (m, D).

    Raises:
        DataError: fewer than two rows.
    """
    _check(first, second)
    rng = np.random.default_rng(seed)
    whole = max(len(first), len(second)) <= KID_ROWS
    sizes = [max(2, len(x) // 2) if whole else min(len(x), KID_ROWS) for x in (first, second)]
    drawn = [
        _discrepancy(*(x[rng.permutation(len(x))[:size]] for x, size in zip((first, second), sizes, strict=True)))
        for _ in range(subsets)
    ]
    value = _discrepancy(first, second) if whole else float(np.mean(drawn))
    return value, float(np.std(drawn))


def _discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    x, y = first.astype(np.float64), second.astype(np.float64)
    within_x, within_y, across = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    n, m = len(x), len(y)
    return float(
        (within_x.sum() - np.trace(within_x)) / (n * (n - 1))
        + (within_y.sum() - np.trace(within_y)) / (m * (m - 1))
        - 2 * across.mean()
    )


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        raise DataError(f"distances need two rows of equal length on each side, not {first.shape} and {second.shape}")


def hellinger(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance in [0, 1] between histograms given as roots of shares, row by row: (N, C) and (N, C) to (N,)."""
    return np.sqrt(np.clip(np.square(first - second).sum(axis=1) / 2, 0, 1))  # exactly 0 for equal ones
