"""How much room a product needs: a canvas that only remembers how far it was painted."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import Point
from pipeline.demo.material import Material


class Extent(Canvas):
    """Collects the bounds of all pieces, in centimeters; draws nothing."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(1, 1, rng)
        self.low = np.full(2, np.inf)
        self.high = np.full(2, -np.inf)

    def piece(
        self, outline: np.ndarray, stuff: Material, axis: float = 0.0, lift: float = 0.3, shadow: float = 0.3
    ) -> None:
        """Remember the bounds."""
        outline = self.place(outline)
        self.low = np.minimum(self.low, outline.min(0))
        self.high = np.maximum(self.high, outline.max(0))

    def line(self, points: np.ndarray, width: float, rgb: Point | None = None, **options: Any) -> None:  # type: ignore[override]
        """Lines lie on pieces."""

    def patch(self, *where: Any, **options: Any) -> None:
        """Patches lie on pieces."""

    def decal(self, *where: Any, **options: Any) -> None:
        """Decals lie on pieces."""

    def crease(self, *where: Any) -> None:
        """Creases lie on pieces."""
