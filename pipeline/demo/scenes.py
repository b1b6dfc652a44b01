"""Whole photos: a product as packshot, flat-lay or worn, with its truth boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.demo.backgrounds import studio, surface, wall
from pipeline.demo.camera import Camera, phone_camera, shoot, studio_camera
from pipeline.demo.canvas import Canvas
from pipeline.demo.garments.draw import FREE
from pipeline.demo.layout import HANGABLE, Layout, flatlay_layout, hanger_layout, lay, packshot_layout
from pipeline.demo.lighting import ground_shadow, lit, over
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
    lay(canvas, spec, Layout(0.96, turn), rng)
    picture = np.empty((size[1], size[0], 4), np.uint8)
    picture[..., :3] = np.clip(lit(canvas, 0.6), 0, 255)
    picture[..., 3] = np.clip(canvas.alpha * 255, 0, 255)
    return picture


def _light(rng: Rng) -> tuple[float, float, float]:
    """Light from above, left or right."""
    return float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.8, -0.3)), float(rng.uniform(0.7, 1.1))


def _packshot(spec: ProductSpec, rng: Rng, size: tuple[int, int]) -> Photo:
    """The product alone on white."""
    canvas = Canvas(*size, rng, light=_light(rng), crumple=rng.uniform(0.55, 1.0), form=rng.uniform(0.5, 1.1))
    lay(canvas, spec, packshot_layout(spec, rng), rng)
    background = studio(*size, rng)
    standing = spec.group in ("footwear", "bag", "headwear") or spec.type == "Sunglasses"
    if standing or rng.random() < 0.5:
        reach = size[0] * rng.uniform(0.005, 0.02)
        strength = rng.uniform(0.1, 0.3) if standing else rng.uniform(0.03, 0.16)
        background *= ground_shadow(canvas, reach, size[0] * rng.uniform(0.012, 0.035), strength)[..., None]
    return finish(canvas, background, (spec,), studio_camera(rng), rng, rng.uniform(0.45, 0.9))


def _flatlay(spec: ProductSpec, rng: Rng, size: tuple[int, int]) -> Photo:
    """The product at home, taken with a phone: lying on a surface, or on a hanger before a wall."""
    canvas = Canvas(*size, rng, light=_light(rng), crumple=rng.uniform(0.8, 1.4), form=rng.uniform(0.1, 0.5))
    hanging = spec.type in HANGABLE and rng.random() < 0.25
    lay(canvas, spec, hanger_layout(rng) if hanging else flatlay_layout(spec, rng), rng)
    background = wall(*size, rng) if hanging else surface(*size, rng)
    thick = (2.4 if spec.type in FREE or hanging else 1.0) * canvas.scale
    light = ground_shadow(canvas, thick * rng.uniform(0.4, 1.2), thick * rng.uniform(0.4, 1.0), rng.uniform(0.25, 0.55))
    background *= light[..., None]
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
