"""Training pictures: photos placed into a square with random size and position, mosaics, flips, colors.

Every picture is drawn from a generator of its own, seeded by (seed, step, number): a resumed run sees the pictures
that the uninterrupted run would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.boxes.geometry import flipped

FILLING = 127
"""Gray around a picture, as the letterbox of the shipped preprocessing has it."""
MIN_VISIBLE = 0.35
"""Boxes of which less than this share is left after cutting are dropped."""
MIN_PIXELS = 3.0


@dataclass(frozen=True)
class Picture:
    """Pixels uint8 (H, W, 3), boxes float32 (n, 4) in them, classes int64 (n,)."""

    pixels: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are varied.

    Args:
        size: side of the square, pixels.
        mosaic: share of pictures made of four.
        composed: share of pictures composed of cut-out garments, where there are any.
        centered: share of the other pictures that are simply letterboxed, as at inference.
        scale: smallest and largest size of the longer side, as shares of the square.
        aspect: largest factor by which one side is stretched.
        blur: share of pictures that are blurred.
    """

    size: int
    mosaic: float = 0.25
    composed: float = 0.25
    centered: float = 0.35
    scale: tuple[float, float] = (0.55, 1.5)
    aspect: float = 1.15
    blur: float = 0.1


Draw = Callable[[np.random.Generator], Picture]


def training_picture(
    rng: np.random.Generator, photo: Draw, composed: Draw | None, augmentation: Augmentation
) -> Picture:
    """One picture (size, size, 3) for training.

    Args:
        photo: draws a photo.
        composed: draws a composed picture; None: there are no cut-outs.
    """
    if composed is not None and rng.random() < augmentation.composed:
        made = placed(rng, composed(rng), augmentation)
    elif rng.random() < augmentation.mosaic:
        made = mosaic(rng, [photo(rng) for _ in range(4)], augmentation)
    else:
        made = placed(rng, photo(rng), augmentation)
    if rng.random() < 0.5:
        made = Picture(np.ascontiguousarray(made.pixels[:, ::-1]), flipped(made.boxes, augmentation.size), made.classes)
    return Picture(recolored(rng, made.pixels, augmentation.blur), made.boxes, made.classes)


def placed(rng: np.random.Generator, picture: Picture, augmentation: Augmentation) -> Picture:
    """The picture in a square, at a random size and place, or letterboxed."""
    size = augmentation.size
    if rng.random() < augmentation.centered:
        return _put(rng, picture, (size, size), 1.0, 1.0, (0.5, 0.5))
    low, high = augmentation.scale
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(augmentation.aspect)))
    return _put(rng, picture, (size, size), scale, stretch, (rng.random(), rng.random()))


def mosaic(rng: np.random.Generator, pictures: Sequence[Picture], augmentation: Augmentation) -> Picture:
    """Four pictures in the quarters of a square whose cross lies at a random place (Bochkovskiy et al. 2020)."""
    size = augmentation.size
    across, down = (int(size * rng.uniform(0.35, 0.65)) for _ in range(2))
    canvas = np.empty((size, size, 3), np.uint8)
    boxes, classes = [], []
    corners = ((0, 0, across, down), (across, 0, size, down), (0, down, across, size), (across, down, size, size))
    for picture, (x1, y1, x2, y2) in zip(pictures, corners, strict=True):
        scale = float(np.exp(rng.uniform(np.log(0.8), np.log(1.6))))
        part = _put(rng, picture, (x2 - x1, y2 - y1), scale, 1.0, (rng.random(), rng.random()))
        canvas[y1:y2, x1:x2] = part.pixels
        boxes.append(part.boxes + np.array([x1, y1, x1, y1], np.float32))
        classes.append(part.classes)
    return Picture(canvas, np.concatenate(boxes), np.concatenate(classes))


def _put(
    rng: np.random.Generator,
    picture: Picture,
    room: tuple[int, int],
    scale: float,
    stretch: float,
    place: tuple[float, float],
) -> Picture:
    """The picture inside a room of (width, height): `scale` 1 fits it in, more cuts it, `place` is where it lies."""
    height, width = picture.pixels.shape[:2]
    fit = scale * min(room[0] / width, room[1] / height)
    wide = max(1, round(width * fit * stretch**0.5))
    high = max(1, round(height * fit / stretch**0.5))
    shrinks = wide * high < width * height
    small = cv2.resize(picture.pixels, (wide, high), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    left, top = (round((free - taken) * at) for free, taken, at in zip(room, (wide, high), place, strict=True))
    canvas = _filling(rng, picture, room)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + wide, room[0]), min(top + high, room[1])
    canvas[y1:y2, x1:x2] = small[y1 - top : y2 - top, x1 - left : x2 - left]
    factor = np.array([wide / width, high / height] * 2, np.float32)
    moved = picture.boxes * factor + np.array([left, top] * 2, np.float32)
    return cut(Picture(canvas, moved, picture.classes))


def _filling(rng: np.random.Generator, picture: Picture, room: tuple[int, int]) -> np.ndarray:
    """Mostly the letterbox's gray; sometimes the photo's own border color, so that gray means nothing."""
    color = np.full(3, FILLING, np.uint8)
    if rng.random() < 0.3:
        color = picture.pixels[0, :, :].mean(axis=0).astype(np.uint8)
    return np.broadcast_to(color, (room[1], room[0], 3)).copy()


def cut(picture: Picture) -> Picture:
    """Boxes cut at the picture's edges, without those of which too little is left."""
    height, width = picture.pixels.shape[:2]
    limits = np.array([width, height] * 2, np.float32)
    inside = np.clip(picture.boxes, 0, limits)
    keep = _area(inside) >= MIN_VISIBLE * _area(picture.boxes)
    keep &= ((inside[:, 2:] - inside[:, :2]) >= MIN_PIXELS).all(axis=1)
    return Picture(picture.pixels, inside[keep].astype(np.float32), picture.classes[keep])


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def recolored(rng: np.random.Generator, pixels: np.ndarray, blur: float) -> np.ndarray:
    """Random brightness, contrast, gamma, saturation and white balance; sometimes gray or blurred."""
    table = np.linspace(0, 1, 256) ** float(np.exp(rng.uniform(-0.35, 0.35)))
    balance = np.exp(rng.normal(0, 0.06, 3))
    contrast, shift = rng.uniform(0.75, 1.25), rng.uniform(-0.12, 0.12)
    tables = np.clip(((table[:, None] - 0.5) * contrast + 0.5 + shift) * balance, 0, 1)
    made = cv2.LUT(pixels, (tables * 255).astype(np.uint8)[:, None, :])
    saturation = 0.0 if rng.random() < 0.04 else rng.uniform(0.6, 1.4)
    gray = cv2.cvtColor(cv2.cvtColor(made, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    made = cv2.addWeighted(made, saturation, gray, 1 - saturation, 0)
    if rng.random() < blur:
        made = cv2.GaussianBlur(made, (0, 0), rng.uniform(0.5, 1.5))
    return made
