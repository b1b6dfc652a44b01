"""Sunglasses and watches, close up: origin in the middle, centimeters."""

from __future__ import annotations

import numpy as np

from pipeline.demo import marks
from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import ellipse, flipped, spline, tube
from pipeline.demo.garments.trim import BRASS, METAL
from pipeline.demo.material import Material
from pipeline.demo.spec import ProductSpec


def lens_outline(style: str, radius: float, high: float) -> np.ndarray:
    """The right lens of a pair, around its own middle."""
    r, h = radius, radius * high
    if style == "round":
        return ellipse((0, 0), r * 0.92, r * 0.92)
    if style == "aviator":
        return spline(
            [
                (-r * 0.85, -h * 0.9),
                (0, -h * 1.0),
                (r * 0.95, -h * 0.75),
                (r * 0.95, h * 0.1),
                (r * 0.35, h * 1.25),
                (-r * 0.45, h * 1.0),
                (-r * 0.9, -h * 0.1),
            ]
        )
    if style == "cat-eye":
        return spline(
            [
                (-r * 0.95, -h * 0.6),
                (0, -h * 0.75),
                (r * 1.25, -h * 1.15, 1),
                (r * 1.02, h * 0.1),
                (r * 0.2, h * 0.85),
                (-r * 0.75, h * 0.6),
            ]
        )
    if style == "sport":
        return spline(
            [
                (-r * 1.0, -h * 0.55),
                (0, -h * 0.75),
                (r * 1.35, -h * 0.5),
                (r * 1.3, h * 0.25),
                (0.3, h * 0.75),
                (-r * 0.85, h * 0.45),
            ]
        )
    return spline(
        [
            (-r * 0.98, -h * 0.8),
            (0, -h * 0.9),
            (r * 1.12, -h * 0.88),
            (r * 0.98, h * 0.2),
            (r * 0.55, h * 0.85),
            (-r * 0.5, h * 0.85),
            (-r * 0.95, h * 0.2),
        ]
    )


def draw_sunglasses(canvas: Canvas, spec: ProductSpec, stuff: Material, worn: bool = False) -> None:
    """A pair seen from the front, or a little from the side with its temples open."""
    style, r = spec.word("style"), spec.size("lens")
    thin = style in ("aviator", "round")
    frame = Material(spec.rgb, folds=0, puff=0.25, edge=0.3, gloss=0.9, grain=0.4)
    right = lens_outline(style, r, spec.size("high")) + (r + 0.95, 0)
    grow = 1.10 if thin else 1.22
    if not worn:
        _temples(canvas, spec, r, frame)
    tint = np.array([(38, 40, 44), (72, 52, 40), (40, 56, 50), (52, 44, 70)][spec.seed % 4], dtype=float)
    for one in (right, flipped(right)):
        middle = one.mean(0)
        canvas.piece(middle + (one - middle) * grow, frame, lift=0.1)
    bridge = [(-0.95, -r * 0.25), (0, -r * 0.5), (0.95, -r * 0.25)]
    canvas.piece(tube(bridge, (0.24, 0.2, 0.24) if thin else (0.4, 0.34, 0.4)), frame, lift=0.1)
    if style == "aviator":
        canvas.piece(tube([(-r, -r * 0.78), (0, -r * 0.82), (r, -r * 0.78)], (0.16, 0.16)), frame, lift=0.1)
    for one in (right, flipped(right)):
        canvas.piece(
            one, Material(tuple(tint), folds=0, puff=0.3, edge=1.6, gloss=1.0, grain=0), lift=-0.05, shadow=0.2
        )
        low, high = one.min(0), one.max(0)
        for k in range(6):
            y = high[1] - (high[1] - low[1]) * (0.1 + 0.08 * k)
            inside = one[one[:, 1] > y]
            if len(inside) > 2:
                canvas.patch(inside, np.minimum(tint * 2.4 + 20, 220), 0.12 * (0.5 + spec.size("tint")))
        glint = spline(
            [
                (low[0] + 0.7, low[1] + 0.9),
                (low[0] + 1.5, low[1] + 0.6),
                (low[0] + 1.1, low[1] + 1.7),
                (low[0] + 0.6, low[1] + 1.8),
            ]
        )
        canvas.patch(glint, (255, 255, 255), 0.28)
    if not worn and not thin:
        side = -1.0 if spec.seed % 2 else 1.0
        canvas.decal(marks.mark(spec.brand, (225, 225, 225), False), (side * (2 * r + 2.6), -r * 0.5 - 0.25), 0.6)


def _temples(canvas: Canvas, spec: ProductSpec, r: float, frame: Material) -> None:
    """Open, seen at an angle: the near one runs away to one side, the far one shows behind its lens."""
    s = -1.0 if spec.seed % 2 else 1.0
    x, y = 2 * r + 1.25, -r * 0.5
    half = 0.42 if spec.word("style") in ("wayfarer", "cat-eye", "sport") else 0.24
    near = [
        (s * (x - 0.5), y),
        (s * (x + 1.2), y - 0.15),
        (s * (x + 4.4), y - 0.5),
        (s * (x + 6.2), y - 0.1),
        (s * (x + 7.2), y + 1.3),
    ]
    canvas.piece(tube(near, (half, half, half * 0.8, half * 0.6)), frame, lift=0.0)
    far = [(-s * (x - 0.2), y - 0.1), (-s * (x - 1.4), y - 0.9), (-s * (x - 4.6), y - 0.6), (-s * (x - 5.8), y + 0.6)]
    canvas.piece(tube(far, (half * 0.8, half * 0.6, half * 0.5)), frame.shade(0.7), lift=0.0)


