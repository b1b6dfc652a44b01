"""Vectors of photos at hand, made the way the tables' vectors are made: for search and recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from models.release import Release
from pipeline.catalog import PlannedImage
from pipeline.enrich.models import streams_of
from pipeline.enrich.photo import prepare
from pipeline.enrich.reading import Reader, Reading
from pipeline.enrich.streams import Streams
from pipeline.enrich.watch import Watch
from pipeline.errors import InputError, PhotoError
from pipeline.images.decode import Limits
from pipeline.settings import Settings, load_settings


def read_photos(photos: Sequence[Path | bytes], release: Release, settings: Settings | None = None) -> list[Reading]:
    """What the models say of photos at hand, in order; nothing is written.

    Raises:
        InputError: a file can't be read or is no usable photo; the message names it.
    """
    config = settings or load_settings()
    limits = Limits.of(config)
    prepared = []
    for number, photo in enumerate(photos):
        name = f"photo {number}" if isinstance(photo, bytes) else str(photo)
        try:
            data = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
            image = PlannedImage(image_key=name, etag="", bytes=len(data), product_id=None)
            prepared.append(prepare(image, data, limits, release.preprocessing))
        except OSError as error:
            raise InputError(f"{name} can't be read: {error.strerror}") from None
        except PhotoError as error:
            raise InputError(f"{name} is no usable photo: {error}") from None
    with Streams(streams_of(config, release)) as streams:
        return list(Reader(release, config.enrich.max_garments, Watch(), streams).read(prepared))


def embed_photos(
    photos: Sequence[Path | bytes],
    release: Release,
    settings: Settings | None = None,
    kind: Literal["image", "garment"] = "image",
) -> np.ndarray:
    """Vectors to search with.

    Args:
        photos: files or their bytes.
        release: the release whose vectors are searched.
        settings: limits and working size; default: those of this process.
        kind: of the whole photo, or of its main garment (of the whole photo where none is found).

    Returns:
        float32 (n, D), each of length 1.

    Raises:
        InputError: a file can't be read or is no usable photo.
    """
    readings = read_photos(photos, release, settings)
    rows = [one.features[min(1, len(one.garments)) if kind == "garment" else 0] for one in readings]
    features = np.stack(rows) if rows else np.zeros((0, release.dim), np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
