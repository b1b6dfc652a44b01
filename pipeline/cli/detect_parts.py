"""Rendered cut-outs and scenes, for `atelier detect render`: what training pictures are composed of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.demo import cutout, random_spec, street, surface
from pipeline.demo.vocabulary import TYPE_GROUPS, TYPES

CUTOUT_SIZE = (240, 320)
SCENE_SIZE = (400, 480)
MIN_ALPHA = 24


def render_parts(dest: Path, count: int, seed: int, advance: Callable[[int], None]) -> None:
    """Write `count` cut-outs to dest/cutouts/<group>/*.png and as many scenes to dest/scenes/*.jpg."""
    for number in range(count):
        rng = np.random.default_rng((seed, number, 71))
        garment = TYPES[number % len(TYPES)]
        picture = cutout(random_spec(rng, f"c{number:05d}", type=garment), rng, CUTOUT_SIZE)
        write(dest / "cutouts" / TYPE_GROUPS[garment] / f"rendered{number:05d}.png", _trimmed(picture))
        advance(1)
    for number in range(count):
        rng = np.random.default_rng((seed, number, 72))
        outdoors = number % 3 != 0
        scene = street(*SCENE_SIZE, rng.uniform(0.5, 0.95), rng) if outdoors else surface(*SCENE_SIZE, rng)
        write(dest / "scenes" / f"rendered{number:05d}.jpg", np.clip(scene, 0, 255).astype(np.uint8))
        advance(1)


def write(path: Path, pixels: np.ndarray) -> None:
    """Write RGB or RGBA pixels, uint8, as the path's ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [2, 1, 0, 3] if pixels.shape[2] == 4 else [2, 1, 0]
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., order]))


def _trimmed(picture: np.ndarray) -> np.ndarray:
    """The garment's own rectangle of a picture (H, W, 4)."""
    shown = picture[..., 3] > MIN_ALPHA
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
