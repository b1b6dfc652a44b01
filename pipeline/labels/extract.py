"""From a labelled catalog to cached features: decode once a photo, one backbone pass a picture."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.preprocessing import Preprocessing
from models.release import Release
from models.release_cards import ReleaseCards
from models.training.features import PICTURES, FeatureWriter
from pipeline.errors import InputError, PhotoError
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.images.decode import Decoded, Limits, decode
from pipeline.labels.catalog import BOX, LabelledCatalog, Photos
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
class Piece:
    """Some photos of a catalog, read.

    Args:
        arrays: what a `FeatureWriter` takes, n long each; empty where no photo could be read.
        rows: their n rows.
        left_out: reason and key of each photo that could not be read.
        covered: rows that these photos have, those that were left out included.
        device: what the backbone ran on.
        precision: in which numbers.
    """

    arrays: Mapping[str, np.ndarray]
    rows: pd.DataFrame
    left_out: tuple[tuple[str, str], ...]
    covered: int
    device: str
    precision: str


@dataclass(frozen=True)
class Extracted:
    """What came of it: rows written, and photos left out by reason, with the first keys of each."""

    rows: int
    left_out: dict[str, int]
    examples: dict[str, list[str]]
    device: str
    precision: str


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
    pieces = read_pieces(by_photo(catalog.rows), catalog.images, release, settings, pictures=pictures)
    return write_pieces(pieces, catalog, release.cards, out, advance, pictures=pictures)


def by_photo(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each photo, in order of their keys."""
    return [group for _, group in rows.groupby("file", sort=True)]


def read_pieces(
    groups: list[pd.DataFrame], photos: Photos, release: Release, settings: Settings, *, pictures: bool
) -> Iterator[Piece]:
    """Read photos, each with the rows that speak of it, about a pass of the backbone at a time."""
    pending: list[tuple[_Pictures, pd.DataFrame]] = []
    left_out: list[tuple[str, str]] = []
    covered = 0

    def piece() -> Piece:
        arrays = _arrays([made for made, _ in pending], release, pictures=pictures) if pending else {}
        rows = pd.concat([rows for _, rows in pending]) if pending else pd.DataFrame()
        made = Piece(arrays, rows, tuple(left_out), covered, release.device, release.precision)
        pending.clear()
        left_out.clear()
        return made

    for rows, made in _decoded(groups, photos, release.preprocessing, settings):
        covered += len(rows)
        if isinstance(made, str):
            left_out.append((made, rows["file"].iloc[0]))
            continue
        pending.append((made, rows))
        if sum(len(rows) for _, rows in pending) >= release.batch_images:
            yield piece()
            covered = 0
    if covered:
        yield piece()


def write_pieces(
    pieces: Iterable[Piece],
    catalog: LabelledCatalog,
    cards: ReleaseCards,
    out: Path,
    advance: Callable[[int], None],
    *,
    pictures: bool = False,
) -> Extracted:
    """Write pieces, in the order of the catalog's photos, to the folder `out`; see `extract`."""
    preprocessing, capacity = cards.backbone[0].preprocessing, int(catalog.rows["file"].notna().sum())
    side = preprocessing.size if pictures and preprocessing else 0
    _check_room(out, 3 * side * side * capacity)
    writer: FeatureWriter | None = None
    left_out: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    ran_on = ("none", "none")
    for piece in pieces:
        advance(piece.covered)
        for reason, key in piece.left_out:
            left_out[reason] += 1
            if len(examples.setdefault(reason, [])) < NAMED:
                examples[reason].append(key)
        if len(piece.rows):
            lengths = {name: array.shape[1] for name, array in piece.arrays.items() if name != PICTURES}
            writer = writer or FeatureWriter(out, lengths, capacity, side)
            writer.add(piece.arrays, piece.rows)
            ran_on = (piece.device, piece.precision)
    if writer is None:
        raise InputError(f"no photo of {catalog.name!r} could be read under {catalog.images.uri}: {_words(examples)}")
    written = writer.close(
        {
            "source": catalog.name,
            "heads": list(catalog.heads),
            "backbone": cards.backbone[0].digest(functional=True),
            "precision": ran_on[1],
            "left_out": dict(left_out),
        }
    )
    return Extracted(written, dict(left_out), examples, *ran_on)


def _arrays(made: list[_Pictures], release: Release, *, pictures: bool) -> dict[str, np.ndarray]:
    crops = torch.cat([one.crops for one in made])
    histograms = np.concatenate([one.histograms for one in made])
    arrays = {"features": release.features(crops), HISTOGRAM: histograms}
    return arrays | ({PICTURES: crops.numpy()} if pictures else {})


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
    groups: list[pd.DataFrame], photos: Photos, preprocessing: Preprocessing, settings: Settings
) -> Iterator[tuple[pd.DataFrame, _Pictures | str]]:
    """The pictures of each photo, or the reason why there are none; a few photos ahead of the reader."""
    threads = max(1, settings.decode.threads or torch.get_num_threads())
    limits = Limits.of(settings)

    def one(rows: pd.DataFrame) -> _Pictures | str:
        key = rows["file"].iloc[0]
        try:
            fetched = photos.get(key, max_bytes=limits.max_bytes, timeout_s=settings.fetch.timeout_s)
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
