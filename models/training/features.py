"""Cached features: the backbone runs once over the training photos, heads then train in seconds.

A folder: `features.npy` float16 (N, D), memory-mapped; `rows.parquet`, one row each (file, product_id, box, labels);
`meta.json`: source, heads, digest of the backbone's card, counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.errors import DataError

FEATURES, ROWS, META = "features.npy", "rows.parquet", "meta.json"


@dataclass(frozen=True)
class FeatureSet:
    """Features of labelled pictures.

    Args:
        features: float16 or float32 (N, D).
        rows: N rows: `file`, `product_id`, `source`, box, and a text column a head (None: no label).
        heads: the label columns.
        backbone: functional digest of the card of the backbone that made the features.
    """

    features: np.ndarray
    rows: pd.DataFrame
    heads: tuple[str, ...]
    backbone: str

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, keep: np.ndarray) -> FeatureSet:
        """The rows where the boolean (N,) `keep` is true."""
        return FeatureSet(self.features[keep], self.rows[keep].reset_index(drop=True), self.heads, self.backbone)


class FeatureWriter:
    """Writes a folder of features batch by batch; the folder can be read once `close` has written `meta.json`."""

    def __init__(self, folder: Path, dim: int, capacity: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / META).unlink(missing_ok=True)
        self.folder = folder
        self.dim = dim
        self.count = 0
        self._rows: list[pd.DataFrame] = []
        self._partial = folder / (FEATURES + ".partial")
        self._map = np.lib.format.open_memmap(self._partial, mode="w+", dtype=np.float16, shape=(capacity, dim))

    def add(self, features: np.ndarray, rows: pd.DataFrame) -> None:
        """Append features (n, D) and their n rows."""
        self._map[self.count : self.count + len(rows)] = features
        self.count += len(rows)
        self._rows.append(rows)

    def close(self, meta: dict[str, Any]) -> int:
        """Finish; returns the number of rows."""
        self._map.flush()
        if self.count < len(self._map):  # photos that could not be read left rows free at the end
            np.save(self.folder / FEATURES, self._map[: self.count])
            self._partial.unlink()
        else:
            self._partial.replace(self.folder / FEATURES)
        rows = pd.concat(self._rows, ignore_index=True)
        rows.insert(0, "source", meta["source"])
        rows.to_parquet(self.folder / ROWS, index=False)
        (self.folder / META).write_text(json.dumps({**meta, "rows": self.count, "dim": self.dim}, indent=1))
        return self.count


def read_features(folder: Path) -> FeatureSet:
    """Open one folder of features.

    Raises:
        DataError: not such a folder, or one that was not finished.
    """
    try:
        meta = json.loads((folder / META).read_text())
        features = np.load(folder / FEATURES, mmap_mode="r")
        rows = pd.read_parquet(folder / ROWS)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no finished features; make them with `atelier features`: {error}") from None
    if len(features) != len(rows):
        raise DataError(f"{folder} has {len(features)} features, but {len(rows)} rows; make it again")
    return FeatureSet(features, rows, tuple(meta["heads"]), meta["backbone"])


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
    features = sets[0].features if len(sets) == 1 else np.concatenate([one.features for one in sets])
    return FeatureSet(features, rows, heads, sets[0].backbone)
