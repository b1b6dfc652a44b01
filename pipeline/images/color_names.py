"""Sixteen color names with prototypes in CIELAB, and which names a shop uses for the same thing.

Prototypes are (L, a, b), D65. They lie where cloth lies in photographs, which is much grayer than the colors of a paint
box: a "blue" shirt under soft light has a chroma near 13, a "brown" bag near 9. Distances therefore grow with the
logarithm of chroma, so that a difference of 5 counts near gray and not among vivid colors, and lightness counts
a little less than hue, because folds change it.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

PROTOTYPES: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "Black": ((10, 0, 0), (22, 0, 0), (33, 0, 0)),
    "White": ((86, 0, 1), (96, 0, 0), (86, 0, -3)),
    "Grey": ((48, 0, 0), (60, 0, 0), (72, 0, 0), (50, -1, -4), (65, -1, -4)),
    "Beige": ((72, 3, 14), (80, 3, 17), (60, 4, 14)),
    "Cream": ((90, 0, 9), (90, 1, 14)),
    "Brown": ((40, 6, 9), (26, 5, 6), (50, 10, 18), (40, 14, 24), (56, 14, 28), (32, 10, 12)),
    "Red": ((50, 60, 35), (40, 50, 28), (55, 42, 20), (45, 38, 16)),
    "Maroon": ((28, 24, 6), (36, 28, 8), (22, 14, 3)),
    "Orange": ((66, 40, 50), (72, 25, 42), (60, 48, 50), (54, 36, 44), (46, 30, 38)),
    "Yellow": ((82, 0, 60), (88, -2, 32), (70, 4, 52), (62, 2, 52), (80, 0, 82)),
    "Green": ((60, -12, 8), (50, -35, 20), (75, -10, 8), (36, -15, 6), (70, -30, 38), (65, -25, 4)),
    "Olive": ((52, -3, 13), (42, -3, 11), (60, -5, 20), (34, -2, 9)),
    "Blue": (
        *((58, -2, -14), (45, 2, -26), (75, -4, -12), (40, 10, -42)),
        *((65, -10, -26), (86, -3, -8), (46, -2, -12), (62, -20, -12)),
    ),
    "Navy Blue": ((28, 1, -8), (18, 2, -7), (34, 1, -12), (25, 6, -22)),
    "Purple": ((45, 10, -10), (35, 18, -18), (65, 10, -12), (28, 9, -6), (50, 26, -30)),
    "Pink": ((70, 18, 0), (55, 52, -5), (80, 11, 3), (60, 35, 0), (48, 45, -8)),
}

NAMES: Final = tuple(PROTOTYPES)

LEVELS: Final = 32
"""Pixels are counted in a cube of 32 x 32 x 32 RGB cells; everything else is looked up a cell."""

_FAMILIES: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(family.split(", "))
    for family in (
        "black, charcoal, jet",
        "white, off white, ivory, cream",
        "grey, gray, silver, steel, charcoal, grey melange, metallic",
        "beige, cream, tan, khaki, nude, sand, skin, camel, taupe, mushroom brown",
        "brown, tan, khaki, camel, taupe, coffee brown, bronze, copper, rust, chocolate",
        "red, maroon, burgundy, wine, rust",
        "orange, rust, peach, coral, copper",
        "yellow, mustard, gold",
        "green, olive, lime green, sea green, khaki, teal, mint",
        "blue, navy blue, navy, turquoise blue, turquoise, teal, denim",
        "purple, lavender, mauve, violet, lilac, magenta",
        "pink, magenta, rose, peach, coral, fuchsia",
    )
)
_KNOWN: Final = frozenset().union(*_FAMILIES)


def agree(learned: str | None, measured: str | None) -> bool | None:
    """Whether two color names can mean the same cloth; None where either is missing or not the name of one color.

    Shops draw the line between Blue and Navy Blue, or Cream and White, where they like, so neighbors agree.
    """
    if learned is None or measured is None:
        return None
    first, second = learned.strip().lower(), measured.strip().lower()
    if first == second:
        return True
    if first not in _KNOWN or second not in _KNOWN:
        return None
    return any(first in family and second in family for family in _FAMILIES)


def compressed(lab: np.ndarray) -> np.ndarray:
    """CIELAB (n, 3) with chroma on a logarithmic scale, the space in which colors are named: float32 (n, 3)."""
    lab = np.asarray(lab, np.float32)
    chroma = np.maximum(np.hypot(lab[:, 1], lab[:, 2]), 1e-6)[:, None]
    return np.concatenate([0.8 * lab[:, :1], lab[:, 1:] * (25.0 * np.log1p(chroma / 8.0) / chroma)], axis=1)


def nearest_names(lab: np.ndarray) -> np.ndarray:
    """Index into `NAMES` of the nearest prototype, int16 (n,), for CIELAB colors (n, 3)."""
    prototypes = compressed(np.array([lab for labs in PROTOTYPES.values() for lab in labs]))
    owner = np.repeat(np.arange(len(NAMES)), [len(labs) for labs in PROTOTYPES.values()]).astype(np.int16)
    colors = compressed(lab)
    # |c - p|^2 without |c|^2, which is the same for every p
    return owner[(np.square(prototypes).sum(1) - 2.0 * colors @ prototypes.T).argmin(1)]


@cache
def cell_colors() -> np.ndarray:
    """CIELAB of the center of every RGB cell: float32 (LEVELS ** 3, 3)."""
    step = 256 // LEVELS
    centers = np.arange(LEVELS, dtype=np.float32) * step + step / 2
    rgb = np.stack(np.meshgrid(centers, centers, centers, indexing="ij"), axis=-1).reshape(1, -1, 3)
    return cv2.cvtColor(rgb / 255.0, cv2.COLOR_RGB2LAB)[0]


@cache
def cell_names() -> np.ndarray:
    """Index into `NAMES` of every RGB cell: int16 (LEVELS ** 3,)."""
    return nearest_names(cell_colors())
