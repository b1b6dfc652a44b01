"""What a detector says of one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

GROUPS = ("upper-body", "lower-body", "full-body", "footwear", "bag", "headwear", "accessory")
"""Classes of the detector, in the order of its outputs."""


def _no_boxes() -> np.ndarray:
    return np.zeros((0, 4), np.float32)


def _no_scores() -> np.ndarray:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class Detections:
    """The garments of one picture, best first.

    Args:
        boxes: float32 (n, 4), x1 y1 x2 y2 in pixels of the picture that was handed in.
        scores: float32 (n,), in [0, 1].
        groups: n names out of `GROUPS`.
    """

    boxes: np.ndarray = field(default_factory=_no_boxes)
    scores: np.ndarray = field(default_factory=_no_scores)
    groups: list[str] = field(default_factory=list)
