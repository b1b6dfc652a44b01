"""Chest graphics of printed shirts: numbers, words, suns, mountains, flowers, shards, the brand's sign."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.demo import marks
from pipeline.demo.curves import ellipse, spline

WIDTH, HEIGHT = 300, 350
WORDS = (
    "ALWAYS",
    "NORTH",
    "COAST",
    "ORIGINAL",
    "TRAVELLER",
    "CLUB",
    "STUDIO",
    "WILD",
    "OCEAN",
    "LEAGUE",
    "SUMMER",
    "HELLO",
)

RGB = tuple[float, float, float]
Inks = list[np.ndarray]


@lru_cache(maxsize=64)
def artwork(seed: int, brand: str, ground: RGB, second: RGB, third: RGB) -> np.ndarray:
    """The print of the product with this seed: uint8 (HEIGHT, WIDTH, 4), its colors unlike the ground's."""
    rng = np.random.default_rng(seed)
    inks = [np.asarray(c, float) for c in (second, third, (236, 232, 220), (28, 30, 36), (228, 178, 62), (200, 62, 54))]
    inks = [c for c in inks if np.abs(c - np.asarray(ground)).sum() > 120]
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[..., :3] = np.round(inks[0])
    if rng.random() < 0.18:
        _letters(picture, marks.mark(brand, tuple(inks[0]), False), (20, 20, 260, 260))
    else:
        _DESIGNS[int(rng.integers(len(_DESIGNS)))](picture, inks, rng)
    return picture


def _dab(picture: np.ndarray, outline: np.ndarray, ink: np.ndarray | None) -> None:
    """One printed shape; ink None wipes the print away."""
    color = (0.0, 0.0, 0.0, 0.0) if ink is None else (float(ink[0]), float(ink[1]), float(ink[2]), 255.0)
    cv2.fillPoly(picture, [np.round(outline * 16).astype(np.int32)], color, cv2.LINE_AA, 4)


