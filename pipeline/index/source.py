"""What goes into an index: the current vectors of a table snapshot, with the attributes they are filtered by.

A gallery row is current when its photo version is the catalog's and its batch is in `images` for the snapshot's
release. Rows come sorted by shard, then photo, so that a build is the same every time; vectors come in the table's
order, in blocks, and are put in place by their id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.errors import InputError

WHOLE = "whole"
"""Group of vectors whose photo shows no garment."""

ROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("image_key", pa.string()),
        pa.field("etag", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("garment_index", pa.int16()),
        pa.field("product_id", pa.string()),
        pa.field("group", pa.string()),
        pa.field("type", pa.string()),
        pa.field("color", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("pattern", pa.string()),
        pa.field("gender", pa.string()),
        pa.field("attributes", pa.list_(pa.string())),
    ]
)
"""A gallery row: `id` is `vector_id` of its photo version, kind and garment; `attributes` are `head=label`."""

FILTERS = ("kind", "group", "type", "color", "brand", "pattern", "gender", "product_id")
"""Columns that `where` may name, besides the heads in `attributes`."""

TABLES_READ = ("catalog", "images", "garments", "embeddings", "variants")
"""Tables whose content a version depends on. `variants` are read when one searches, from the version's snapshot."""

_ID_MASK = 2**63 - 1
_ID_SQL = (
    "(md5_number_lower(concat_ws(chr(0), e.image_key, e.etag, e.kind, e.garment_index::varchar)) "
    f"& {_ID_MASK}::ubigint)::bigint"
)
_FEW_BATCHES = 2_000
"""Up to so many batches are named in the scan, so that files of other batches are not read."""


@dataclass(frozen=True)
class Origin:
    """Where the vectors come from; `table_versions` names what was read and nothing else."""

    snapshot: int
    release_id: str
    feature_id: str
    dim: int
    table_versions: dict[str, int | None]
    kinds: tuple[str, ...]


