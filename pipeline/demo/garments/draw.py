"""One entrance to all garment painters, with the extent each type needs on a photo."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.demo.canvas import Canvas
from pipeline.demo.garments import accessories, bags, bottoms, dresses, headwear, outerwear, sandals, shoes, tops
from pipeline.demo.material import Material
from pipeline.demo.pose import Pose
from pipeline.demo.spec import ProductSpec

POSED: dict[str, Callable[[Canvas, ProductSpec, Pose, Material], None]] = {
    "T-Shirt": tops.draw_tshirt,
    "Shirt": tops.draw_shirt,
    "Sweater": tops.draw_sweater,
    "Hoodie": tops.draw_hoodie,
    "Jacket": outerwear.draw_jacket,
    "Coat": outerwear.draw_coat,
    "Dress": dresses.draw_dress,
    "Skirt": dresses.draw_skirt,
    "Jeans": bottoms.draw_bottoms,
    "Trousers": bottoms.draw_bottoms,
    "Shorts": bottoms.draw_bottoms,
}
"""Garments that follow a body or its flat outline."""

FREE: dict[str, Callable[[Canvas, ProductSpec, Material], None]] = {
    "Sneakers": shoes.draw_sneakers,
    "Heels": sandals.draw_heels,
    "Boots": shoes.draw_boots,
    "Sandals": sandals.draw_sandals,
    "Handbag": bags.draw_handbag,
    "Backpack": bags.draw_backpack,
    "Cap": headwear.draw_cap,
    "Hat": headwear.draw_hat,
    "Sunglasses": accessories.draw_sunglasses,
    "Watch": accessories.draw_watch,
}
"""Things with an origin of their own."""


def draw(canvas: Canvas, spec: ProductSpec, pose: Pose) -> None:
    """Draw a product at the canvas's placing, in its cloth."""
    paint(canvas, spec, pose, spec.material(canvas.scale, PATTERN_SIZE.get(spec.type, 1.0)))


def paint(canvas: Canvas, spec: ProductSpec, pose: Pose, stuff: Material) -> None:
    """Draw a product's shape in a given material."""
    if spec.type in POSED:
        POSED[spec.type](canvas, spec, pose, stuff)
    else:
        FREE[spec.type](canvas, spec, stuff)


PATTERN_SIZE = {"Cap": 0.5, "Hat": 0.7, "Handbag": 0.8, "Backpack": 0.9}
"""Size of a pattern's repeat on small things, relative to clothes."""