def _letters(picture: np.ndarray, stamp: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Print an RGBA stamp into a box (x, y, width, height) as large as it fits."""
    x, y, w, h = box
    scale = min(w / stamp.shape[1], h / stamp.shape[0])
    size = (max(1, int(stamp.shape[1] * scale)), max(1, int(stamp.shape[0] * scale)))
    small = cv2.resize(stamp, size, interpolation=cv2.INTER_AREA)
    left, top = x + (w - size[0]) // 2, y + (h - size[1]) // 2
    part = picture[top : top + size[1], left : left + size[0]]
    share = small[..., 3:].astype(np.float32) / 255
    part[..., :3] = (part[..., :3] * (1 - share) + small[..., :3] * share).astype(np.uint8)
    part[..., 3] = np.maximum(part[..., 3], small[..., 3])


def _word(text: str, ink: np.ndarray, bold: int) -> np.ndarray:
    """A word as RGBA stamp."""
    font = ImageFont.load_default(90)
    left, top, right, bottom = font.getbbox(text, stroke_width=bold)
    cover = Image.new("L", (int(right - left) + 12, int(bottom - top) + 12))
    ImageDraw.Draw(cover).text((6 - left, 6 - top), text, 255, font, stroke_width=bold)
    stamp = np.empty((cover.height, cover.width, 4), np.uint8)
    stamp[..., :3] = np.round(ink)
    stamp[..., 3] = np.asarray(cover)
    return stamp


def _caption(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """A word below the picture."""
    if rng.random() < 0.75:
        text = WORDS[int(rng.integers(len(WORDS)))]
        _letters(picture, _word(text, inks[int(rng.integers(len(inks)))], 3), (10, 285, 280, 60))


def _sun(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """Rings cut by stripes."""
    for k, r in enumerate(range(125, 20, -24)):
        _dab(picture, ellipse((150, 140), r, r, count=60), inks[k % len(inks)])
    for k, y in enumerate(range(150, 275, 20)):
        _dab(picture, np.array([(0, y), (300, y), (300, y + 4 + k), (0, y + 4 + k)]), None)
    _caption(picture, inks, rng)


def _mountains(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """A framed landscape."""
    _dab(picture, np.array([(20, 10), (280, 10), (280, 270), (20, 270)]), inks[0])
    _dab(picture, ellipse((rng.uniform(90, 210), 90), 34, 34), inks[1 % len(inks)])
    for k in range(3):
        x = np.linspace(20, 280, 9)
        y = 150 + 35 * k + rng.normal(0, 24, 9)
        _dab(
            picture,
            np.vstack([np.stack([x, np.minimum(y, 262)], 1), [(280, 270), (20, 270)]]),
            inks[(k + 2) % len(inks)],
        )
    _caption(picture, inks, rng)


def _shards(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """Overlapping triangles."""
    for k in range(int(rng.integers(6, 11))):
        middle = rng.uniform((70, 60), (230, 220))
        angles = np.sort(rng.uniform(0, 6.28, 3))
        radius = rng.uniform(40, 110)
        _dab(
            picture,
            np.clip(middle + radius * np.stack([np.cos(angles), np.sin(angles)], 1), 4, 280),
            inks[k % len(inks)],
        )
    _caption(picture, inks, rng)


def _flowers(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """A bunch of blossoms."""
    for k in range(8):
        x, y = rng.uniform(50, 250), rng.uniform(45, 230)
        r = rng.uniform(18, 34)
        for a in np.linspace(0, 6.283, 7)[:-1]:
            _dab(picture, ellipse((x + r * np.cos(a), y + r * np.sin(a)), r, r * 0.5, a), inks[k % len(inks)])
        _dab(picture, ellipse((x, y), r * 0.45, r * 0.45), inks[(k + 1) % len(inks)])
    _caption(picture, inks, rng)


def _number(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """A sports number below a word."""
    _letters(picture, _word(WORDS[int(rng.integers(len(WORDS)))], inks[0], 3), (15, 5, 270, 70))
    number = str(int(rng.integers(1, 99)))
    _letters(picture, _word(number, inks[1 % len(inks)], 9), (30, 80, 240, 260))
    _letters(picture, _word(number, inks[0], 3), (42, 92, 216, 236))


def _words(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """Three lines of lettering."""
    for k in range(3):
        text = WORDS[int(rng.integers(len(WORDS)))]
        _letters(picture, _word(text, inks[k % len(inks)], int(rng.integers(1, 6))), (10, 20 + 95 * k, 280, 85))


def _cat(picture: np.ndarray, inks: Inks, rng: np.random.Generator) -> None:
    """A cat's or bear's head."""
    face, ink = inks[0], inks[1 % len(inks)]
    pointed = rng.random() < 0.5
    for s in (-1, 1):
        ear = [(150 + s * 92, 30, 1), (150 + s * 104, 130), (150 + s * 30, 80, 1)] if pointed else None
        _dab(picture, spline(ear) if ear else ellipse((150 + s * 78, 62), 38, 38), face)
    _dab(picture, ellipse((150, 150), 112, 98, count=50), face)
    for s in (-1, 1):
        _dab(picture, ellipse((150 + s * 42, 132), 15, 20), ink)
        for k in (-8, 6, 20):
            line = [
                (150 + s * 30, 178 + k * 0.4),
                (150 + s * 110, 172 + k),
                (150 + s * 110, 175 + k),
                (150 + s * 30, 182 + k * 0.4),
            ]
            _dab(picture, np.array(line), ink)
    _dab(picture, np.array([(138, 166), (162, 166), (150, 182)]), ink)
    _caption(picture, inks, rng)


_DESIGNS: tuple[Callable[[np.ndarray, Inks, np.random.Generator], None], ...] = (
    _sun,
    _mountains,
    _shards,
    _flowers,
    _number,
    _words,
    _cat,
)
