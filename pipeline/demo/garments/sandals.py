"""Heels and sandals from the side, toe to the right; origin at the heel on the ground, x forward, up is minus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, spline, tube
from pipeline.demo.garments.shoes import lay_sole, tinted
from pipeline.demo.garments.trim import BRASS, METAL, emblem
from pipeline.demo.material import Material
from pipeline.demo.spec import RGB, ProductSpec


def band(canvas: Canvas, at: tuple[float, float], rise: float, half: float, stuff: Material) -> None:
    """A strap over the foot, from the sole's near edge up and over to the far side."""
    x, y = at
    far = [(x - half * 0.4, y - rise, 1), (x + half * 0.9 + 0.9, y - rise * 0.98),
           (x + half + 1.5, y - rise * 0.55, 1), (x + half + 0.4, y - rise * 0.72)]  # fmt: skip
    canvas.piece(spline(far), stuff.plain(tinted(stuff.rgb, 0.5), puff=0.1, folds=0), lift=0.0)
    near = [(x - half - 0.9, y + 0.5, 1), (x - half - 0.7, y - rise * 0.55), (x - half * 0.62, y - rise * 0.98, 1),
            (x + half * 0.66 + 0.3, y - rise * 0.94, 1), (x + half * 0.9, y - rise * 0.5),
            (x + half * 0.7, y + 0.5, 1)]  # fmt: skip
    canvas.piece(spline(near), replace(stuff, puff=0.45, edge=0.8), lift=0.3)


