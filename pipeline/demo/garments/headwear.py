"""Caps and hats: origin at the middle of the head's rim, y up is negative, a head is about 15 cm wide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, spline
from pipeline.demo.garments.trim import emblem, stitched
from pipeline.demo.material import Material
from pipeline.demo.spec import ProductSpec


def draw_cap(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Baseball and trucker caps, from the front or in three-quarter view."""
    turn = (-1.0 if spec.seed % 2 else 1.0) * (0.25 + 0.75 * spec.size("view"))
    bill = stuff.plain(spec.rgb2) if spec.size("contrast") and spec.word("style") != "trucker" else stuff
    top = -spec.size("crown")
    _dome(canvas, spec, stuff, turn)
    for k in (-0.9, -0.2, 0.55):
        x = np.clip(k * 8 + turn * 4, -9, 9)
        seam = spline([(turn, top + 0.3), (turn + (x - turn) * 0.72, top * 0.6), (x, 0.8)], closed=False)
        stitched(canvas, seam, spec, 0.12)
    canvas.piece(ellipse((turn, top + 0.1), 0.9, 0.5), bill.plain(puff=0.4, edge=0.5), lift=0.2)
    _peak(canvas, bill, turn, spec.size("peak") * (0.62 + 0.25 * abs(turn)))
    for s in (-1, 1):
        canvas.patch(ellipse((turn * 2 + s * 4.6, top * 0.62), 0.35, 0.35, count=10), np.asarray(stuff.rgb) * 0.4)
    emblem(canvas, spec, (turn * 3.2, top * 0.45), 5.4, always=spec.seed % 4 != 0)


def _dome(canvas: Canvas, spec: ProductSpec, stuff: Material, turn: float) -> None:
    """The crown; a trucker's has a front of its own."""
    top, trucker = -spec.size("crown"), spec.word("style") == "trucker"
    half = [(7.4, top * 0.82), (9.9, -4), (9.6, 0.6, 1)]
    dome = [(0, top), *half, (0, 2.0), *((-p[0], *p[1:]) for p in reversed(half))]
    rear = stuff.plain(spec.rgb2 if trucker else None)
    canvas.piece(spline(dome), replace(rear, puff=3.4, edge=6.5, folds=0.15))
    if trucker or spec.pattern != "Solid":
        wide = 9.5 if not trucker else 6.6
        front = [(-wide + 3 * turn, 1.4, 1), (-wide + 0.4 + 2.6 * turn, top * 0.6), (turn, top * 0.99),
                 (wide - 0.4 + 2.2 * turn, top * 0.6), (wide + 0.2 + 2.4 * turn, 1.4, 1)]  # fmt: skip
        inside = [(float(np.clip(p[0], -9.5, 9.5)), *p[1:]) for p in front]
        canvas.piece(spline(inside), replace(stuff, puff=1.2, folds=0.1), lift=0.1, shadow=0.2)


