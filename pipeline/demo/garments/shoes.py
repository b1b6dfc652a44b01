"""Shoes seen from the side, toe to the right; origin at the heel on the ground, x forward, y down (so up is minus)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas, Material
from pipeline.demo.curves import ellipse, lerp, spline, tube
from pipeline.demo.garments.trim import BRASS, METAL, emblem, stitched
from pipeline.demo.spec import ProductSpec

LENGTH = 28.0


def _sole(canvas: Canvas, points: list, rgb: tuple, gloss: float = 0.1) -> None:
    canvas.piece(spline(points), Material(rgb, folds=0, puff=0.5, edge=0.8, gloss=gloss, grain=1.2), lift=0.2)


def draw_sneakers(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Low, high and running shoes with laces, toe cap and stripes."""
    style, sole, toe = spec.word("style"), spec.size("sole"), spec.size("toe")
    high = style == "high"
    top = -15.5 if high else -10.0
    inside = stuff.plain(np.asarray(stuff.rgb) * 0.35 + 20, folds=0, puff=0.1)
    canvas.piece(
        spline([(0.6, top + 1, 1), (4.5, top - 1.6), (9.6, top + 0.6, 1), (8.5, top + 3.5), (3, top + 3)]), inside
    )
    nose = -5.6 + 1.0 * toe
    body = [
        (0.2, -sole * 0.6, 1),
        (-0.5, -5),
        (0.1, top + 2),
        (0.5, top, 1),
        (4.6, top + 2.0),
        (9.4, top + 0.2, 1),
        (12.2, -9.6),
        (16.5, -8.0 + 0.4 * toe),
        (21.0, nose - 0.9),
        (25.4, nose + 0.8),
        (27.8, -3.4),
        (28.2, -sole * 0.6, 1),
    ]
    canvas.piece(spline(body), stuff)
    if style == "runner":
        overlay = spline([(0, -sole, 1), (0.2, -6.5), (4, -7.4), (8, -4.4), (12, -sole, 1)])
        canvas.piece(overlay, stuff.plain(spec.rgb2, folds=0), lift=0.12)
    else:
        counter = spline([(-0.2, -sole, 1), (-0.2, top * 0.55), (2.4, top * 0.6, 1), (4.6, -sole, 1)])
        canvas.piece(counter, stuff.plain(np.asarray(stuff.rgb) * 0.92), lift=0.1)
    if spec.size("cap") or style == "runner":
        cap = spline(
            [
                (21.8, nose - 0.7, 1),
                (25.4, nose + 0.8),
                (27.8, -3.4),
                (28.2, -sole * 0.7, 1),
                (20.6, -sole * 0.7, 1),
                (20.4, -3.6),
            ]
        )
        rubber = (238, 236, 230) if style != "runner" else tuple(np.asarray(spec.rgb) * 0.8)
        canvas.piece(cap, stuff.plain(rubber, folds=0), lift=0.12)
    for k in range(int(spec.size("stripe"))):
        x = 10.2 + 2.6 * k
        stripe = spline(
            [(x + 2.4, -8.6 + 0.3 * k, 1), (x + 3.7, -8.3 + 0.3 * k, 1), (x + 0.2, -sole, 1), (x - 1.2, -sole, 1)]
        )
        canvas.piece(stripe, stuff.plain(spec.rgb2, folds=0, puff=0.1), lift=0.06, shadow=0.2)
    _laces(canvas, spec, top)
    wave = 0.5 if style == "runner" else 0.0
    white = (240, 239, 234) if spec.seed % 4 else tuple(np.asarray(spec.rgb) * 0.5 + 10)
    _sole(
        canvas,
        [
            (-0.9, -sole - 0.4 - 2 * wave, 1),
            (6, -sole - wave),
            (14, -sole + 0.3),
            (22, -sole),
            (28.4, -sole - 0.8, 1),
            (29.0, -1.6),
            (27.2, -0.1 - 0.4 * toe),
            (14, 0.0),
            (0.6, 0.0),
            (-0.9 - wave, -1.2),
        ],
        white,
    )
    canvas.line(
        spline([(-0.8, -1.0), (14, -0.8), (27.8, -1.0)], closed=False),
        0.5,
        spec.rgb2 if spec.seed % 3 == 0 else (150, 146, 138),
    )
    if spec.seed % 5:
        emblem(canvas, spec, (6.6, -6.2 if not high else -10.5), 3.0, always=True)


