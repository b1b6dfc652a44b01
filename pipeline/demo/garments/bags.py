"""Handbags and backpacks; origin at the middle of the lower edge, y up is negative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas, Material
from pipeline.demo.curves import ellipse, spline, tube
from pipeline.demo.garments.trim import BRASS, METAL, emblem, stitched
from pipeline.demo.spec import ProductSpec


def draw_handbag(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Totes, satchels, shoulder, bowling and hobo bags."""
    style, w, h = spec.word("style"), spec.size("width") / 2, spec.size("height")
    taper, handle = spec.size("taper"), spec.size("handle")
    metal = METAL if spec.size("metal") > 0.5 else BRASS
    strap = stuff.plain(puff=0.6, edge=0.9, folds=0)
    behind = strap.plain(np.asarray(stuff.rgb) * 0.7)
    top = -h
    if style == "shoulder":
        _loop(canvas, -w * 0.86, top + 2, w * 0.86, top + 2, handle * 1.5, 0.8, strap)
    elif style == "hobo":
        canvas.piece(
            tube(
                [
                    (-w * 0.8, top + 4),
                    (-w * 0.55, top - handle * 0.7),
                    (0, top - handle),
                    (w * 0.55, top - handle * 0.7),
                    (w * 0.8, top + 4),
                ],
                (1.8, 1.3, 1.5, 1.3, 1.8),
            ),
            strap,
        )
    else:
        _loop(canvas, -w * 0.46, top + 1.0, w * 0.5, top + 1.0, handle * 0.9, 0.75, behind)
    if style == "hobo":
        body = [
            (-w * 0.84, top + 3, 1),
            (-w * 0.3, top + 6.5),
            (0, top + 7.2),
            (w * 0.3, top + 6.5),
            (w * 0.84, top + 3, 1),
            (w * 1.04, -h * 0.4),
            (w * 0.84, -1.5),
            (0, 0),
            (-w * 0.84, -1.5),
            (-w * 1.04, -h * 0.4),
        ]
    elif style == "bowling":
        body = [
            (-w * 0.62, top, 1),
            (0, top - 1.2),
            (w * 0.62, top, 1),
            (w * 0.98, -h * 0.4),
            (w, -1.2),
            (w * 0.9, 0),
            (-w * 0.9, 0),
            (-w, -1.2),
            (-w * 0.98, -h * 0.4),
        ]
    else:
        body = [
            (-w + taper, top, 1),
            (0, top + 0.4),
            (w - taper, top, 1),
            (w - taper * 0.3, -h * 0.5),
            (w, -1.0),
            (w - 1.2, 0),
            (0, 0.3),
            (-w + 1.2, 0),
            (-w, -1.0),
            (-w + taper * 0.3, -h * 0.5),
        ]
    canvas.piece(spline(body), replace(stuff, puff=2.6, edge=6.0))
    canvas.line(spline([(-w + 1.2, -2.2), (0, -1.6), (w - 1.2, -2.2)], closed=False), 0.3, depth=-0.25)
    if style == "hobo":
        for _ in range(5):
            x = canvas.rng.uniform(-0.7, 0.7) * w
            canvas.crease(np.array([(x, top + 7), (x * 1.1, top + 11), (x * 1.2, -4)]), 1.0, -0.7)
    else:
        inner = [(x * 0.96, y * 0.94 - h * 0.03) for x, y, *_ in body]
        stitched(canvas, np.vstack([spline(inner), spline(inner)[:1]]), spec)
    if spec.size("flap"):
        flap = spline(
            [
                (-w + taper - 0.3, top - 0.3, 1),
                (0, top - 0.6),
                (w - taper + 0.3, top - 0.3, 1),
                (w - taper * 0.8, -h * 0.52),
                (w * 0.5, -h * 0.4),
                (0, -h * 0.36),
                (-w * 0.5, -h * 0.4),
                (-w + taper * 0.8, -h * 0.52),
            ]
        )
        canvas.piece(flap, replace(stuff, puff=1.2, edge=2.0), lift=0.5)
        canvas.piece(
            spline([(-1.5, -h * 0.46, 1), (1.5, -h * 0.46, 1), (1.5, -h * 0.3, 1), (-1.5, -h * 0.3, 1)]),
            metal,
            lift=0.3,
        )
    else:
        canvas.line(
            spline([(-w + taper + 0.8, top + 1.6), (0, top + 2.0), (w - taper - 0.8, top + 1.6)], closed=False),
            0.5,
            (70, 64, 58),
            depth=-0.3,
            opacity=0.6,
        )
        if spec.size("pocket"):
            canvas.piece(
                spline([(-w * 0.55, -h * 0.5, 1), (w * 0.55, -h * 0.5, 1), (w * 0.5, -2.4), (-w * 0.5, -2.4)]),
                stuff,
                lift=0.5,
            )
    if style not in ("shoulder", "hobo"):
        _loop(canvas, -w * 0.5, top + 4.5, w * 0.46, top + 4.5, handle + 3, 0.8, strap)
        for x in (-w * 0.5, w * 0.46):
            canvas.piece(
                spline([(x - 1.3, top + 3.2, 1), (x + 1.3, top + 3.2, 1), (x + 1.0, top + 7.6), (x - 1.0, top + 7.6)]),
                strap,
                lift=0.3,
            )
            canvas.piece(ellipse((x, top + 4.0), 1.1, 1.1), metal, lift=0.2)
            canvas.patch(ellipse((x, top + 4.0), 0.6, 0.6), np.asarray(spec.rgb) * 0.5)
    emblem(canvas, spec, (0, -h * 0.26 if spec.size("flap") else -h * 0.6), 4.2)


