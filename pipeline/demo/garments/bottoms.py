"""Jeans, trousers and shorts."""

from __future__ import annotations

import numpy as np

from pipeline.demo.canvas import Canvas, Material
from pipeline.demo.curves import spline
from pipeline.demo.garments.trim import BRASS, buttons, emblem, stitched, thread
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec

TOP = 42.0
CROTCH = 73.0


def leg_center(pose: Pose, side: int, y: float) -> float:
    """x of a leg's middle at height y."""
    xs = (pose.hip[side, 0], pose.knee[side, 0], pose.ankle[side, 0])
    return float(np.interp(y, (66, 100, 139), xs))


def leg(pose: Pose, side: int, spec: ProductSpec, hem: float, bottom: float) -> np.ndarray:
    """Outline of one trouser leg with its half of the seat."""
    s = 1.0 if side else -1.0
    tight = 0.86 if pose.worn else 1.0
    hem, knee = hem * tight, spec.size("knee") * tight
    waist, hips = pose.band + 0.8, pose.hips + (1.2 if pose.worn else -0.5)

    def center(y: float) -> float:
        """The leg's middle; legs laid flat spread so far that a gap opens between them."""
        usual = leg_center(pose, side, y) * s
        gap = max(0.0, half(y) + (2.2 if spec.type == "Shorts" else 1.4) - usual) * np.clip(
            (y - 58) / (bottom - 58), 0, 1
        )
        return s * (usual + (0.0 if pose.worn else gap))

    def half(y: float) -> float:
        thigh = hips * 0.545
        return float(np.interp(y, (76, 103, max(bottom, 104)), (thigh, knee, hem)))

    levels = [y for y in (84.0, 95.0, 106.0, 118.0, 128.0) if y < bottom - 4]
    outer = [
        (s * waist, TOP, 1),
        (s * (waist + hips) * 0.52, 50),
        (s * (hips + abs(center(61)) - abs(leg_center(pose, side, 61))), 61),
        (s * (hips * 0.99 + abs(center(70)) - abs(leg_center(pose, side, 70))), 70),
    ]
    outer += [(center(y) + s * half(y), y) for y in levels]
    middle = center(bottom)
    ends = [
        (middle + s * half(bottom), bottom, 1),
        (middle, bottom + 0.9),
        (middle - s * half(bottom), bottom - 0.4, 1),
    ]
    inner = [(center(y) - s * half(y), y) for y in reversed(levels)]
    inner = [(x if x * s > 0.35 else s * 0.35, y) for x, y in inner]
    return spline([*outer, *ends, *inner, (s * 0.9, CROTCH + 1.5), (s * -0.6, CROTCH - 2, 1), (s * -0.6, TOP + 1.4, 1)])


def draw_bottoms(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Two legs, waistband, fly, pockets and what the style adds."""
    bottom, hem = spec.size("length"), spec.size("hem")
    if not pose.worn:
        dark = stuff.plain(np.asarray(stuff.rgb) * 0.55, folds=0.1)
        w = pose.band + 0.4
        canvas.piece(
            spline([(-w, TOP - 3.6, 1), (0, TOP - 5.0), (w, TOP - 3.6, 1), (w, TOP, 1), (0, TOP + 1.6), (-w, TOP, 1)]),
            dark,
        )
    for side in (0, 1):
        canvas.piece(leg(pose, side, spec, hem, bottom), stuff, axis=-0.03 if side else 0.03, shadow=0.25)
        _leg_details(canvas, spec, pose, side, stuff, bottom)
    _crotch_creases(canvas, pose, stuff)
    _waistband(canvas, spec, pose, stuff)
    emblem(canvas, spec, (-pose.hips * 0.55, min(bottom - 8, 76)), 3.2)


def _leg_details(canvas: Canvas, spec: ProductSpec, pose: Pose, side: int, stuff: Material, bottom: float) -> None:
    """Side seam, fading, knee folds, hem."""
    s = 1.0 if side else -1.0
    rng = canvas.rng
    middle = leg_center(pose, side, bottom)
    hem = spec.size("hem") * (0.86 if pose.worn else 1.0)
    style = spec.word("style")
    if spec.cut.get("side"):
        for k in range(2):
            outer = [
                (s * (pose.hips - 2.2 - 1.7 * k), 60),
                (leg_center(pose, side, 95) + s * (spec.size("knee") - 1.8 - 1.7 * k), 95),
                (middle + s * (hem - 2.0 - 1.7 * k), bottom - 1),
            ]
            points = [p for p in outer if p[1] < bottom]
            canvas.line(spline(points, closed=False), 1.1, spec.rgb2)
    if style == "tailored":
        canvas.line(
            spline(
                [(leg_center(pose, side, 50), 50), (leg_center(pose, side, 100), 100), (middle, bottom)][
                    : 3 if bottom > 105 else 2
                ],
                closed=False,
            ),
            0.35,
            depth=0.5,
        )
    if style == "cargo":
        x = leg_center(pose, side, 88) + s * 5
        y = min(86.0, bottom - 19)
        canvas.piece(
            spline([(x - 6.5, y, 1), (x + 6.5, y, 1), (x + 6.2, y + 15, 1), (x - 6.2, y + 15, 1)]), stuff, lift=0.4
        )
        canvas.piece(
            spline([(x - 6.9, y - 1, 1), (x + 6.9, y - 1, 1), (x + 6.9, y + 4, 1), (x - 6.9, y + 4, 1)]),
            stuff,
            lift=0.4,
        )
    if bottom > 110:
        for y in (98.0, 103.0, bottom - 9, bottom - 5):
            x = leg_center(pose, side, y)
            tilt = rng.normal(0, 2.0)
            canvas.crease(np.linspace((x - 7, y - tilt), (x + 7, y + tilt), 7), 1.0, -0.5)
    if spec.cloth == "denim":
        _fade(canvas, spec, pose, side, bottom)
    if spec.size("turn_up") if "turn_up" in spec.cut else 0:
        up = spline(
            [
                (middle - hem - 0.4, bottom - 4.5, 1),
                (middle, bottom - 3.6),
                (middle + hem + 0.4, bottom - 4.5, 1),
                (middle + hem + 0.5, bottom + 0.6, 1),
                (middle, bottom + 1.6),
                (middle - hem - 0.5, bottom + 0.4, 1),
            ]
        )
        lighter = np.asarray(stuff.rgb) * 0.75 + 55 if spec.cloth == "denim" else np.asarray(stuff.rgb)
        canvas.piece(up, stuff.plain(lighter) if spec.cloth == "denim" else stuff, lift=0.4)
    elif style == "jogger":
        cuff = spline(
            [
                (middle - hem, bottom - 6, 1),
                (middle + hem, bottom - 6, 1),
                (middle + hem * 0.9, bottom + 1, 1),
                (middle - hem * 0.9, bottom + 1, 1),
            ]
        )
        canvas.piece(cuff, stuff.plain(rib=0.08, rib_step=0.8, folds=0.1), lift=0.2)
    else:
        stitched(canvas, np.array([(middle - hem, bottom - 2.0), (middle + hem, bottom - 1.8)]), spec, 0.2)


def _fade(canvas: Canvas, spec: ProductSpec, pose: Pose, side: int, bottom: float) -> None:
    """Washed-out thighs, whiskers, seams in thread, perhaps a hole at the knee."""
    s = 1.0 if side else -1.0
    amount = spec.size("fade") if "fade" in spec.cut else 0.4
    tint = np.clip(np.asarray(spec.rgb) * 0.55 + 105, 0, 240)
    for k in range(7):
        x = leg_center(pose, side, 84) + s * 0.8
        w, h = (6.0 - 0.7 * k), min(26.0 - 3 * k, (bottom - 66) * 0.45)
        if h > 2 and w > 0.5:
            t = np.linspace(0, 2 * np.pi, 26, endpoint=False)
            canvas.patch(
                np.stack([x + w * np.cos(t), min(86, (66 + bottom) / 2) + h * np.sin(t)], axis=1), tint, 0.075 * amount
            )
    for k in range(4):
        y = 66 + 3.2 * k
        canvas.line(
            spline([(s * 3.0, y + 3), (s * 8, y + 1.2), (s * 14.5, y - 1.5)], closed=False),
            0.8,
            tint,
            opacity=0.16 * amount,
        )
    seam = [
        (s * (pose.hips - 0.9), 58),
        (leg_center(pose, side, 96) + s * (spec.size("knee") * (0.86 if pose.worn else 1) - 0.9), 100),
    ]
    if bottom > 104:
        stitched(canvas, np.array(seam), spec, 0.18)
    if spec.cut.get("holes") and bottom > 110:
        x, y = leg_center(pose, side, 100), 98.0 + 3 * s
        rng = np.random.default_rng(spec.seed + side)
        hole = spline(
            [
                (x - 5, y),
                (x - 1, y - 1.8 + rng.normal(0, 0.4)),
                (x + 5, y + 0.4),
                (x + 0.5, y + 2.2 + rng.normal(0, 0.4)),
            ]
        )
        inside = (206.0, 160.0, 132.0) if pose.worn else tuple(np.asarray(spec.rgb) * 0.4)
        canvas.patch(hole, inside, 0.9)
        for k in np.linspace(-1.4, 1.6, 5):
            canvas.line(np.array([(x - 4.5, y + k), (x + 4.5, y + k + 0.2)]), 0.3, (228, 230, 232), opacity=0.8)


def _crotch_creases(canvas: Canvas, pose: Pose, stuff: Material) -> None:
    """Folds that radiate from the crotch."""
    rng = canvas.rng
    for s in (-1.0, 1.0):
        for _ in range(3):
            start = np.array([s * 1.5, CROTCH - 1 + rng.normal(0, 1)])
            end = np.array([s * rng.uniform(9, pose.hips * 0.95), CROTCH + rng.uniform(-9, 6)])
            canvas.crease(np.linspace(start, end, 7), rng.uniform(0.8, 1.3), -0.6 * min(1.0, stuff.folds * 2))


def _waistband(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Band with loops and button or drawcord, fly, front pockets."""
    elastic = spec.word("style") in ("jogger", "sport")
    w = pose.band + 1.0
    low, sag = TOP + 0.6, 1.5
    for s in (-1.0, 1.0):
        if elastic:
            slit = np.array([(s * (w - 0.1), 50), (s * (pose.hips - 2.0), 63)])
            canvas.line(slit, 0.5, depth=-0.6)
        else:
            line = spline([(s * (w * 0.55), low + 1), (s * (w * 0.68), 52), (s * (pose.hips + 0.2), 57)], closed=False)
            stitched(canvas, line, spec, 0.22)
            canvas.line(line + (0, 0.5), 0.5, depth=-0.4)
    if not elastic:
        fly = spline([(2.6, low + 1), (2.8, 60), (1.6, 66), (0, 68.5)], closed=False)
        stitched(canvas, fly, spec, 0.22)
    canvas.line(np.array([(0, low), (0, CROTCH)]), 0.4, depth=-0.5)
    top = TOP - 3.4
    band = spline(
        [(-w + 0.3, top, 1), (0, top + sag), (w - 0.3, top, 1), (w + 0.2, low, 1), (0, low + sag), (-w - 0.2, low, 1)]
    )
    canvas.piece(band, stuff.plain(rib=0.09, rib_step=0.8) if elastic else stuff, lift=0.2, shadow=0.3)
    if elastic:
        for s in (-1.0, 1.0):
            cord = spline([(s * 0.8, low), (s * 2.2, low + 5), (s * 1.6, low + 11)], closed=False)
            canvas.line(cord, 0.7, spec.rgb2, depth=0.4)
        return
    stitched(canvas, spline([(-w, low - 0.5), (0, low + sag - 0.5), (w, low - 0.5)], closed=False), spec, 0.2)
    for x in (-w * 0.86, -w * 0.45, w * 0.45, w * 0.86):
        y = top + sag * (1 - (x / w) ** 2)
        canvas.piece(
            np.array([(x - 0.6, y - 0.3), (x + 0.6, y - 0.3), (x + 0.6, y + 4.6), (x - 0.6, y + 4.6)]), stuff, lift=0.25
        )
    if spec.cloth == "denim":
        canvas.piece(_dot(1.2, TOP - 0.2, 0.95), BRASS, lift=0.15)
        for s in (-1.0, 1.0):
            canvas.piece(_dot(s * w * 0.7, 52.5, 0.4), BRASS, lift=0.1)
    else:
        buttons(canvas, [(1.0, TOP - 0.1)], 0.75, spec)


def _dot(x: float, y: float, radius: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return np.stack([x + radius * np.cos(t), y + radius * np.sin(t)], axis=1)


__all__ = ["draw_bottoms", "leg", "leg_center", "thread"]
