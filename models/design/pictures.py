"""The pictures a designer learns from, decoded and resized once: a folder with one memory-mapped array.

`pictures.npy`: uint8 (N, 3, S, S), padded to a square with white; `rows.parquet`: file, product_id and one column a
head (None: nobody said), in the order of the array; `meta.json`: size, heads with their labels, count, digest.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.design.options import check_side
from models.errors import DataError
from models.preprocessing import Preprocessing

PICTURES, ROWS, META = "pictures.npy", "rows.parquet", "meta.json"
WHITE = (255.0, 255.0, 255.0)
MOST_COMBINATIONS = 256
"""Combinations of attributes that a card remembers, the most frequent ones."""


def preprocessing(size: int) -> Preprocessing:
    """Padded to a square with white, as photos of shops are, and scaled to [-1, 1] by whoever reads the bytes."""
    return Preprocessing(size, WHITE, (127.5, 127.5, 127.5), "letterbox")


@dataclass(frozen=True)
class Attributes:
    """What a picture can be chosen by: heads and their labels, a number each.

    Args:
        heads: head -> labels; none: pictures can't be chosen.
    """

    heads: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return sum(map(len, self.heads.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """`type=Boots`, a name a number."""
        return tuple(f"{head}={label}" for head, labels in self.heads.items() for label in labels)

    def vector(self, said: Mapping[str, str | None]) -> np.ndarray:
        """One picture's attributes as float32 (K,): 1 for its label of each head, 0 elsewhere and where nobody said.

        Raises:
            DataError: a head or label is unknown; the message names those there are.
        """
        names = {name: place for place, name in enumerate(self.names)}
        made = np.zeros(len(names), np.float32)
        for head, label in said.items():
            if label is None:
                continue
            if f"{head}={label}" not in names:
                raise DataError(f"the designer knows no {head}={label}; it knows {', '.join(names) or 'no attributes'}")
            made[names[f"{head}={label}"]] = 1
        return made


@dataclass(frozen=True)
class DesignPictures:
    """Pictures to learn from.

    Args:
        pictures: uint8 (N, 3, S, S), may be memory-mapped.
        attributes: what they can be chosen by.
        vectors: float32 (N, K).
        digest: of the files, their labels and their order.
    """

    pictures: np.ndarray
    attributes: Attributes
    vectors: np.ndarray
    digest: str

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return int(self.pictures.shape[-1])

    def __len__(self) -> int:
        return len(self.pictures)

    def combinations(self) -> list[tuple[list[int], int]]:
        """Attributes that occur together, as places of ones, with how often they do, the most frequent first."""
        counted = Counter(tuple(np.flatnonzero(row).tolist()) for row in self.vectors)
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return [(list(places), count) for places, count in ordered[:MOST_COMBINATIONS]]


class DesignWriter:
    """Writes a folder of pictures one by one, so that memory stays small however many there are.

    Args:
        folder: is created.
        size: side of the pictures.
        count: pictures there can be at the most.
        heads: columns of labels to keep.
    """

    def __init__(self, folder: Path, size: int, count: int, heads: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / META).unlink(missing_ok=True)
        self.folder, self.heads, self._rows = folder, tuple(heads), list[dict[str, Any]]()
        self.preprocessing = preprocessing(check_side(size))
        self._partial = folder / f"{PICTURES}.partial"
        self._map = np.lib.format.open_memmap(self._partial, "w+", np.uint8, (count, 3, size, size))

    def add(self, picture: np.ndarray, row: Mapping[str, Any]) -> None:
        """Append uint8 (3, S, S), as `preprocessing.resize_image` makes it, with its file, product_id and labels."""
        self._map[len(self._rows)] = picture
        self._rows.append({name: row[name] for name in ("file", "product_id", *self.heads)})

    def close(self) -> dict[str, Any]:
        """Finish; returns what `meta.json` says.

        Raises:
            DataError: there are no pictures, or a head has no label.
        """
        if not self._rows:
            raise DataError("there are no pictures to learn from")
        self._map.flush()
        with (self.folder / PICTURES).open("wb") as file:  # the map has room for what never came
            np.save(file, self._map[: len(self._rows)])
        self._partial.unlink()
        rows = pd.DataFrame(self._rows)
        rows.to_parquet(self.folder / ROWS, index=False)
        heads = {head: sorted(rows[head].dropna().unique().tolist()) for head in self.heads}
        if empty := [head for head, labels in heads.items() if not labels]:
            raise DataError(f"no picture has a label of {empty[0]!r}")
        digest = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
        size = self.preprocessing.size
        meta = {"size": size, "count": len(rows), "heads": heads, "digest": f"{digest}-{size}"}
        (self.folder / META).write_text(json.dumps(meta, indent=1))
        return meta


def read_design_pictures(folder: Path, by: Sequence[str] | None = None) -> DesignPictures:
    """Open a folder of pictures.

    Args:
        by: heads to choose pictures by; None: all that the folder has.

    Raises:
        DataError: no such folder, or a head it does not have.
    """
    try:
        meta = json.loads((folder / META).read_text())
        pictures = np.load(folder / PICTURES, mmap_mode="r")
        rows = pd.read_parquet(folder / ROWS)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no finished pictures; make them with `atelier design pictures`: {error}"
        ) from None
    known = {head: tuple(labels) for head, labels in meta["heads"].items()}
    if unknown := [head for head in by or () if head not in known]:
        raise DataError(f"{folder} has no labels of {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    attributes = Attributes({head: known[head] for head in (known if by is None else by)})
    return DesignPictures(pictures, attributes, _vectors(rows, attributes), meta["digest"])


def _vectors(rows: pd.DataFrame, attributes: Attributes) -> np.ndarray:
    columns = [
        (rows[head] == label).to_numpy(np.float32) for head, labels in attributes.heads.items() for label in labels
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), np.float32)
