"""Small parts shared by garments: stitching, buttons, pockets, labels, brand marks, printed graphics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from pipeline.demo import marks
from pipeline.demo.canvas import Canvas, Material
from pipeline.demo.curves import ellipse, spline
from pipeline.demo.spec import ProductSpec

METAL = Material((188, 186, 180), folds=0, puff=0.3, edge=0.4, gloss=0.9, grain=0.5)
BRASS = Material((196, 160, 92), folds=0, puff=0.3, edge=0.4, gloss=0.9, grain=0.5)


def thread(spec: ProductSpec) -> tuple[float, float, float]:
    """Color of visible stitching: rust on denim, else a shade off the cloth."""
    if spec.cloth == "denim":
        return (196.0, 134.0, 62.0)
    ground = np.asarray(spec.rgb)
    r, g, b = np.clip(ground + (38 if ground.mean() < 110 else -34), 0, 255)
    return float(r), float(g), float(b)


def stitched(canvas: Canvas, line: np.ndarray, spec: ProductSpec, width: float = 0.16) -> None:
    """A seam with dashes of thread beside it."""
    canvas.line(line, 0.3, depth=-0.22)
    canvas.line(line, width, thread(spec), dash=(0.32, 0.2), opacity=0.75)


def buttons(
    canvas: Canvas, at: Sequence[Sequence[float]], radius: float, spec: ProductSpec, metal: bool = False
) -> None:
    """Round buttons with holes."""
    light = np.asarray(spec.rgb).mean() > 150
    plain = Material(
        (238, 236, 228) if spec.seed % 3 or not light else (60, 52, 48),
        folds=0,
        puff=0.18,
        edge=0.3,
        gloss=0.5,
        grain=0,
    )
    for x, y in at:
        canvas.piece(ellipse((x, y), radius, radius, count=16), METAL if metal else plain, lift=0.12)
        for dx in (-0.25, 0.25):
            canvas.patch(ellipse((x + dx * radius, y), radius * 0.16, radius * 0.16, count=8), (40, 36, 34), 0.8)


def pocket(
    canvas: Canvas,
    spec: ProductSpec,
    stuff: Material,
    top: Sequence[float],
    width: float,
    height: float,
    flap: bool = False,
) -> None:
    """A patch pocket whose upper edge is centered at `top`."""
    x, y = top
    w = width / 2
    outline = spline(
        [(x - w, y, 1), (x + w, y, 1), (x + w, y + height * 0.85, 1), (x, y + height, 1), (x - w, y + height * 0.85, 1)]
    )
    canvas.piece(outline, stuff, lift=0.12, shadow=0.3)
    inside = outline.mean(0) + (outline - outline.mean(0)) * 0.93
    stitched(canvas, np.vstack([inside, inside[:1]]), spec)
    if flap:
        lid = spline(
            [
                (x - w - 0.3, y - 0.8, 1),
                (x + w + 0.3, y - 0.8, 1),
                (x + w + 0.3, y + height * 0.22, 1),
                (x, y + height * 0.36, 1),
                (x - w - 0.3, y + height * 0.22, 1),
            ]
        )
        canvas.piece(lid, stuff, lift=0.35)
        buttons(canvas, [(x, y + height * 0.22)], 0.6, spec, metal=spec.cloth == "denim")


def ink_for(spec: ProductSpec) -> tuple[float, float, float]:
    """Color of a mark that stands out from the cloth."""
    ground = np.asarray(spec.rgb)
    if np.abs(np.asarray(spec.rgb2) - ground).sum() > 200:
        return spec.rgb2
    return (244.0, 244.0, 240.0) if ground.mean() < 140 else (28.0, 30.0, 38.0)


def emblem(canvas: Canvas, spec: ProductSpec, at: Sequence[float], width: float, always: bool = False) -> None:
    """The brand's small sign; one product in five carries none."""
    if spec.seed % 5 == 0 and not always:
        return
    canvas.decal(
        marks.mark(spec.brand, ink_for(spec), lettering=spec.seed % 7 > 3),
        at,
        width * (1.7 if spec.seed % 7 > 3 else 1),
    )


def neck_label(canvas: Canvas, spec: ProductSpec, at: Sequence[float]) -> None:
    """The label sewn into the neck."""
    canvas.decal(marks.label(spec.brand), at, 5.2)


def graphic(canvas: Canvas, spec: ProductSpec, at: Sequence[float], width: float) -> None:
    """A printed chest graphic."""
    canvas.decal(_artwork(spec.seed, spec.brand, spec.rgb, spec.rgb2, spec.rgb3), at, width)


@lru_cache(maxsize=64)
def _artwork(seed: int, brand: str, ground: tuple, second: tuple, third: tuple) -> np.ndarray:
    """A poster-like picture of a few shapes and the brand's name or a number; uint8 (420, 360, 4)."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((420, 360, 4), np.uint8)
    inks = [np.asarray(c) for c in (second, third, (236, 232, 220), (28, 30, 36), (228, 178, 62), (200, 62, 54))]
    inks = [c for c in inks if np.abs(c - np.asarray(ground)).sum() > 120]
    kind = int(rng.integers(0, 4))
    if kind == 0:
        for r in range(150, 20, -26):
            _dab(picture, ellipse((180, 170), r, r), inks[(r // 26) % len(inks)])
        for y in range(190, 330, 22):
            _dab(picture, np.array([(0, y), (360, y), (360, y + 8), (0, y + 8)]), None)
    elif kind == 1:
        for k in range(int(rng.integers(5, 9))):
            points = np.stack([rng.uniform(30, 330, 3), rng.uniform(20, 300, 3)], axis=1)
            _dab(picture, points, inks[k % len(inks)])
    elif kind == 2:
        sign = cv2.resize(marks.mark(brand, tuple(inks[0]), False), (300, 300))
        picture[10:310, 30:330] = sign
    else:
        for k in range(7):
            x, y = rng.uniform(60, 300), rng.uniform(50, 270)
            for a in np.linspace(0, 6.283, 7)[:-1]:
                _dab(picture, ellipse((x + 26 * np.cos(a), y + 26 * np.sin(a)), 26, 13, a), inks[k % len(inks)])
            _dab(picture, ellipse((x, y), 13, 13), inks[(k + 1) % len(inks)])
    word = marks.mark(brand, tuple(inks[int(rng.integers(len(inks)))]), True)[marks.SIDE + 20 :]
    high = min(90, round(word.shape[0] * 340 / word.shape[1]))
    picture[325 : 325 + high, 10:350] = cv2.resize(word, (340, high), interpolation=cv2.INTER_AREA)
    return picture


def _dab(picture: np.ndarray, outline: np.ndarray, ink: np.ndarray | None) -> None:
    """One printed shape; ink None wipes the print away."""
    color = (0.0, 0.0, 0.0, 0.0) if ink is None else (*map(float, ink), 255.0)
    cv2.fillPoly(picture, [np.round(outline * 16).astype(np.int32)], color, cv2.LINE_AA, 4)
