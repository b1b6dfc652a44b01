"""A photo made ready for the models: everything that can be known of it without them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from models.preprocessing import Preprocessing
from pipeline.catalog import PlannedImage
from pipeline.errors import Reason
from pipeline.images import color, fingerprint
from pipeline.images.decode import Decoded, Limits, decode


@dataclass(frozen=True)
class Colors:
    """What was measured of a picture: its named color, and the histogram that a color head may ask for."""

    measured: color.Measured
    histogram: np.ndarray


@dataclass(frozen=True)
class Photo:
    """One decoded photo.

    Args:
        image: the photo as planned.
        decoded: its pixels at working size.
        size: bytes that were fetched.
        sha256: digest of the bytes.
        phash: perceptual hash of the pixels.
        colors: of the whole picture.
        input: uint8 (3, S, S), the whole picture as the backbone takes it.
        fetch_ms: time the fetch took, milliseconds.
        decode_ms: time this preparation took, milliseconds.
    """

    image: PlannedImage
    decoded: Decoded
    size: int
    sha256: str
    phash: str
    colors: Colors
    input: torch.Tensor
    fetch_ms: float
    decode_ms: float


@dataclass(frozen=True)
class Reject:
    """A photo that can't be enriched, or not now."""

    image: PlannedImage
    reason: Reason
    message: str


def prepare(
    image: PlannedImage, data: bytes, limits: Limits, preprocessing: Preprocessing, fetch_ms: float = 0.0
) -> Photo:
    """Decode a photo and measure it. Thread-safe; the numeric libraries release the GIL.

    Raises:
        PhotoError: the bytes are no usable photo.
    """
    started = time.perf_counter()
    decoded = decode(data, limits)
    digest, colors = fingerprint.sha256(data), measure(decoded.pixels)
    phash, whole = fingerprint.phash(decoded.pixels), preprocessing.resize_image(decoded.pixels)
    decode_ms = 1000.0 * (time.perf_counter() - started)
    return Photo(image, decoded, len(data), digest, phash, colors, whole, fetch_ms, decode_ms)


def measure(pixels: np.ndarray) -> Colors:
    """Measured color and histogram of a picture, uint8 (h, w, 3)."""
    taken = color.sample(pixels)
    return Colors(color.measure(taken), color.histogram_of(taken))
