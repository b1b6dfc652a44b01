"""Where a product lies on a photo and how: alone, as a pair, seen from above, on a hanger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.canvas import Canvas
from pipeline.demo.curves import spline, tube
from pipeline.demo.extent import Extent
from pipeline.demo.garments.draw import FREE, PATTERN_SIZE, paint
from pipeline.demo.garments.shoes_above import TYPES as SEEN_FROM_ABOVE
from pipeline.demo.garments.shoes_above import draw_from_above
from pipeline.demo.material import Material
from pipeline.demo.placing import Placing
from pipeline.demo.pose import Pose, hung, laid_flat
from pipeline.demo.spec import ProductSpec

Rng = np.random.Generator
HANGABLE = ("T-Shirt", "Shirt", "Sweater", "Hoodie", "Jacket", "Coat", "Dress")


@dataclass(frozen=True)
class Layout:
    """`fill`: share of the photo the product takes; `turn` in radians; `tilt`: strength of the perspective.

    `way` is "alone", "pair" (a second shoe behind), "above" (shoes from above) or "hanger".
    """

    fill: float
    turn: float = 0.0
    tilt: float = 0.0
    way: str = "alone"


def packshot_layout(spec: ProductSpec, rng: Rng) -> Layout:
    """Upright, now and then a pair of shoes."""
    pair = spec.group == "footwear" and rng.random() < 0.45
    turn = rng.normal(0, 0.06) if spec.type == "Sunglasses" else rng.normal(0, 0.02)
    return Layout(rng.uniform(0.76, 0.96), turn, 0.0, "pair" if pair else "alone")


def flatlay_layout(spec: ProductSpec, rng: Rng) -> Layout:
    """Lying turned a little, seldom a lot; shoes mostly from above."""
    turn = rng.normal(0, 0.15)
    if rng.random() < 0.06:
        turn += float(rng.choice([-1, 1])) * np.pi / 2
    way = "alone"
    if spec.type in SEEN_FROM_ABOVE:
        way = str(rng.choice(["above", "pair", "alone"], p=[0.6, 0.25, 0.15]))
    elif spec.group == "footwear":
        way = "pair" if rng.random() < 0.7 else "alone"
    return Layout(rng.uniform(0.74, 0.98), turn, 0.12, way)


def hanger_layout(rng: Rng) -> Layout:
    """On a hanger before a wall."""
    return Layout(rng.uniform(0.74, 0.96), rng.normal(0, 0.03), 0.06, "hanger")


def lay(canvas: Canvas, spec: ProductSpec, layout: Layout, rng: Rng) -> None:
    """Draw a product on the canvas as object 1; sets the canvas's placing."""
    sleeves = float(spec.cut.get("sleeve", 0.0))
    pose = hung(spec.gender, sleeves, rng) if layout.way == "hanger" else laid_flat(spec.gender, sleeves, rng)
    extent = Extent(np.random.default_rng(spec.seed))
    _paint(extent, spec, pose, Material(spec.rgb), layout.way)
    room = extent.high - extent.low
    c, s = np.cos(layout.turn), np.sin(layout.turn)
    needed = np.array([room[0] * abs(c) + room[1] * abs(s), room[0] * abs(s) + room[1] * abs(c)])
    frame = np.array([canvas.width, canvas.height])
    scale = layout.fill * float((frame / needed).min())
    at = frame / 2 + (frame - needed * scale) * 0.5 * np.clip(rng.normal(0, 0.26, 2), -0.8, 0.8)
    flip = bool(rng.random() < 0.5)
    middle = (extent.low + extent.high) / 2 * (-1 if flip else 1, 1)
    origin = at - middle @ np.array([[c, s], [-s, c]]) * scale
    amount = (0.004 if spec.type in FREE else 0.011) * float(room.max())
    canvas.place = Placing(
        scale,
        (float(origin[0]), float(origin[1])),
        layout.turn,
        flip,
        1.0,
        _bend(rng, amount),
        _perspective(canvas, layout.tilt, rng),
    )
    _paint(canvas, spec, pose, spec.material(scale, PATTERN_SIZE.get(spec.type, 1.0)), layout.way)


def _paint(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material, way: str) -> None:
    """The product in its way of lying."""
    if way == "hanger":
        canvas.current = 0
        _hanger(canvas, spec)
    canvas.current = 1
    if way == "above":
        draw_from_above(canvas, spec, stuff)
        return
    if way == "pair":
        front = canvas.place
        canvas.place = front.moved(4.4, -8.5, 0.02 * (spec.seed % 3 - 1), 0.97)
        paint(canvas, spec, pose, stuff)
        canvas.place = front
    paint(canvas, spec, pose, stuff)


def _hanger(canvas: Canvas, spec: ProductSpec) -> None:
    """A wooden or plastic hanger: hook and shoulders."""
    rgb = ((120.0, 84.0, 54.0), (34.0, 34.0, 36.0), (222.0, 220.0, 214.0))[spec.seed % 3]
    metal = Material((176, 178, 180), folds=0, puff=0.2, edge=0.3, gloss=0.9)
    hook = spline([(0, -4), (0, -8.5), (2.6, -11), (2.4, -14.2), (-0.6, -15), (-2.6, -13)], closed=False)
    canvas.piece(tube(hook, (0.3, 0.3), count=30), metal)
    half = 16.5 if spec.gender == "Women" else 19.0
    arms = [(-half, 4.6), (-half * 0.45, 0.0), (0, -4.2), (half * 0.45, 0.0), (half, 4.6)]
    canvas.piece(tube(arms, (0.9, 1.1, 1.3, 1.1, 0.9), count=30), Material(rgb, folds=0, puff=0.6, edge=0.8, gloss=0.4))


def _bend(rng: Rng, amount: float) -> tuple[tuple[float, float, float, float], ...]:
    """Slow waves that deform an outline by about `amount` centimeters."""
    waves = []
    for _ in range(4):
        length, angle = rng.uniform(35, 90), rng.uniform(0, 6.28)
        x, y = np.cos(angle) * 6.28 / length, np.sin(angle) * 6.28 / length
        waves.append((amount * rng.uniform(0.3, 1.0), float(x), float(y), rng.uniform(0, 6.28)))
    return tuple(waves)


def _perspective(canvas: Canvas, tilt: float, rng: Rng) -> tuple[tuple[float, float, float], ...] | None:
    """A mild homography about the middle of the photo."""
    if tilt == 0:
        return None
    a, b = rng.normal(0, tilt, 2) / max(canvas.width, canvas.height)
    x, y = canvas.width / 2, canvas.height / 2
    there = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    bent = np.array([[1, 0, 0], [0, 1, 0], [a, b, 1]])
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    rows = (there @ bent @ back).tolist()
    return tuple((a, b, c) for a, b, c in rows)
