"""Small parts shared by garments: stitching, buttons, pockets, labels, brand marks, printed graphics."""

from __future__ import annotations

import numpy as np

from pipeline.demo import marks
from pipeline.demo.artwork import artwork
from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import Line, Point, ellipse, spline
from pipeline.demo.material import Material
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


def buttons(canvas: Canvas, at: Line, radius: float, spec: ProductSpec, metal: bool = False) -> None:
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
    top: Point,
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


def emblem(canvas: Canvas, spec: ProductSpec, at: Point, width: float, always: bool = False) -> None:
    """The brand's small sign; one product in five carries none."""
    if spec.seed % 5 == 0 and not always:
        return
    canvas.decal(
        marks.mark(spec.brand, ink_for(spec), lettering=spec.seed % 7 > 3),
        at,
        width * (1.7 if spec.seed % 7 > 3 else 1),
    )


def neck_label(canvas: Canvas, spec: ProductSpec, at: Point) -> None:
    """The label sewn into the neck."""
    canvas.decal(marks.label(spec.brand), at, 5.2)


def graphic(canvas: Canvas, spec: ProductSpec, at: Point, width: float) -> None:
    """A printed chest graphic."""
    canvas.decal(artwork(spec.seed, spec.brand, spec.rgb, spec.rgb2, spec.rgb3), at, width)
