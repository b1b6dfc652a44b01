"""The demo catalog: an invented fashion shop whose product photos are rendered from scratch, with exact truth.

`generate` writes a catalog; `render_product`, `cutout` and the backgrounds are the pieces for training data.
"""

from pipeline.demo.backgrounds import studio, surface
from pipeline.demo.generate import generate, product_spec
from pipeline.demo.scenes import Box, Photo, cutout, render_photo, render_product
from pipeline.demo.spec import ProductSpec, random_spec
from pipeline.demo.streets import street

__all__ = [
    "Box",
    "Photo",
    "ProductSpec",
    "cutout",
    "generate",
    "product_spec",
    "random_spec",
    "render_photo",
    "render_product",
    "street",
    "studio",
    "surface",
]
