"""Handbags and backpacks; origin at the middle of the lower edge, y up is negative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import Line, ellipse, spline, tube
from pipeline.demo.garments.trim import BRASS, METAL, emblem, stitched
from pipeline.demo.material import Material
from pipeline.demo.spec import ProductSpec


def handle(canvas: Canvas, feet: tuple[float, float, float], rise: float, half: float, stuff: Material) -> None:
    """An arch between the feet (x1, x2, y)."""
    x1, x2, y = feet
    m, d, lean = (x1 + x2) / 2, (x2 - x1) / 2, canvas.rng.normal(0, 0.8)
    arch = [(x1, y), (x1 + d * 0.06, y - rise * 0.5), (m - d * 0.6 + lean, y - rise * 0.92), (m + lean, y - rise),
            (m + d * 0.6 + lean, y - rise * 0.92), (x2 - d * 0.06, y - rise * 0.5), (x2, y)]  # fmt: skip
    canvas.piece(tube(arch, (half, half, half), count=40), stuff)


def plate(x: float, top: float, half: float, bottom: float) -> np.ndarray:
    """An upright rectangle around x."""
    return np.array([(x - half, top), (x + half, top), (x + half, bottom), (x - half, bottom)])


def draw_handbag(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Totes, satchels, shoulder, bowling and hobo bags."""
    style, w, h = spec.word("style"), spec.size("width") / 2, spec.size("height")
    strap = stuff.plain(puff=0.6, edge=0.9, folds=0)
    metal = METAL if spec.size("metal") > 0.5 else BRASS
    _rear_strap(canvas, spec, strap)
    body = _bag_outline(spec)
    canvas.piece(spline(body), replace(stuff, puff=2.6, edge=6.0))
    canvas.line(spline([(-w + 1.2, -2.2), (0, -1.6), (w - 1.2, -2.2)], closed=False), 0.3, depth=-0.25)
    if style == "hobo":
        for x in canvas.rng.uniform(-0.7, 0.7, 5) * w:
            canvas.crease(np.array([(x, 7 - h), (x * 1.1, 11 - h), (x * 1.2, -4)]), 1.0, -0.7)
    else:
        inner = spline([(p[0] * 0.96, p[1] * 0.94 - h * 0.03) for p in body])
        stitched(canvas, np.vstack([inner, inner[:1]]), spec)
    _front(canvas, spec, stuff, metal)
    if style not in ("shoulder", "hobo"):
        handle(canvas, (-w * 0.5, w * 0.46, 4.5 - h), spec.size("handle") + 3, 0.8, strap)
        for x in (-w * 0.5, w * 0.46):
            canvas.piece(plate(x, 3.2 - h, 1.2, 7.6 - h), strap, lift=0.3)
            canvas.piece(ellipse((x, 4.0 - h), 1.1, 1.1), metal, lift=0.2)
            canvas.patch(ellipse((x, 4.0 - h), 0.6, 0.6), np.asarray(spec.rgb) * 0.5)
    emblem(canvas, spec, (0, -h * 0.26 if spec.size("flap") else -h * 0.6), 4.2)


def _rear_strap(canvas: Canvas, spec: ProductSpec, strap: Material) -> None:
    """The strap or handle behind the bag."""
    style, w, top, rise = spec.word("style"), spec.size("width") / 2, -spec.size("height"), spec.size("handle")
    if style == "shoulder":
        handle(canvas, (-w * 0.86, w * 0.86, top + 2), rise * 1.5, 0.8, strap)
    elif style == "hobo":
        arch = [(-w * 0.8, top + 4), (-w * 0.55, top - rise * 0.7), (0, top - rise), (w * 0.55, top - rise * 0.7),
                (w * 0.8, top + 4)]  # fmt: skip
        canvas.piece(tube(arch, (1.8, 1.3, 1.5, 1.3, 1.8)), strap)
    else:
        handle(canvas, (-w * 0.46, w * 0.5, top + 1.0), rise * 0.9, 0.75, strap.plain(np.asarray(strap.rgb) * 0.7))