def _laces(canvas: Canvas, spec: ProductSpec, top: float) -> None:
    """Eyelet strip with crossing laces and a bow."""
    front, back = np.array([17.6, -8.3]), np.array([9.8, top + 0.6])
    strip = tube([back + (0.8, 1.2), lerp(back, front, 0.5) + (0.4, 1.3), front + (-0.2, 1.2)], (1.2, 1.1, 0.9))
    canvas.piece(strip, Material(tuple(np.asarray(spec.rgb) * 0.85), folds=0, edge=0.8, puff=0.3), lift=0.1)
    lace = (244, 243, 240) if np.asarray(spec.rgb).mean() < 190 or spec.seed % 2 else (40, 40, 44)
    rows = 6 if top < -12 else 5
    for t in np.linspace(0.06, 0.94, rows):
        at = lerp(back, front, t)
        canvas.line(np.array([at + (-0.6, -0.9), at + (1.0, 2.0)]), 0.75, lace, depth=0.35)
    for dx in (-2.4, 2.6):
        loop = spline([back + (0.6, 0.2), back + (dx, 1.8), back + (dx * 0.8, 3.0), back + (0.8, 0.9)], closed=False)
        canvas.line(loop, 0.55, lace, depth=0.3)


def band(canvas: Canvas, x: float, y: float, rise: float, half: float, stuff: Material) -> None:
    """A strap over the foot, from the sole's near edge at (x, y) up and over to the far side."""
    far = [
        (x - half * 0.4, y - rise, 1),
        (x + half * 0.9 + 0.9, y - rise * 0.98),
        (x + half + 1.5, y - rise * 0.55, 1),
        (x + half + 0.4, y - rise * 0.72),
    ]
    canvas.piece(spline(far), stuff.plain(np.asarray(stuff.rgb) * 0.5, puff=0.1, folds=0), lift=0.0)
    near = [
        (x - half - 0.9, y + 0.5, 1),
        (x - half - 0.7, y - rise * 0.55),
        (x - half * 0.62, y - rise * 0.98, 1),
        (x + half * 0.66 + 0.3, y - rise * 0.94, 1),
        (x + half * 0.9, y - rise * 0.5),
        (x + half * 0.7, y + 0.5, 1),
    ]
    canvas.piece(spline(near), replace(stuff, puff=0.45, edge=0.8), lift=0.3)


