"""How planning grows with the catalog: keys a second and memory, with nothing done and with everything done.

    python benchmarks/plan.py --keys 100000 1000000

Every size runs in a process of its own: a synthetic listing (no store is asked, so its time is Python's alone) is
planned into an empty warehouse in a temporary folder, entered into the ledger as a finished run would have it, and
planned again. Prints one line a size and the ratios between the first and the last: at 1.0 in the column keys/s, time
grows with the catalog and no faster; memory should grow far less than the catalog.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

COMMIT = 100_000
"""Images a batch, so that filling the ledger takes few commits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    results = []
    print(f"{'keys':>10} {'state':<15} {'seconds':>8} {'keys/s':>9} {'peak RSS':>9}")
    for keys in options.keys:
        command = [sys.executable, __file__, "--one", str(keys)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        results.append(result)
        print(f"{0:>10} {'imports alone':<15} {'':>8} {'':>9} {result['base_mb']:>6.0f} MB")
        for name in ("first", "everything done"):
            seconds = result[f"{name}_s"]
            print(f"{keys:>10} {name:<15} {seconds:>8.1f} {keys / seconds:>9.0f} {result[f'{name}_mb']:>6.0f} MB")
    if len(results) > 1:
        small, large = results[0], results[-1]
        times = large["keys"] / small["keys"]
        for name in ("first", "everything done"):
            speed = (large["keys"] / large[f"{name}_s"]) / (small["keys"] / small[f"{name}_s"])
            memory = large[f"{name}_mb"] / small[f"{name}_mb"]
            print(f"{times:g} times the keys, {name}: {speed:.2f} times the keys/s, {memory:.2f} times the memory")


def measure(keys: int) -> dict[str, Any]:
    """Plan, fill the ledger, plan again; seconds and peak memory of each plan."""
    from pipeline.catalog import listing
    from pipeline.catalog.plan import make_plan, read_batches
    from pipeline.settings import load_settings
    from pipeline.tables import open_warehouse

    result: dict[str, Any] = {"keys": keys, "base_mb": peak_mb()}
    with tempfile.TemporaryDirectory(prefix="atelier-benchmark-") as folder:
        (Path(folder) / "photos").mkdir()
        settings = load_settings(
            catalog={"uri": f"{folder}/photos"},
            warehouse={"uri": f"{folder}/warehouse"},
            enrich={"batch_images": COMMIT},
        )
        listing.open_store = lambda uri, settings: Synthetic(keys)  # type: ignore[assignment]
        warehouse = open_warehouse(settings)
        started = time.perf_counter()
        plan = make_plan(settings, warehouse, "r1")
        result |= {"first_s": time.perf_counter() - started, "first_mb": peak_mb()}
        assert plan.pending == keys
        for batch in read_batches(settings, str(plan.plan_id), 0, 1):
            enter(warehouse, batch)
        reset_peak()
        started = time.perf_counter()
        again = make_plan(settings, warehouse, "r1")
        result |= {"everything done_s": time.perf_counter() - started, "everything done_mb": peak_mb()}
        assert again.pending == 0
        assert again.left_out["done"] == keys
    return result


class Synthetic:
    """A listing of photos that look like a shop's: prefixes, products, views; keys come in order."""

    def __init__(self, keys: int) -> None:
        self.keys = keys

    def check(self) -> None:
        """It is there."""

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield the objects."""
        from pipeline.storage import ObjectInfo

        now = datetime.now(UTC).replace(microsecond=0)
        for number in range(self.keys):
            key = f"{prefix}photos/{number // 100_000:04d}/{number // 3:09d}_{number % 3}.jpg"
            yield ObjectInfo(key, hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 250_000 + number, now)


def enter(warehouse: Any, batch: Any) -> None:
    """Commit a batch's rows, plain but for the keys."""
    import pyarrow as pa

    from pipeline.tables.schema import IMAGES

    count = len(batch.images)
    fillers = {pa.string(): "x", pa.timestamp("us", tz="UTC"): datetime(2026, 1, 1, tzinfo=UTC), pa.bool_(): False}
    columns = {}
    for column in IMAGES.columns:
        value = None if column.nullable else fillers.get(column.type, 0)
        columns[column.name] = pa.array([value] * count, column.type)
    columns["image_key"] = pa.array([image.image_key for image in batch.images])
    columns["etag"] = pa.array([image.etag for image in batch.images])
    columns["release_id"] = pa.array(["r1"] * count)
    columns["batch_id"] = pa.array([batch.batch_id] * count)
    warehouse.commit_images(batch.batch_id, "r1", pa.table(columns, schema=IMAGES.arrow_schema))


def peak_mb() -> float:
    """Peak resident memory of this process since `reset_peak`, where Linux can tell, else since its start."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak() -> None:
    """Start measuring anew; memory that is still held counts."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


if __name__ == "__main__":
    main()