def draw_watch(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """A wrist watch from the front with its strap running up and down."""
    style, r = spec.word("style"), spec.size("case")
    metal = BRASS if spec.seed % 5 == 0 else METAL
    _straps(canvas, spec, r, metal)
    square = bool(spec.size("square"))
    case = (
        spline([(-r, -r), (0, -r * 1.06), (r, -r), (r * 1.05, 0), (r, r), (0, r * 1.06), (-r, r), (-r * 1.05, 0)])
        if square
        else ellipse((0, 0), r, r, count=48)
    )
    canvas.piece(tube([(r * 0.9, 0), (r + 0.38, 0)], (0.28, 0.28)), metal, lift=0.0)
    canvas.piece(
        case, Material(spec.rgb, folds=0, puff=0.35, edge=0.35, gloss=0.4) if style == "sport" else metal, lift=0.3
    )
    if style != "leather":
        ring = case * 0.93
        canvas.piece(
            ring, metal.plain((54, 54, 58)) if spec.seed % 2 else metal.plain(np.asarray(metal.rgb) * 0.85), lift=0.1
        )
        for k in range(60 if style == "metal" else 24):
            a = k * np.pi * 2 / (60 if style == "metal" else 24)
            way = np.array([np.sin(a), -np.cos(a)]) * r
            canvas.line(np.array([way * 0.82, way * 0.9]), 0.05, (214, 214, 214), opacity=0.8)
    dial = spec.rgb if style == "metal" else ((240, 238, 230), (28, 28, 32), (30, 44, 78))[spec.seed % 3]
    canvas.piece(case * 0.78, Material(dial, folds=0, puff=0.1, edge=0.5, gloss=0.5, grain=0.8), lift=-0.15)
    _dial(canvas, spec, r, np.asarray(dial))


def _straps(canvas: Canvas, spec: ProductSpec, r: float, metal: Material) -> None:
    """Links of steel, leather with stitching, or rubber with holes."""
    style = spec.word("style")
    long = r * 2.7
    for s in (-1.0, 1.0):
        half = r * 0.62
        if style == "metal":
            steps = np.arange(r * 0.8, long, 0.42)
            for k, y in enumerate(steps):
                w = half * (1.12 - 0.32 * k / len(steps))
                for x1, x2 in ((-w, -w * 0.36), (-w * 0.34, w * 0.34), (w * 0.36, w)):
                    canvas.piece(
                        np.array([(x1, s * y), (x2, s * y), (x2, s * (y + 0.39)), (x1, s * (y + 0.39))]),
                        metal,
                        lift=0.05,
                        shadow=0.2,
                    )
            continue
        strap = Material(spec.rgb, folds=0.02, puff=0.3, edge=0.5, gloss=0.35, grain=2.0)
        end = [
            (-half, s * r * 0.7, 1),
            (half, s * r * 0.7, 1),
            (half * 0.84, s * long * 0.8),
            (half * 0.76, s * long, 1),
            (-half * 0.76, s * long, 1),
            (-half * 0.84, s * long * 0.8),
        ]
        canvas.piece(spline(end), strap)
        if style == "leather":
            for x in (-0.8, 0.8):
                line = np.array([(x * half, s * r * 1.1), (x * half * 0.8, s * long * 0.97)])
                canvas.line(line, 0.07, np.clip(np.asarray(spec.rgb) * 0.6 + 90, 0, 250), dash=(0.16, 0.1))
        else:
            for y in np.linspace(r * 1.4, long * 0.92, 5):
                canvas.patch(ellipse((0, s * y), 0.12, 0.17, count=12), np.asarray(spec.rgb) * 0.35)


def _dial(canvas: Canvas, spec: ProductSpec, r: float, dial: np.ndarray) -> None:
    """Hour marks, small dials, hands, the brand's sign."""
    ink = (24.0, 24.0, 28.0) if dial.mean() > 130 else (238.0, 238.0, 236.0)
    for k in range(12):
        a = k * np.pi / 6
        way = np.array([np.sin(a), -np.cos(a)]) * r * 0.78
        canvas.line(np.array([way * 0.8, way * 0.95]), 0.16 if k % 3 == 0 else 0.09, ink)
    spots = [(0, r * 0.34), (-r * 0.34, 0), (r * 0.34, 0)][: int(spec.size("dials"))]
    for x, y in spots:
        canvas.patch(ellipse((x, y), r * 0.17, r * 0.17), np.clip(dial * 0.75 + 30, 0, 255), 0.9)
        rim = ellipse((x, y), r * 0.17, r * 0.17)
        canvas.line(np.vstack([rim, rim[:1]]), 0.05, ink, opacity=0.7)
        canvas.line(np.array([(x, y), (x + r * 0.1, y - r * 0.06)]), 0.05, ink)
    canvas.decal(marks.mark(spec.brand, ink, True), (0, -r * 0.34), r * 0.5)
    hour = spec.size("hour")
    for length, width, a in ((0.42, 0.17, hour / 12), (0.62, 0.12, hour % 1), (0.66, 0.05, (hour * 60) % 1)):
        way = np.array([np.sin(a * 2 * np.pi), -np.cos(a * 2 * np.pi)]) * r
        color = ink if width > 0.06 else (200, 40, 36)
        canvas.line(np.array([-way * 0.12, way * length]), width, color, depth=0.08)
    canvas.patch(ellipse((0, 0), 0.13, 0.13, count=14), ink)
