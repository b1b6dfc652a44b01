"""Pairs of shoes seen from above, as people photograph them on a floor: toes up, origin between the heels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, flipped, spline, tube
from pipeline.demo.garments.trim import BRASS, emblem
from pipeline.demo.material import Material
from pipeline.demo.spec import ProductSpec

TYPES = ("Sneakers", "Heels", "Sandals")
"""Types that can be drawn from above."""


def draw_from_above(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """A pair side by side; the left one is the right one's mirror image."""
    figure = canvas.place
    gap = 6.2 + spec.seed % 3
    for side in (-1.0, 1.0):
        lean = side * (0.04 + 0.03 * (spec.seed % 4)) + float(canvas.rng.normal(0, 0.03))
        canvas.place = figure.moved(side * gap, float(canvas.rng.normal(0, 0.6)), lean, flip=side < 0)
        _ONE[spec.type](canvas, spec, stuff)
    canvas.place = figure


def foot(length: float, ball: float, heel: float, toe: float) -> np.ndarray:
    """A right sole's outline: half widths of ball and heel, `toe` 0 round to 1 pointed."""
    tip = 0.9 - 0.5 * toe
    right = [
        (heel * 0.75, -0.6),
        (heel, -4.0),
        (heel * 0.92, -length * 0.38),
        (ball * 1.04, -length * 0.68),
        (ball * (0.9 - 0.2 * toe), -length * 0.86),
        (ball * tip * 0.55, -length * 0.98),
    ]
    left = [
        (-ball * tip * 0.75, -length * 0.97),
        (-ball * (0.96 - 0.2 * toe), -length * 0.84),
        (-ball * 0.98, -length * 0.7),
        (-heel * 0.8, -length * 0.4),
        (-heel, -4.0),
        (-heel * 0.75, -0.6),
    ]
    return spline([(0, 0), *right, *left])


def _opening(length: float, half: float, front: float) -> np.ndarray:
    """The hole the foot goes in."""
    return spline(
        [
            (0, -1.4),
            (half, -3.4),
            (half * 1.02, -length * 0.3),
            (half * 0.8, -front),
            (0, -front - 0.8),
            (-half * 0.8, -front),
            (-half * 1.02, -length * 0.3),
            (-half, -3.4),
        ]
    )


