"""Cached features: the backbone runs once over the training photos, heads then train in seconds.

A folder: `features.npy` float16 (N, D), memory-mapped; `input_<name>.npy` float16 (N, length), further inputs of heads;
`pictures.npy` uint8 (N, 3, S, S), where fine-tuning is meant to follow; `rows.parquet`, one row each (file, product_id,
box, labels); `meta.json`: source, heads, inputs, digest of the backbone's card, counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.errors import DataError

FEATURES, ROWS, META = "features.npy", "rows.parquet", "meta.json"
PICTURES = "pictures"


@dataclass(frozen=True)
class FeatureSet:
    """Features of labelled pictures.

    Args:
        features: float16 or float32 (N, D).
        rows: N rows: `file`, `product_id`, `source`, box, and a text column a head (None: no label).
        heads: the label columns.
        backbone: functional digest of the card of the backbone that made the features.
        extra: further inputs by name, float (N, length), such as a measured color histogram.
    """

    features: np.ndarray
    rows: pd.DataFrame
    heads: tuple[str, ...]
    backbone: str
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, keep: np.ndarray) -> FeatureSet:
        """The rows where the boolean (N,) `keep` is true."""
        extra = {name: values[keep] for name, values in self.extra.items()}
        rows = self.rows[keep].reset_index(drop=True)
        return FeatureSet(self.features[keep], rows, self.heads, self.backbone, extra)


class FeatureWriter:
    """Writes a folder of features batch by batch; the folder can be read once `close` has written `meta.json`.

    Args:
        arrays: names and lengths of the arrays a row has: `features`, and further inputs.
        capacity: rows there can be at the most.
        picture: side of the pictures to keep as well, uint8 (3, side, side), for fine-tuning; 0 keeps none.
    """

    def __init__(self, folder: Path, arrays: Mapping[str, int], capacity: int, picture: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # the pictures of an earlier run would be taken for those of this one
        for stale in (folder / META, _file(folder, PICTURES), *folder.glob("input_*.npy")):
            stale.unlink(missing_ok=True)
        self.folder = folder
        self.count = 0
        self._rows: list[pd.DataFrame] = []
        self._maps = {
            name: np.lib.format.open_memmap(_partial(folder, name), "w+", np.float16, (capacity, length))
            for name, length in arrays.items()
        }
        if picture:
            shape = (capacity, 3, picture, picture)
            self._maps[PICTURES] = np.lib.format.open_memmap(_partial(folder, PICTURES), "w+", np.uint8, shape)

    def add(self, arrays: Mapping[str, np.ndarray], rows: pd.DataFrame) -> None:
        """Append n rows and their arrays (n, length), pictures included where they are kept."""
        for name, mapped in self._maps.items():
            mapped[self.count : self.count + len(rows)] = arrays[name]
        self.count += len(rows)
        self._rows.append(rows)

    def close(self, meta: dict[str, Any]) -> int:
        """Finish; returns the number of rows."""
        for name, mapped in self._maps.items():
            mapped.flush()
            if self.count < len(mapped):  # photos that could not be read left rows free at the end
                np.save(_file(self.folder, name), mapped[: self.count])
                _partial(self.folder, name).unlink()
            else:
                _partial(self.folder, name).replace(_file(self.folder, name))
        rows = pd.concat(self._rows, ignore_index=True)
        rows.insert(0, "source", meta["source"])
        rows.to_parquet(self.folder / ROWS, index=False)
        inputs = [name for name in self._maps if name not in {"features", PICTURES}]
        (self.folder / META).write_text(json.dumps({**meta, "inputs": inputs, "rows": self.count}, indent=1))
        return self.count


def _file(folder: Path, name: str) -> Path:
    return folder / (f"{name}.npy" if name in {"features", PICTURES} else f"input_{name}.npy")


def _partial(folder: Path, name: str) -> Path:
    return folder / (_file(folder, name).name + ".partial")


def read_features(folder: Path) -> FeatureSet:
    """Open one folder of features.

    Raises:
        DataError: not such a folder, or one that was not finished.
    """
    try:
        meta = json.loads((folder / META).read_text())
        features = np.load(folder / FEATURES, mmap_mode="r")
        rows = pd.read_parquet(folder / ROWS)
        extra = {name: np.load(_file(folder, name), mmap_mode="r") for name in meta.get("inputs", ())}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no finished features; make them with `atelier features`: {error}") from None
    if len(features) != len(rows):
        raise DataError(f"{folder} has {len(features)} features, but {len(rows)} rows; make it again")
    return FeatureSet(features, rows, tuple(meta["heads"]), meta["backbone"], extra)


class Pictures:
    """The pictures of one or several folders as one array, left on disk: a batch is read when it is asked for.

    Args:
        parts: uint8 (n, 3, S, S) each, may be memory-mapped.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.side = int(self._parts[0].shape[2])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of some rows, uint8 (n, 3, S, S), in the order of `rows`."""
        made = np.empty((len(rows), *self._parts[0].shape[1:]), np.uint8)
        for part, begin, end in zip(self._parts, [0, *self._ends[:-1]], self._ends, strict=True):
            inside = (rows >= begin) & (rows < end)
            made[inside] = part[rows[inside] - begin]
        return made


def read_pictures(folders: Sequence[Path]) -> Pictures:
    """The pictures of folders of features, in the order of `join_features`.

    Raises:
        DataError: a folder did not keep them, or two have different sizes.
    """
    parts = []
    for folder in folders:
        path = _file(folder, PICTURES)
        if not path.is_file():
            raise DataError(f"{folder} keeps no pictures; make it again with `atelier features --pictures`")
        parts.append(np.load(path, mmap_mode="r"))
    if len(sides := sorted({part.shape[2] for part in parts})) > 1:
        raise DataError(f"the pictures of the folders have different sizes: {sides}; make them with one release")
    return Pictures(parts)


def join_features(sets: Sequence[FeatureSet]) -> FeatureSet:
    """Several sets as one; heads that a set does not have are without labels there.

    Raises:
        DataError: they come from different backbones.
    """
    if len({one.backbone for one in sets}) != 1:
        raise DataError("the features come from different backbones; make them again with one release")
    heads = tuple(dict.fromkeys(head for one in sets for head in one.heads))
    rows = pd.concat([one.rows for one in sets], ignore_index=True)
    for head in heads:
        rows[head] = rows[head].astype(object).where(rows[head].notna(), None)
    # products of different sources are different products, whatever their names
    rows["product_id"] = rows["source"].astype(str) + "/" + rows["product_id"].astype(str)
    shared = [name for name in sets[0].extra if all(name in one.extra for one in sets)]
    extra = {name: _joined([one.extra[name] for one in sets]) for name in shared}
    return FeatureSet(_joined([one.features for one in sets]), rows, heads, sets[0].backbone, extra)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
