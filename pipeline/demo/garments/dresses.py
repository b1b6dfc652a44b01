"""Dresses and skirts."""

from __future__ import annotations

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import spline
from pipeline.demo.garments.necklines import NECK, back_of_neck, neck_band, shirt_collar
from pipeline.demo.garments.tops import cap_sleeve_edge, creases_of_trunk, sleeves
from pipeline.demo.garments.trim import BRASS, buttons, emblem, stitched
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec


def bodice(pose: Pose, spec: ProductSpec, bottom: float) -> np.ndarray:
    """Outline of a dress's upper part down to `bottom`."""
    shoulder_x = float(pose.shoulder[1, 0])
    neck = spec.word("neck")
    nw, depth = NECK[neck]
    nw = min(nw, shoulder_x - 3.0)
    sleeved = spec.size("sleeve") > 0
    chest, waist = pose.chest + (1.2 if sleeved else 0.3), pose.waist + 0.8
    if neck == "strap":
        top = [(0, 13.0), (5.5, 12.0), (9.6, 7.0, 1), (11.0, 7.0, 1), (chest - 2.2, 17)]
    else:
        tip = shoulder_x + 0.5 if sleeved else min(shoulder_x - 2.6, nw + 6.5)
        pointed = float(neck in ("v",))
        top = [
            (0, depth, pointed),
            (nw * (0.55 if pointed else 0.72), depth * (0.5 if pointed else 0.66)),
            (nw, -0.4, 1),
            (tip, 2.6, 1),
            (tip - 0.8, 10),
        ]
    right = [*top, (chest, 20, 1), ((chest + waist) / 2, 29), (waist, bottom, 1), (0, bottom + 1.2)]
    return spline([*right, *[(-p[0], *p[1:]) for p in reversed(right[1:-1])]])


def flared(
    pose: Pose, top: float, bottom: float, flare: float, rng: np.random.Generator, top_half: float | None = None
) -> np.ndarray:
    """Outline of a skirt from y = top to y = bottom, its hem rippled the more it flares."""
    waist = top_half if top_half is not None else pose.half_width(top) + 0.8
    hem = pose.hips + 1.0 + flare
    hip_y = min(60.0, top + (bottom - top) * 0.55)
    hip = max(pose.half_width(hip_y) + 0.8, waist + (hem - waist) * (hip_y - top) / (bottom - top) * 0.92)
    side = [(waist, top, 1), ((waist + hip) / 2 + 0.5, (top + hip_y) / 2), (hip, hip_y), (hem, bottom - 1.5, 1)]
    x = np.linspace(hem * 0.92, -hem * 0.92, 17)
    wave = np.abs(flare) * 0.06 * np.sin(np.linspace(0, rng.uniform(9, 16), 17) + rng.uniform(0, 6))
    hem_line = [(float(a), float(bottom + 2.2 * (1 - (a / hem) ** 2) + w)) for a, w in zip(x, wave, strict=True)]
    return spline([*side, *hem_line, *[(-p[0], *p[1:]) for p in reversed(side)]], steps=5)


def drape(canvas: Canvas, pose: Pose, top: float, bottom: float, flare: float, strength: float = 1.0) -> None:
    """Folds that fall from the waist and open towards the hem."""
    rng = canvas.rng
    hem = pose.hips + 1.0 + flare
    waist = pose.half_width(top)
    for share in np.linspace(-0.9, 0.9, int(np.clip(5 + flare * 0.45, 4, 14))) + rng.normal(0, 0.05):
        start = (waist * share * 0.95, top + rng.uniform(0.02, 0.35) * (bottom - top))
        end = (hem * share * 0.98, bottom + 3)
        middle = ((start[0] + end[0]) / 2 + rng.normal(0, 0.8), (start[1] + end[1]) / 2)
        line = spline([start, middle, end], closed=False)
        canvas.crease(
            line, rng.uniform(1.0, 2.4), rng.choice([-1.0, -1.3, 0.8]) * strength * (0.4 + min(flare, 20) * 0.05)
        )


