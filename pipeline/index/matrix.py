"""A gallery that is already in memory, as a source of an index: for studies, benchmarks and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.index.source import ROW_SCHEMA, WHOLE, Origin, as_rows, vector_id


class MatrixSource:
    """Vectors float16 (n, dim), L2-normalized, with a row each; see `Source`."""

    def __init__(
        self,
        vectors: np.ndarray,
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        *,
        keys: Sequence[str] | None = None,
        snapshot: int = 1,
        feature_id: str = "matrix",
        block: int = 8_192,
    ) -> None:
        """Take over `vectors`; `attributes` are columns of `ROW_SCHEMA` or heads of its `attributes`.

        Args:
            vectors: (n, dim).
            attributes: column -> n values.
            keys: image_key of each vector; numbers where there are none.
            snapshot: number the version is named by; another matrix needs another number.
            feature_id: what made the vectors.
            block: vectors handed over at once.
        """
        n, dim = vectors.shape
        self._vectors = vectors.astype(np.float16, copy=False)
        self._block = block
        keys = list(keys) if keys is not None else [f"{number:09d}" for number in range(n)]
        columns: dict[str, Sequence[object]] = {
            "image_key": keys,
            "etag": ["0"] * n,
            "kind": ["image"] * n,
            "garment_index": [-1] * n,
            "group": [WHOLE] * n,
            **(attributes or {}),
        }
        heads = [name for name in columns if name not in ROW_SCHEMA.names]
        if heads:
            pairs = zip(*(columns.pop(name) for name in heads), strict=True)
            columns["attributes"] = [
                [f"{head}={label}" for head, label in zip(heads, labels, strict=True) if label is not None]
                for labels in pairs
            ]
        self._ids = np.array([vector_id(key, "0", "image", -1) for key in keys], np.int64).reshape(-1)
        arrays = {
            name: pa.array(columns.get(name, [None] * n), ROW_SCHEMA.field(name).type) for name in ROW_SCHEMA.names[1:]
        }
        self._table = pa.Table.from_batches([as_rows({"id": pa.array(self._ids), **arrays})])
        self.origin = Origin(snapshot, "matrix", feature_id, dim, {"matrix": snapshot}, ("image",))

    def counts(self) -> dict[str, int]:
        """Vectors by group."""
        counted = self._table.group_by("group").aggregate([([], "count_all")])
        return dict(zip(counted["group"].to_pylist(), counted["count_all"].to_pylist(), strict=True))

    def products(self) -> int:
        """Products the vectors show."""
        alone = pc.is_null(self._table["product_id"])
        return (
            pc.count_distinct(self._table["product_id"]).as_py()
            + pc.count_distinct(self._table["image_key"].filter(alone)).as_py()
        )

    def rows(self, parts: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
        """All rows, sorted."""
        groups = self._table["group"].to_pylist()
        part = self._ids % np.array([parts[group] for group in groups], np.int64).reshape(-1)
        table = self._table.append_column("part", pa.array(part))
        by = [("group", "ascending"), ("part", "ascending"), ("image_key", "ascending")]
        yield from table.sort_by(by).drop_columns("part").to_batches(max_chunksize=65_536)

    def vectors(self, ids: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (ids, vectors)."""
        chosen = np.arange(len(self._ids)) if ids is None else np.flatnonzero(np.isin(self._ids, ids))
        for first in range(0, len(chosen), self._block):
            at = chosen[first : first + self._block]
            yield self._ids[at], self._vectors[at]
