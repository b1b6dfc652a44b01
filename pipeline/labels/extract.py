"""From a labelled catalog to cached features: decode once a photo, one backbone pass a picture."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.preprocessing import Preprocessing
from models.release import Release
from models.training.features import PICTURES, FeatureWriter
from pipeline.errors import InputError, PhotoError
from pipeline.images.color import HISTOGRAM_LENGTH, color_histogram
from pipeline.images.crops import crop
from pipeline.images.decode import Decoded, Limits, decode
from pipeline.labels.catalog import BOX, LabelledCatalog
from pipeline.settings import Settings
from pipeline.storage.base import ObjectMissing, ObjectTooLarge

NAMED = 5
"""Missing photos that a message names."""


HISTOGRAM = "color_histogram"
"""Name of the measured color histogram among the inputs of heads."""


@dataclass(frozen=True)
class _Pictures:
    """Pictures of one photo: uint8 (n, 3, size, size), and their color histograms float32 (n, length)."""

    crops: torch.Tensor
    histograms: np.ndarray


@dataclass(frozen=True)
class Extracted:
    """What came of it: rows written, and photos left out by reason, with the first keys of each."""

    rows: int
    left_out: dict[str, int]
    examples: dict[str, list[str]]


def extract(
    catalog: LabelledCatalog,
    release: Release,
    settings: Settings,
    out: Path,
    advance: Callable[[int], None],
    *,
    pictures: bool = False,
) -> Extracted:
    """Write the features of every picture of the catalog to the folder `out`.

    Args:
        advance: told how many rows are done.
        pictures: keep the resized pictures as well, for fine-tuning; 147 KB a row at 224 pixels.

    Raises:
        InputError: the disk has no room for the pictures; or none of the photos could be read: the message says why
            and names some.
    """
    groups = [rows for _, rows in catalog.rows.groupby("file", sort=True)]
    lengths = {"features": release.dim, HISTOGRAM: HISTOGRAM_LENGTH}
    side = release.preprocessing.size if pictures else 0
    _check_room(out, 3 * side * side * sum(map(len, groups)))
    writer = FeatureWriter(out, lengths, sum(map(len, groups)), side)
    left_out: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    pending: list[tuple[_Pictures, pd.DataFrame]] = []

    def flush() -> None:
        if pending:
            crops = torch.cat([made.crops for made, _ in pending])
            histograms = np.concatenate([made.histograms for made, _ in pending])
            arrays = {"features": release.features(crops), HISTOGRAM: histograms, PICTURES: crops.numpy()}
            writer.add(arrays, pd.concat([rows for _, rows in pending]))
            pending.clear()

    for rows, made in _decoded(groups, catalog, release.preprocessing, settings):
        advance(len(rows))
        if isinstance(made, str):
            left_out[made] += 1
            examples.setdefault(made, [])
            if len(examples[made]) < NAMED:
                examples[made].append(rows["file"].iloc[0])
            continue
        pending.append((made, rows))
        if sum(len(rows) for _, rows in pending) >= release.batch_images:
            flush()
    flush()
    if writer.count == 0:
        raise InputError(f"no photo of {catalog.name!r} could be read under {catalog.images.uri}: {_words(examples)}")
    written = writer.close(
        {
            "source": catalog.name,
            "heads": list(catalog.heads),
            "backbone": release.cards.backbone[0].digest(functional=True),
            "precision": release.precision,
            "left_out": dict(left_out),
        }
    )
    return Extracted(written, dict(left_out), examples)


def _check_room(out: Path, needed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise InputError(
            f"the pictures need {needed / 2**30:.1f} GiB and the disk of {out} has {free / 2**30:.1f} GiB free; "
            "leave --pictures out, or choose another folder"
        )


def _words(examples: dict[str, list[str]]) -> str:
    return "; ".join(f"{reason}: {', '.join(keys)}" for reason, keys in examples.items())


def _decoded(
    groups: list[pd.DataFrame], catalog: LabelledCatalog, preprocessing: Preprocessing, settings: Settings
) -> Iterator[tuple[pd.DataFrame, _Pictures | str]]:
    """The pictures of each photo, or the reason why there are none; a few photos ahead of the reader."""
    threads = max(1, settings.decode.threads or torch.get_num_threads())
    limits = Limits.of(settings)

    def one(rows: pd.DataFrame) -> _Pictures | str:
        key = rows["file"].iloc[0]
        try:
            fetched = catalog.images.get(key, max_bytes=limits.max_bytes, timeout_s=settings.fetch.timeout_s)
            parts = list(_parts(decode(fetched.data, limits), rows))
        except ObjectMissing:
            return "missing"
        except ObjectTooLarge:
            return "too_many_bytes"
        except PhotoError as error:
            return str(error.reason)
        crops = torch.stack([preprocessing.resize_image(part) for part in parts])
        return _Pictures(crops, np.stack([color_histogram(part) for part in parts]))

    with ThreadPoolExecutor(threads) as pool:
        ahead = 8 * threads
        for begin in range(0, len(groups), ahead):
            piece = groups[begin : begin + ahead]
            yield from zip(piece, pool.map(one, piece), strict=True)


def _parts(photo: Decoded, rows: pd.DataFrame) -> Iterator[np.ndarray]:
    """The whole photo, or what enrichment cuts out for a box: uint8 (h, w, 3)."""
    height, width = photo.pixels.shape[:2]
    to_pixels = np.array([width / photo.width, height / photo.height] * 2)
    for box in rows[list(BOX)].to_numpy(np.float64):
        yield photo.pixels if np.isnan(box).any() else crop(photo.pixels, box * to_pixels)
