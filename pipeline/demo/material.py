"""What pieces are made of: color, pattern, folds, gloss."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.demo.curves import Point


@dataclass(frozen=True)
class Texture:
    """A tileable color pattern: uint8 (h, w, 3), drawn at the canvas's scale; offset in pixels."""

    tile: np.ndarray
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Material:
    """What a piece is made of. Lengths in centimeters, colors RGB 0-255.

    `folds` is the height of creases and `wave` their typical length; `puff` how far the piece bulges and `edge` over
    what distance it rounds off; `gloss` 0 (wool) to 1 (patent leather); `grain` the strength of the weave.
    """

    rgb: tuple[float, float, float]
    texture: Texture | None = None
    folds: float = 0.35
    wave: float = 22.0
    puff: float = 1.2
    edge: float = 4.0
    gloss: float = 0.0
    grain: float = 2.0
    rib: float = 0.0
    rib_step: float = 0.5
    worn_out: float = 0.0

    def shade(self, factor: float) -> Material:
        """The same stuff, darker (factor < 1) or lighter."""
        rgb = tuple(min(255.0, v * factor) for v in self.rgb)
        return replace(self, rgb=rgb, texture=None if factor < 0.75 else self.texture)  # type: ignore[arg-type]

    def plain(self, rgb: Point | None = None, **changes: float) -> Material:
        """The same stuff without its pattern, in another color where one is given."""
        return replace(self, rgb=self.rgb if rgb is None else tuple(rgb), texture=None, **changes)  # type: ignore[arg-type]