def _bag_outline(spec: ProductSpec) -> list[tuple[float, ...]]:
    """The bag's body."""
    style, w, h, taper = spec.word("style"), spec.size("width") / 2, spec.size("height"), spec.size("taper")
    if style == "hobo":
        return [(-w * 0.84, 3 - h, 1), (-w * 0.3, 6.5 - h), (0, 7.2 - h), (w * 0.3, 6.5 - h), (w * 0.84, 3 - h, 1),
                (w * 1.04, -h * 0.4), (w * 0.84, -1.5), (0, 0), (-w * 0.84, -1.5), (-w * 1.04, -h * 0.4)]  # fmt: skip
    if style == "bowling":
        return [(-w * 0.62, -h, 1), (0, -h - 1.2), (w * 0.62, -h, 1), (w * 0.98, -h * 0.4), (w, -1.2),
                (w * 0.9, 0), (-w * 0.9, 0), (-w, -1.2), (-w * 0.98, -h * 0.4)]  # fmt: skip
    return [(-w + taper, -h, 1), (0, 0.4 - h), (w - taper, -h, 1), (w - taper * 0.3, -h * 0.5), (w, -1.0), (w - 1.2, 0),
            (0, 0.3), (1.2 - w, 0), (-w, -1.0), (-w + taper * 0.3, -h * 0.5)]  # fmt: skip


def _front(canvas: Canvas, spec: ProductSpec, stuff: Material, metal: Material) -> None:
    """A flap with a lock, or the zip and perhaps a pocket."""
    w, h, taper = spec.size("width") / 2, spec.size("height"), spec.size("taper")
    if spec.size("flap"):
        flap = [(-w + taper - 0.3, -h - 0.3, 1), (0, -h - 0.6), (w - taper + 0.3, -h - 0.3, 1),
                (w - taper * 0.8, -h * 0.52),
                (w * 0.5, -h * 0.4), (0, -h * 0.36), (-w * 0.5, -h * 0.4), (-w + taper * 0.8, -h * 0.52)]  # fmt: skip
        canvas.piece(spline(flap), replace(stuff, puff=1.2, edge=2.0), lift=0.5)
        canvas.piece(plate(0, -h * 0.46, 1.5, -h * 0.3), metal, lift=0.3)
        return
    rim = [(-w + taper + 0.8, 1.6 - h), (0, 2.0 - h), (w - taper - 0.8, 1.6 - h)]
    canvas.line(spline(rim, closed=False), 0.5, (70, 64, 58), depth=-0.3, opacity=0.6)
    if spec.size("pocket"):
        canvas.piece(plate(0, -h * 0.5, w * 0.53, -2.4), stuff, lift=0.5)


