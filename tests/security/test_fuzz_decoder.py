"""Hostile photos: the decoder answers with pixels within its limits or with a `PhotoError`, in bounded memory."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_release import photo_bytes

from pipeline.errors import PhotoError
from pipeline.images.decode import Limits, decode

LIMITS = Limits(max_bytes=2**22, max_pixels=1_000_000, min_side=16, working_side=64)
ALLOWED_BYTES = 150 * 2**20
"""Memory that decoding one photo may take on top: a million pixels at 12 bytes, thrice over, and loaded libraries."""

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
SIZES = (0, 1, 15, 16, 1000, 1001, 32767, 65535, 65536, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)
quick = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def answers(data: bytes) -> None:
    """Decode; anything but pixels within the limits or a PhotoError fails."""
    try:
        decoded = decode(data, LIMITS)
    except PhotoError as error:
        assert error.reason.permanent and error.message
        return
    height, width, channels = decoded.pixels.shape
    assert (channels, decoded.pixels.dtype) == (3, np.uint8)
    assert height * width <= (4 * LIMITS.working_side) ** 2
    assert decoded.width * decoded.height <= LIMITS.max_pixels


@contextmanager
def bounded(allowed: int = ALLOWED_BYTES) -> Iterator[None]:
    """Fail if the process's peak of resident memory rises by more than `allowed` bytes meanwhile."""
    if not RESET.exists():
        pytest.skip("the peak of memory can only be reset on Linux")
    RESET.write_text("5")
    before = _peak()
    yield
    rise = _peak() - before
    assert rise < allowed, f"{rise / 2**20:.0f} MiB"


def _peak() -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@cache
def seed(kind: str) -> bytes:
    return photo_bytes(3, 96, 120, kind)


@given(st.binary(max_size=400), st.sampled_from(FORMATS), st.integers(0, 60))
@quick
def test_random_bytes(data: bytes, kind: str, kept: int) -> None:
    answers(seed(kind)[:kept] + data)


@given(st.sampled_from(FORMATS), st.randoms(use_true_random=False))
@quick
def test_flipped_bits_and_cut_ends(kind: str, chance: random.Random) -> None:
    answers(damaged(seed(kind), chance))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bits flipped, half of them among the first 200 bytes, where headers are; perhaps the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(min(200, len(changed)) if chance.random() < 0.5 else len(changed))
        changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.4 else changed)


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small whole file whose header tells another size than its pixels have."""
    data = bytearray(seed(kind))
    if kind == "JPEG":
        at = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in (0xC0, 0xC2))
        struct.pack_into(">HH", data, at + 5, height % 65536, width % 65536)
    elif kind == "PNG":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif kind == "GIF":
        struct.pack_into("<HH", data, 6, width % 65536, height % 65536)
    elif kind == "BMP":
        struct.pack_into("<II", data, 18, width, height)
    elif kind == "AVIF":
        struct.pack_into(">II", data, data.index(b"ispe") + 8, width, height)
    elif kind == "TIFF":
        (directory,) = struct.unpack_from("<I", data, 4)
        (entries,) = struct.unpack_from("<H", data, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag = struct.unpack_from("<H", data, at)[0]
            if tag in (256, 257):
                struct.pack_into("<HHII", data, at, tag, 4, 1, width if tag == 256 else height)
    else:  # WebP: the extended header, whose canvas has 24 bits a side
        canvas = struct.pack("<I", (width - 1) % 2**24)[:3] + struct.pack("<I", (height - 1) % 2**24)[:3]
        chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
        data[12:12] = chunk
        struct.pack_into("<I", data, 4, len(data) - 8)
    return bytes(data)


@given(st.sampled_from(FORMATS), st.sampled_from(SIZES), st.sampled_from(SIZES))
@example("PNG", 2**31 - 1, 2**31 - 1)
@example("JPEG", 65535, 65535)
@example("WEBP", 2**24 - 1, 2**24 - 1)
@settings(quick, max_examples=80)
def test_headers_that_claim_any_size(kind: str, width: int, height: int) -> None:
    with bounded():
        answers(claiming(kind, width, height))


def test_bombs_inside_of_metadata() -> None:
    """200 MB of zeros as a profile, as text, and as pixel rows that the header does not tell of."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    zeros = zlib.compress(bytes(200 * 2**20), 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(64 * (64 * 3 + 1))))
    profile = chunk(b"iCCP", b"p\0\0" + zeros)
    text = chunk(b"zTXt", b"Comment\0\0" + zeros)
    for inside in (profile + rows, text + rows, text * 3 + rows, rows + text, chunk(b"IDAT", zeros)):
        with bounded():
            answers(b"\x89PNG\r\n\x1a\n" + head + inside + chunk(b"IEND", b""))


def test_an_animation_of_many_frames_costs_one() -> None:
    frames = [Image.new("RGB", (300, 300), (n, 255 - n, n)) for n in range(200)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    with bounded(50 * 2**20):
        answers(stream.getvalue())


@pytest.mark.real_photos
def test_real_photos_that_were_damaged(shared_data: Path) -> None:
    """As JPEG, which they are, and encoded anew as PNG and WebP; also with bits flipped and ends missing."""
    chance = random.Random(20261123)
    files = [sorted((shared_data / name / "images").iterdir())[7] for name in ("retail", "cc0", "street")]
    with bounded():
        for file in files:
            small = Image.open(file).convert("RGB")
            small.thumbnail((400, 400))
            for kind in ("JPEG", "PNG", "WEBP"):
                stream = io.BytesIO()
                small.save(stream, kind)
                for _ in range(12):
                    answers(damaged(stream.getvalue(), chance))
            answers(damaged(file.read_bytes()[: LIMITS.max_bytes], chance))
