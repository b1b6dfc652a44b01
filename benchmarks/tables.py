"""What does it cost to commit a batch as the tables grow?

    python benchmarks/tables.py [--rows 0 500000 2000000] [--batch 2048] [--repeat 5] [--folder F]

Fills `images` with batches up to each size (through the same commit), then times, at that size: committing one more
batch (checks, overlap search and all), running it again, a batch whose keys are spread over the whole table (a nightly
increment), loading the table, opening SQL, and replacing the same batch in `embeddings` (1,280 numbers a vector). Times
are medians; look at the ratios: the machine is shared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.settings import load_settings
from pipeline.tables import Warehouse, connect, open_warehouse
from pipeline.tables.schema import TABLES

RELEASE = "0123456789ab"
DIM = 1280


def rows_for(table: str, keys: list[str], batch_id: str) -> pa.Table:
    """Rows that look like real ones to the writer: random numbers, a few hundred different labels."""
    rng = np.random.default_rng(len(keys))
    n = len(keys)
    fixed = {"image_key": keys, "batch_id": [batch_id] * n, "release_id": [RELEASE] * n, "run_id": ["run"] * n}

    def column(name: str, kind: pa.DataType) -> pa.Array:
        if name in fixed:
            return pa.array(fixed[name], kind)
        if name in {"etag", "sha256", "phash"}:
            return pa.array([rng.bytes(8).hex() for _ in range(n)], kind)
        if pa.types.is_string(kind):
            return pa.array([f"{name} {i}" for i in rng.integers(0, 200, n)], kind)
        if pa.types.is_floating(kind):
            return pa.array(rng.random(n), kind)
        if pa.types.is_timestamp(kind):
            return pa.array([datetime.now(UTC)] * n, kind)
        if pa.types.is_binary(kind):
            return pa.array([rng.bytes(2 * DIM) for _ in range(n)], kind)
        if pa.types.is_list(kind):
            return pa.array([[]] * n, kind)
        value = DIM if name == "dim" else 1
        return pa.array([True if pa.types.is_boolean(kind) else value] * n, kind)

    schema = TABLES[table].arrow_schema
    return pa.table([column(f.name, f.type) for f in schema], schema=schema)


def key(number: int) -> str:
    """Sorts as the number does."""
    return f"photos/{number:09d}_1.jpg"


def grow(warehouse: Warehouse, have: int, want: int, batch: int) -> None:
    """Fill `images` from `have` to `want` rows, a batch a commit."""
    template = rows_for("images", [key(i) for i in range(batch)], "x")
    at = {name: template.schema.get_field_index(name) for name in ("image_key", "batch_id")}
    for start in range(have, want, batch):
        batch_id = f"{start:016x}"
        rows = template.set_column(
            at["image_key"], template.schema.field(at["image_key"]), pa.array([key(start + i) for i in range(batch)])
        )
        rows = rows.set_column(at["batch_id"], rows.schema.field(at["batch_id"]), pa.array([batch_id] * batch))
        warehouse.commit_images(batch_id, RELEASE, rows)


def median_ms(action: Callable[[int], object], repeat: int) -> float:
    """Median wall time of `action(0)`, `action(1)`, ..."""
    times = []
    for number in range(repeat):
        started = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def measure(warehouse: Warehouse, size: int, batch: int, repeat: int) -> dict[str, float]:
    """Milliseconds of each step at the present size."""
    ahead = 10**8 + size

    def new(number: int) -> list[str]:
        return [key(ahead + number * batch + i) for i in range(batch)]

    def spread(number: int) -> list[str]:
        step = max(size // batch, 1)
        return [f"{key(i * step)}-{size}-{number}" for i in range(batch)]

    prepared = [rows_for("images", new(n), f"new-{size}-{n}") for n in range(repeat)]
    scattered = [rows_for("images", spread(n), f"spread-{size}-{n}") for n in range(repeat)]
    vectors = rows_for("embeddings", new(0), "vectors")

    def open_sql(_: int) -> None:
        with connect(warehouse) as con:
            con.execute("select count(*) from images").fetchall()

    commit = warehouse.commit_images
    return {
        "new batch": median_ms(lambda n: commit(f"new-{size}-{n}", RELEASE, prepared[n]), repeat),
        "same batch again": median_ms(lambda n: commit(f"new-{size}-{n}", RELEASE, prepared[n]), repeat),
        "spread batch": median_ms(lambda n: commit(f"spread-{size}-{n}", RELEASE, scattered[n]), repeat),
        "load": median_ms(lambda _: warehouse.version("images"), repeat),
        "open SQL, count": median_ms(open_sql, repeat),
        "vectors": median_ms(lambda n: warehouse.replace_batch("embeddings", "vectors", vectors), repeat),
    }


def main() -> None:
    """Print a table of milliseconds and of ratios to the smallest size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 500_000, 2_000_000])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", help="where to put the warehouse; default: a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        uris = {"warehouse": {"uri": str(Path(folder) / "warehouse")}, "sql": {"spill": str(Path(folder) / "spill")}}
        warehouse = open_warehouse(load_settings(**uris))
        have, first = 0, {}
        for size in sorted(args.rows):
            grow(warehouse, have, size, args.batch)
            have = size
            found = measure(warehouse, size, args.batch, args.repeat)
            first = first or found
            sys.stdout.write(f"\n{size:,} rows, batches of {args.batch:,}\n")
            for step, ms in found.items():
                sys.stdout.write(f"  {step:18} {ms:9.1f} ms   x {ms / first[step]:.2f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