def draw_backpack(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Day packs, school bags, roll-top and flap rucksacks, seen from the front."""
    style, w, h = spec.word("style"), spec.size("width") / 2, spec.size("height")
    second = stuff.plain(spec.rgb2) if spec.size("contrast") else stuff
    strap = stuff.plain(np.asarray(stuff.rgb) * 0.7, puff=0.7, edge=1.2, folds=0)
    for s in (-1, 1):
        line = [(s * w * 0.5, -h + 3), (s * w * 1.1, -h * 0.82), (s * w * 1.22, -h * 0.4), (s * w * 0.98, -2.5)]
        canvas.piece(tube(line, (1.6, 2.2, 1.8, 0.9)), strap)
    handle(canvas, (-3.2, 3.2, -h + 1.5), 5.5, 0.8, strap)
    top = 0.62 if style in ("daypack", "school") else 0.86
    half = [(w * top, -h + 1.8), (w * 0.96, -h * 0.76), (w, -h * 0.4), (w * 0.97, -3), (w * 0.82, -0.2)]
    body = [(0, -h), *half, (0, 0.2), *((-x, y) for x, y in reversed(half))]
    canvas.piece(spline(body), replace(stuff, puff=3.2, edge=7.0))
    {"rolltop": _rolled, "flap": _flapped}.get(style, _zipped)(canvas, spec, stuff, strap)
    _pouch(canvas, spec, second, strap)
    emblem(canvas, spec, (0, -h * spec.size("pocket") * 0.5), 6.0, always=bool(spec.seed % 3))


def _rolled(canvas: Canvas, spec: ProductSpec, stuff: Material, strap: Material) -> None:
    """A rolled top held by two straps."""
    w, h = spec.size("width") / 2, spec.size("height")
    canvas.piece(plate(0, -h - 3, w * 0.93, -h + 4), stuff.shade(0.85), lift=0.6)
    for x in (-w * 0.5, w * 0.5):
        canvas.piece(plate(x, -h - 3.2, 1.1, -h * 0.55), strap, lift=0.3)
        canvas.piece(plate(x, -h * 0.78, 1.5, -h * 0.71), METAL, lift=0.2)


def _flapped(canvas: Canvas, spec: ProductSpec, stuff: Material, strap: Material) -> None:
    """A lid with two buckled straps."""
    w, h = spec.size("width") / 2, spec.size("height")
    lid: Line = [(-w * 0.9, -h + 1.4, 1), (0, -h - 0.8), (w * 0.9, -h + 1.4, 1), (w, -h * 0.66),
                 (w * 0.8, -h * 0.56), (0, -h * 0.53), (-w * 0.8, -h * 0.56), (-w, -h * 0.66)]  # fmt: skip
    canvas.piece(spline(lid), stuff, lift=0.6)
    for x in (-w * 0.5, w * 0.5):
        canvas.piece(plate(x, -h * 0.66, 1.1, -h * 0.34), strap, lift=0.3)
        canvas.piece(plate(x, -h * 0.46, 1.6, -h * 0.41), BRASS, lift=0.2)


def _zipped(canvas: Canvas, spec: ProductSpec, stuff: Material, strap: Material) -> None:
    """A zip around the upper half, perhaps slanted stripes."""
    w, h = spec.size("width") / 2, spec.size("height")
    arch = [(-w * 0.9, -h * 0.56), (-w * 0.78, -h * 0.84), (0, -h * 0.93), (w * 0.78, -h * 0.84), (w * 0.9, -h * 0.56)]
    zip_line(canvas, spline(arch, closed=False))
    if spec.size("stripes"):
        for x in w * 0.1 + np.arange(3) * 2.6:
            stripe = [(x, -h * 0.88), (x + 1.4, -h * 0.88), (x + 6.4, -h * 0.5), (x + 5.0, -h * 0.5)]
            canvas.patch(np.array(stripe), spec.rgb2)


def zip_line(canvas: Canvas, line: np.ndarray) -> None:
    """A zip's tape and teeth."""
    canvas.line(line, 1.3, (28, 28, 30), depth=-0.3, opacity=0.8)
    canvas.line(line, 0.5, (150, 152, 156), dash=(0.4, 0.3))


def _pouch(canvas: Canvas, spec: ProductSpec, second: Material, strap: Material) -> None:
    """The front pocket with its zip."""
    w, deep = spec.size("width") / 2, spec.size("height") * spec.size("pocket")
    half = [(w * 0.8, -deep + 1, 1), (w * 0.86, -3.5), (w * 0.7, -1.6)]
    outline = [(0, -deep - 0.8), *half, (0, -1.2), *((-p[0], *p[1:]) for p in reversed(half))]
    canvas.piece(spline(outline), replace(second, puff=2.4, edge=4.0), lift=0.7)
    rim = [(-w * 0.74, -deep + 3.2), (0, -deep + 1.8), (w * 0.74, -deep + 3.2)]
    zip_line(canvas, spline(rim, closed=False))
    canvas.piece(tube([(w * 0.74, -deep + 3.2), (w * 0.78, -deep + 7)], (0.5, 0.4)), strap, lift=0.3)
