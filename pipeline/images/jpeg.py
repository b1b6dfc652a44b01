"""JPEG at a reduced scale through libjpeg-turbo, strict about damage.

Most decoders paint the missing part of a cut file gray and say nothing. Here libjpeg's own warnings decide:

| warning | verdict |
|---|---|
| data end early | truncated, unless only the end marker is missing: then the picture is whole |
| bad code, data segment ends early | corrupt |
| stray bytes before the end marker | harmless if they are padding (some cameras write it), else corrupt |

JPEG has no checksums: damage that decodes to other valid codes shows up nowhere but in the picture.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from pipeline.errors import PhotoError, Reason
from pipeline.images import other_formats
from pipeline.images.pixels import Limits, Raw, check_size, coarse_factor, orientation_of

MAX_WORK = 20
"""Pixels times scans of a progressive JPEG may reach this many times `max_pixels`.

Cameras write about ten scans. A small file can hold thousands, each of which walks over the whole picture: a bomb made
of time instead of memory."""

_END = b"\xff\xd9"


def load(data: bytes, limits: Limits) -> Raw:
    """Decode a JPEG at the largest of the scales 1, 1/2, 1/4, 1/8 that is not below the working size.

    Raises:
        PhotoError: too_many_pixels, too_small, truncated, corrupt, unsupported.
    """
    header = other_formats.open_image(data, "jpeg")
    width, height = header.size
    check_size(width, height, limits)
    progressive = bool(header.info.get("progressive"))
    if progressive:
        _check_scans(data, width * height, limits)
    if header.mode not in ("RGB", "L"):
        return other_formats.load_opened(header, data, "jpeg", limits)
    factor = coarse_factor(width, height, limits.working_side)
    size = -(-height // factor), -(-width // factor)
    try:
        pixels = _strict(data, size)
    except ValueError as error:
        message = str(error)
        if _beyond_turbo(message):
            return other_formats.load_opened(header, data, "jpeg", limits)
        pixels = _forgive(data, size, message, progressive)
    profile = header.info.get("icc_profile")
    return Raw(pixels, width, height, orientation_of(header), profile, gray=header.mode == "L")


def _strict(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """Decode to `size` = (height, width), one of the power-of-two scales; any warning is a ValueError."""
    return simplejpeg.decode_jpeg(data, "RGB", min_height=size[0], min_width=size[1])


def _forgive(data: bytes, size: tuple[int, int], message: str, progressive: bool) -> np.ndarray:
    """Decode a JPEG that libjpeg warned about, where the warning is harmless.

    Raises:
        PhotoError: truncated or corrupt.
    """
    words = message.lower()
    try:
        if _is_padding(data, words):
            return simplejpeg.decode_jpeg(data, "RGB", min_height=size[0], min_width=size[1], strict=False)
        if "premature end of jpeg file" in words and not progressive:
            # With an end marker put there a complete file decodes without a warning, a cut one does not. A
            # progressive file would pass after any of its scans, only blurred: it has to bring its own marker.
            return _strict(data + _END, size)
    except ValueError:
        pass
    if "premature end of jpeg file" in words or not data.rstrip(b"\x00").endswith(_END):
        raise PhotoError(Reason.TRUNCATED, f"the end of the file is missing ({message})")
    raise PhotoError(Reason.CORRUPT, message)


def _is_padding(data: bytes, words: str) -> bool:
    """Whether the warning is about stray bytes before the end marker, and those are all 00 or all FF."""
    found = re.search(r"(\d+) extraneous bytes before marker 0xd9", words)
    if not found:
        return False
    end = data.rfind(_END)
    return len(set(data[end - int(found[1]) : end])) == 1 and data[end - 1] in (0x00, 0xFF)


def _beyond_turbo(message: str) -> bool:
    """Whether TurboJPEG's interface, not the file, is the limit: rare subsamplings that plain libjpeg reads."""
    return "subsampling" in message.lower()


def _check_scans(data: bytes, pixels: int, limits: Limits) -> None:
    scans = data.count(b"\xff\xda")
    if pixels * scans > MAX_WORK * limits.max_pixels:
        raise PhotoError(
            Reason.TOO_MANY_PIXELS, f"a progressive JPEG that walks {scans} times over {pixels:,} pixels is a bomb"
        )
