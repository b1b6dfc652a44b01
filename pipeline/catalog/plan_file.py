"""A plan at rest: one Parquet file, one row group a batch, so that a part of a run reads its own batches only."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.batches import Batch, PlannedImage, batch_id
from pipeline.settings import Settings
from pipeline.storage import ObjectStore
from pipeline.tables.database import scratch

SCHEMA = pa.schema(
    [
        pa.field("image_key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("product_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("batch_id", pa.string(), nullable=False),
        pa.field("batch_number", pa.int32(), nullable=False),
    ]
)
LISTED = ("image_key", "etag", "bytes", "product_id", "reason")


def write_plan_file(
    con: duckdb.DuckDBPyConnection, store: ObjectStore, key: str, release_id: str, settings: Settings
) -> None:
    """Store the table `pending` of `con` under `key`, sorted by image_key and cut into batches."""
    batch_images = settings.enrich.batch_images
    ordered = con.sql(f"SELECT {', '.join(LISTED)} FROM pending ORDER BY image_key").to_arrow_reader(50_000)
    with scratch(settings.sql) as folder:
        path = folder / "plan.parquet"
        with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_statistics=False) as writer:
            for number, rows in enumerate(_in_groups(ordered, batch_images)):
                writer.write_table(_as_batch(rows, number, release_id), row_group_size=batch_images)
        store.put_file(key, path)


def read_plan_file(store: ObjectStore, key: str, begin: int, end: int) -> Iterator[Batch]:
    """Yield batches number `begin` to `end` (not included) of the plan under `key`; no other row group is read."""
    if begin == end:
        return
    with store.open(key) as file, pq.ParquetFile(file) as parquet:
        for number in range(begin, end):
            rows = parquet.read_row_group(number).to_pydict()
            columns = (rows[name] for name in ("image_key", "etag", "bytes", "product_id"))
            images = tuple(PlannedImage(*row) for row in zip(*columns, strict=True))
            yield Batch(rows["batch_id"][0], number, images)


def _in_groups(batches: pa.RecordBatchReader, size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size` rows; the last may have fewer."""
    held = batches.schema.empty_table()
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= size:
            yield held.slice(0, size)
            held = held.slice(size)
    if held.num_rows:
        yield held


def _as_batch(rows: pa.Table, number: int, release_id: str) -> pa.Table:
    """The rows with the name and number of the batch they make."""
    pairs = zip(rows.column("image_key").to_pylist(), rows.column("etag").to_pylist(), strict=True)
    name = batch_id(release_id, pairs)
    named = rows.append_column("batch_id", pa.array([name] * rows.num_rows, pa.string()))
    return named.append_column("batch_number", pa.array([number] * rows.num_rows, pa.int32())).cast(SCHEMA)