def _sneaker(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    white = (238, 237, 232) if spec.seed % 4 else tuple(np.asarray(spec.rgb) * 0.5 + 10)
    canvas.piece(foot(29.5, 5.5, 4.1, 0.1), Material(white, folds=0, puff=0.6, edge=0.8), shadow=0.0)
    canvas.piece(foot(28.8, 5.0, 3.6, 0.1) + (0, -0.35), stuff)
    if spec.size("cap"):
        cap = spline(
            [(-4.9, -21.6, 1), (0, -22.6), (4.9, -21.6, 1), (4.4, -26), (1.2, -28.6), (-2.4, -28.4), (-4.6, -25.6)]
        )
        canvas.piece(cap, Material((236, 234, 228), folds=0, puff=0.4, edge=1.0), lift=0.1)
    canvas.piece(
        _opening(28, 2.9, 11.0),
        Material(tuple(np.asarray(spec.rgb) * 0.3 + 14), folds=0, puff=-0.4, edge=1.5),
        lift=-0.2,
    )
    canvas.piece(
        spline([(-1.6, -2.6), (1.6, -2.6), (2.2, -6.5), (1.4, -9.8), (-1.4, -9.8), (-2.2, -6.5)]),
        Material((190, 186, 178), folds=0, puff=0.1),
        lift=-0.2,
    )
    tongue = spline([(-2.3, -8.2, 1), (0, -7.4), (2.3, -8.2, 1), (1.9, -19, 1), (0, -19.8), (-1.9, -19, 1)])
    canvas.piece(tongue, stuff.plain(np.asarray(stuff.rgb) * 0.92, puff=0.6, edge=1.0), lift=0.2)
    lace = (244, 243, 240) if np.asarray(spec.rgb).mean() < 190 or spec.seed % 2 else (40, 40, 44)
    for y in np.linspace(-10.6, -18.6, 5):
        canvas.line(np.array([(-2.7, y - 0.5), (2.7, y + 0.5)]), 0.8, lace, depth=0.4)
        canvas.line(np.array([(-2.7, y + 0.5), (2.7, y - 0.5)]), 0.8, lace, depth=0.4)
    for s in (-1, 1):
        bow = spline([(0, -9.6), (s * 3.4, -7.2), (s * 4.4, -9.4), (s * 0.6, -10.2)], closed=False)
        canvas.line(bow, 0.6, lace, depth=0.4)
    emblem(canvas, spec, (3.9, -13.5), 2.0)


def _heel(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    toe = spec.size("toe")
    if spec.word("style") in ("strap", "peep"):
        stuff = replace(stuff, puff=0.5, edge=0.8, folds=0.0)
        canvas.piece(
            foot(25.5, 4.0, 2.7, 0.3 + toe * 0.4), Material((196, 164, 130), folds=0, puff=0.3, edge=0.8), shadow=0.0
        )
        for y, half in ((-20.5, 4.3), (-17.2, 4.3))[: 1 + spec.seed % 2]:
            canvas.piece(tube([(-half, y + 0.8), (0, y - 0.6), (half, y + 0.8)], (1.0, 1.1, 1.0)), stuff, lift=0.5)
        canvas.piece(tube([(-2.8, -6.2), (0, -9.2), (2.8, -6.2)], (0.5, 0.5, 0.5)), stuff, lift=0.5)
        canvas.piece(
            tube([(-2.8, -4.6), (-2.2, -0.6), (0, 0.4), (2.2, -0.6), (2.8, -4.6)], (0.5, 0.6, 0.5)), stuff, lift=0.4
        )
        return
    canvas.piece(foot(27.0, 4.1, 2.8, 0.35 + 0.6 * toe), stuff, shadow=0.0)
    canvas.piece(_opening(26, 2.2, 17.4), Material((206, 178, 148), folds=0, puff=-0.5, edge=1.2), lift=-0.3)
    if spec.seed % 3 == 0:
        canvas.piece(ellipse((0, -19.4), 1.3, 0.8), BRASS, lift=0.3)


def _sandal(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    stuff = replace(stuff, puff=0.5, edge=0.8, folds=0.0)
    bed = (178.0, 138.0, 98.0) if stuff.gloss > 0.3 else tuple(np.asarray(spec.rgb) * 0.55 + 12)
    canvas.piece(foot(28.0, 5.1, 3.8, 0.0), Material((54, 46, 42), folds=0, puff=0.6, edge=0.8), shadow=0.0)
    canvas.piece(foot(27.2, 4.7, 3.4, 0.0) + (0, -0.4), Material(tuple(np.asarray(bed)), folds=0, puff=0.3, edge=1.2))
    style = spec.word("style")
    if style == "thong":
        strap = [(0, -22.6), (3.0, -18.6), (4.7, -12.0)]
        for one in (tube(strap, (0.5, 0.9, 1.1)), flipped(tube(strap, (0.5, 0.9, 1.1)))):
            canvas.piece(one, stuff, lift=0.5)
        return
    rows = {
        "slide": ((-17.0, 3.6),),
        "sport": ((-20.0, 1.5), (-13.0, 1.4)),
        "strappy": ((-21.4, 0.6), (-18.2, 0.6), (-14.6, 0.6)),
    }[style]
    for y, half in rows:
        canvas.piece(tube([(-5.2, y + 1.2), (0, y - 0.4), (5.3, y + 0.8)], (half, half * 1.05, half)), stuff, lift=0.6)
    if style != "slide":
        canvas.piece(
            tube([(-3.5, -7.5), (-2.6, -0.6), (0, 0.5), (2.6, -0.6), (3.5, -7.5)], (0.8, 0.9, 0.8)), stuff, lift=0.5
        )
        canvas.piece(tube([(-3.8, -7.2), (0, -9.2), (3.8, -7.2)], (0.8, 0.8, 0.8)), stuff, lift=0.6)
    emblem(canvas, spec, (0, rows[0][0]), 2.4)


_ONE = {"Sneakers": _sneaker, "Heels": _heel, "Sandals": _sandal}
