"""Measured color: what a photo's foreground looks like in CIELAB, beside what a learned head says it is.

    picture --96 x 96--> foreground weights (border model, center prior) --> name of most of it, histogram

Two cases are told apart by the border of the picture. Where one color makes up most of the border (packshots, plain
walls), foreground is what differs from it, filled from its outline inwards, so that a white shirt on white stays whole.
Elsewhere (a floor, a street) a color counts as foreground as far as it is more frequent in the center than at the
border. Nothing iterates: one to two milliseconds a picture. Skin is not treated apart: masking it changed no
figure on photos of people wearing the garment, and it costs beige and brown garments.

How far it goes: of 5,800 real product photos, whole (models, other garments and all), 61 % get the shop's own color
among sixteen names and 68 % one that can mean the same; of 3,000 garments cut from a demo catalog 72 % and 77 %, from
89 % (trousers, skirts) down to 32 % (sunglasses and watches). It cross-checks a learned head; it does not replace it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torchvision.transforms import v2

from pipeline.images.color_names import LEVELS, NAMES, cell_colors, cell_names, compressed

SIDE = 96
"""Pictures are measured at SIDE x SIDE pixels, whatever their aspect ratio: shares stay the same."""

HISTOGRAM_SHAPE = (6, 8, 8)
"""Cells of `color_histogram` along lightness and the two color axes."""

HISTOGRAM_LENGTH = 6 * 8 * 8

_BORDER = 5
_PLAIN_BORDER_SHARE = 0.7
_PLAIN_SPREAD = 10.0
_FOREGROUND_DISTANCE = 5.0
_LEAST_FOREGROUND = 0.03
_MODEL_CELLS = (12, 24, 24)


@dataclass(frozen=True)
class Measured:
    """The named color of most of the foreground.

    Args:
        name: one of `color_names.NAMES`.
        share: of the foreground that bears this name, in (0, 1].
    """

    name: str
    share: float


@dataclass(frozen=True)
class ColorSample:
    """A picture made ready for measuring.

    Args:
        cells: int32 (SIDE * SIDE,), the RGB cell of every pixel.
        weights: float32 (SIDE * SIDE,), how much each pixel belongs to the foreground, in [0, 1].
    """

    cells: np.ndarray
    weights: np.ndarray


def sample(pixels: np.ndarray, mask: np.ndarray | None = None) -> ColorSample:
    """Resize a picture for measuring and find its foreground.

    Args:
        pixels: uint8 (h, w, 3), RGB.
        mask: bool or float (h, w), the foreground where it is known; estimated otherwise.
    """
    small = _resized(pixels)
    cells = _cells(small)
    if mask is None:
        return ColorSample(cells, _foreground(small, cells))
    known = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    return ColorSample(cells, known if known.sum() > 0 else np.ones(SIDE * SIDE, np.float32))


def measure(taken: ColorSample) -> Measured:
    """Name the color that most of the foreground has."""
    votes = np.bincount(cell_names()[taken.cells], weights=taken.weights, minlength=len(NAMES))
    best = int(votes.argmax())
    return Measured(NAMES[best], float(votes[best] / votes.sum()))


def histogram_of(taken: ColorSample) -> np.ndarray:
    """See `color_histogram`."""
    corners, shares = _histogram_cells()
    counts = np.bincount(taken.cells, weights=taken.weights, minlength=LEVELS**3)
    used = np.flatnonzero(counts)
    spread = counts[used, None] * shares[used]
    histogram = np.bincount(corners[used].ravel(), weights=spread.ravel(), minlength=HISTOGRAM_LENGTH)
    return np.sqrt(histogram / histogram.sum()).astype(np.float32)


def color_histogram(pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Histogram of the foreground's colors in CIELAB with compressed chroma.

    Args:
        pixels: uint8 (h, w, 3), RGB.
        mask: bool or float (h, w), the foreground where it is known; estimated otherwise.

    Returns:
        float32 (HISTOGRAM_LENGTH,): the square roots of the shares, so its length is 1 and dot products of two are
        Bhattacharyya coefficients. Each pixel is shared out linearly among the cells around it.
    """
    return histogram_of(sample(pixels, mask))


def _resized(pixels: np.ndarray) -> np.ndarray:
    chw = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    return np.ascontiguousarray(v2.functional.resize(chw, [SIDE, SIDE], antialias=True)[0].permute(1, 2, 0).numpy())


