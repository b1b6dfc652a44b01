"""Fingerprints: copies are recognized, other pictures are not."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.images.crops import CROP_MARGIN, crop
from pipeline.images.decode import Limits, decode
from pipeline.images.fingerprint import phash, sha256

LIMITS = Limits(2**24, 10**8, 16, 256)


def picture(seed: int, size: tuple[int, int] = (600, 800)) -> Image.Image:
    """Smooth blobs: something that survives resizing."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (8, 6, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def bits_apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_copies_at_other_sizes_and_qualities_are_near_and_others_far() -> None:
    hashes = []
    for size, quality in (((600, 800), 95), ((300, 400), 80), ((150, 200), 60)):
        stream = io.BytesIO()
        picture(1).resize(size).save(stream, "JPEG", quality=quality)
        hashes.append(phash(decode(stream.getvalue(), LIMITS).pixels))
    assert all(len(one) == 16 for one in hashes)
    assert max(bits_apart(hashes[0], other) for other in hashes[1:]) <= 4
    assert bits_apart(hashes[0], phash(np.array(picture(2)))) > 16


def test_sha256_is_that_of_the_bytes() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_crops_have_a_margin_and_stay_inside() -> None:
    pixels = np.arange(100 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 80, 3)
    part = crop(pixels, np.array([20.0, 30.0, 40.0, 80.0], np.float32))
    extra = 50 * CROP_MARGIN
    assert part.shape == (50 + 2 * extra, 20 + 2 * extra, 3)
    assert np.array_equal(part, pixels[26:84, 16:44])
    assert crop(pixels, np.array([0.0, 0.0, 80.0, 100.0], np.float32)).shape == pixels.shape
    assert crop(pixels, np.array([79.9, 99.9, 79.95, 99.95], np.float32)).shape == (1, 1, 3)