def draw_heels(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Pumps, slingbacks and sandals with a heel."""
    heel, ground, w = spec.size("heel"), -spec.size("platform"), spec.size("width")
    bed = [(0.6, -heel - 0.6), (4.5, -heel - 0.9), (10.0, -heel * 0.62), (15.5, ground - heel * 0.16 - 0.7),
           (20, ground - 0.6), (25.4, ground - 0.8)]  # fmt: skip
    line = spline(bed, closed=False)
    stem = [(0.0, -heel - 0.8, 1), (5.4, -heel - 0.3, 1), (3.0 + w * 0.4, -heel * 0.62), (2.1 + w, 0, 1),
            (1.5 - w * 0.3, 0, 1), (1.0, -heel * 0.5)]  # fmt: skip
    canvas.piece(spline(stem), stuff.plain(tinted(stuff.rgb, 0.8 if spec.seed % 3 else 1.0)), lift=0.1)
    if spec.word("style") in ("pump", "slingback"):
        _pump(canvas, spec, stuff, heel, ground)
    else:
        _heeled_sandal(canvas, spec, stuff, line, heel)
    sole = np.vstack([line + (0, 0.35), (line + (0, 1.0))[::-1]])
    canvas.piece(sole, Material((54, 42, 38), folds=0, puff=0.2, edge=0.4), lift=0.0, shadow=0.0)
    if ground < 0:
        block = spline([(15, ground - 0.6, 1), (26.0, ground - 0.2, 1), (25.4, -0.1, 1), (16.5, 0, 1)])
        canvas.piece(block, stuff.plain(tinted(stuff.rgb, 0.85)), lift=0.1)


def _pump(canvas: Canvas, spec: ProductSpec, stuff: Material, heel: float, ground: float) -> None:
    """A closed toe, low-cut; the slingback has a strap in place of the heel's counter."""
    pump, toe = spec.word("style") == "pump", spec.size("toe")
    depth, tip = 4.6 if pump else 1.2, 26.4 + 1.6 * (1 - toe)
    inner = [(0.8, -heel - depth + 0.8), (6, -heel - depth * 0.4 - 0.6), (13, -heel * 0.5 - 4.2), (18.2, ground - 4.7),
             (15, ground - heel * 0.3 - 2), (6, -heel - 1)]  # fmt: skip
    canvas.piece(spline(inner), Material((204, 176, 146), folds=0, puff=0.1))
    upper = [(0.3, -heel - 0.5, 1), (-0.1, -heel - depth * 0.6), (0.4, -heel - depth, 1),
             (4.5, -heel - (2.2 if pump else 1.0)),
             (10.5, -heel * 0.6 - 2.0), (15.8, ground - heel * 0.2 - 3.1), (18.4, ground - 4.6, 1), (22, ground - 3.4),
             (tip - 1.0, ground - 1.7 - 0.5 * toe), (tip, ground - 0.4, 1), (20, ground - 0.3),
             (15.5, ground - heel * 0.16 - 0.4),
             (9.5, -heel * 0.62 + 0.3), (5, -heel - 0.4)]  # fmt: skip
    canvas.piece(spline(upper), stuff, lift=0.3)
    if not pump:
        strap = [(9.5, -heel * 0.62 - 1.2), (3, -heel - 4.4), (-0.4, -heel - 4.6), (-0.6, -heel - 2.6)]
        canvas.piece(tube(strap, (0.5, 0.45, 0.45)), stuff.plain(), lift=0.2)
    if spec.seed % 3 == 0:
        canvas.piece(ellipse((19.6, ground - 3.7), 1.4, 0.8, 0.4), BRASS, lift=0.3)


def _heeled_sandal(canvas: Canvas, spec: ProductSpec, stuff: Material, line: np.ndarray, heel: float) -> None:
    """A thin bed with bands over the toes and a strap around the ankle."""
    bed = Material((196, 166, 134), folds=0, puff=0.3, edge=0.8)
    canvas.piece(np.vstack([line + (0, -1.3), (line + (0, 0.5))[::-1]]), bed, lift=0.1)
    flat = stuff.plain(puff=0.3, edge=0.6, folds=0)
    ring = [(-0.2, -heel - 6.4), (1.6, -heel - 8.0), (5.4, -heel - 8.6), (8.6, -heel - 7.6), (9.2, -heel - 6.2)]
    canvas.piece(tube(ring, (0.5, 0.5, 0.5)), flat.plain(tinted(stuff.rgb, 0.55)), lift=0.0)
    counter = [(0.2, -heel - 0.4, 1), (-0.5, -heel - 3.6), (-0.4, -heel - 7.0, 1), (0.7, -heel - 7.0, 1),
               (1.5, -heel - 3.4), (4.6, -heel - 0.7, 1)]  # fmt: skip
    canvas.piece(spline(counter), flat, lift=0.2)
    three = ((22.4, 3.1, 1.0), (18.6, 4.2, 0.9), (15.0, 5.0, 0.7))
    for x, rise, half in reversed(three if spec.word("style") == "strap" else ((20.6, 4.0, 2.2),)):
        band(canvas, (x, _height(line, x)), rise, half, stuff)
    if spec.seed % 2:
        bridge = [(15.6, _height(line, 15) - 4.6), (10, -heel * 0.75 - 6), (8.6, -heel - 6.4)]
        canvas.piece(tube(bridge, (0.5, 0.45)), flat, lift=0.2)
    front = [(9.2, -heel - 6.2), (6.4, -heel - 5.6), (2.4, -heel - 5.8), (-0.2, -heel - 6.4)]
    canvas.piece(tube(front, (0.55, 0.55, 0.55)), flat, lift=0.3)
    buckle = np.array([(6.6, -heel - 6.5), (8.0, -heel - 6.6), (8.0, -heel - 4.8), (6.6, -heel - 4.7)])
    canvas.piece(buckle, METAL, lift=0.1)


def _height(line: np.ndarray, x: float) -> float:
    """y of a line that runs to the right, at x."""
    return float(np.interp(x, line[:, 0], line[:, 1]))


def draw_sandals(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Slides, thongs, sport and strappy sandals."""
    style, sole, wedge = spec.word("style"), spec.size("sole"), spec.size("wedge")
    high = sole + wedge
    bed = (178.0, 138.0, 98.0) if stuff.gloss > 0.3 else tinted(spec.rgb, 0.55, 12)
    foot = [(-0.2, -high - 0.2, 1), (5, -high - 2.0), (14, -sole - wedge * 0.3 - 2.2), (22, -sole - 2.4),
            (26.6, -sole - 1.8),
            (27.6, -sole - 0.4), (20, -sole + 0.4), (10, -high * 0.7 - 0.6)]  # fmt: skip
    canvas.piece(spline(foot), Material(tinted(bed, 0.92, 8), folds=0, puff=0.2, edge=1.0))
    _straps(canvas, spec, stuff, bed)
    side = [(-0.4, -high - 0.4, 1), (7, -high + 0.2), (15, -sole - wedge * 0.25), (22, -sole), (27.6, -sole - 0.9),
            (28.3, -sole * 0.5),
            (26.5, -0.3), (20, 0), (4, 0), (-0.2, -0.5)]  # fmt: skip
    lay_sole(canvas, side, tinted(bed, 0.62, 6) if spec.seed % 2 else (52, 44, 40))
    groove = [(-0.2, -high * 0.45), (14, -sole * 0.5 - wedge * 0.15), (27.6, -sole * 0.5)]
    canvas.line(spline(groove, closed=False), 0.35, depth=-0.2)
    if style == "slide":
        emblem(canvas, spec, (17.6, -sole - 2.6), 2.4)


def _straps(canvas: Canvas, spec: ProductSpec, stuff: Material, bed: RGB) -> None:
    """What holds the foot, by style."""
    style, sole, wedge = spec.word("style"), spec.size("sole"), spec.size("wedge")
    flat = replace(stuff, puff=0.4, edge=0.8, folds=0.0, texture=None)
    high = sole + wedge
    if style == "thong":
        for end in ((9.6, -high * 0.8 - 0.2), (11.6, -sole - wedge * 0.4 - 2.4)):
            strap = [(22.4, -sole - 1.6), (19.0, -sole - 4.4), (14.5, -sole - wedge * 0.2 - 4.4), end]
            canvas.piece(tube(strap, (0.55, 0.8, 0.95, 0.9)), flat, lift=0.3)
        return
    if style != "slide":
        _heel_straps(canvas, flat, high, sole, 1.0 if style == "sport" else 0.5)
    rows = {
        "slide": ((20.6, 4.6, 1.9), (15.4, 5.6, 1.9)) if spec.size("straps") > 2 else ((18.0, 5.4, 3.6),),
        "sport": ((21.4, 4.2, 1.6), (14.6, 5.8, 1.4)),
        "strappy": ((22.6, 3.2, 0.7), (19.2, 4.2, 0.7), (15.4, 5.2, 0.7)),
    }[style]
    for x, rise, half in reversed(rows):
        y = -sole - wedge * max(0.0, (20 - x) / 20)
        band(canvas, (x, y), rise, half, stuff)
        if style == "sport":
            buckle = [(x - 1.0, y - rise * 0.62), (x + 0.6, y - rise * 0.6), (x + 0.6, y - rise * 0.36),
                      (x - 1.0, y - rise * 0.38)]  # fmt: skip
            canvas.piece(np.array(buckle), METAL if spec.seed % 2 else flat.plain((40, 40, 42)), lift=0.1)


def _heel_straps(canvas: Canvas, flat: Material, high: float, sole: float, half: float) -> None:
    """Around the heel and over the instep."""
    back = [(8.8, -high - 6.6), (5.2, -high - 8.0), (1.4, -high - 7.6), (-0.3, -high - 6.0)]
    canvas.piece(tube(back, (half * 0.9, half * 0.9)), flat.plain(tinted(flat.rgb, 0.5)), lift=0.0)
    canvas.piece(tube([(-0.3, -high - 6.6), (-0.4, -high - 3.4), (1.0, -high + 0.2)], (half, half)), flat, lift=0.2)
    canvas.piece(tube([(-0.3, -high - 6.2), (4.4, -high - 5.4), (8.8, -high - 6.0)], (half, half)), flat, lift=0.2)
    over = [(11.8, -sole - 0.4), (11.6, -high * 0.6 - 4.0), (8.8, -high - 6.6)]
    canvas.piece(tube(over, (half, half)), flat, lift=0.2)