def _cells(small: np.ndarray) -> np.ndarray:
    levels = (small.reshape(-1, 3) // (256 // LEVELS)).astype(np.int32)
    return (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]


def _foreground(small: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """How much each pixel belongs to the foreground: float32 (SIDE * SIDE,) in [0, 1], never all zero."""
    center, border = _center_prior(), _border()
    lab = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    offset = (lab - np.median(lab.reshape(-1, 3)[border], axis=0)) * np.array([0.7, 1.0, 1.0], np.float32)
    distance = np.sqrt(np.square(offset).sum(-1))
    if (distance.ravel()[border] < _PLAIN_SPREAD).mean() > _PLAIN_BORDER_SHARE:
        differs = (distance > _FOREGROUND_DISTANCE).astype(np.uint8)
        outline = cv2.morphologyEx(differs, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
        weights = _filled(outline).ravel() * center
    else:
        weights = _more_central_than_marginal(cells) * center
    if weights.sum() < _LEAST_FOREGROUND * center.sum():  # nothing stands out: the picture is all garment
        weights = np.where(_radius() < 0.6, center, 0.0)
    return weights.astype(np.float32)


def _filled(outline: np.ndarray) -> np.ndarray:
    """Pixels with outline on all four sides of them: bool (SIDE, SIDE)."""
    reach = np.maximum.accumulate
    left, right = reach(outline, 1), reach(outline[:, ::-1], 1)[:, ::-1]
    above, below = reach(outline, 0), reach(outline[::-1], 0)[::-1]
    return left & right & above & below


def _more_central_than_marginal(cells: np.ndarray) -> np.ndarray:
    """2 * (P(center | color) - 1/2) clipped to [0, 1], from smoothed color histograms of center and border."""
    model = _model_cells()[cells]
    border = _border()
    margin = _smooth(np.bincount(model[border], minlength=int(np.prod(_MODEL_CELLS))).astype(np.float32))
    middle = np.bincount(model, weights=_center_prior() * ~border, minlength=int(np.prod(_MODEL_CELLS)))
    middle = _smooth(middle.astype(np.float32))
    share = middle / (middle + margin + 1e-6)
    return np.clip(2.0 * share[model] - 1.0, 0.0, 1.0)


def _smooth(counts: np.ndarray) -> np.ndarray:
    return gaussian_filter((counts / counts.sum()).reshape(_MODEL_CELLS), 0.7).ravel()


@cache
def _radius() -> np.ndarray:
    """Squared distance from the middle, 1 at the middle of an edge: float32 (SIDE * SIDE,)."""
    axis = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
    return (axis[:, None] ** 2 + axis**2).ravel()


@cache
def _center_prior() -> np.ndarray:
    return np.exp(-1.5 * _radius())


@cache
def _border() -> np.ndarray:
    inside = np.zeros((SIDE, SIDE), bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    return ~inside.ravel()


@cache
def _model_cells() -> np.ndarray:
    """Cell of the border model for every RGB cell: int64 (LEVELS ** 3,)."""
    lab = cell_colors()
    scaled = np.stack([lab[:, 0] / 100.0, (lab[:, 1] + 100.0) / 200.0, (lab[:, 2] + 100.0) / 200.0], axis=1)
    at = np.clip((scaled * _MODEL_CELLS).astype(np.int64), 0, np.array(_MODEL_CELLS) - 1)
    return np.ravel_multi_index((at[:, 0], at[:, 1], at[:, 2]), _MODEL_CELLS)


@cache
def _histogram_cells() -> tuple[np.ndarray, np.ndarray]:
    """For every RGB cell the eight histogram cells around it, int64 (n, 8), and their shares, float32 (n, 8)."""
    lab = compressed(cell_colors())
    low, high = np.array([0.0, -60.0, -60.0]), np.array([80.0, 60.0, 60.0])
    at = (lab - low) / (high - low) * HISTOGRAM_SHAPE - 0.5
    at = np.clip(at, 0.0, np.array(HISTOGRAM_SHAPE) - 1.001)
    base, part = at.astype(np.int64), at - np.floor(at)
    corners, shares = [], []
    for corner in np.ndindex(2, 2, 2):
        shift = np.array(corner)
        cell = base + shift
        corners.append(np.ravel_multi_index((cell[:, 0], cell[:, 1], cell[:, 2]), HISTOGRAM_SHAPE))
        shares.append(np.where(shift, part, 1.0 - part).prod(axis=1))
    return np.stack(corners, axis=1), np.stack(shares, axis=1).astype(np.float32)
