"""Sneakers and boots from the side, toe to the right; origin at the heel on the ground, x forward, up is minus."""

from __future__ import annotations

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import Line, Point, ellipse, lerp, spline, tube
from pipeline.demo.garments.trim import BRASS, emblem, stitched
from pipeline.demo.material import Material
from pipeline.demo.spec import RGB, ProductSpec


def lay_sole(canvas: Canvas, points: Line, rgb: RGB) -> None:
    """A rubber or leather sole."""
    canvas.piece(spline(points), Material(rgb, folds=0, puff=0.5, edge=0.8, gloss=0.1, grain=1.2), lift=0.2)


def tinted(rgb: Point, factor: float, plus: float = 0.0) -> RGB:
    """A color made darker and lifted."""
    r, g, b = np.clip(np.asarray(rgb, float) * factor + plus, 0, 255)
    return float(r), float(g), float(b)


def draw_sneakers(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Low, high and running shoes with laces, toe cap and stripes."""
    style, sole, toe = spec.word("style"), spec.size("sole"), spec.size("toe")
    top = -15.5 if style == "high" else -10.0
    nose = -5.6 + toe
    inside = stuff.plain(tinted(stuff.rgb, 0.35, 20), folds=0, puff=0.1)
    canvas.piece(spline([(0.6, top + 1, 1), (4.5, top - 1.6), (9.6, top + 0.6, 1), (8.5, top + 3.5),
                         (3, top + 3)]), inside)  # fmt: skip
    body = [(0.2, -sole * 0.6, 1), (-0.5, -5), (0.1, top + 2), (0.5, top, 1), (4.6, top + 2.0), (9.4, top + 0.2, 1),
            (12.2, -9.6), (16.5, -8.0 + 0.4 * toe), (21.0, nose - 0.9), (25.4, nose + 0.8), (27.8, -3.4),
            (28.2, -sole * 0.6, 1)]  # fmt: skip
    canvas.piece(spline(body), stuff)
    _overlays(canvas, spec, stuff, top, nose)
    _laces(canvas, spec, top)
    wave = 0.5 if style == "runner" else 0.0
    under = [(-0.9, -sole - 0.4 - 2 * wave, 1), (6, -sole - wave), (14, -sole + 0.3), (22, -sole),
             (28.4, -sole - 0.8, 1),
             (29.0, -1.6), (27.2, -0.1 - 0.4 * toe), (14, 0.0), (0.6, 0.0), (-0.9 - wave, -1.2)]  # fmt: skip
    lay_sole(canvas, under, (240, 239, 234) if spec.seed % 4 else tinted(spec.rgb, 0.5, 10))
    rim = spec.rgb2 if spec.seed % 3 == 0 else (150, 146, 138)
    canvas.line(spline([(-0.8, -1.0), (14, -0.8), (27.8, -1.0)], closed=False), 0.5, rim)
    if spec.seed % 5:
        emblem(canvas, spec, (6.6, -6.2 if style != "high" else -10.5), 3.0, always=True)


def _overlays(canvas: Canvas, spec: ProductSpec, stuff: Material, top: float, nose: float) -> None:
    """What is sewn onto the upper: heel counter, toe cap, stripes."""
    sole, runner = spec.size("sole"), spec.word("style") == "runner"
    if runner:
        overlay = spline([(0, -sole, 1), (0.2, -6.5), (4, -7.4), (8, -4.4), (12, -sole, 1)])
        canvas.piece(overlay, stuff.plain(spec.rgb2, folds=0), lift=0.12)
    else:
        counter = spline([(-0.2, -sole, 1), (-0.2, top * 0.55), (2.4, top * 0.6, 1), (4.6, -sole, 1)])
        canvas.piece(counter, stuff.plain(tinted(stuff.rgb, 0.92)), lift=0.1)
    if spec.size("cap") or runner:
        cap = [(21.8, nose - 0.7, 1), (25.4, nose + 0.8), (27.8, -3.4), (28.2, -sole * 0.7, 1),
               (20.6, -sole * 0.7, 1), (20.4, -3.6)]  # fmt: skip
        canvas.piece(spline(cap), stuff.plain(tinted(spec.rgb, 0.8) if runner else (238, 236, 230), folds=0), lift=0.12)
    for k in range(int(spec.size("stripe"))):
        x, y = 10.2 + 2.6 * k, -8.6 + 0.3 * k
        stripe = spline([(x + 2.4, y, 1), (x + 3.7, y + 0.3, 1), (x + 0.2, -sole, 1), (x - 1.2, -sole, 1)])
        canvas.piece(stripe, stuff.plain(spec.rgb2, folds=0, puff=0.1), lift=0.06, shadow=0.2)


def _laces(canvas: Canvas, spec: ProductSpec, top: float) -> None:
    """Eyelet strip with crossing laces and a bow."""
    front, back = np.array([17.6, -8.3]), np.array([9.8, top + 0.6])
    strip = tube([back + (0.8, 1.2), lerp(back, front, 0.5) + (0.4, 1.3), front + (-0.2, 1.2)], (1.2, 1.1, 0.9))
    canvas.piece(strip, Material(tinted(spec.rgb, 0.85), folds=0, edge=0.8, puff=0.3), lift=0.1)
    lace = (244, 243, 240) if np.asarray(spec.rgb).mean() < 190 or spec.seed % 2 else (40, 40, 44)
    for t in np.linspace(0.06, 0.94, 6 if top < -12 else 5):
        at = lerp(back, front, t)
        canvas.line(np.array([at + (-0.6, -0.9), at + (1.0, 2.0)]), 0.75, lace, depth=0.35)
    for dx in (-2.4, 2.6):
        loop = spline([back + (0.6, 0.2), back + (dx, 1.8), back + (dx * 0.8, 3.0), back + (0.8, 0.9)], closed=False)
        canvas.line(loop, 0.55, lace, depth=0.3)


def draw_boots(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Chelsea, lace-up, ankle and tall boots."""
    style, heel, sole, toe = spec.word("style"), spec.size("heel"), spec.size("sole"), spec.size("toe")
    arch, top = heel - sole, -heel - spec.size("shaft")
    bend, wide = -heel - 8.2, 11.8 if style == "tall" else 10.8
    opening = [(0.0, top, 1), (wide * 0.5, top - 1.5), (wide, top + 0.4, 1), (wide * 0.5, top + 2.2)]
    canvas.piece(spline(opening), stuff.plain(tinted(stuff.rgb, 0.4), folds=0, puff=0.1))
    body = [(0.2, -heel + 0.4, 1), (-0.4, -heel - 3), (0.5, bend), (0.0, (bend + top) / 2), (-0.3, top, 1),
            (wide * 0.5, top + 1.4),
            (wide, top + 0.4, 1), (wide - 0.4, (bend + top) / 2), (wide + 0.6, bend + 0.5),
            (15.0, -sole - arch * 0.4 - 6.4),
            (19.5, -sole - 5.2), (24.0, -sole - 4.2 - 0.5 * toe), (27.2, -sole - 2.4), (27.8, -sole + 0.2, 1),
            (18, -sole + 0.2), (10, -sole - arch * 0.55)]  # fmt: skip
    canvas.piece(spline(body), stuff)
    for _ in range(3):
        y = bend + canvas.rng.uniform(-2, 3)
        canvas.crease(np.linspace((2.5, y - 0.8), (wide + 1, y + 1.0), 7), 0.7, -0.45)
    {"chelsea": _chelsea, "lace": _laced}.get(style, _zipped)(canvas, spec, stuff, (top, bend, wide))
    if style == "lace" or toe > 0.6:
        stitched(canvas, spline([(19.8, -sole - 5.2), (20.6, -sole - 2.6), (20.0, -sole)], closed=False), spec, 0.2)
    if arch > 0.6:
        under = [(-0.4, -heel + 0.2, 1), (8.0, -heel + 0.4), (13, -sole - arch * 0.45), (19, -sole),
                 (28.2, -sole, 1), (28.2, -0.4),
                 (26, 0), (15.5, 0), (11.2, -arch * 0.8, 1), (9.2, -arch * 0.7, 1), (8.4, 0, 1),
                 (0.6, 0, 1)]  # fmt: skip
    else:
        under = [(-0.4, -sole - 0.2, 1), (28.2, -sole, 1), (28.2, -0.4), (26, 0), (0.4, 0)]
    lay_sole(canvas, under, (38, 33, 30) if spec.seed % 3 else (128, 92, 58))
    emblem(canvas, spec, (5.8, bend - 2.0 if style == "tall" else -heel - 4.6), 2.4)


Shaft = tuple[float, float, float]
"""Height of a boot's upper rim and of its ankle, and the shaft's width."""


def _chelsea(canvas: Canvas, spec: ProductSpec, stuff: Material, shaft: Shaft) -> None:
    """Elastic gore and pull tab."""
    top, bend, _ = shaft
    gore = spline([(3.6, top + 1.2, 1), (8.0, top + 1.4, 1), (7.2, bend + 1.5), (5.4, bend + 3.5), (4.2, bend + 1)])
    elastic = stuff.plain(tinted(stuff.rgb, 0.5, 12), rib=0.12, rib_step=0.45, folds=0, gloss=0)
    canvas.piece(gore, elastic, lift=0.05)
    tab = [(-0.2, top + 1), (-1.2, top - 2.0), (0.6, top - 2.2), (0.8, top + 1.4)]
    canvas.piece(tube(tab, (0.5, 0.5)), stuff.plain(puff=0.2), lift=0.2)


def _laced(canvas: Canvas, spec: ProductSpec, stuff: Material, shaft: Shaft) -> None:
    """Laces up the instep and the shaft."""
    top, bend, wide = shaft
    sole = spec.size("sole")
    front, knee, back = np.array([18.0, -sole - 6.0]), np.array([wide + 1.2, bend]), np.array([wide + 0.2, top + 1.6])
    lace = (200, 172, 96) if spec.seed % 2 else (36, 32, 30)
    for start, stop, count in ((back, knee, 5), (knee, front, 4)):
        for t in np.linspace(0.05, 0.95, count):
            at = lerp(start, stop, t)
            canvas.line(np.array([at + (-2.6, 0.6), at + (0.3, -0.2)]), 0.6, lace, depth=0.3)
    seam = spline([(wide - 3.4, top + 1), (wide - 3.0, bend), (15.0, -sole - 3.6)], closed=False)
    stitched(canvas, seam, spec, 0.2)


def _zipped(canvas: Canvas, spec: ProductSpec, stuff: Material, shaft: Shaft) -> None:
    """A zip along the inside and perhaps a strap with a buckle."""
    top, bend, wide = shaft
    line = spline([(4.6, top + 1), (4.4, bend), (5.0, -spec.size("heel") - 2)], closed=False)
    canvas.line(line, 0.5, (60, 58, 56), depth=-0.25, opacity=0.7)
    if spec.seed % 2:
        strap = tube([(0, bend + 1), (6, bend + 2.4), (wide + 1.4, bend + 0.6)], (0.7, 0.7))
        canvas.piece(strap, stuff.plain(tinted(stuff.rgb, 0.9)), lift=0.3)
        canvas.piece(ellipse((7, bend + 2.3), 1.0, 1.0), BRASS, lift=0.15)
