"""Cutting garments out of a picture: the same cut when heads learn and when they answer."""

from __future__ import annotations

import numpy as np

from models.boxes.geometry import crop_window

CROP_MARGIN = 0.08
"""Added on each side, as a share of the box's longer side: a collar or a sole the box just missed is seen.

Not a setting: heads are trained on crops with this margin, and another one would move every feature."""


def crop(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of a picture around a box, with the margin, cut at the edges; at least one pixel.

    Args:
        pixels: uint8 (h, w, 3).
        box: x1, y1, x2, y2 in pixels of that array.

    Returns:
        uint8 (h', w', 3), C-contiguous.
    """
    left, top, right, bottom = crop_window(box, pixels.shape[1], pixels.shape[0], CROP_MARGIN)
    return np.ascontiguousarray(pixels[top:bottom, left:right])
