"""Where boxes go when pictures are resized, padded and cropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Letterbox:
    """How `Preprocessing(resize="letterbox")` puts a picture into a square: longest side fits, the rest is filled.

    Args:
        width: of the picture, pixels.
        height: likewise.
        size: side of the square.
    """

    width: int
    height: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the picture inside the square."""
        scale = self.size / max(self.width, self.height)
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of the picture inside the square."""
        width, height = self.inner
        return (self.size - width) // 2, (self.size - height) // 2

    def into(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the picture, float32 (n, 4), in pixels of the square."""
        scale, shift = self._scale_and_shift()
        return (boxes * scale + shift).astype(np.float32)

    def back(self, boxes: np.ndarray) -> np.ndarray:
        """The inverse of `into`, cut at the picture's edges."""
        scale, shift = self._scale_and_shift()
        limits = np.array([self.width, self.height] * 2, np.float32)
        return np.clip((boxes - shift) / scale, 0, limits).astype(np.float32)

    def _scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        scale = np.array([self.inner[0] / self.width, self.inner[1] / self.height] * 2, np.float32)
        return scale, np.array(self.corner * 2, np.float32)


def crop_window(box: np.ndarray, width: int, height: int, margin: float = 0.1) -> tuple[int, int, int, int]:
    """Whole pixels x1, y1, x2, y2 (half-open) of the crop around a box, at least one pixel wide and high.

    Args:
        box: x1, y1, x2, y2 in pixels of the picture.
        width: of the picture.
        height: likewise.
        margin: added on each side, as a share of the box's longer side; cut at the picture's edges.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    extra = margin * max(x2 - x1, y2 - y1)
    left = int(np.clip(np.floor(x1 - extra), 0, width - 1))
    top = int(np.clip(np.floor(y1 - extra), 0, height - 1))
    right = int(np.clip(np.ceil(x2 + extra), left + 1, width))
    bottom = int(np.clip(np.ceil(y2 + extra), top + 1, height))
    return left, top, right, bottom


def flipped(boxes: np.ndarray, width: float) -> np.ndarray:
    """Boxes, float32 (n, 4), of the picture mirrored left to right."""
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored
