"""Jackets and coats: bombers, puffers, biker and denim jackets, blazers, track tops, trench coats, parkas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import flipped, spline
from pipeline.demo.garments.necklines import back_of_neck, hood, shirt_collar
from pipeline.demo.garments.tops import creases_of_trunk, ribbed_hem, sleeves, trunk, zipper
from pipeline.demo.garments.trim import BRASS, buttons, emblem, pocket, stitched
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec


def draw_jacket(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Short outerwear, by style."""
    style, length = spec.word("style"), spec.size("length")
    if style == "puffer":
        stuff = replace(stuff, puff=3.0, folds=0.8, wave=10)
    if spec.size("hood"):
        hood(canvas, pose, stuff, 0.4)
    arm = stuff.plain(spec.rgb2) if spec.size("contrast") and style in ("bomber", "track") else stuff
    ribs = style in ("bomber", "track")
    back_of_neck(canvas, pose, spec, stuff)
    sleeves(
        canvas,
        pose,
        spec,
        arm,
        6.4,
        spec.size("sleeve"),
        spec.size("rib") if ribs else 4.0 if style == "denim" else 0.0,
    )
    if style == "puffer":
        _quilt_arms(canvas, pose)
    if style in ("blazer", "biker"):
        _shirt_behind(canvas, pose)
    canvas.piece(trunk(pose, spec, length), stuff)
    creases_of_trunk(canvas, pose, length, 1.0)
    if ribs:
        ribbed_hem(canvas, pose, spec, stuff if style == "bomber" else arm, length, spec.size("rib"))
    _FRONTS[style](canvas, spec, pose, stuff)


def _shirt_behind(canvas: Canvas, pose: Pose) -> None:
    """The dark lining inside an open front."""
    if not pose.worn:
        lining = Material((70, 66, 70), folds=0.2, gloss=0.2)
        canvas.piece(spline([(-9, 0, 1), (0, 2), (9, 0, 1), (7, 22), (0, 38, 1), (-7, 22)]), lining)


def _quilt_arms(canvas: Canvas, pose: Pose) -> None:
    """Seams across the sleeves of a quilted jacket."""
    for side in (0, 1):
        line = np.vstack([pose.shoulder[side], pose.elbow[side], pose.wrist[side]])
        for t in np.linspace(0.14, 0.94, 7):
            y = np.interp(t, (0, 0.52, 1), line[:, 1])
            x = np.interp(t, (0, 0.52, 1), line[:, 0])
            along = (line[1] - line[0]) if t < 0.52 else (line[2] - line[1])
            across = np.array([-along[1], along[0]]) / np.hypot(*along) * 9
            _quilt(canvas, np.array([(x, y) - across, (x, y), (x, y) + across]))


def _quilt(canvas: Canvas, line: np.ndarray) -> None:
    canvas.crease(np.vstack([np.linspace(line[k], line[k + 1], 6) for k in range(len(line) - 1)]), 1.5, -1.3)
    canvas.line(line, 0.25, depth=-0.3)