class Source(Protocol):
    """Vectors and their rows; `TableSource` reads tables, a benchmark may hand over a matrix."""

    origin: Origin

    def counts(self) -> dict[str, int]:
        """Vectors by group."""
        ...

    def products(self) -> int:
        """Products the vectors show; a photo without product is one of its own."""
        ...

    def rows(self, parts: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
        """All rows (`ROW_SCHEMA`), by group, by id % parts[group], by image_key, kind and garment_index."""
        ...

    def vectors(self, ids: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (ids int64 (n,), vectors float16 (n, dim)) in any order; `ids` (int64) asks for these only."""
        ...


def versions_read(versions: Mapping[str, int | None]) -> dict[str, int | None]:
    """Of a snapshot's table versions those of the tables that an index depends on."""
    return {table: versions.get(table) for table in TABLES_READ}


def vector_id(image_key: str, etag: str, kind: str, garment_index: int) -> int:
    """Stable id of a vector: 63 bits of the MD5 of its name, as `_ID_SQL` computes it."""
    name = "\0".join((image_key, etag, kind, str(garment_index)))
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") & _ID_MASK


class TableSource:
    """The current vectors of a snapshot, read through a DuckDB connection that is pinned to it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        snapshot: int,
        release_id: str,
        table_versions: dict[str, int | None],
        kinds: tuple[str, ...],
        block: int = 8_192,
    ) -> None:
        """Find the current rows (held by DuckDB, on disk where they are many); no vector is read yet.

        Raises:
            InputError: the snapshot holds vectors of several backbones for its release.
        """
        self._con = con
        self._block = block
        self._kinds = kinds
        self._release_id = release_id
        con.execute(_CURRENT_SQL, [release_id, list(kinds)])
        feature_id, dim = self._one_backbone()
        self.origin = Origin(snapshot, release_id, feature_id, dim, versions_read(table_versions), kinds)

    def _one_backbone(self) -> tuple[str, int]:
        found = self._con.execute("select distinct feature_id, dim from index_current limit 3").fetchall()
        if len(found) > 1:
            raise InputError(f"release {self._release_id} has vectors of several backbones in one snapshot: {found}")
        return found[0] if found else ("", 0)

    def counts(self) -> dict[str, int]:
        """Vectors by group."""
        return dict(self._con.execute('select "group", count(*) from index_current group by 1').fetchall())

    def products(self) -> int:
        """Products the vectors show."""
        counted = "count(distinct product_id) + count(distinct image_key) filter (product_id is null)"
        return int(self._con.execute(f"select {counted} from index_current").fetchall()[0][0])

    def rows(self, parts: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
        """All rows, sorted."""
        columns = ", ".join(f'c."{name}"' for name in ROW_SCHEMA.names)
        self._con.register("index_parts", pa.table({"group": list(parts), "parts": list(parts.values())}, _PARTS))
        query = self._con.sql(
            f'select {columns} from index_current c join index_parts p using ("group") '
            'order by c."group", c.id % p.parts, c.image_key, c.kind, c.garment_index'
        )
        for batch in query.to_arrow_reader(65_536):
            yield as_rows({name: batch.column(name) for name in ROW_SCHEMA.names})

    def vectors(self, ids: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (ids, vectors) in the table's order.

        Raises:
            InputError: a vector has another length than its row says, or holds NaN or infinity.
        """
        wanted = "index_current"
        if ids is not None:
            self._con.register("index_wanted_ids", pa.table({"id": ids}))
            self._con.execute(
                "create or replace temp table index_wanted as "
                "select id, batch_id from index_current semi join index_wanted_ids using (id)"
            )
            self._con.unregister("index_wanted_ids")
            wanted = "index_wanted"
        query = self._con.sql(
            f"with v as (select {_ID_SQL} as id, e.batch_id, e.vector from stored.embeddings e "
            f"where e.release_id = $release and list_contains($kinds, e.kind){self._only_batches(wanted, ids)}) "
            f"select id, vector from v semi join {wanted} using (id, batch_id)",
            params={"release": self._release_id, "kinds": list(self._kinds)},
        )
        for batch in query.to_arrow_reader(self._block):
            yield batch.column("id").to_numpy(), unpack_vectors(batch.column("vector"), self.origin.dim)

    def _only_batches(self, wanted: str, ids: np.ndarray | None) -> str:
        """A condition that lets the scan skip files without wanted vectors; empty where it would not help."""
        if ids is None:
            return ""
        batches = [row[0] for row in self._con.execute(f"select distinct batch_id from {wanted}").fetchall()]
        if not batches or len(batches) > _FEW_BATCHES:
            return ""
        quoted = ", ".join("'" + batch.replace("'", "''") + "'" for batch in batches)
        return f" and e.batch_id in ({quoted})"


_PARTS = pa.schema([("group", pa.string()), ("parts", pa.int64())])

_CURRENT_SQL = f"""
create or replace temp table index_current as
select
    {_ID_SQL} as id, e.image_key, e.etag, e.kind, e.garment_index, e.batch_id, e.feature_id, e.dim,
    coalesce(c.product_id, i.product_id) as product_id,
    coalesce(case when e.kind = 'garment' then g."group" else i.main_group end, '{WHOLE}') as "group",
    case when e.kind = 'garment' then g."type" else i."type" end as "type",
    case when e.kind = 'garment' then g.color else i.color end as color,
    case when e.kind = 'garment' then g.brand else i.brand end as brand,
    case when e.kind = 'garment' then g.pattern else i.pattern end as pattern,
    case when e.kind = 'garment' then g.gender else i.gender end as gender,
    list_transform(
        list_filter(  -- a head that abstains has a score and no label
            case when e.kind = 'garment' then g.attributes else i.attributes end, lambda x: x.label is not null
        ),
        lambda x: x.head || '=' || x.label
    ) as attributes
from stored.embeddings e
join "catalog" c on c.image_key = e.image_key and c.etag = e.etag
join images i
    on i.image_key = e.image_key and i.etag = e.etag and i.release_id = e.release_id and i.batch_id = e.batch_id
left join stored.garments g
    on e.kind = 'garment' and g.image_key = e.image_key and g.etag = e.etag and g.release_id = e.release_id
    and g.batch_id = e.batch_id and g.garment_index = e.garment_index
where e.release_id = ? and list_contains(?, e.kind)
"""


def as_rows(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """A batch of gallery rows from columns that can be cast to `ROW_SCHEMA`."""
    arrays = [columns[field.name].cast(field.type) for field in ROW_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA)


def unpack_vectors(column: pa.Array, dim: int) -> np.ndarray:
    """float16 (n, dim) over the bytes of a binary column, without a copy.

    Raises:
        InputError: a value does not hold `dim` numbers.
    """
    n = len(column)
    if n == 0:
        return np.empty((0, dim), np.float16)
    column = column.cast(pa.binary())
    offsets = np.frombuffer(column.buffers()[1], np.int32, n + 1, column.offset * 4)
    if column.null_count or not (np.diff(offsets) == 2 * dim).all():
        raise InputError(f"table embeddings: a vector does not hold {dim} float16 numbers, as its column dim says")
    return np.frombuffer(column.buffers()[2], "<f2", n * dim, int(offsets[0])).reshape(n, dim)
