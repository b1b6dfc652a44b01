"""Everything but ordinary JPEG through Pillow: PNG, WebP, GIF, TIFF, BMP, AVIF, and CMYK JPEG."""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext

import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from pipeline.errors import PhotoError, Reason
from pipeline.images.formats import cut_short
from pipeline.images.pixels import Limits, Raw, check_size, coarse_factor, orientation_of, working_size

# Pillow's own limit is a global of the process that warns before it raises; `check_size` asks before any pixel is
# decoded, with the setting's number.
Image.MAX_IMAGE_PIXELS = None
# Decoding runs in many threads already, and the time limit counts the CPU time of one.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Pillow warns about odd metadata, which says nothing about the pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")

_LARGE_PIXELS = 16_000_000
_ONE_LARGE = threading.Lock()
"""These formats are decoded at full size, at up to 12 bytes a pixel: large ones one after the other."""

_PILLOW_NAME = {name: name.upper() for name in ("jpeg", "png", "webp", "gif", "tiff", "bmp", "avif")}
_PLAIN = {"1", "L", "P", "RGB", "RGBX", "YCbCr"}


def open_image(data: bytes, name: str) -> Image.Image:
    """Read the header with Pillow; pixels stay undecoded.

    Raises:
        PhotoError: truncated, corrupt, unsupported.
    """
    try:
        return Image.open(io.BytesIO(data), formats=[_PILLOW_NAME[name]])
    except Exception as error:  # noqa: BLE001 - see `_fault`
        raise _fault(error, data, name) from None


def load(data: bytes, name: str, limits: Limits) -> Raw:
    """Decode the first frame of a photo to RGB on white.

    Raises:
        PhotoError: too_many_pixels, too_small, truncated, corrupt, unsupported.
    """
    image = open_image(data, name)
    check_size(*image.size, limits)
    return load_opened(image, data, name, limits)


def load_opened(image: Image.Image, data: bytes, name: str, limits: Limits) -> Raw:
    """Decode an image whose header has passed the limits.

    Raises:
        PhotoError: truncated, corrupt, unsupported.
    """
    side = limits.working_side
    width, height = image.size
    profile, mode = image.info.get("icc_profile"), image.mode
    try:
        with _ONE_LARGE if width * height > _LARGE_PIXELS else nullcontext():
            if name == "jpeg":
                image.draft(None, working_size(width, height, side))
            image.load()
            if name == "tiff":  # Pillow turns TIFFs upright while loading
                width, height = image.size
            pixels = _rgb_on_white(image, coarse_factor(*image.size, side))
    except PhotoError:
        raise
    except Exception as error:  # noqa: BLE001 - see `_fault`
        raise _fault(error, data, name) from None
    return Raw(pixels, width, height, orientation_of(image), profile, gray=mode in {"1", "L"})


def _rgb_on_white(image: Image.Image, factor: int) -> np.ndarray:
    """Pixels as uint8 (h, w, 3), or (h, w, 4) CMYK, both sides divided by `factor`."""
    if image.mode.startswith("I;16"):  # 16 bits a pixel; Pillow's own conversion clips at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        # Premultiplied, so that the invisible color of transparent pixels leaks into nothing.
        premultiplied = np.asarray(_reduced(image.convert("RGBA").convert("RGBa"), factor))
        return np.minimum(premultiplied[..., :3].astype(np.uint16) + (255 - premultiplied[..., 3:]), 255).astype(
            np.uint8
        )
    if image.mode == "CMYK":
        return np.array(_reduced(image, factor))
    if image.mode not in _PLAIN:
        raise PhotoError(Reason.UNSUPPORTED, f"pixels of the kind {image.mode!r} can't be read; save it as 8-bit RGB")
    return np.array(_reduced(image.convert("RGB"), factor))


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    return image.reduce(factor) if factor > 1 else image


def _fault(error: Exception, data: bytes, name: str) -> PhotoError:
    """The reason behind whatever Pillow raised.

    Its parsers raise OSError, SyntaxError, ValueError, struct.error, IndexError, MemoryError and more on hostile bytes,
    and new releases add others: any exception here means that this photo can't be read.
    """
    words = str(error).lower()
    message = f"{name}: {error or type(error).__name__}"
    if isinstance(error, UnidentifiedImageError):  # its message only names the buffer
        message = f"{name}: the header is damaged"
    if isinstance(error, MemoryError):
        return PhotoError(Reason.UNSUPPORTED, f"{name}: decoding asks for more memory than the process can get")
    if "truncated" in words or cut_short(data, name):
        return PhotoError(Reason.TRUNCATED, message)
    if "unsupported" in words or "not supported" in words or isinstance(error, NotImplementedError):
        return PhotoError(Reason.UNSUPPORTED, message)
    return PhotoError(Reason.CORRUPT, message)
