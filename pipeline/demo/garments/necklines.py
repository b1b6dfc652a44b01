"""Necklines, collars and hoods."""

from __future__ import annotations

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import flipped, spline, tube
from pipeline.demo.garments.trim import buttons, neck_label, stitched
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec

NECK = {"round": (8.2, 8.5), "v": (8.0, 17.0), "scoop": (10.5, 13.5), "polo": (7.6, 7.0), "collar": (7.6, 6.0),
        "open": (7.4, 15.0), "turtle": (7.4, 3.0), "hood": (8.6, 9.0), "boat": (13.0, 5.0), "lapel": (8.2, 30.0),
        "strap": (9.0, 20.0), "bomber": (8.0, 5.0), "puffer": (8.4, 4.0), "biker": (8.2, 22.0), "denim": (8.0, 6.0),
        "blazer": (8.2, 34.0),
        "track": (8.0, 4.0), "parka": (8.4, 5.0)}  # fmt: skip
"""Half width and depth of each neckline, centimeters."""


def back_of_neck(canvas: Canvas, pose: Pose, spec: ProductSpec, stuff: Material) -> None:
    """The inside of the back, seen through the neckline of a garment nobody wears."""
    nw, depth = NECK[spec.word("neck")]
    nw = min(nw, float(pose.shoulder[1, 0]) - 2.5)
    if pose.worn or spec.word("neck") == "strap":
        return
    rim = [
        (-nw - 1.2, 0.4, 1),
        (0, 2.0),
        (nw + 1.2, 0.4, 1),
        (nw * 0.8, depth + 3),
        (0, depth + 5),
        (-nw * 0.8, depth + 3),
    ]
    canvas.piece(spline(rim), stuff.plain(np.asarray(stuff.rgb) * 0.62, folds=0.1, puff=0.2))
    neck_label(canvas, spec, (0, 3.6))


def neck_band(canvas: Canvas, pose: Pose, spec: ProductSpec, stuff: Material, width: float) -> None:
    """A ribbed band that follows the neckline."""
    nw, depth = NECK[spec.word("neck")]
    nw = min(nw, float(pose.shoulder[1, 0]) - 2.5)
    pointed = spec.word("neck") in ("v",)
    knots = [
        (-nw, -0.6),
        (-nw * (0.55 if pointed else 0.72), depth * (0.5 if pointed else 0.66)),
        (0, depth, float(pointed)),
    ]
    line = spline(
        [*knots, (nw * (0.55 if pointed else 0.72), depth * (0.5 if pointed else 0.66)), (nw, -0.6)], closed=False
    )
    canvas.piece(tube(line, (width / 2,) * 2, count=40), stuff, lift=0.15, shadow=0.3)


def polo_collar(canvas: Canvas, spec: ProductSpec, stuff: Material) -> None:
    """Two soft wings and a short button placket."""
    canvas.piece(spline([(-2, 4, 1), (2, 4, 1), (2.1, 19, 1), (-2.1, 19, 1)]), stuff.plain(), lift=0.12)
    buttons(canvas, [(0, 9.5), (0, 15)], 0.55, spec)
    wing = spline([(0.3, 6.6, 1), (3, 10.6, 1), (10, 6.0, 1), (9.2, 0), (7.0, -3.4, 1), (4.6, 1.5)])
    for outline in (wing, flipped(wing)):
        canvas.piece(outline, stuff, lift=0.4)


def shirt_collar(canvas: Canvas, spec: ProductSpec, stuff: Material, spread: float = 1.0, opened: bool = False) -> None:
    """A pointed collar on its stand; `opened`, its wings fall apart over an unbuttoned neck."""
    inner = stuff.plain(np.asarray(stuff.rgb) * 0.78, folds=0.0)
    if opened:
        canvas.piece(
            spline([(-7.8, -3.0, 1), (0, -1.0), (7.8, -3.0, 1), (7.2, 1.4), (0, 3.2), (-7.2, 1.4)]), inner, lift=0.2
        )
        wing = [(1.0, 13.6, 1), (6.4, 15.2, 1), (11.8, 7.8, 1), (9.8, -0.4), (7.4, -4.6, 1), (6.2, 2.0), (4.0, 8.0)]
    else:
        canvas.piece(
            spline([(-7.8, -2.2, 1), (0, 1.2), (7.8, -2.2, 1), (7.2, 2), (0, 6.6), (-7.2, 2)]), inner, lift=0.2
        )
        wing = [
            (0.2, 5.2, 1),
            (3.8 * spread, 13.4, 1),
            (11.2 * spread, 7.4, 1),
            (9.6, -0.5),
            (7.4, -4.4, 1),
            (5.0, 1.2),
        ]
    right = spline(wing)
    for outline, tilt in ((right, -0.7), (flipped(right), 0.7)):
        canvas.piece(outline, stuff, axis=tilt, lift=0.5)
        inside = outline.mean(0) + (outline - outline.mean(0)) * 0.84
        stitched(canvas, np.vstack([inside, inside[:1]]), spec)


def hood(canvas: Canvas, pose: Pose, stuff: Material, up: float) -> None:
    """A hood lying behind the neck, its dark inside visible."""
    rise = -14 - 8 * up
    outer = [(-10.5, 3, 1), (-13, -4), (-10, rise + 4), (0, rise), (10, rise + 4), (13, -4), (10.5, 3, 1), (0, 9)]
    canvas.piece(spline(outer), stuff)
    inner = [
        (-7.6, 3, 1),
        (-8.6, -4),
        (-6.5, rise * 0.72),
        (0, rise * 0.78),
        (6.5, rise * 0.72),
        (8.6, -4),
        (7.6, 3, 1),
        (0, 8),
    ]
    if not pose.worn:
        canvas.piece(spline(inner), stuff.plain(np.asarray(stuff.rgb) * 0.55, puff=0.2), lift=-0.4)


def ribbed(stuff: Material) -> Material:
    """Cuffs and hems: the same yarn, knitted in ribs."""
    return stuff.plain(rib=0.07, rib_step=0.7, folds=stuff.folds * 0.4)
