"""Whole photos: a product as packshot, flat-lay or worn, with its truth boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.backgrounds import studio, surface
from pipeline.demo.camera import Camera, phone_camera, shoot, studio_camera
from pipeline.demo.canvas import Canvas, Placing
from pipeline.demo.extent import bounds
from pipeline.demo.garments.draw import FREE, draw
from pipeline.demo.lighting import ground_shadow, lit, over
from pipeline.demo.pose import laid_flat
from pipeline.demo.spec import ProductSpec

Rng = np.random.Generator


@dataclass(frozen=True)
class Box:
    """A visible garment: edges in pixels of the photo, half-open (x2, y2 are just outside)."""

    group: str
    type: str
    color: str
    pattern: str
    x1: float
    y1: float
    x2: float
    y2: float
    is_main: bool


@dataclass(frozen=True)
class Photo:
    """A rendered photo: pixels uint8 (H, W, 3) RGB; owner uint8 (H, W), 0 or 1 + index into `shown`."""

    pixels: np.ndarray
    boxes: tuple[Box, ...]
    owner: np.ndarray
    shown: tuple[ProductSpec, ...]
    quality: int


def render_product(
    spec: ProductSpec, scene: str, rng: Rng, size: tuple[int, int] = (480, 640)
) -> tuple[np.ndarray, list[Box]]:
    """Render one photo of a product.

    Args:
        spec: the product.
        scene: "packshot", "flatlay" or "worn".
        rng: everything that differs between two photos of a product is drawn from it.
        size: (width, height) in pixels.

    Returns:
        Pixels uint8 (height, width, 3) RGB, and the boxes of all garments to be seen, the product's own first.
    """
    photo = render_photo(spec, scene, rng, size)
    return photo.pixels, list(photo.boxes)


def render_photo(spec: ProductSpec, scene: str, rng: Rng, size: tuple[int, int] = (480, 640)) -> Photo:
    """As `render_product`, with the masks the boxes were read from and the JPEG quality the camera would choose."""
    from pipeline.demo.worn import render_worn  # it needs this module's compositing

    return {"packshot": _packshot, "flatlay": _flatlay, "worn": render_worn}[scene](spec, rng, size)


def cutout(spec: ProductSpec, rng: Rng, size: tuple[int, int] = (480, 640), turn: float = 0.0) -> np.ndarray:
    """The product alone, lit, on transparent ground: uint8 (height, width, 4) RGBA, turned by `turn` radians."""
    canvas = Canvas(*size, rng, light=_light(rng))
    _lay(canvas, spec, rng, 0.96, turn, 0.0)
    picture = np.empty((size[1], size[0], 4), np.uint8)
    picture[..., :3] = np.clip(lit(canvas, 0.6), 0, 255)
    picture[..., 3] = np.clip(canvas.alpha * 255, 0, 255)
    return picture


def _light(rng: Rng) -> tuple[float, float, float]:
    """Light from above, left or right."""
    return float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.8, -0.3)), float(rng.uniform(0.7, 1.1))


def _bend(rng: Rng, amount: float) -> tuple[tuple[float, float, float, float], ...]:
    """Slow waves that deform an outline by about `amount` centimeters."""
    waves = []
    for _ in range(4):
        length = rng.uniform(35, 90)
        angle = rng.uniform(0, 6.28)
        waves.append(
            (
                amount * rng.uniform(0.3, 1.0),
                np.cos(angle) * 6.28 / length,
                np.sin(angle) * 6.28 / length,
                rng.uniform(0, 6.28),
            )
        )
    return tuple(waves)


def _lay(canvas: Canvas, spec: ProductSpec, rng: Rng, fill: float, turn: float, tilt: float) -> None:
    """Draw a product so that it fills the share `fill` of the canvas, turned; `tilt` adds perspective."""
    pose = laid_flat(spec.gender, float(spec.cut.get("sleeve", 0.0)), rng)
    x1, y1, x2, y2 = bounds(spec, pose)
    pair = spec.group == "footwear" and rng.random() < 0.5
    room_x, room_y = x2 - x1, y2 - y1
    if pair:
        room_x, room_y = room_x * 1.16, room_y + 9
    flip = bool(rng.random() < 0.5)
    c, s = abs(np.cos(turn)), abs(np.sin(turn))
    wide, high = room_x * c + room_y * s, room_x * s + room_y * c
    scale = fill * min(canvas.width / wide, canvas.height / high)
    slack = np.array([canvas.width - wide * scale, canvas.height - high * scale]) * 0.5
    at = np.array([canvas.width, canvas.height]) / 2 + slack * np.clip(rng.normal(0, 0.28, 2), -0.8, 0.8)
    middle = np.array([(x1 + x2) / 2 * (-1 if flip else 1), (y1 + y2) / 2])
    if pair:
        middle += ((-1 if flip else 1) * (x2 - x1) * 0.08, -4.5)
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    origin = at - middle @ rotate * scale
    large = max(room_x, room_y)
    amount = 0.011 * large if spec.type not in FREE else 0.004 * large
    canvas.place = Placing(
        scale,
        (float(origin[0]), float(origin[1])),
        turn,
        flip,
        1.0,
        _bend(rng, amount),
        _perspective(canvas, tilt, rng),
    )
    canvas.current = 1
    if pair:
        front = canvas.place
        canvas.place = front.moved((x2 - x1) * 0.16, -9.0, rng.normal(0, 0.03), 0.97, squeeze=1.0)
        canvas.place = Placing(scale * 0.97, canvas.place.origin, turn, flip)
        draw(canvas, spec, pose)
        canvas.place = front
    draw(canvas, spec, pose)


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


def _packshot(spec: ProductSpec, rng: Rng, size: tuple[int, int]) -> Photo:
    """The product alone on white."""
    canvas = Canvas(*size, rng, light=_light(rng))
    turn = rng.normal(0, 0.02) if spec.type not in ("Sunglasses",) else rng.normal(0, 0.06)
    _lay(canvas, spec, rng, rng.uniform(0.74, 0.95), turn, 0.0)
    background = studio(*size, rng)
    standing = spec.type in ("Sneakers", "Heels", "Boots", "Sandals", "Handbag", "Backpack", "Cap", "Hat", "Sunglasses")
    if standing or rng.random() < 0.5:
        reach = size[0] * rng.uniform(0.005, 0.02)
        strength = rng.uniform(0.1, 0.3) if standing else rng.uniform(0.03, 0.16)
        background *= ground_shadow(canvas, reach, size[0] * rng.uniform(0.012, 0.035), strength)[..., None]
    return finish(canvas, background, (spec,), studio_camera(rng), rng, rng.uniform(0.45, 0.9))


def _flatlay(spec: ProductSpec, rng: Rng, size: tuple[int, int]) -> Photo:
    """The product lying on a surface at home, taken with a phone."""
    canvas = Canvas(*size, rng, light=_light(rng))
    turn = rng.normal(0, 0.16) + (float(rng.choice([-1, 1])) * np.pi / 2 if rng.random() < 0.06 else 0.0)
    _lay(canvas, spec, rng, rng.uniform(0.62, 0.93), turn, 0.12)
    background = surface(*size, rng)
    reach = size[0] * rng.uniform(0.006, 0.02)
    shadow = ground_shadow(canvas, reach, size[0] * rng.uniform(0.008, 0.022), rng.uniform(0.3, 0.6))
    background *= shadow[..., None]
    return finish(canvas, background, (spec,), phone_camera(rng), rng, rng.uniform(0.2, 0.9))


def finish(
    canvas: Canvas, background: np.ndarray, shown: tuple[ProductSpec, ...], camera: Camera, rng: Rng, softness: float
) -> Photo:
    """Light the canvas, lay it over the background, shoot it; boxes are read from what stayed visible."""
    scene = over(canvas, lit(canvas, softness), background)
    return Photo(shoot(scene, camera, rng), boxes_of(canvas.owner, shown), canvas.owner, shown, camera.quality)


def boxes_of(owner: np.ndarray, shown: tuple[ProductSpec, ...]) -> tuple[Box, ...]:
    """Tight boxes of the objects in a map of owners; specks (under 30 pixels or 4 a side) are left out."""
    boxes = []
    for index, spec in enumerate(shown):
        mask = owner == index + 1
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows) < 4 or len(cols) < 4 or np.count_nonzero(mask) < 30:
            continue
        edges = (float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1))
        boxes.append(Box(spec.group, spec.type, spec.color, spec.pattern, *edges, is_main=spec is shown[0]))
    return tuple(boxes)
