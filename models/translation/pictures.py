"""The photos a translator learns from, decoded and resized once: a folder of memory-mapped arrays.

`a_train.npy`, `b_train.npy`: uint8 (N, 3, L, L), 286/256 times the size of the pictures, which are cut out of them;
`a_test.npy`, `b_test.npy`: uint8 (M, 3, S, S); `rows.parquet`: side, part, file, product_id of each, in the order of
its array; `meta.json`: sizes, names of the sides, the labels they stand for, counts, digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.errors import DataError
from models.preprocessing import Preprocessing
from models.translation.networks import check_size

SIDES, PARTS = ("a", "b"), ("train", "test")
ROWS, META = "rows.parquet", "meta.json"
FLUSH_ROWS = 1024
LEVELS = (127.5, 127.5, 127.5)


def load_size(size: int) -> int:
    """Side that training pictures are resized to before a square of `size` is cut out at random: 286 for 256."""
    return round(size * 286 / 256)


def preprocessing(size: int) -> Preprocessing:
    """Stretched to a square and scaled to [-1, 1]."""
    return Preprocessing(size, LEVELS, LEVELS)


class Stack:
    """Several arrays (n, ...) as one, without copying: rows are looked up where they lie."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = [array for array in arrays if len(array)]
        self.ends = np.cumsum([len(array) for array in self.arrays])

    def __len__(self) -> int:
        return int(self.ends[-1]) if self.arrays else 0

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """Rows by number, int (n,), copied into a new array."""
        places = np.searchsorted(self.ends, wanted, side="right")
        begins = np.concatenate([[0], self.ends[:-1]])
        picked = [self.arrays[place][row - begins[place]] for place, row in zip(places, wanted, strict=True)]
        return np.stack(picked)

    def chunks(self, rows: int) -> Iterator[np.ndarray]:
        """All rows in order, some at a time."""
        for begin in range(0, len(self), rows):
            yield self.rows(np.arange(begin, min(begin + rows, len(self))))


@dataclass(frozen=True)
class Side:
    """One kind of picture.

    Args:
        name: for people and for file names, such as dress.
        labels: of the type head that pictures of this side may bear; none: not told.
        train: uint8 pictures of side `load_size(size)`.
        test: uint8 pictures of side `size`.
    """

    name: str
    labels: tuple[str, ...]
    train: Stack
    test: Stack


@dataclass(frozen=True)
class PicturePair:
    """Photos of both sides; `digest` is of the files and their order, `split` says how they were parted."""

    size: int
    a: Side
    b: Side
    digest: str
    split: str = ""

    def side(self, letter: str) -> Side:
        """Side `a` or `b`."""
        return self.a if letter == "a" else self.b


class PictureWriter:
    """Writes a folder of pictures one by one, so that memory stays small however many there are.

    Args:
        size: side of the pictures a translator will see.
        counts: pictures there can be at the most, by side.
    """

    def __init__(self, folder: Path, size: int, counts: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / META).unlink(missing_ok=True)
        self.folder, self.size = folder, check_size(size)
        self.resizers = {"train": preprocessing(load_size(size)), "test": preprocessing(size)}
        self._rows: list[dict[str, str]] = []
        self._counts = {(side, part): 0 for side in SIDES for part in PARTS}
        self._maps = {}
        for side, part in self._counts:
            length = self.resizers[part].size
            shape = (counts[side], 3, length, length)
            self._maps[side, part] = np.lib.format.open_memmap(self._partial(side, part), "w+", np.uint8, shape)

    def resized(self, pixels: np.ndarray, part: str) -> np.ndarray:
        """uint8 (h, w, 3) as a row of a part's array, uint8 (3, L, L); may run in several threads."""
        return self.resizers[part].resize_image(pixels).numpy()

    def add(self, side: str, part: str, picture: np.ndarray, row: Mapping[str, str]) -> None:
        """Append one picture that `resized` made, with what `row` says of it."""
        at = self._counts[side, part]
        self._maps[side, part][at] = picture
        self._counts[side, part] = at + 1
        self._rows.append({"side": side, "part": part, **row})

    def close(self, names: Mapping[str, str], labels: Mapping[str, Sequence[str]], split: str = "") -> dict[str, Any]:
        """Finish; returns what `meta.json` says.

        Args:
            split: how training and test were told apart, in words for the cards.

        Raises:
            DataError: a side has no picture to train on, or none to test on.
        """
        for (side, part), count in self._counts.items():
            if count == 0:
                raise DataError(f"side {side} ({names[side]}) has no {part} pictures; give more photos or products")
            mapped = self._maps[side, part]
            mapped.flush()
            with (self.folder / f"{side}_{part}.npy").open("wb") as file:  # the map has room for what never came
                np.save(file, mapped[:count])
            self._partial(side, part).unlink()
        rows = pd.DataFrame(self._rows)
        rows.to_parquet(self.folder / ROWS, index=False)
        digest = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
        meta = {
            "size": self.size,
            **{side: {"name": names[side], "labels": list(labels[side])} for side in SIDES},
            "counts": {f"{side}_{part}": count for (side, part), count in self._counts.items()},
            "digest": digest,
            "split": split,
        }
        (self.folder / META).write_text(json.dumps(meta, indent=1))
        return meta

    def _partial(self, side: str, part: str) -> Path:
        return self.folder / f"{side}_{part}.npy.partial"


def read_pictures(folders: Sequence[Path]) -> PicturePair:
    """Open one folder of pictures, or several as one; the names of the sides are those of the first.

    Raises:
        DataError: not such folders, or of different sizes.
    """
    metas = [_meta(folder) for folder in folders]
    if len({meta["size"] for meta in metas}) != 1:
        raise DataError(f"the folders have pictures of different sizes: {[meta['size'] for meta in metas]}")

    def side(letter: str) -> Side:
        parts = {part: Stack([_array(folder, letter, part) for folder in folders]) for part in PARTS}
        labels = dict.fromkeys(label for meta in metas for label in meta[letter]["labels"])
        return Side(metas[0][letter]["name"], tuple(labels), parts["train"], parts["test"])

    digest = hashlib.sha256("".join(meta["digest"] for meta in metas).encode()).hexdigest()
    split = "; ".join(dict.fromkeys(meta["split"] for meta in metas if meta.get("split")))
    return PicturePair(metas[0]["size"], side("a"), side("b"), digest, split)


def _array(folder: Path, side: str, part: str) -> np.ndarray:
    path = folder / f"{side}_{part}.npy"
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read; make the folder again: {error}") from None


def _meta(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / META).read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no finished pictures; make them with `atelier translate pictures`: {error}"
        ) from None