def _puffer(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    for y in np.arange(14, length - 2, 7.2):
        x = pose.half_width(y) + spec.size("ease") + 1
        _quilt(canvas, spline([(-x, y), (0, y + 1), (x, y)], closed=False, steps=5))
    zipper(canvas, 3, length)
    collar = spline([(-9, -6, 1), (0, -5), (9, -6, 1), (10.5, 2), (8, 6.5), (0, 9), (-8, 6.5), (-10.5, 2)])
    canvas.piece(collar, replace(stuff, puff=2.2), lift=0.7)
    canvas.line(np.array([(0, -5.0), (0, 9)]), 0.9, (60, 60, 64), depth=-0.2)
    emblem(canvas, spec, (10, 21), 4.5)


def _bomber(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    zipper(canvas, 4, length)
    for side in (-1, 1):
        canvas.line(
            np.array([(side * 11, length - 26), (side * 15.5, length - 13)]), 0.9, (30, 30, 32), depth=-0.4, opacity=0.7
        )
    collar = spline(
        [(-8.6, -2.5, 1), (0, -0.5), (8.6, -2.5, 1), (9.2, 2.2), (5.5, 6), (0, 7.5), (-5.5, 6), (-9.2, 2.2)]
    )
    canvas.piece(collar, stuff.plain(np.asarray(stuff.rgb) * 0.9, rib=0.07, rib_step=0.7), lift=0.5)
    emblem(canvas, spec, (10, 20), 4.5)


def _track(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    for side in (-1, 1):
        for k in range(2):
            line = spline(
                [
                    (side * (9 + k * 2), 2.5),
                    (side * (13 + k * 2), 16),
                    (side * (12 + k * 2.2), 30),
                    (side * (13 + k * 2.2), length - 7),
                ],
                closed=False,
            )
            canvas.line(line, 1.0, spec.rgb2)
    zipper(canvas, 2, length)
    collar = spline([(-8.6, -5, 1), (0, -3.5), (8.6, -5, 1), (9.4, 2.2), (6, 6), (0, 8), (-6, 6), (-9.4, 2.2)])
    canvas.piece(collar, stuff.plain(spec.rgb2 if spec.size("contrast") else None), lift=0.5)
    canvas.line(np.array([(0, -3.5), (0, 8)]), 0.8, (188, 190, 194), dash=(0.35, 0.25))
    emblem(canvas, spec, (9.5, 19), 5.0)


def lapels(canvas: Canvas, pose: Pose, stuff: Material, depth: float, wide: float) -> None:
    """Notched collar and lapels down to `depth`."""
    lapel = spline(
        [
            (0.6, depth, 1),
            (wide * 0.72, depth * 0.55),
            (wide, 12, 1),
            (wide * 0.72, 9.5, 1),
            (9.5, 6),
            (8.4, -1, 1),
            (5.2, 9),
        ]
    )
    collar = spline(
        [(5.6, 8, 1), (wide * 0.86, 11.2, 1), (wide * 1.02, 7.6, 1), (10.4, 1.0), (7.6, -4.2, 1), (6.4, -2)]
    )
    for one, tilt in ((lapel, -0.35), (flipped(lapel), 0.35)):
        canvas.piece(one, stuff, axis=tilt, lift=0.4)
    back = spline([(-7.8, -4.4, 1), (0, -2.8), (7.8, -4.4, 1), (7.0, 0.5), (0, 1.6), (-7.0, 0.5)])
    if not pose.worn:
        canvas.piece(back, stuff.shade(0.9), lift=0.1)
    for one, tilt in ((collar, -0.6), (flipped(collar), 0.6)):
        canvas.piece(one, stuff, axis=tilt, lift=0.45)


def _blazer(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    canvas.line(
        spline([(0, 34), (0.6, 55), (3.5, length + 1)], closed=False), 0.5, (18, 18, 20), depth=-0.5, opacity=0.8
    )
    lapels(canvas, pose, stuff, 35, 14)
    buttons(canvas, [(0.8, 37), (0.8, 46)], 1.0, spec)
    for side in (-1, 1):
        flap = spline([(side * 6.5, 51, 1), (side * 18, 50, 1), (side * 18.2, 55, 1), (side * 6.7, 56, 1)])
        canvas.piece(flap, stuff, lift=0.2)
    canvas.piece(spline([(7.5, 23.5, 1), (16, 21.8, 1), (16.2, 24.2, 1), (7.7, 25.9, 1)]), stuff, lift=0.15)


def _biker(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    diagonal = np.array([(5, 20), (-2.5, length - 2)])
    canvas.line(diagonal, 1.4, (40, 40, 44), depth=-0.3)
    canvas.line(diagonal, 0.7, (200, 202, 206), dash=(0.35, 0.25), depth=0.2)
    lapels(canvas, pose, stuff, 24, 15)
    for side in (-1, 1):
        line = np.array([(side * 8, 44), (side * 16, 37)])
        canvas.line(line, 1.2, (40, 40, 44), depth=-0.3)
        canvas.line(line, 0.6, (200, 202, 206), dash=(0.35, 0.25))
        x = pose.half_width(length) + spec.size("ease")
        canvas.piece(
            spline(
                [
                    (side * 5, length - 6, 1),
                    (side * x, length - 6, 1),
                    (side * x, length - 1, 1),
                    (side * 5, length - 1, 1),
                ]
            ),
            stuff,
            lift=0.25,
        )
        buttons(canvas, [(side * 7, length - 3.5), (side * 13, 10)], 0.7, spec, metal=True)


def _denim(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    length = spec.size("length")
    canvas.piece(np.array([(-2, 4), (2, 4), (2, length), (-2, length)]), stuff, lift=0.15)
    for x in (-1.6, 1.6):
        stitched(canvas, np.array([(x, 6.0), (x, length)]), spec, 0.22)
    for side in (-1, 1):
        stitched(canvas, np.array([(side * 2, 19.5), (side * pose.chest, 18.5)]), spec, 0.24)
        pocket(canvas, spec, stuff, (side * 10.5, 20), 10, 11, flap=True)
        for x in (6.5, 14.0):
            stitched(canvas, np.array([(side * x, 31), (side * (x - 2.5), length - 4)]), spec, 0.24)
    x = pose.half_width(length) + spec.size("ease") * 1.1
    canvas.piece(
        spline(
            [
                (-x, length - 4, 1),
                (0, length - 3.4),
                (x, length - 4, 1),
                (x - 0.4, length + 0.8, 1),
                (0, length + 1.6),
                (-x + 0.4, length + 0.8, 1),
            ]
        ),
        stuff,
        lift=0.15,
    )
    buttons(canvas, [(0, y) for y in np.linspace(10, length - 1.5, 6)], 0.8, spec, metal=True)
    shirt_collar(canvas, spec, stuff, 1.1)


_FRONTS = {"puffer": _puffer, "bomber": _bomber, "track": _track, "blazer": _blazer, "biker": _biker, "denim": _denim}


def draw_coat(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Long outerwear: single and double breasted, trench, parka."""
    style, length = spec.word("style"), spec.size("length")
    if spec.size("hood"):
        hood(canvas, pose, stuff, 0.6)
    back_of_neck(canvas, pose, spec, stuff)
    sleeves(canvas, pose, spec, stuff, 7.0, spec.size("sleeve"))
    if style != "parka":
        _shirt_behind(canvas, pose)
    canvas.piece(trunk(pose, spec, length), stuff)
    creases_of_trunk(canvas, pose, min(length, 75), 0.9)
    for _ in range(4):
        x = canvas.rng.uniform(-0.8, 0.8) * pose.hips
        line = np.array([(x * 0.9, 62), (x, 75), (x * 1.06, length - 3)])
        canvas.crease(spline(line.tolist(), closed=False), 2.0, -0.8)
    edge = 6.5 if style in ("double", "trench") else 1.2
    canvas.line(
        spline([(0.5, 31), (edge, 40), (edge + 0.6, length + 1)], closed=False),
        0.45,
        (20, 18, 20),
        depth=-0.5,
        opacity=0.75,
    )
    for side in (-1, 1):
        slanted = spline([(side * 10, 58, 1), (side * 13, 57, 1), (side * 17, 71, 1), (side * 14, 72, 1)])
        canvas.piece(slanted, stuff, lift=0.2)
    _close_coat(canvas, spec, pose, stuff)


def _close_coat(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Collar, fastening and belt."""
    style, length = spec.word("style"), spec.size("length")
    if style == "parka":
        zipper(canvas, 4, length)
        collar = spline([(-9.5, -2, 1), (0, 8), (9.5, -2, 1), (13, 2), (8, 13), (0, 17), (-8, 13), (-13, 2)])
        canvas.piece(
            collar, stuff.plain((np.asarray(stuff.rgb) * 0.7 + 50), folds=0.9, wave=3.0, grain=9, puff=2.4), lift=0.7
        )
        for side in (-1, 1):
            pocket(canvas, spec, stuff, (side * 12, length * 0.56), 13, 14, flap=True)
    else:
        lapels(canvas, pose, stuff, 31, 15.5)
        rows = [(4.8, y) for y in (37.0, 48.0, 59.0, 70.0)]
        if style in ("double", "trench"):
            buttons(canvas, [(-5.2, y) for _, y in rows] + rows, 1.1, spec)
        else:
            buttons(canvas, [(0.3, y) for _, y in rows], 1.1, spec)
    if spec.size("belt"):
        x = pose.half_width(44) + spec.size("ease") + 0.6
        canvas.piece(
            spline([(-x, 42, 1), (0, 43), (x, 42, 1), (x, 46, 1), (0, 47), (-x, 46, 1)]), stuff.shade(0.92), lift=0.5
        )
        canvas.piece(
            np.array([(-2.6, 41.8), (2.6, 41.8), (2.6, 48), (-2.6, 48)]),
            BRASS if spec.seed % 2 else stuff.shade(0.6),
            lift=0.3,
        )
        canvas.piece(np.array([(-1.6, 43), (1.6, 43), (1.6, 46.9), (-1.6, 46.9)]), stuff, lift=0.0)
    emblem(canvas, spec, (11, 22), 3.0)