def tiers(canvas: Canvas, pose: Pose, top: float, bottom: float, flare: float, spec: ProductSpec) -> None:
    """Gathered seams across a tiered skirt."""
    for t in (0.36, 0.68):
        y = top + (bottom - top) * t
        half = (pose.half_width(top) + 1) * (1 - t) + (pose.hips + 1 + flare) * t
        canvas.line(spline([(-half, y), (0, y + 2.0), (half, y)], closed=False), 0.5, depth=-0.6)
        for x in np.linspace(-half, half, 22) + canvas.rng.normal(0, 0.5, 22):
            canvas.crease(
                np.array([(x, y + 1), (x * 1.02, y + 4), (x * 1.04, y + canvas.rng.uniform(6, 11))]), 0.7, -0.5
            )


def draw_dress(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Dresses: sheath, a-line, skater, maxi, shirt, slip and wrap dresses."""
    style, length, flare = spec.word("style"), spec.size("length"), spec.size("flare")
    waist = spec.size("waist")
    back_of_neck(canvas, pose, spec, stuff)
    if spec.size("sleeve") > 0:
        reach = spec.size("sleeve")
        sleeves(canvas, pose, spec, stuff, 7.6 if reach < 0.6 else 6.0, reach, 0.0)
    if spec.word("neck") == "strap":
        for side in (-1, 1):
            strap = spline(
                [(side * 7.4, -4.0 if not pose.worn else 2.0), (side * 9.2, 2), (side * 10.3, 8.5)], closed=False
            )
            canvas.piece(
                np.vstack([strap + (0.6, 0), strap[::-1] - (0.6, 0)]), stuff.plain(puff=0.2, edge=0.5, folds=0)
            )
    if style == "sheath":
        _sheath(canvas, spec, pose, stuff)
    else:
        canvas.piece(flared(pose, waist, length, flare, canvas.rng), stuff)
        drape(canvas, pose, waist, length, flare)
        if spec.size("tiers"):
            tiers(canvas, pose, waist, length, flare, spec)
        canvas.piece(bodice(pose, spec, waist), stuff, lift=0.15, shadow=0.25)
        creases_of_trunk(canvas, pose, waist + 8, 0.5)
        canvas.line(
            spline(
                [(-pose.half_width(waist) - 0.6, waist), (0, waist + 1.2), (pose.half_width(waist) + 0.6, waist)],
                closed=False,
            ),
            0.4,
            depth=-0.4,
        )
    _finish_dress(canvas, spec, pose, stuff)


def _sheath(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Bodice and narrow skirt in one, without a seam at the waist."""
    upper = bodice(pose, spec, 44.0)
    lower = flared(pose, 42.5, spec.size("length"), spec.size("flare"), canvas.rng, pose.waist + 0.7)
    canvas.piece(lower, stuff)
    canvas.piece(upper, stuff, lift=0.0, shadow=0.0)
    creases_of_trunk(canvas, pose, 62, 0.7)
    for side in (-1, 1):
        canvas.line(np.array([(side * 7.5, 30), (side * 6.5, 44), (side * 7.5, 58)]), 0.35, depth=-0.3)


def _finish_dress(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Neckline, placket, belt, mark."""
    style, waist, length = spec.word("style"), spec.size("waist"), spec.size("length")
    x = pose.half_width(waist) + 1.0
    if style == "wrap":
        canvas.line(spline([(7.5, 0), (3, 12), (-x * 0.9, waist)], closed=False), 0.6, depth=-0.6)
        canvas.line(
            spline([(-x * 0.8, waist), (-4, (waist + length) / 2), (-2.0, length + 1)], closed=False), 0.5, depth=-0.5
        )
    if style == "shirt":
        canvas.piece(
            np.array([(-1.7, 5), (1.7, 5), (1.7, length + 1), (-1.7, length + 1)]), stuff, lift=0.1, shadow=0.3
        )
        buttons(canvas, [(0, y) for y in np.arange(11, length - 4, 8.5)], 0.65, spec)
        shirt_collar(canvas, spec, stuff)
    elif spec.word("neck") != "strap":
        neck_band(canvas, pose, spec, stuff.plain(np.asarray(stuff.rgb) * 0.93), 1.2)
    if spec.size("sleeve") == 0 and spec.word("neck") != "strap":
        cap_sleeve_edge(canvas, pose, spec)
    if spec.size("belt"):
        color = spec.rgb2 if spec.seed % 2 else tuple(np.asarray(spec.rgb) * 0.7)
        band = spline(
            [
                (-x, waist - 1.8, 1),
                (0, waist - 0.8),
                (x, waist - 1.8, 1),
                (x, waist + 1.8, 1),
                (0, waist + 2.8),
                (-x, waist + 1.8, 1),
            ]
        )
        canvas.piece(band, Material(color, folds=0.1, gloss=0.3, edge=1.2, puff=0.5), lift=0.4)
        if spec.seed % 3:
            canvas.piece(
                np.array([(-2, waist - 1.8), (2, waist - 1.8), (2, waist + 3.6), (-2, waist + 3.6)]), BRASS, lift=0.2
            )
    if spec.seed % 2:
        emblem(canvas, spec, (pose.chest * 0.45, 24), 2.6)


SKIRT_TOP = 40.0
"""Upper edge of a skirt's band, centimeters below the pit of the neck."""


def draw_skirt(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Skirts of all lengths."""
    style, flare, band = spec.word("style"), spec.size("flare"), spec.size("band")
    top, bottom = SKIRT_TOP, SKIRT_TOP + spec.size("length")
    if not pose.worn:
        w = pose.band + 0.4
        back = [
            (-w, top - 0.4, 1),
            (0, top - 1.8),
            (w, top - 0.4, 1),
            (w, top + 2, 1),
            (0, top + 3.2),
            (-w, top + 2, 1),
        ]
        canvas.piece(spline(back), stuff.plain(np.asarray(stuff.rgb) * 0.55, folds=0.1))
    canvas.piece(flared(pose, top, bottom, flare, canvas.rng, pose.band + 0.8), stuff)
    if style == "pleated":
        _pleats(canvas, pose, top + band, bottom, flare)
    else:
        drape(canvas, pose, top + band, bottom, max(flare, 0.0), 0.8)
    if spec.size("tiers"):
        tiers(canvas, pose, top, bottom, flare, spec)
    if style in ("pencil", "mini"):
        canvas.line(np.array([(6.5, bottom - 14), (6.8, bottom + 1.5)]), 0.4, depth=-0.5)
        for side in (-1, 1):
            canvas.line(np.array([(side * 7, top + band), (side * 7.6, top + band + 10)]), 0.35, depth=-0.35)
    _skirt_band(canvas, spec, pose, stuff)
    if spec.size("buttons"):
        canvas.line(np.array([(0, top + 1), (0, bottom + 2)]), 0.4, depth=-0.4)
        buttons(canvas, [(0.9, float(y)) for y in np.arange(top + 3, bottom - 1, 6)], 0.75, spec)
    emblem(canvas, spec, (-pose.hips * 0.6, bottom - 6), 2.8)


def _skirt_band(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """The waistband."""
    w, top, low, sag = pose.band + 1.0, SKIRT_TOP, SKIRT_TOP + spec.size("band"), 1.4
    belt = [(-w, top, 1), (0, top + sag), (w, top, 1), (w + 0.9, low, 1), (0, low + sag), (-w - 0.9, low, 1)]
    canvas.piece(spline(belt), stuff, lift=0.2, shadow=0.26)
    seam = spline([(-w - 0.7, low - 0.4), (0, low + sag - 0.4), (w + 0.7, low - 0.4)], closed=False)
    stitched(canvas, seam, spec)


def _pleats(canvas: Canvas, pose: Pose, top: float, bottom: float, flare: float) -> None:
    """Knife pleats: sharp edges from band to hem."""
    hem, waist = pose.hips + 1 + flare, pose.band + 0.8
    for share in np.linspace(-0.94, 0.94, 17):
        line = np.array([(waist * share, top), (hem * share, bottom + 2.2)])
        canvas.line(line, 0.4, depth=-0.7)
        canvas.crease(np.linspace(line[0] + (0.9, 0), line[1] + (1.3, 0), 6), 0.8, 0.6)
