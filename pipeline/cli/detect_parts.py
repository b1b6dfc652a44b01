"""Rendered cut-outs and scenes, for `atelier detect render`: what training pictures are composed of."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.demo import cutout, random_spec, street, surface
from pipeline.demo.vocabulary import TYPE_GROUPS, TYPES

CUTOUT_SIZE = (240, 320)
SCENE_SIZE = (400, 480)
MIN_ALPHA = 24


BELT_SHARE = 10
"""One rendered belt to so many other cut-outs: the demo shop sells none, and a coiled belt looks like nothing else."""
LEATHERS = ((32, 28, 27), (70, 45, 30), (112, 72, 42), (160, 110, 66), (42, 52, 78), (120, 112, 90), (205, 198, 190))


def render_parts(dest: Path, count: int, seed: int, advance: Callable[[int], None]) -> None:
    """Write `count` cut-outs, and some belts, to dest/cutouts/<group>/*.png and `count` scenes to dest/scenes/*.jpg."""
    for number in range(count // BELT_SHARE):
        picture = belt(np.random.default_rng((seed, number, 73)))
        write(dest / "cutouts" / "accessory" / f"belt{number:05d}.png", _trimmed(picture))
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


def belt(rng: np.random.Generator, width: int = 320) -> np.ndarray:
    """A coiled belt as shops photograph it, seen from a little above: uint8 (H, width, 4) RGBA."""
    fine = 4  # drawn larger, then reduced: smooth edges
    across, down = width * fine * 0.47, width * fine * rng.uniform(0.06, 0.14)
    band = width * fine * rng.uniform(0.1, 0.19)
    middle = width * fine / 2, down + band * 0.3
    leather = np.array(LEATHERS[int(rng.integers(len(LEATHERS)))], float) * rng.uniform(0.8, 1.15)
    lining = np.clip(leather * rng.uniform(0.6, 1.5) + rng.uniform(0, 50), 0, 255)
    canvas = np.zeros((round(2 * down + 1.6 * band), width * fine, 4), np.uint8)

    def arc(first: float, last: float, drop: float) -> np.ndarray:
        turn = np.linspace(first, last, 90)
        return np.stack([middle[0] + across * np.cos(turn), middle[1] + down * np.sin(turn) + drop], axis=1)

    def strip(first: float, last: float, top: float, bottom: float, color: np.ndarray) -> None:
        edge = np.concatenate([arc(first, last, top), arc(first, last, bottom)[::-1]])
        cv2.fillPoly(canvas, [edge.round().astype(np.int32)], [*np.clip(color, 0, 255).tolist(), 255])

    strip(np.pi, 2 * np.pi, 0, band * 0.85, lining)
    for turn in np.linspace(1.2 * np.pi, 1.5 * np.pi, 6):
        hole = arc(turn, turn, band * 0.45)[0].round().astype(int).tolist()
        cv2.circle(canvas, hole, max(1, round(band * 0.06)), [20, 18, 16, 255], -1)
    for number, (first, last) in enumerate(itertools.pairwise(np.linspace(0, np.pi, 9))):
        strip(first, last, 0, band, leather * (0.8 + 0.3 * np.sin(number / 8 * np.pi)))
    if rng.random() < 0.5:
        for drop in (0.1, 0.9):
            seam = arc(0, np.pi, band * drop).round().astype(np.int32)
            cv2.polylines(canvas, [seam], False, [*np.clip(leather * 1.4 + 20, 0, 255).tolist(), 255], fine)
    at = np.pi * rng.uniform(0.5, 0.75)
    _buckle(canvas, arc(at, at, band / 2)[0], band, rng)
    return cv2.resize(canvas, (width, canvas.shape[0] // fine), interpolation=cv2.INTER_AREA)


def _buckle(canvas: np.ndarray, middle: np.ndarray, band: float, rng: np.random.Generator) -> None:
    """A metal frame with its prong, or a plate."""
    metal = [*(np.array([190, 188, 184]) * rng.uniform(0.6, 1.15)).clip(0, 255).tolist(), 255]
    half = np.array([rng.uniform(0.5, 0.9), 0.62]) * band
    corners = [(middle + sign * half).round().astype(int).tolist() for sign in (-1, 1)]
    cv2.rectangle(canvas, corners[0], corners[1], metal, -1 if rng.random() < 0.3 else max(2, round(band * 0.12)))
    tip = tuple((middle + np.array([half[0], 0])).round().astype(int).tolist())
    cv2.line(canvas, tuple(middle.round().astype(int).tolist()), tip, metal, max(2, round(band * 0.08)))


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
