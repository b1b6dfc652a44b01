"""What the translate commands share: which photos are meant, reading them into pictures, the judge of a release."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from models.preprocessing import Preprocessing
from models.release import Release
from models.training.splits import TEST, Split
from models.translation.measures import Look
from models.translation.pictures import SIDES, PictureWriter, load_size
from pipeline.catalog.listing import product_from_key
from pipeline.cli.output import log
from pipeline.errors import InputError, PhotoError
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.images.decode import Limits, decode
from pipeline.labels.catalog import BOX, Photos
from pipeline.labels.sources import Source
from pipeline.settings import Settings
from pipeline.storage.base import ObjectMissing, ObjectStore, ObjectTooLarge
from pipeline.storage.opening import open_store

Item = TypeVar("Item")
Made = TypeVar("Made")
TYPE = "type"
"""The head whose labels judge what a picture shows."""


@dataclass(frozen=True)
class Wanted:
    """Which photos are side A and side B, as the command line says it.

    Args:
        sides: side -> `COLUMN=VALUE|VALUE` of the catalog or, without one, a folder or s3:// prefix.
        tests: side -> a folder of its own to test on; empty: a share of the products, by hash.
        names: side -> what to call it; empty: its label or folder.
        catalog: the options that name a labelled catalog; None where sides are folders.
        split: of the products into training and test.
    """

    sides: dict[str, str]
    tests: dict[str, str]
    names: dict[str, str]
    catalog: Source | None
    split: Split


@dataclass(frozen=True)
class _Photos:
    """Photos of one side, in one or two places: rows have file, product_id, part and the columns of a box."""

    places: tuple[tuple[pd.DataFrame, Photos], ...]
    name: str
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return sum(len(rows) for rows, _ in self.places)


def split_of(seed: int, held_out: float) -> Split:
    """The rule that keeps a share of the products for testing; translators need no validation part.

    Raises:
        InputError: the share leaves nothing to train or to test on.
    """
    if not 0 < held_out < 1:
        raise InputError(f"--held-out is {held_out}: a share of the products between 0 and 1")
    return Split(seed, validation=(1 - held_out) / 2, test=held_out)


def split_words(split: Split) -> str:
    """What `split_of` does, for the cards."""
    return f"by sha256 of the product, seed {split.seed}: {split.test:.0%} test, the rest training"


def prepare(wanted: Wanted, size: int, out: Path, settings: Settings, advance: Callable[[int], None]) -> dict[str, Any]:
    """Decode and resize the photos of both sides into the folder `out`; returns counts and what was left out.

    Raises:
        InputError: no photos of a side, both sides have one name, or the disk has no room.
    """
    found = {side: _photos_of(side, wanted, settings) for side in SIDES}
    names = {side: wanted.names[side] or photos.name for side, photos in found.items()}
    if names["a"] == names["b"]:
        raise InputError(f"both sides are called {names['a']!r}; name them with --name-a and --name-b")
    total = sum(map(len, found.values()))
    _check_room(out, total * 3 * load_size(size) ** 2)
    writer = PictureWriter(out, size, {side: len(photos) for side, photos in found.items()})
    left_out: Counter[str] = Counter()
    for side, photos in found.items():
        log.info("side %s, %s: %d photos", side, names[side], len(photos))
        for row, picture in _pictures(photos, writer, settings):
            advance(1)
            if isinstance(picture, str):
                left_out[picture] += 1
            else:
                writer.add(side, row["part"], picture, {"file": row["file"], "product_id": row["product_id"]})
    split = "test photos lie in folders of their own" if any(wanted.tests.values()) else split_words(wanted.split)
    meta = writer.close(names, {side: photos.labels for side, photos in found.items()}, split)
    return {**{key: meta[key] for key in ("size", "counts")}, "names": names, "left_out": dict(left_out)}


def _photos_of(side: str, wanted: Wanted, settings: Settings) -> _Photos:
    if wanted.catalog is None:
        return _from_folder(side, wanted, settings)
    column, separator, values = wanted.sides[side].partition("=")
    labels = tuple(value.strip() for value in values.split("|") if value.strip())
    if not separator or not labels:
        raise InputError(f"--{side} is COLUMN=VALUE or COLUMN=VALUE|VALUE of the catalog, not {wanted.sides[side]!r}")
    if wanted.catalog.demo is None and column not in wanted.catalog.label_columns:
        columns = (*wanted.catalog.label_columns, column)
        catalog = replace(wanted.catalog, label_columns=columns).open(settings)
    else:
        catalog = wanted.catalog.open(settings)
    if column not in catalog.heads:
        raise InputError(f"the catalog has no labels {column!r}; it has {', '.join(catalog.heads)}")
    said = catalog.rows[column].map(lambda text: set(str(text).split("|")) <= set(labels), na_action="ignore")
    rows = catalog.rows[said.fillna(False).astype(bool)].copy()
    if rows.empty:
        there = ", ".join(map(str, catalog.rows[column].value_counts().index[:20]))
        raise InputError(f"no photo has {column} {values!r}; the labels there are: {there}")
    rows["part"] = _parts(rows["product_id"], wanted.split)
    return _Photos(((rows, catalog.images),), slug("_".join(labels[:2])), labels if column == TYPE else ())


def _from_folder(side: str, wanted: Wanted, settings: Settings) -> _Photos:
    uri = wanted.sides[side]
    rows, images = _listed(uri, settings)
    name = slug(uri.rstrip("/").rpartition("/")[2])
    if not wanted.tests[side]:
        return _Photos(((rows.assign(part=_parts(rows["product_id"], wanted.split)), images),), name, ())
    held_out, more_images = _listed(wanted.tests[side], settings)
    return _Photos(((rows.assign(part="train"), images), (held_out.assign(part="test"), more_images)), name, ())


def _listed(uri: str, settings: Settings) -> tuple[pd.DataFrame, ObjectStore]:
    store = open_store(uri, settings)
    product_of = product_from_key(settings.catalog)
    keys = list(photo_keys(store, settings))
    if not keys:
        raise InputError(f"there are no photos in {uri}")
    products = [product_of(key) or key for key in keys]
    return pd.DataFrame({"file": keys, "product_id": products, **dict.fromkeys(BOX, float("nan"))}), store


def photo_keys(store: ObjectStore, settings: Settings) -> Iterator[str]:
    """Keys of the photos of a folder or prefix, lazily."""
    store.check()
    suffixes = tuple(suffix.lower() for suffix in settings.catalog.suffixes)
    return (found.key for found in store.list() if found.key.lower().endswith(suffixes))


def _parts(products: pd.Series, split: Split) -> np.ndarray:
    return np.where(split.parts(products) == TEST, "test", "train")


def slug(text: str) -> str:
    """A name that can be part of a file name: lower case, digits and `_`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "photos"


