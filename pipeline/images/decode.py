"""Bytes of a photo to upright sRGB pixels at a reduced scale, or a reason why not.

    bytes --sniff--> format --header--> size, orientation, profile --limits--> pixels --shrink, sRGB, upright--> Decoded

Limits are checked on the header, before a single pixel is decoded. Everything here is a pure function of the bytes
and safe to call from many threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import PhotoError, Reason
from pipeline.images import jpeg, other_formats
from pipeline.images.formats import sniff
from pipeline.images.pixels import Limits, shrink, to_srgb, upright

__all__ = ["Decoded", "Limits", "decode"]


@dataclass(frozen=True)
class Decoded:
    """A photo that can be read.

    Args:
        pixels: uint8 (h, w, 3), sRGB, upright, C-contiguous. The short side is `working_side`, less where the photo is
            smaller or longer than 4 to 1.
        width: of the photo itself after turning it upright, pixels.
        height: likewise. `width / pixels.shape[1]` takes boxes on `pixels` back to the photo.
        format: jpeg, png, webp, gif, tiff, bmp or avif.
    """

    pixels: np.ndarray
    width: int
    height: int
    format: str


def decode(data: bytes, limits: Limits) -> Decoded:
    """Decode one photo.

    JPEG goes through libjpeg-turbo at the power-of-two scale just above the working size (other scales are slower
    than a full decode), everything else, CMYK included, through Pillow. Then it is resized, antialiased, to the working
    size. Animations give their first frame, transparent pixels lie on white, wide-gamut photos are converted to sRGB.

    Raises:
        PhotoError: with the reason; never anything else, whatever the bytes are.
    """
    if not data:
        raise PhotoError(Reason.EMPTY, "the object has no bytes")
    if len(data) > limits.max_bytes:
        raise PhotoError(
            Reason.TOO_MANY_BYTES, f"{len(data):,} bytes are more than fetch.max_bytes = {limits.max_bytes:,}"
        )
    name = sniff(data)
    raw = jpeg.load(data, limits) if name == "jpeg" else other_formats.load(data, name, limits)
    pixels = upright(to_srgb(shrink(raw.pixels, limits.working_side), raw), raw.orientation)
    turned = raw.orientation >= 5
    width, height = (raw.height, raw.width) if turned else (raw.width, raw.height)
    return Decoded(pixels, width, height, name)
