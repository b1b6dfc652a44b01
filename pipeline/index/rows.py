"""Whose the vectors are: ids.parquet, held in columns; a column is read when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.index.manifest import Manifest
from pipeline.index.source import FILTERS

ATTRIBUTES = ("group", "type", "color", "brand", "pattern", "gender")
_RECORD = ("image_key", "product_id", "kind", "garment_index", *ATTRIBUTES, "attributes")


@dataclass(frozen=True)
class Labels:
    """The further attributes of all rows, one after the other: row int64 and number of its name int32, and the names.

    A name is `head=label`.
    """

    rows: np.ndarray
    codes: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Labels:
        """Of a column of lists of names."""
        lists = column.combine_chunks()
        lists = lists if isinstance(lists, pa.ListArray) else pa.concat_arrays(lists.chunks)
        encoded = lists.flatten().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        return cls(pc.list_parent_indices(lists).to_numpy(), codes, encoded.dictionary.to_pylist())

    @property
    def heads(self) -> list[str]:
        """Every head that has a label somewhere."""
        return sorted({name.partition("=")[0] for name in self.names})

    def of_head(self, head: str) -> list[str]:
        """Its labels."""
        return sorted(name.partition("=")[2] for name in self.names if name.partition("=")[0] == head)

    def mask(self, head: str, labels: Sequence[str], rows: int) -> np.ndarray:
        """Rows that have any of a head's labels: bool (rows,)."""
        wanted = [number for number, name in enumerate(self.names) if name in {f"{head}={label}" for label in labels}]
        mask = np.zeros(rows, bool)
        mask[self.rows[np.isin(self.codes, wanted)]] = True
        return mask


class Rows:
    """The rows of a gallery, in the order of its shards. A row that is not live is masked: never found."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Open ids.parquet; columns are read when they are first asked for.

        Raises:
            InputError: it does not hold the rows that the manifest's shards count.
        """
        encoded = [name for name in FILTERS if name in pq.read_schema(path).names]
        self._file = pq.ParquetFile(path, read_dictionary=encoded, memory_map=True)
        self._columns: dict[str, pa.ChunkedArray] = {}
        self.manifest = manifest
        self._numbers: dict[str, dict[str, int]] = {}
        self._codes: dict[str, np.ndarray] = {}
        self._labels: Labels | None = None
        self._products: np.ndarray | None = None
        self._sorted: tuple[np.ndarray, np.ndarray] | None = None
        self._lock = threading.RLock()
        expected = sum(entry.rows for entry in manifest.shards)
        self.live = self._column("live").to_numpy().astype(bool)
        if len(self.live) != expected or int(self.live.sum()) != manifest.vectors:
            raise InputError(
                f"{path} holds {len(self.live)} rows, {int(self.live.sum())} of them live; the manifest says "
                f"{expected} and {manifest.vectors}"
            )
        self.any_dead = not self.live.all()

    def _column(self, name: str) -> pa.ChunkedArray:
        with self._lock:
            if name not in self._columns:
                self._columns[name] = self._file.read(columns=[name]).unify_dictionaries().column(0)
            return self._columns[name]

    def __len__(self) -> int:
        return len(self.live)

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
            raise InputError(f"{column!r} is none of the columns {', '.join(FILTERS)}")
        with self._lock:
            if column not in self._numbers:
                chunks = self._column(column).chunks
                values = chunks[0].dictionary.to_pylist() if chunks else []
                self._numbers[column] = {value: number for number, value in enumerate(values)}
            return self._codes_of(column), self._numbers[column]

    def _codes_of(self, column: str) -> np.ndarray:
        with self._lock:
            if column not in self._codes:
                self._codes[column] = _codes(self._column(column))
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
            if column not in FILTERS:
                mask &= self._labels_with(column).mask(column, values, len(self))
                continue
            codes, numbers = self.codes(column)
            wanted = [numbers[value] for value in values if value in numbers]
            mask &= codes == wanted[0] if len(wanted) == 1 else np.isin(codes, wanted)
        return mask

    def known_values(self, column: str) -> list[str]:
        """Every value of a column or head that `where` may name.

        Raises:
            InputError: there is no such column.
        """
        return list(self.codes(column)[1]) if column in FILTERS else self._labels_with(column).of_head(column)

    def _labels_with(self, head: str) -> Labels:
        """The further attributes, if `head` is among them."""
        with self._lock:
            if self._labels is None:
                self._labels = Labels.of(self._column("attributes"))
        if head not in self._labels.heads:
            known = ", ".join((*FILTERS, *self._labels.heads))
            raise InputError(f"the index can't be filtered by {head!r}; there are {known}")
        return self._labels

    def product_codes(self) -> np.ndarray:
        """A number for each product, int64; a photo without product is its own."""
        with self._lock:
            if self._products is None:
                codes = self._codes_of("product_id")
                self._products = codes.astype(np.int64)
                alone = np.flatnonzero(codes < 0)
                keys = self._column("image_key").take(pa.array(alone)).dictionary_encode()
                self._products[alone] = codes.max(initial=-1) + 1 + _codes(keys)
            return self._products

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Live rows of vector ids, int64; -1 for ids that can't be found."""
        with self._lock:
            if self._sorted is None:
                all_ids = self._column("id").to_numpy()
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
        return self._column("id").to_numpy()[rows]

    def image_keys(self) -> list[str | None]:
        """The key of every row's photo, None where the row is masked; large galleries: ask for records instead."""
        return self._column("image_key").to_pylist()

    def find(self, column: str, value: str) -> np.ndarray:
        """Live rows whose `image_key` or `product_id` is `value`."""
        same = pc.fill_null(pc.equal(self._column(column).cast(pa.string()), value), False)
        return np.flatnonzero(same.to_numpy() & self.live)

    def records(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Key, product, kind, garment and attributes of rows, in their order; several labels of a head are `A|B`."""
        table = pa.table({name: self._column(name) for name in _RECORD})
        records = table.take(pa.array(rows, pa.int64())).to_pylist()
        for record in records:
            for name in filter(
                None, record.pop("attributes") or ()
            ):  # null: of a head that abstained, in older versions
                head, _, label = name.partition("=")
                record[head] = f"{record[head]}|{label}" if record.get(head) else label
        return records


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Number of each value in the dictionary of a dictionary-encoded column: int32, -1 for null."""
    parts = [part.indices.fill_null(-1).to_numpy().astype(np.int32) for part in column.unify_dictionaries().chunks]
    return np.concatenate([np.empty(0, np.int32), *parts])