def _check_room(out: Path, needed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise InputError(
            f"the pictures need {needed / 2**30:.1f} GiB and the disk of {out} has {free / 2**30:.1f} GiB free; "
            "choose a smaller --size or another folder"
        )


def _pictures(
    photos: _Photos, writer: PictureWriter, settings: Settings
) -> Iterator[tuple[dict[str, Any], np.ndarray | str]]:
    """Each row with its picture, or with the reason why there is none."""
    limits = limits_for(settings, load_size(writer.size))
    for rows, images in photos.places:

        def one(row: dict[str, Any], images: Photos = images) -> np.ndarray | str:
            pixels = read_photo(images, row["file"], limits, settings, np.array([row[side] for side in BOX]))
            return pixels if isinstance(pixels, str) else writer.resized(pixels, row["part"])

        names = ["file", "product_id", "part", *BOX]
        records = (dict(zip(names, row, strict=True)) for row in rows[names].itertuples(index=False))
        yield from in_threads(one, records, settings)


def in_threads(work: Callable[[Item], Made], items: Iterator[Item], settings: Settings) -> Iterator[tuple[Item, Made]]:
    """Items with what `work` made of them, in order, a few ahead of the reader."""
    threads = max(1, settings.decode.threads or torch.get_num_threads())
    with ThreadPoolExecutor(threads) as pool:
        while piece := list(islice(items, 8 * threads)):
            yield from zip(piece, pool.map(work, piece), strict=True)


def limits_for(settings: Settings, side: int) -> Limits:
    """Decoding limits that keep photos at least as large as `side`."""
    limits = Limits.of(settings)
    return replace(limits, working_side=max(limits.working_side, side))


def read_photo(
    images: Photos, key: str, limits: Limits, settings: Settings, box: np.ndarray | None = None
) -> np.ndarray | str:
    """Pixels uint8 (h, w, 3) of a photo, or of the part of it in a box (x1, y1, x2, y2); else why it can't be read."""
    try:
        fetched = images.get(key, max_bytes=limits.max_bytes, timeout_s=settings.fetch.timeout_s)
        decoded = decode(fetched.data, limits)
    except ObjectMissing:
        return "missing"
    except ObjectTooLarge:
        return "too_many_bytes"
    except PhotoError as error:
        return str(error.reason)
    if box is None or np.isnan(box.astype(np.float64)).any():
        return decoded.pixels
    height, width = decoded.pixels.shape[:2]
    return crop(decoded.pixels, box.astype(np.float64) * np.array([width / decoded.width, height / decoded.height] * 2))


class ReleaseJudge:
    """The backbone and the type head of a release, and the measured color histogram.

    Args:
        release: loaded; needs a head `type`.
    """

    def __init__(self, release: Release) -> None:
        if TYPE not in release.heads:
            raise InputError(f"the release has no head {TYPE!r} to judge variants with; it has {sorted(release.heads)}")
        self.release = release
        self.preprocessing: Preprocessing = release.preprocessing
        self.labels = tuple(release.heads[TYPE].labels)
        backbone = release.cards.backbone[0]
        self.name = (
            f"{backbone.name} ({release.dim} numbers at {self.preprocessing.size} px), release {release.release_id}"
        )

    def look(self, pictures: np.ndarray) -> Look:
        """See `models.translation.measures.Judge.look`."""
        images = [np.ascontiguousarray(picture.transpose(1, 2, 0)) for picture in pictures]
        colors = np.stack([color_histogram(image) for image in images])
        features = self.release.features(torch.stack([self.preprocessing.resize_image(image) for image in images]))
        probabilities = self.release.probabilities(TYPE, features, {"color_histogram": colors})
        return Look(features, probabilities, colors)