def _peak(canvas: Canvas, bill: Material, turn: float, reach: float) -> None:
    """The peak with its rows of stitching."""
    x = turn * 4.4
    brim = [(-8.6 + x * 0.55, 0.2, 1), (x * 0.9, -0.6 - 1.4 * (1 - abs(turn))), (8.6 + x * 0.55, 0.2, 1),
            (8.9 + x * 1.1, reach * 0.55), (x * 1.8, reach), (-8.9 + x * 1.1, reach * 0.55)]  # fmt: skip
    canvas.piece(spline(brim), replace(bill, puff=1.4, edge=3.5, folds=0.05), lift=0.5, shadow=0.5)
    darker = np.asarray(bill.rgb) * 0.7
    for t in (0.86, 0.7, 0.54):
        row = spline([(p[0] * t + x * (1 - t) * 0.8, p[1] * t + 0.4, *p[2:]) for p in brim])
        canvas.line(row[len(row) // 3 :], 0.14, darker, dash=(0.3, 0.2), opacity=0.8)


def draw_hat(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Beanies, fedoras and bucket hats."""
    {"beanie": _beanie, "fedora": _fedora, "bucket": _bucket}[spec.word("style")](canvas, spec, stuff)


def _beanie(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    crown, cuff = spec.size("crown") + 5, spec.size("cuff")
    knit = replace(stuff, rib=0.09, rib_step=0.95, puff=3.2, edge=6.0, folds=0.35)
    if spec.size("pompom"):
        ball = ellipse((0, -crown - 2.4), 3.6, 3.4, count=40)
        ball += canvas.rng.normal(0, 0.28, ball.shape)
        canvas.piece(ball, stuff.plain(spec.rgb2, folds=1.2, wave=2.0, grain=9, puff=2.6), lift=0.2)
    dome = [
        (-10, -cuff + 1, 1),
        (-10.2, -cuff - 4),
        (-7.4, -crown * 0.86),
        (0, -crown),
        (7.4, -crown * 0.86),
        (10.2, -cuff - 4),
        (10, -cuff + 1, 1),
    ]
    canvas.piece(spline(dome), knit)
    band = [(-10.6, -cuff, 1), (0, -cuff + 0.8), (10.6, -cuff, 1), (10.5, 0.4, 1), (0, 1.6), (-10.5, 0.4, 1)]
    canvas.piece(spline(band), replace(knit, puff=1.6, edge=2.4) if spec.seed % 3 else knit.plain(spec.rgb2), lift=0.5)
    emblem(canvas, spec, (spec.seed % 2 * 4.0, -cuff * 0.45), 3.2, always=bool(spec.seed % 3))


def _fedora(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    crown, brim = spec.size("crown"), spec.size("brim")
    felt = replace(stuff, folds=0.1, puff=2.4, edge=4.0)
    back = [(-9.5 - brim, -1.2), (0, -3.6), (9.5 + brim, -1.2), (7, 1), (-7, 1)]
    canvas.piece(spline(back), felt.shade(0.8))
    dome = [
        (-9.4, 0.6, 1),
        (-8.8, -crown * 0.7),
        (-5.6, -crown),
        (-1.2, -crown * 0.92),
        (3.6, -crown * 1.02),
        (8.2, -crown * 0.76),
        (9.4, 0.6, 1),
        (0, 2.2),
    ]
    canvas.piece(spline(dome), felt)
    canvas.crease(spline([(-4, -crown * 0.86), (0.5, -crown * 0.74), (5, -crown * 0.84)], closed=False), 1.4, -1.1)
    ribbon = [(-9.5, -3.6, 1), (0, -2.2), (9.5, -3.6, 1), (9.5, 0.4, 1), (0, 1.9), (-9.5, 0.4, 1)]
    canvas.piece(
        spline(ribbon),
        Material(spec.rgb2 if spec.seed % 2 else (34, 30, 30), folds=0.05, gloss=0.2, edge=0.8, puff=0.4),
        lift=0.2,
    )
    front = [
        (-9.6 - brim, -1.0, 1),
        (-8.5, 0.6),
        (0, 2.0),
        (8.5, 0.6),
        (9.6 + brim, -1.0, 1),
        (8.6, 3.2),
        (0, 4.6 + brim * 0.12),
        (-8.6, 3.2),
    ]
    canvas.piece(spline(front), replace(felt, puff=0.8, edge=1.6), lift=0.5)


def _bucket(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    crown, brim = spec.size("crown") * 0.85, spec.size("brim")
    dome = [
        (-8.6, 0, 1),
        (-7.0, -crown * 0.86),
        (-5.6, -crown),
        (0, -crown - 0.8),
        (5.6, -crown),
        (7.0, -crown * 0.86),
        (8.6, 0, 1),
        (0, 1.6),
    ]
    canvas.piece(spline(dome), replace(stuff, puff=2.6, edge=5))
    canvas.line(
        spline([(-7.2, -crown * 0.86), (0, -crown * 0.74), (7.2, -crown * 0.86)], closed=False), 0.3, depth=-0.3
    )
    skirt = [
        (-8.7, -0.6, 1),
        (0, 1.0),
        (8.7, -0.6, 1),
        (9.6 + brim * 0.6, brim * 0.72),
        (6, brim * 0.98),
        (0, brim * 1.06),
        (-6, brim * 0.98),
        (-9.6 - brim * 0.6, brim * 0.72),
    ]
    canvas.piece(spline(skirt), replace(stuff, puff=1.4, edge=3), lift=0.4)
    for t in (0.3, 0.5, 0.7, 0.9):
        x, y = 8.7 + (0.9 + brim * 0.6) * t, brim * 0.72 * t
        canvas.line(
            spline([(-x, y - 0.4), (0, y + 1.2 + brim * 0.3 * t), (x, y - 0.4)], closed=False),
            0.14,
            tuple(np.asarray(spec.rgb) * 0.7),
            dash=(0.3, 0.2),
        )
    emblem(canvas, spec, (0, -crown * 0.42), 4.0)
