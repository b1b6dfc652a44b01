"""What a file is, by its first bytes and never by its name, and whether its end is missing."""

from __future__ import annotations

import struct

from pipeline.errors import PhotoError, Reason

_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
_UNSUPPORTED: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def sniff(data: bytes) -> str:
    """The format of a photo: jpeg, png, gif, tiff, webp, bmp or avif.

    Raises:
        PhotoError: unsupported (an image, but of another format), truncated (too short to tell), not_an_image.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:2] == b"BM" and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        return "bmp"
    if data[4:8] == b"ftyp":
        return _sniff_boxes(data)
    for magic, what in _UNSUPPORTED:
        if data.startswith(magic):
            raise PhotoError(Reason.UNSUPPORTED, f"{what} can't be read; convert it to JPEG or PNG")
    if any(magic.startswith(data) for magic, _ in _MAGIC):
        raise PhotoError(Reason.TRUNCATED, f"only the first {len(data)} bytes of an image are there")
    raise PhotoError(*_no_image(data))


def _sniff_boxes(data: bytes) -> str:
    """AVIF, or the error for its relatives, by the brands of the first box."""
    size = min(max(struct.unpack_from(">I", data)[0], 16), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, size, 4))}
    if brands & _AVIF_BRANDS:
        return "avif"
    if brands & _HEIF_BRANDS:
        raise PhotoError(Reason.UNSUPPORTED, "HEIC can't be read; convert it to JPEG, PNG or AVIF")
    raise PhotoError(Reason.NOT_AN_IMAGE, f"a media file of the kind {data[8:12]!r}, not a photo")


def _no_image(data: bytes) -> tuple[Reason, str]:
    """Reason and message for bytes that are no image we read; says what they look like."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return Reason.UNSUPPORTED, "SVG drawings can't be read; convert it to PNG"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return Reason.NOT_AN_IMAGE, "an HTML page, not an image"
    if start.startswith((b"<?xml", b"<")):
        return Reason.NOT_AN_IMAGE, "an XML text, not an image"
    if start.startswith((b"{", b"[")):
        return Reason.NOT_AN_IMAGE, "a JSON text, not an image"
    return Reason.NOT_AN_IMAGE, f"does not begin like an image but with {data[:8]!r}"


def cut_short(data: bytes, name: str) -> bool:
    """Whether the container itself says that more bytes should follow (asked only after decoding has failed)."""
    if name == "jpeg":
        return _ends_in_header(data)
    if name == "png":
        return b"IEND" not in data[-64:]
    if name == "gif":
        return not data.rstrip(b"\x00").endswith(b";")
    if name == "webp":
        return len(data) < 12 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
    if name == "bmp":
        return struct.unpack_from("<I", data, 2)[0] > len(data)
    if name == "avif":
        return _boxes_end(data) > len(data)
    # TIFF: the first directory often lies behind the pixels.
    return len(data) < 8 or struct.unpack_from(">I" if data[:1] == b"M" else "<I", data, 4)[0] >= len(data)


def _ends_in_header(data: bytes) -> bool:
    """Whether a JPEG stops before its picture data begin, by walking from marker to marker."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            return False
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return True


def _boxes_end(data: bytes) -> int:
    """Where the last of the top-level boxes of an ISO media file ends, by their headers."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:  # 0: up to the end of the file
            return len(data)
        at += size
    return at if at >= len(data) else len(data) + 1
