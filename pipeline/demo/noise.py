"""Tileable noise fields, made once a process from a fixed seed and sampled at any scale, angle and offset."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

SIDE = 512


@lru_cache(maxsize=8)
def field(power: float, number: int = 0, low: int = 1, high: int = 256) -> np.ndarray:
    """A tileable random field with spectrum 1/f^power between `low` and `high` waves a tile; float32, sd 1."""
    rng = np.random.default_rng((90210, int(power * 10), number))
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    fy = np.fft.fftfreq(SIDE)[:, None] * SIDE
    fx = np.fft.rfftfreq(SIDE)[None] * SIDE
    radius = np.hypot(fx, fy)
    gain = np.where((radius >= low) & (radius <= high), np.maximum(radius, 1) ** -power, 0)
    made = np.fft.irfft2(spectrum * gain, s=(SIDE, SIDE))
    return np.ascontiguousarray((made / made.std()).astype(np.float32))


@lru_cache(maxsize=4)
def folds(number: int = 0) -> np.ndarray:
    """Creases of cloth: soft valleys with sharper ridges; float32, sd 1, tileable."""
    slow, warp = field(1.7, number, 2, 40), field(2.2, number + 7, 1, 10)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bent = cv2.remap(slow, x + 18 * warp, y + 18 * np.roll(warp, 99, 0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    ridged = bent - 0.55 * np.abs(bent)
    ridged -= ridged.mean()
    return np.ascontiguousarray(ridged / ridged.std())


def sample(
    source: np.ndarray,
    size: tuple[int, int],
    period: tuple[float, float],
    angle: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Cut (width, height) pixels out of a tileable field.

    `period` is the size of one whole tile in pixels across and along the direction `angle` (radians, from vertical).
    """
    w, h = size
    c, s = np.cos(angle), np.sin(angle)
    a, b = SIDE / period[0], SIDE / period[1]
    matrix = np.array([[a * c, a * s, offset[0] % SIDE], [-b * s, b * c, offset[1] % SIDE]], dtype=np.float64)
    return cv2.warpAffine(
        source, matrix, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP
    )


GRAIN_SIDE = 2048


@lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """White noise for weave and sensors; float32 (GRAIN_SIDE, GRAIN_SIDE), sd 1."""
    made = np.random.default_rng(4711).standard_normal((GRAIN_SIDE, GRAIN_SIDE), dtype=np.float32)
    made.flags.writeable = False
    return made


def grain_patch(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random window of `grain`, mirrored where the photo is larger; float32 (height, width), read only."""
    h, w = min(height, GRAIN_SIDE), min(width, GRAIN_SIDE)
    y = int(rng.integers(0, GRAIN_SIDE - h + 1))
    x = int(rng.integers(0, GRAIN_SIDE - w + 1))
    patch = grain()[y : y + h, x : x + w]
    if (h, w) == (height, width):
        return patch
    return np.pad(patch, ((0, height - h), (0, width - w)), mode="wrap")
