"""Small JPEG copies of photos inside the page: bounded in number, in size each and in bytes together.

Only the photos that are shown are read from the store. A photo that can't be read or has changed since it was enriched
gives a sentence in place of a picture, never an error.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from pipeline.errors import AtelierError, PhotoError, Reason
from pipeline.images import jpeg, other_formats
from pipeline.images.formats import sniff
from pipeline.images.pixels import Limits, to_srgb, upright
from pipeline.report.content import Photo
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, ObjectStore

LONG_SIDE = 320
"""Pixels: sharp at the size of a card, also on a phone's dense screen."""
MAX_BYTES = 24_000
"""Of one JPEG: a noisy photo is compressed harder until it fits."""
THREADS = 8
TIMEOUT_S = 20.0
MAX_SCANS = 64
ATTEMPTS = ((LONG_SIDE, 78), (LONG_SIDE, 66), (LONG_SIDE, 54), (LONG_SIDE, 42), (LONG_SIDE // 2, 42))
"""Side and quality, tried until the bytes fit; even pure noise does at the last."""

RENDERABLE = frozenset({Reason.TRUNCATED, Reason.CORRUPT, Reason.TOO_SMALL, Reason.UNSUPPORTED})
"""Reasons for which a part of the photo may still be worth looking at. Bombs and time-outs are never decoded again."""


@dataclass(frozen=True)
class Wanted:
    """A photo to show: the version that was seen, and why it was rejected, if it was.

    A generated picture lies in the warehouse, under a key that no other picture ever gets: it has no version.
    """

    key: str
    etag: str | None
    reason: str | None = None

    @property
    def generated(self) -> bool:
        """Whether it lies in the warehouse, not in the catalog."""
        return self.etag is None


@dataclass(frozen=True)
class Thumbnail:
    """What came of a wanted photo: the picture and how to draw the full photo's coordinates on it."""

    photo: Photo
    scale: float = 1.0


class Thumbnails:
    """Thumbnails of one page, made a list at a time until `report.thumbnail_bytes` are used up."""

    def __init__(self, catalog: ObjectStore, warehouse: ObjectStore, settings: Settings) -> None:
        self._catalog = catalog
        self._warehouse = warehouse
        self._settings = settings
        self._left = settings.report.thumbnail_bytes
        self.skipped = 0

    def make(self, wanted: Sequence[Wanted]) -> list[Thumbnail]:
        """Thumbnails in the order of `wanted`; those for which no bytes are left say so."""
        with ThreadPoolExecutor(THREADS) as pool:
            return [self._within_budget(thumbnail) for thumbnail in pool.map(self._make, wanted)]

    def _within_budget(self, thumbnail: Thumbnail) -> Thumbnail:
        size = len(thumbnail.photo.source or "")
        if size > self._left:
            self.skipped += 1
            return Thumbnail(Photo(thumbnail.photo.key, missing="left out: the page would grow too large"))
        self._left -= size
        return thumbnail

    def _make(self, wanted: Wanted) -> Thumbnail:
        if wanted.reason is not None and wanted.reason not in RENDERABLE:
            return Thumbnail(Photo(wanted.key, missing="nothing to show"))
        try:
            fetched = (self._warehouse if wanted.generated else self._catalog).get(
                wanted.key, max_bytes=self._settings.fetch.max_bytes, timeout_s=TIMEOUT_S, attempts=2
            )
        except ObjectMissing:
            where = "warehouse" if wanted.generated else "catalog"
            return Thumbnail(Photo(wanted.key, missing=f"no longer in the {where}"))
        except AtelierError as error:
            return Thumbnail(Photo(wanted.key, missing=f"could not be fetched for this page: {type(error).__name__}"))
        if not wanted.generated and fetched.etag != wanted.etag:
            return Thumbnail(Photo(wanted.key, missing="has changed since: pending under its new version"))
        return self._picture(wanted, fetched.data)

    def _picture(self, wanted: Wanted, data: bytes) -> Thumbnail:
        limits = Limits(self._settings.fetch.max_bytes, self._settings.decode.max_pixels, 1, LONG_SIDE)
        try:
            pixels, full_width = _decode(data, limits)
        except PhotoError as error:
            damaged = _damaged_jpeg(data, limits.max_pixels) if wanted.reason else None
            if damaged is None:
                return Thumbnail(Photo(wanted.key, missing=f"can't be rendered: {error.reason}"))
            pixels, full_width = damaged
        jpeg, width, height = _compress(pixels)
        source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        return Thumbnail(Photo(wanted.key, source, width, height), width / full_width)


def _decode(data: bytes, limits: Limits) -> tuple[np.ndarray, int]:
    """Upright sRGB pixels, uint8 (h, w, 3), and the photo's full width: `images.decode` short of its last step.

    The pixels are up to twice as large as asked for; resizing them here, not as the models see them, spares a
    report the start of torch.

    Raises:
        PhotoError: the photo can't be decoded.
    """
    name = sniff(data)
    raw = jpeg.load(data, limits) if name == "jpeg" else other_formats.load(data, name, limits)
    pixels = upright(to_srgb(raw.pixels, raw), raw.orientation)
    return pixels, raw.height if raw.orientation >= 5 else raw.width


def _compress(pixels: np.ndarray) -> tuple[bytes, int, int]:
    """JPEG bytes of uint8 (h, w, 3), width and height: at LONG_SIDE or, where that takes too many bytes, smaller."""
    image = Image.fromarray(pixels)
    for side, quality in ATTEMPTS:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= MAX_BYTES:
            break
    return out.getvalue(), image.width, image.height


def _damaged_jpeg(data: bytes, max_pixels: int) -> tuple[np.ndarray, int] | None:
    """As much as can be decoded of a broken JPEG, uint8 (h, w, 3), and its full width; None where nothing can."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if width * height > max_pixels or data.count(b"\xff\xda") > MAX_SCANS:
            return None
        small = min(LONG_SIDE, height), min(LONG_SIDE, width)
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=small[0], min_width=small[1], strict=False)
    except Exception:  # noqa: BLE001 - a decoder that is asked to forgive raises anything
        return None
    return pixels, width