def _loop(
    canvas: Canvas, x1: float, y1: float, x2: float, y2: float, rise: float, half: float, stuff: Material
) -> None:
    """A handle: an arch between two points."""
    m, d = (x1 + x2) / 2, (x2 - x1) / 2
    lean = canvas.rng.normal(0, 0.8)
    arch = [
        (x1, y1),
        (x1 + d * 0.06, y1 - rise * 0.5),
        (m - d * 0.6 + lean, y1 - rise * 0.92),
        (m + lean, y1 - rise),
        (m + d * 0.6 + lean, y2 - rise * 0.92),
        (x2 - d * 0.06, y2 - rise * 0.5),
        (x2, y2),
    ]
    canvas.piece(tube(arch, (half, half, half), count=40), stuff)


def draw_backpack(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Day packs, school bags, roll-top and flap rucksacks, seen from the front."""
    style, w, h = spec.word("style"), spec.size("width") / 2, spec.size("height")
    second = stuff.plain(spec.rgb2) if spec.size("contrast") else stuff
    strap = stuff.plain(np.asarray(stuff.rgb) * 0.7, puff=0.7, edge=1.2, folds=0)
    for s in (-1, 1):
        canvas.piece(
            tube(
                [(s * w * 0.5, -h + 3), (s * w * 1.1, -h * 0.82), (s * w * 1.22, -h * 0.4), (s * w * 0.98, -2.5)],
                (1.6, 2.2, 1.8, 0.9),
            ),
            strap,
        )
    _loop(canvas, -3.2, -h + 1.5, 3.2, -h + 1.5, 5.5, 0.8, strap)
    shoulders = 0.62 if style in ("daypack", "school") else 0.86
    body = [
        (-w * shoulders, -h + 1.8),
        (0, -h),
        (w * shoulders, -h + 1.8),
        (w * 0.96, -h * 0.76),
        (w, -h * 0.4),
        (w * 0.97, -3),
        (w * 0.82, -0.2),
        (0, 0.2),
        (-w * 0.82, -0.2),
        (-w * 0.97, -3),
        (-w, -h * 0.4),
        (-w * 0.96, -h * 0.76),
    ]
    canvas.piece(spline(body), replace(stuff, puff=3.2, edge=7.0))
    if style == "rolltop":
        canvas.piece(
            spline([(-w * 0.9, -h - 3, 1), (w * 0.9, -h - 3, 1), (w * 0.95, -h + 4, 1), (-w * 0.95, -h + 4, 1)]),
            stuff.shade(0.85),
            lift=0.6,
        )
        for x in (-w * 0.5, w * 0.5):
            canvas.piece(
                np.array([(x - 1.1, -h - 3.2), (x + 1.1, -h - 3.2), (x + 1.1, -h * 0.55), (x - 1.1, -h * 0.55)]),
                strap,
                lift=0.3,
            )
            canvas.piece(
                np.array([(x - 1.5, -h * 0.78), (x + 1.5, -h * 0.78), (x + 1.5, -h * 0.71), (x - 1.5, -h * 0.71)]),
                METAL,
                lift=0.2,
            )
    elif style == "flap":
        canvas.piece(
            spline(
                [
                    (-w * 0.9, -h + 1.4, 1),
                    (0, -h - 0.8),
                    (w * 0.9, -h + 1.4, 1),
                    (w * 1.0, -h * 0.66),
                    (w * 0.8, -h * 0.56),
                    (0, -h * 0.53),
                    (-w * 0.8, -h * 0.56),
                    (-w, -h * 0.66),
                ]
            ),
            second,
            lift=0.6,
        )
        for x in (-w * 0.5, w * 0.5):
            canvas.piece(
                np.array([(x - 1.1, -h * 0.66), (x + 1.1, -h * 0.66), (x + 1.1, -h * 0.34), (x - 1.1, -h * 0.34)]),
                strap,
                lift=0.3,
            )
            canvas.piece(
                np.array([(x - 1.6, -h * 0.46), (x + 1.6, -h * 0.46), (x + 1.6, -h * 0.41), (x - 1.6, -h * 0.41)]),
                BRASS,
                lift=0.2,
            )
    else:
        arch = spline(
            [
                (-w * 0.9, -h * 0.56),
                (-w * 0.78, -h * 0.84),
                (0, -h * 0.93),
                (w * 0.78, -h * 0.84),
                (w * 0.9, -h * 0.56),
            ],
            closed=False,
        )
        canvas.line(arch, 1.3, (28, 28, 30), depth=-0.3, opacity=0.8)
        canvas.line(arch, 0.5, (150, 152, 156), dash=(0.4, 0.3))
        if spec.size("stripes"):
            for k in range(3):
                x = w * 0.1 + k * 2.6
                canvas.patch(
                    np.array([(x, -h * 0.88), (x + 1.4, -h * 0.88), (x + 6.4, -h * 0.5), (x + 5.0, -h * 0.5)]),
                    spec.rgb2,
                )
    deep = h * spec.size("pocket")
    pouch = [
        (-w * 0.8, -deep + 1, 1),
        (0, -deep - 0.8),
        (w * 0.8, -deep + 1, 1),
        (w * 0.86, -3.5),
        (w * 0.7, -1.6),
        (0, -1.2),
        (-w * 0.7, -1.6),
        (-w * 0.86, -3.5),
    ]
    canvas.piece(spline(pouch), replace(second, puff=2.4, edge=4.0), lift=0.7)
    rim = spline([(-w * 0.74, -deep + 3.2), (0, -deep + 1.8), (w * 0.74, -deep + 3.2)], closed=False)
    canvas.line(rim, 1.2, (30, 30, 32), depth=-0.3, opacity=0.8)
    canvas.line(rim, 0.45, (160, 162, 166), dash=(0.4, 0.3))
    canvas.piece(tube([(w * 0.74, -deep + 3.2), (w * 0.78, -deep + 7)], (0.5, 0.4)), strap, lift=0.3)
    emblem(canvas, spec, (0, -deep * 0.5), 6.0, always=bool(spec.seed % 3))