def draw_heels(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Pumps, slingbacks and sandals with a heel."""
    heel, ground = spec.size("heel"), -spec.size("platform")
    w = spec.size("width")
    bed = [
        (0.6, -heel - 0.6),
        (4.5, -heel - 0.9),
        (10.0, -heel * 0.62),
        (15.5, ground - heel * 0.16 - 0.7),
        (20, ground - 0.6),
        (25.4, ground - 0.8),
    ]
    stem = spline(
        [
            (0.0, -heel - 0.8, 1),
            (5.4, -heel - 0.3, 1),
            (3.0 + w * 0.4, -heel * 0.62),
            (2.1 + w, 0, 1),
            (1.5 - w * 0.3, 0, 1),
            (1.0, -heel * 0.5),
        ]
    )
    canvas.piece(stem, stuff.plain(np.asarray(stuff.rgb) * (0.8 if spec.seed % 3 else 1)), lift=0.1)
    if spec.word("style") in ("pump", "slingback"):
        _pump(canvas, spec, stuff, heel, ground)
    else:
        _heeled_sandal(canvas, spec, stuff, spline(bed, closed=False), heel)
    line = spline(bed, closed=False)
    sole = np.vstack([line + (0, 0.35), (line + (0, 1.0))[::-1]])
    canvas.piece(sole, Material((54, 42, 38), folds=0, puff=0.2, edge=0.4), lift=0.0, shadow=0.0)
    if ground < 0:
        block = spline([(15, ground - 0.6, 1), (26.0, ground - 0.2, 1), (25.4, -0.1, 1), (16.5, 0, 1)])
        canvas.piece(block, stuff.plain(np.asarray(stuff.rgb) * 0.85), lift=0.1)


def _pump(canvas: Canvas, spec: ProductSpec, stuff: Material, heel: float, ground: float) -> None:
    """A closed toe, low-cut; the slingback has a strap in place of the heel's counter."""
    pump, toe = spec.word("style") == "pump", spec.size("toe")
    depth = 4.6 if pump else 1.2
    inner = spline(
        [
            (0.8, -heel - depth + 0.8),
            (6, -heel - depth * 0.4 - 0.6),
            (13, -heel * 0.5 - 4.2),
            (18.2, ground - 4.7),
            (15, ground - heel * 0.3 - 2),
            (6, -heel - 1),
        ]
    )
    canvas.piece(inner, Material((204, 176, 146), folds=0, puff=0.1))
    tip = 26.4 + 1.6 * (1 - toe)
    upper = [
        (0.3, -heel - 0.5, 1),
        (-0.1, -heel - depth * 0.6),
        (0.4, -heel - depth, 1),
        (4.5, -heel - 2.2 if pump else -heel - 1.0),
        (10.5, -heel * 0.6 - 2.0),
        (15.8, ground - heel * 0.2 - 3.1),
        (18.4, ground - 4.6, 1),
        (22, ground - 3.4),
        (tip - 1.0, ground - 1.7 - 0.5 * toe),
        (tip, ground - 0.4, 1),
        (20, ground - 0.3),
        (15.5, ground - heel * 0.16 - 0.4),
        (9.5, -heel * 0.62 + 0.3),
        (5, -heel - 0.4),
    ]
    canvas.piece(spline(upper), stuff, lift=0.3)
    if not pump:
        strap = [(9.5, -heel * 0.62 - 1.2), (3, -heel - 4.4), (-0.4, -heel - 4.6), (-0.6, -heel - 2.6)]
        canvas.piece(tube(strap, (0.5, 0.45, 0.45)), stuff.plain(), lift=0.2)
    if spec.seed % 3 == 0:
        canvas.piece(ellipse((19.6, ground - 3.7), 1.4, 0.8, 0.4), BRASS, lift=0.3)


def _heeled_sandal(canvas: Canvas, spec: ProductSpec, stuff: Material, line: np.ndarray, heel: float) -> None:
    """A thin bed with bands over the toes and a strap around the ankle."""
    canvas.piece(
        np.vstack([line + (0, -1.3), (line + (0, 0.5))[::-1]]),
        Material((196, 166, 134), folds=0, puff=0.3, edge=0.8),
        lift=0.1,
    )
    flat = stuff.plain(puff=0.3, edge=0.6, folds=0)
    ring = [(-0.2, -heel - 6.4), (1.6, -heel - 8.0), (5.4, -heel - 8.6), (8.6, -heel - 7.6), (9.2, -heel - 6.2)]
    canvas.piece(tube(ring, (0.5, 0.5, 0.5)), flat.plain(np.asarray(stuff.rgb) * 0.55), lift=0.0)
    counter = [
        (0.2, -heel - 0.4, 1),
        (-0.5, -heel - 3.6),
        (-0.4, -heel - 7.0, 1),
        (0.7, -heel - 7.0, 1),
        (1.5, -heel - 3.4),
        (4.6, -heel - 0.7, 1),
    ]
    canvas.piece(spline(counter), flat, lift=0.2)
    rows = (
        ((22.4, 3.1, 1.0), (18.6, 4.2, 0.9), (15.0, 5.0, 0.7)) if spec.word("style") == "strap" else ((20.6, 4.0, 2.2),)
    )
    for x, rise, half in reversed(rows):
        base = line[np.abs(line[:, 0] - x).argmin()]
        band(canvas, x, float(base[1]), rise, half, stuff)
    if spec.seed % 2:
        base = line[np.abs(line[:, 0] - 15).argmin()]
        canvas.piece(
            tube([base + (0.6, -4.6), (10, -heel * 0.75 - 6), (8.6, -heel - 6.4)], (0.5, 0.45)), flat, lift=0.2
        )
    front = [(9.2, -heel - 6.2), (6.4, -heel - 5.6), (2.4, -heel - 5.8), (-0.2, -heel - 6.4)]
    canvas.piece(tube(front, (0.55, 0.55, 0.55)), flat, lift=0.3)
    canvas.piece(
        np.array([(6.6, -heel - 6.5), (8.0, -heel - 6.6), (8.0, -heel - 4.8), (6.6, -heel - 4.7)]), METAL, lift=0.1
    )


def draw_boots(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Chelsea, lace-up, ankle and tall boots."""
    style, shaft, heel, sole = spec.word("style"), spec.size("shaft"), spec.size("heel"), spec.size("sole")
    toe = spec.size("toe")
    arch = heel - sole
    top = -heel - shaft
    wide = 11.8 if style == "tall" else 10.8
    inside = stuff.plain(np.asarray(stuff.rgb) * 0.4, folds=0, puff=0.1)
    canvas.piece(
        spline([(0.0, top, 1), (wide * 0.5, top - 1.5), (wide, top + 0.4, 1), (wide * 0.5, top + 2.2)]), inside
    )
    bend = -heel - 8.2
    body = [
        (0.2, -heel + 0.4, 1),
        (-0.4, -heel - 3),
        (0.5, bend),
        (0.0, (bend + top) / 2),
        (-0.3, top, 1),
        (wide * 0.5, top + 1.4),
        (wide, top + 0.4, 1),
        (wide - 0.4, (bend + top) / 2),
        (wide + 0.6, bend + 0.5),
        (15.0, -sole - arch * 0.4 - 6.4),
        (19.5, -sole - 5.2),
        (24.0, -sole - 4.2 - 0.5 * toe),
        (27.2, -sole - 2.4),
        (27.8, -sole + 0.2, 1),
        (18, -sole + 0.2),
        (10, -sole - arch * 0.55),
    ]
    canvas.piece(spline(body), stuff)
    for _ in range(3):
        y = bend + canvas.rng.uniform(-2, 3)
        canvas.crease(np.linspace((2.5, y - 0.8), (wide + 1, y + 1.0), 7), 0.7, -0.45)
    if style == "chelsea":
        gore = spline([(3.6, top + 1.2, 1), (8.0, top + 1.4, 1), (7.2, bend + 1.5), (5.4, bend + 3.5), (4.2, bend + 1)])
        canvas.piece(
            gore, stuff.plain(np.asarray(stuff.rgb) * 0.5 + 12, rib=0.12, rib_step=0.45, folds=0, gloss=0), lift=0.05
        )
        canvas.piece(
            tube([(-0.2, top + 1), (-1.2, top - 2.0), (0.6, top - 2.2), (0.8, top + 1.4)], (0.5, 0.5)),
            stuff.plain(puff=0.2),
            lift=0.2,
        )
    elif style == "lace":
        front, back = np.array([18.0, -sole - 6.0]), np.array([wide + 0.2, top + 1.6])
        knee = np.array([wide + 1.2, bend])
        for start, stop, n in ((back, knee, 5), (knee, front, 4)):
            for t in np.linspace(0.05, 0.95, n):
                at = lerp(start, stop, t)
                canvas.line(
                    np.array([at + (-2.6, 0.6), at + (0.3, -0.2)]),
                    0.6,
                    (200, 172, 96) if spec.seed % 2 else (36, 32, 30),
                    depth=0.3,
                )
        stitched(
            canvas, spline([(wide - 3.4, top + 1), (wide - 3.0, bend), (15.0, -sole - 3.6)], closed=False), spec, 0.2
        )
    else:
        canvas.line(
            spline([(4.6, top + 1), (4.4, bend), (5.0, -heel - 2)], closed=False),
            0.5,
            (60, 58, 56),
            depth=-0.25,
            opacity=0.7,
        )
        if spec.seed % 2:
            canvas.piece(
                tube([(0, bend + 1), (6, bend + 2.4), (wide + 1.4, bend + 0.6)], (0.7, 0.7)),
                stuff.plain(np.asarray(stuff.rgb) * 0.9),
                lift=0.3,
            )
            canvas.piece(ellipse((7, bend + 2.3), 1.0, 1.0), BRASS, lift=0.15)
    if style == "lace" or toe > 0.6:
        stitched(canvas, spline([(19.8, -sole - 5.2), (20.6, -sole - 2.6), (20.0, -sole)], closed=False), spec, 0.2)
    dark = (38, 33, 30) if spec.seed % 3 else (128, 92, 58)
    _sole(
        canvas,
        [
            (-0.4, -heel + 0.2, 1),
            (8.0, -heel + 0.4 - 0.0),
            (13, -sole - arch * 0.45),
            (19, -sole),
            (28.2, -sole, 1),
            (28.2, -0.4),
            (26, 0),
            (15.5, 0),
            (11.2, -arch * 0.8, 1),
            (9.2, -arch * 0.7, 1),
            (8.4, 0, 1),
            (0.6, 0, 1),
        ]
        if arch > 0.6
        else [(-0.4, -sole - 0.2, 1), (28.2, -sole, 1), (28.2, -0.4), (26, 0), (0.4, 0)],
        dark,
    )
    emblem(canvas, spec, (5.8, bend - 2.0 if style == "tall" else -heel - 4.6), 2.4)


def draw_sandals(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Slides, thongs, sport and strappy sandals."""
    style, sole, wedge = spec.word("style"), spec.size("sole"), spec.size("wedge")
    high = sole + wedge
    bed = (178.0, 138.0, 98.0) if stuff.gloss > 0.3 else tuple(np.asarray(spec.rgb) * 0.55 + 12)
    foot = [
        (-0.2, -high - 0.2, 1),
        (5, -high - 2.0),
        (14, -sole - wedge * 0.3 - 2.2),
        (22, -sole - 2.4),
        (26.6, -sole - 1.8),
        (27.6, -sole - 0.4),
        (20, -sole + 0.4),
        (10, -high * 0.7 - 0.6),
    ]
    canvas.piece(spline(foot), Material(tuple(np.asarray(bed) * 0.92 + 8), folds=0, puff=0.2, edge=1.0))
    flat = replace(stuff, puff=0.4, edge=0.8, folds=0.0, texture=None)
    if style in ("sport", "strappy"):
        _heel_straps(canvas, flat, high, sole, 1.0 if style == "sport" else 0.5)
    rows: tuple[tuple[float, float, float], ...] = {
        "slide": ((20.6, 4.6, 1.9), (15.4, 5.6, 1.9)) if spec.size("straps") > 2 else ((18.0, 5.4, 3.6),),
        "sport": ((21.4, 4.2, 1.6), (14.6, 5.8, 1.4)),
        "thong": (),
        "strappy": ((22.6, 3.2, 0.7), (19.2, 4.2, 0.7), (15.4, 5.2, 0.7)),
    }[style]
    for x, rise, half in reversed(rows):
        y = -sole - wedge * max(0.0, (20 - x) / 20)
        band(canvas, x, y, rise, half, stuff)
        if style == "sport":
            buckle = np.array(
                [
                    (x - 1.0, y - rise * 0.62),
                    (x + 0.6, y - rise * 0.6),
                    (x + 0.6, y - rise * 0.36),
                    (x - 1.0, y - rise * 0.38),
                ]
            )
            canvas.piece(buckle, METAL if spec.seed % 2 else flat.plain((40, 40, 42)), lift=0.1)
    if style == "thong":
        for end in ((9.6, -high * 0.8 - 0.2), (11.6, -sole - wedge * 0.4 - 2.4)):
            canvas.piece(
                tube(
                    [(22.4, -sole - 1.6), (19.0, -sole - 4.4), (14.5, -sole - wedge * 0.2 - 4.4), end],
                    (0.55, 0.8, 0.95, 0.9),
                ),
                flat,
                lift=0.3,
            )
    side = [
        (-0.4, -high - 0.4, 1),
        (7, -high + 0.2),
        (15, -sole - wedge * 0.25),
        (22, -sole),
        (27.6, -sole - 0.9),
        (28.3, -sole * 0.5),
        (26.5, -0.3),
        (20, 0),
        (4, 0),
        (-0.2, -0.5),
    ]
    _sole(canvas, side, tuple(np.asarray(bed) * 0.62 + 6) if spec.seed % 2 else (52, 44, 40))
    canvas.line(
        spline([(-0.2, -high * 0.45), (14, -sole * 0.5 - wedge * 0.15), (27.6, -sole * 0.5)], closed=False),
        0.35,
        depth=-0.2,
    )
    if style == "slide":
        x, rise, _ = max(rows)
        emblem(canvas, spec, (x - 0.4, -sole - rise * 0.5), 2.4)


def _heel_straps(canvas: Canvas, flat: Material, high: float, sole: float, half: float) -> None:
    """Around the heel and over the instep."""
    over = [(11.8, -sole - 0.4), (11.6, -high * 0.6 - 4.0), (8.8, -high - 6.6), (5.0, -high - 7.4)]
    back = [(8.8, -high - 6.6), (5.2, -high - 8.0), (1.4, -high - 7.6), (-0.3, -high - 6.0)]
    canvas.piece(tube(back, (half * 0.9,) * 2), flat.plain(np.asarray(flat.rgb) * 0.5), lift=0.0)
    canvas.piece(tube([(-0.3, -high - 6.6), (-0.4, -high - 3.4), (1.0, -high + 0.2)], (half, half)), flat, lift=0.2)
    canvas.piece(tube([(-0.3, -high - 6.2), (4.4, -high - 5.4), (8.8, -high - 6.0)], (half, half)), flat, lift=0.2)
    canvas.piece(tube(over[:3], (half, half)), flat, lift=0.2)
