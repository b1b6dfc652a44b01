"""What is done to decoded pixels: limits, resizing to the working size, conversion to sRGB, turning upright."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from pipeline.errors import PhotoError, Reason
from pipeline.settings import Settings

LONGEST = 4
"""A working image's long side is at most this many times `working_side`: a strip of 100 million pixels stays small."""


@dataclass(frozen=True)
class Limits:
    """What counts as a usable photo; see the settings `decode.*` and `fetch.max_bytes`."""

    max_bytes: int
    max_pixels: int
    min_side: int
    working_side: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings ask for."""
        decode = settings.decode
        return cls(settings.fetch.max_bytes, decode.max_pixels, decode.min_side, decode.working_side)


@dataclass(frozen=True)
class Raw:
    """Pixels as they left the decoder, at full or reduced scale.

    Args:
        pixels: uint8 (h, w, 3), RGB; (h, w, 4) for CMYK that has to go through its profile.
        width: full width as stored, before turning upright.
        height: likewise.
        orientation: of EXIF, 1 to 8.
        profile: ICC profile that is still to be applied; None for sRGB.
        gray: whether the three channels are the same.
    """

    pixels: np.ndarray
    width: int
    height: int
    orientation: int = 1
    profile: bytes | None = None
    gray: bool = False


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse a photo by the size its header tells.

    Raises:
        PhotoError: corrupt, too_small, too_many_pixels.
    """
    if width < 1 or height < 1:
        raise PhotoError(Reason.CORRUPT, f"the header tells a size of {width}x{height} pixels")
    if width * height > limits.max_pixels:
        raise PhotoError(
            Reason.TOO_MANY_PIXELS,
            f"{width}x{height} = {width * height:,} pixels are more than decode.max_pixels = {limits.max_pixels:,}",
        )
    if min(width, height) < limits.min_side:
        raise PhotoError(Reason.TOO_SMALL, f"{width}x{height} pixels, decode.min_side is {limits.min_side}")


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (as stored) where it is absent or nonsense: metadata never costs a photo."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - parsers of hostile metadata raise anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def working_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of the working image: short side `side`, long side at most LONGEST times that, never larger."""
    scale = min(1.0, side / min(width, height), LONGEST * side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def coarse_factor(width: int, height: int, side: int) -> int:
    """Power of two up to 8 by which the decoder may divide both sides and still be at or above the working size."""
    work_width, work_height = working_size(width, height, side)
    factor = 1
    while factor < 8 and width // (2 * factor) >= work_width and height // (2 * factor) >= work_height:
        factor *= 2
    return factor


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resize uint8 (h, w, c) to the working size, bilinear and antialiased; smaller pictures pass untouched."""
    height, width = pixels.shape[:2]
    new_width, new_height = working_size(width, height, side)
    if (new_width, new_height) == (width, height):
        return pixels
    import torch  # late: commands that only draw thumbnails do not wait for it
    from torchvision.transforms import v2

    chw = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = v2.functional.resize(chw, [new_height, new_width], antialias=True)[0]
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels as EXIF orientation 1 to 8 asks; the result is C-contiguous and owns its memory."""
    if orientation >= 5:  # rows and columns are swapped
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def to_srgb(pixels: np.ndarray, raw: Raw) -> np.ndarray:
    """Convert from the embedded ICC profile to sRGB; without one pixels count as sRGB, as in every browser.

    Phones write Display P3: read as sRGB its reds and greens would look duller than they are, which moves the measured
    color. Conversion runs on the working image, where it costs little. A profile that can't be used is ignored.
    """
    transform = _transform(raw.profile) if raw.profile else None
    if transform is not None:
        source = pixels[..., 0] if transform.inputMode == "L" else pixels
        if (transform.inputMode == "L") <= raw.gray and (transform.inputMode == "CMYK") == (pixels.shape[2] == 4):
            read = Image.frombytes(transform.inputMode, source.shape[1::-1], source.tobytes())
            return np.array(ImageCms.applyTransform(read, transform))
    if pixels.shape[2] == 4:
        return np.array(Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes()).convert("RGB"))
    return pixels


@lru_cache(maxsize=32)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where it is sRGB already or can't be used. A catalog has few profiles."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = (ImageCms.getProfileDescription(source) or "").strip().lower()
        if name.startswith("srgb") or name == "c2":  # c2: the compact sRGB profile that many sites write
            return None
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
