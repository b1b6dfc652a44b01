"""What the design commands share: which pictures are meant, and reading them into an array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torchvision.transforms import v2

from models.design.options import check_side
from models.design.pictures import DesignWriter
from models.training.features import read_features, read_pictures
from pipeline.catalog.listing import product_from_key
from pipeline.cli.translate_parts import in_threads, limits_for, photo_keys, read_photo
from pipeline.errors import InputError
from pipeline.labels.catalog import BOX, LabelledCatalog
from pipeline.labels.sources import Source
from pipeline.settings import Settings
from pipeline.storage.opening import open_store

FOLDER = "folder"
"""Head that photos of a plain folder have: the first part of their path."""

CHUNK = 256


@dataclass(frozen=True)
class Choice:
    """Which rows of a source are wanted.

    Args:
        where: head -> labels, one of which a picture must bear; none: every picture.
        by: heads that pictures are to be chosen by later.
    """

    where: dict[str, tuple[str, ...]]
    by: tuple[str, ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """All heads that are read."""
        return tuple(dict.fromkeys([*self.by, *self.where]))

    def of(self, rows: pd.DataFrame, heads: Sequence[str]) -> pd.DataFrame:
        """The wanted rows; labels that leave a choice (`A|B`) say nothing.

        Raises:
            InputError: a head is not there, or no row is wanted.
        """
        if unknown := [head for head in self.heads if head not in heads]:
            raise InputError(f"there are no labels {unknown[0]!r}; there are {', '.join(heads) or 'none'}")
        kept = pd.Series(data=True, index=rows.index)
        for head, labels in self.where.items():
            said = rows[head].map(
                lambda text, labels=labels: set(str(text).split("|")) <= set(labels), na_action="ignore"
            )
            kept &= said.fillna(False).astype(bool)
        chosen = rows[kept].copy()
        if chosen.empty:
            first = next(iter(self.where), "")
            there = ", ".join(map(str, rows[first].value_counts().index[:20])) if first else "nothing"
            raise InputError(f"no picture is wanted; the labels of {first!r} there are: {there}")
        for head in self.by:
            chosen[head] = chosen[head].where(~chosen[head].astype(str).str.contains("|", regex=False), None)
        return chosen


def choice_of(where: Sequence[str], by: Sequence[str]) -> Choice:
    """What `--where HEAD=LABEL|LABEL` and `--by HEAD` say.

    Raises:
        InputError: not of that form.
    """
    made = {}
    for words in where:
        head, separator, labels = words.partition("=")
        made[head] = tuple(label.strip() for label in labels.split("|") if label.strip())
        if not separator or not made[head]:
            raise InputError(f"--where is HEAD=LABEL or HEAD=LABEL|LABEL, not {words!r}")
    return Choice(made, tuple(dict.fromkeys(by)))


def from_photos(
    source: Source, choice: Choice, size: int, out: Path, settings: Settings, advance: Callable[[int], None]
) -> dict[str, Any]:
    """Decode, pad and resize the wanted photos into the folder `out`; returns its `meta.json` and what was left out."""
    catalog = _folder(source.images, settings) if not (source.labels or source.demo) and source.images else None
    if catalog is None:
        known = [] if source.demo or source.format != "table" else list(choice.heads)
        named = {column.partition("=")[0] for column in source.label_columns}
        columns = [*source.label_columns, *(head for head in known if head not in named)]
        catalog = replace(source, label_columns=columns).open(settings)
    rows = choice.of(catalog.rows, catalog.heads)
    writer = DesignWriter(out, check_side(size), len(rows), choice.by)
    limits = limits_for(settings, size)

    def one(row: dict[str, Any]) -> np.ndarray | str:
        box = np.array([row[side] for side in BOX])
        pixels = read_photo(catalog.images, row["file"], limits, settings, box)
        return pixels if isinstance(pixels, str) else writer.preprocessing.resize_image(pixels).numpy()

    left_out: Counter[str] = Counter()
    for row, picture in in_threads(one, _records(rows, [*BOX, *choice.by]), settings):
        advance(1)
        if isinstance(picture, str):
            left_out[picture] += 1
        else:
            writer.add(picture, row)
    return {**writer.close(), "left_out": dict(left_out)}


def from_features(folder: Path, choice: Choice, size: int, out: Path, advance: Callable[[int], None]) -> dict[str, Any]:
    """The wanted pictures that `atelier features --pictures` kept, made smaller; they were stretched to a square."""
    features, pictures = read_features(folder), read_pictures([folder])
    rows = choice.of(features.rows.reset_index(drop=True), features.heads)
    writer = DesignWriter(out, check_side(size), len(rows), choice.by)
    for begin in range(0, len(rows), CHUNK):
        piece = rows.iloc[begin : begin + CHUNK]
        small = v2.functional.resize(
            torch.from_numpy(pictures.take(piece.index.to_numpy())), [size, size], antialias=True
        )
        for row, picture in zip(_records(piece, list(choice.by)), small.numpy(), strict=True):
            writer.add(picture, row)
        advance(len(piece))
    return {**writer.close(), "left_out": {}}


def _records(rows: pd.DataFrame, columns: list[str]) -> Iterator[dict[str, Any]]:
    names = ["file", "product_id", *columns]
    return (dict(zip(names, row, strict=True)) for row in rows[names].itertuples(index=False))


def _folder(uri: str, settings: Settings) -> LabelledCatalog:
    """Photos without labels: the first folder of their path may serve as one."""
    store = open_store(uri, settings)
    product_of = product_from_key(settings.catalog)
    keys = list(photo_keys(store, settings))
    if not keys:
        raise InputError(f"there are no photos in {uri}")
    first = [key.split("/")[0] if "/" in key else None for key in keys]
    rows = pd.DataFrame({"file": keys, "product_id": [product_of(key) or key for key in keys], FOLDER: first})
    return LabelledCatalog(uri, rows.assign(**dict.fromkeys(BOX, float("nan"))), (FOLDER,), store)
