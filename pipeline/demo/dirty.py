"""Damaged and odd files as real catalogs have them, each with what a reader is expected to make of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from pipeline.demo.scenes import Box, Photo
from pipeline.errors import Reason

OK = "ok"
BOMB_SIDE = 30_000
"""Width and height of the decompression bomb, pixels: 900 megapixels in a tenth of a megabyte."""


@dataclass(frozen=True)
class Odd:
    """One odd file: its name after the product's id, bytes, expected reason code or "ok", a note for people.

    `size` is the upright (width, height) and `boxes` the truth where the file is readable, else None.
    """

    name: str
    data: bytes
    expected: str
    note: str
    size: tuple[int, int] | None = None
    boxes: tuple[Box, ...] = ()


def odd_files(photo: Photo) -> Iterator[Odd]:
    """Every kind of odd file, made from one rendered photo."""
    pixels = photo.pixels
    height, width = pixels.shape[:2]
    good = _jpeg(pixels, photo.quality)
    yield Odd("truncated.jpg", good[: len(good) * 3 // 5], Reason.TRUNCATED, "a JPEG cut off after 60 % of its bytes")
    yield Odd("empty.jpg", b"", Reason.EMPTY, "zero bytes")
    yield Odd("page.jpg", _HTML, Reason.NOT_AN_IMAGE, "an HTML error page saved under a photo's name")
    yield Odd(
        "bomb.png", _bomb(), Reason.TOO_MANY_PIXELS, f"a valid PNG of {BOMB_SIDE}x{BOMB_SIDE} pixels in few bytes"
    )
    yield Odd(
        "tiny.jpg",
        _jpeg(cv2.resize(pixels, (9, 12), interpolation=cv2.INTER_AREA), 90),
        Reason.TOO_SMALL,
        "12 pixels high",
    )
    for kind in _READABLE:
        name, data, note = kind(pixels)
        yield Odd(name, data, OK, note, (width, height), photo.boxes)
    yield Odd("duplicate.jpg", good, OK, "the same bytes as the photo it was copied from", (width, height), photo.boxes)
    yield Odd(
        "near-reencoded.jpg",
        _jpeg(pixels, 55),
        OK,
        "near-duplicate: encoded again at quality 55",
        (width, height),
        photo.boxes,
    )
    yield _resized(photo)
    yield _cropped(photo)


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420")


def _cmyk(pixels: np.ndarray) -> tuple[str, bytes, str]:
    return "cmyk.jpg", _saved(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=90), "a JPEG in CMYK"


def _deep(pixels: np.ndarray) -> tuple[str, bytes, str]:
    deep = pixels.astype(np.uint16) * 257
    data = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    return "deep.png", data, "a PNG with 16 bits a channel"


def _cutout(pixels: np.ndarray) -> tuple[str, bytes, str]:
    picture = Image.fromarray(pixels).convert("RGBA")
    return "alpha.png", _saved(picture, "PNG"), "a PNG with an alpha channel"


def _turned(pixels: np.ndarray) -> tuple[str, bytes, str]:
    """EXIF orientation 6: a reader has to turn the stored pixels by 90 degrees clockwise."""
    stored = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    return (
        "turned.jpg",
        _saved(stored, "JPEG", quality=90, exif=exif),
        "stored lying, EXIF orientation 6; the truth is upright",
    )


def _frames(pixels: np.ndarray) -> list[Image.Image]:
    """The photo, then the photo mirrored and darkened."""
    return [Image.fromarray(pixels), Image.fromarray((pixels[:, ::-1] * 0.6).astype(np.uint8))]


def _gif(pixels: np.ndarray) -> tuple[str, bytes, str]:
    first, second = (frame.quantize(128) for frame in _frames(pixels))
    data = _saved(first, "GIF", save_all=True, append_images=[second], duration=400)
    return "animated.gif", data, "an animation; its first frame counts"


def _webp(pixels: np.ndarray) -> tuple[str, bytes, str]:
    first, second = _frames(pixels)
    data = _saved(first, "WEBP", save_all=True, append_images=[second], duration=400, quality=80)
    return "animated.webp", data, "an animation; its first frame counts"


_READABLE: tuple[Callable[[np.ndarray], tuple[str, bytes, str]], ...] = (
    _cmyk,
    _deep,
    _cutout,
    _turned,
    _gif,
    _webp,
)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _resized(photo: Photo) -> Odd:
    """The photo at 70 % of its size."""
    height, width = photo.pixels.shape[:2]
    size = (round(width * 0.7), round(height * 0.7))
    small = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
    boxes = tuple(_moved(box, size[0] / width, 0.0, 0.0) for box in photo.boxes)
    return Odd("near-resized.jpg", _jpeg(small, 85), OK, "near-duplicate: 70 % of the size", size, boxes)


def _cropped(photo: Photo) -> Odd:
    """The photo without its outer 3 %."""
    height, width = photo.pixels.shape[:2]
    x, y = round(width * 0.03), round(height * 0.03)
    size = (width - 2 * x, height - 2 * y)
    inner = photo.pixels[y : y + size[1], x : x + size[0]]
    boxes = tuple(_clipped(_moved(box, 1.0, -x, -y), size) for box in photo.boxes)
    return Odd("near-cropped.jpg", _jpeg(inner, 88), OK, "near-duplicate: 3 % cut off each edge", size, boxes)


def _moved(box: Box, scale: float, dx: float, dy: float) -> Box:
    return replace(box, x1=box.x1 * scale + dx, y1=box.y1 * scale + dy, x2=box.x2 * scale + dx, y2=box.y2 * scale + dy)


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    x1, x2 = (min(max(v, 0.0), float(size[0])) for v in (box.x1, box.x2))
    y1, y2 = (min(max(v, 0.0), float(size[1])) for v in (box.y1, box.y2))
    return replace(box, x1=x1, y1=y1, x2=x2, y2=y2)


def _bomb() -> bytes:
    """A one-bit grey PNG of BOMB_SIDE squared, all black: 113 MB of rows squeezed to about 110 KB."""
    row = bytes(1 + (BOMB_SIDE + 7) // 8)
    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(row * 500) for _ in range(BOMB_SIDE // 500)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HTML = b"""<!DOCTYPE html>
<html><head><title>404 Not Found</title></head>
<body><h1>Not Found</h1><p>The requested photo was not found on this server.</p></body></html>
"""
