"""Where an object lies on the photo: centimeters to pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Placing:
    """Centimeters to pixels: deformation by slow waves, rotation, scale, then a homography.

    `squeeze` narrows x (foreshortening). `bend` rows are (amplitude cm, wave x, wave y, phase): the first half of
    them moves x, the second half y.
    """

    scale: float
    origin: tuple[float, float]
    angle: float = 0.0
    flip: bool = False
    squeeze: float = 1.0
    bend: tuple[tuple[float, float, float, float], ...] = ()
    homography: tuple[tuple[float, float, float], ...] | None = None

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Project (n, 2) centimeters to (n, 2) pixels."""
        p = np.asarray(points, dtype=np.float64)
        if self.bend:
            waves = [a * np.sin(p[:, 0] * u + p[:, 1] * v + f) for a, u, v, f in self.bend]
            half = len(waves) // 2
            p = p + np.stack([sum(waves[:half]), sum(waves[half:])], axis=1)
        p = p * (-self.squeeze if self.flip else self.squeeze, 1)
        c, s = np.cos(self.angle), np.sin(self.angle)
        p = p @ np.array([[c, s], [-s, c]]) * self.scale + self.origin
        if self.homography is None:
            return p
        h = np.asarray(self.homography)
        q = p @ h[:, :2].T + h[:, 2]
        return q[:, :2] / q[:, 2:]

    def moved(
        self, x: float, y: float, turn: float = 0.0, scale: float = 1.0, flip: bool = False, squeeze: float = 1.0
    ) -> Placing:
        """A placing for an object whose own origin lies at (x, y) of this one, turned and scaled."""
        at = self(np.array([[x, y]]))[0]
        return replace(
            self,
            origin=(float(at[0]), float(at[1])),
            angle=self.angle + turn,
            scale=self.scale * scale,
            flip=self.flip != flip,
            squeeze=squeeze,
            bend=(),
            homography=None,
        )
