"""Whose the vectors are: ids.parquet, held in columns."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.index.manifest import Manifest
from pipeline.index.source import FILTERS

ATTRIBUTES = ("group", "type", "color", "brand", "pattern", "gender")
_RECORD = ("image_key", "product_id", "kind", "garment_index", *ATTRIBUTES)


class Rows:
    """The rows of a gallery, in the order of its shards. A row that is not live is masked: never found."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Read ids.parquet; columns that are filtered by are held as small integers.

        Raises:
            InputError: it does not hold the rows that the manifest's shards count.
        """
        names = pq.read_schema(path).names
        self._table = pq.read_table(
            path, read_dictionary=[name for name in FILTERS if name in names]
        ).unify_dictionaries()
        self.manifest = manifest
        self._codes: dict[str, tuple[np.ndarray, dict[str, int]]] = {}
        self._products: np.ndarray | None = None
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None
        self._lock = threading.RLock()
        expected = sum(entry.rows for entry in manifest.shards)
        self.live = self._table.column("live").to_numpy().astype(bool)
        if len(self._table) != expected or int(self.live.sum()) != manifest.vectors:
            raise InputError(
                f"{path} holds {len(self._table)} rows, {int(self.live.sum())} of them live; the manifest says "
                f"{expected} and {manifest.vectors}"
            )
        self.any_dead = not self.live.all()

    def __len__(self) -> int:
        return len(self._table)

    def shard_codes(self) -> np.ndarray:
        """Number of the shard (in the manifest's order) of each row, int32."""
        entries = self.manifest.shards
        return np.repeat(np.arange(len(entries), dtype=np.int32), [entry.rows for entry in entries])

    def codes(self, column: str) -> tuple[np.ndarray, dict[str, int]]:
        """Number of each row's value of a column (int32, -1 for none), and the number of each value.

        Raises:
            InputError: there is no such column to filter by.
        """
        if column not in FILTERS:
            raise InputError(f"the index can't be filtered by {column!r}; there are {', '.join(FILTERS)}")
        with self._lock:
            if column not in self._codes:
                self._codes[column] = _encode(self._table.column(column))
            return self._codes[column]

    def values(self, column: str, rows: np.ndarray) -> list[str | None]:
        """Values of a column for some rows."""
        codes, numbers = self.codes(column)
        names = list(numbers)
        return [names[code] if code >= 0 else None for code in codes[rows].tolist()]

    def mask(self, where: tuple[tuple[str, tuple[str, ...]], ...]) -> np.ndarray:
        """Rows that are live and fit every (column, values): bool, not to be written to."""
        mask = self.live.copy()
        for column, values in where:
            codes, numbers = self.codes(column)
            wanted = [numbers[value] for value in values if value in numbers]
            mask &= codes == wanted[0] if len(wanted) == 1 else np.isin(codes, wanted)
        return mask

    def product_codes(self) -> np.ndarray:
        """A number for each product, int64; a photo without product is its own."""
        with self._lock:
            if self._products is None:
                codes, numbers = self.codes("product_id")
                self._products = codes.astype(np.int64)
                alone = np.flatnonzero(codes < 0)
                keys = self._table.column("image_key").take(pa.array(alone))
                self._products[alone] = len(numbers) + _encode(keys.dictionary_encode())[0]
            return self._products

    def count_products(self) -> int:
        """Products that can be found."""
        codes = self.product_codes()
        return int(np.count_nonzero(np.bincount(codes[self.live]))) if len(codes) else 0

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Live rows of vector ids, int64; -1 for ids that can't be found."""
        with self._lock:
            if self._sorted is None:
                all_ids = self._table.column("id").to_numpy()
                order = np.argsort(all_ids, kind="stable")
                order = order[self.live[order]]
                self._sorted = all_ids[order], order
        known, order = self._sorted
        if not len(known):
            return np.full(len(ids), -1, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, order[at], -1)

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """Vector ids of rows, int64."""
        return self._table.column("id").to_numpy()[rows]

    def image_keys(self) -> list[str | None]:
        """The key of every row's photo, None where the row is masked; large galleries: ask for records instead."""
        return self._table.column("image_key").to_pylist()

    def find(self, column: str, value: str) -> np.ndarray:
        """Live rows whose `image_key` or `product_id` is `value`."""
        import pyarrow.compute as pc

        same = pc.fill_null(pc.equal(self._table.column(column).cast(pa.string()), value), False)
        return np.flatnonzero(same.to_numpy() & self.live)

    def records(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Key, product, kind, garment and attributes of rows, in their order."""
        return self._table.select(list(_RECORD)).take(pa.array(rows, pa.int64())).to_pylist()


def _encode(column: pa.ChunkedArray) -> tuple[np.ndarray, dict[str, int]]:
    """Codes int32 (-1 for null) and the code of each value, of a dictionary-encoded column."""
    if not len(column):
        return np.empty(0, np.int32), {}
    parts = column.unify_dictionaries().chunks
    codes = [part.indices.fill_null(-1).to_numpy().astype(np.int32) for part in parts]
    return np.concatenate(codes), {value: code for code, value in enumerate(parts[0].dictionary.to_pylist())}
