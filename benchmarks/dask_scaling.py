"""Enrichment on a Dask cluster: images a second of two workers against one, each with one thread on a core of its own.

    OMP_NUM_THREADS=1 python benchmarks/dask_scaling.py [--photos FOLDER] [--products 60] [--size 900x1200]
        [--limit 240] [--batch 20] [--repeats 3] [--workers 2]

Both clusters are up from the start, with models loaded and warm; then they take turns at the same photos, each time
into an empty warehouse. A turn is the job itself: fetch, decode, models, commit. Every worker is pinned to one core
with all of its threads, so one worker really is one core's worth. Prints images a second of each turn, their ratio, and
the load of the machine: on one that does anything else the ratio says nothing (it wants --workers idle cores).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from distributed import Client

from models.release_cards import release_id_of
from pipeline.catalog.plan import load_plan, make_plan, read_batches
from pipeline.cluster.connect import open_cluster, workers
from pipeline.cluster.enrich import enrich_on
from pipeline.enrich.crew import cores
from pipeline.enrich.runner import Outcome
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.tables import open_warehouse


def pin(core: int) -> int:
    """In a worker: keep all threads, those to come included, on one core; returns how many there are."""
    threads = [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
    for thread in threads:
        os.sched_setaffinity(thread, {core})
    return len(threads)


def pinned(settings: Settings, stack: ExitStack) -> Client:
    """A cluster whose workers have a core each."""
    client = stack.enter_context(open_cluster(settings))
    for address, core in zip(sorted(workers(client)), sorted(os.sched_getaffinity(0)), strict=False):
        client.run(pin, core, workers=[address])
    return client


def turn(client: Client, settings: Settings, warehouse: Path, limit: int) -> Outcome:
    """The job on an empty warehouse."""
    settings = settings.model_copy(update={"warehouse": settings.warehouse.model_copy(update={"uri": str(warehouse)})})
    tables = open_warehouse(settings)
    made = make_plan(settings, tables, release_id_of(release_folder(settings)), limit=limit)
    plan = load_plan(settings, str(made.plan_id))
    outcome, _ = enrich_on(client, settings, tables, plan, read_batches(settings, plan.run_id, 0, 1))
    outcome.raise_failures()
    return outcome


def photos(asked: argparse.Namespace, scratch: Path) -> Path:
    """The folder of photos to read: the one that was named, or a rendered catalog."""
    if asked.photos:
        return asked.photos.resolve()
    from pipeline import demo

    width, height = (int(side) for side in asked.size.split("x"))
    demo.generate(scratch / "catalog", asked.products, 1, sizes=((width, height),))
    return scratch / "catalog"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of photos in place of a rendered catalog")
    parser.add_argument("--products", type=int, default=60)
    parser.add_argument("--size", default="900x1200")
    parser.add_argument("--limit", type=int, default=240, help="photos a turn")
    parser.add_argument("--batch", type=int, default=20, help="photos a batch; several batches a worker")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    if asked.workers > cores():
        parser.error(f"{asked.workers} workers want as many cores; this process may use {cores()}")
    with tempfile.TemporaryDirectory(prefix="atelier-benchmark-") as folder, ExitStack() as stack:
        scratch = Path(folder)
        catalog = photos(asked, scratch)
        settings = {
            count: load_settings(
                catalog={"uri": str(catalog)},
                warehouse={"uri": str(scratch / "warehouse")},
                fetch={"threads": 4},
                decode={"threads": 1},
                enrich={"threads": 1, "batch_images": asked.batch, "device": "cpu"},
                dask={"workers": count, "dashboard": "", "timeout_s": 300},
            )
            for count in (1, asked.workers)
        }
        clients = {count: pinned(one, stack) for count, one in settings.items()}
        for count, client in clients.items():  # loads the models; first passes are slow
            turn(client, settings[count], scratch / f"warm-{count}", 2 * count * asked.batch)
        speeds: dict[int, list[float]] = {count: [] for count in clients}
        for repeat in range(asked.repeats):
            for count, client in clients.items():
                outcome = turn(client, settings[count], scratch / f"turn-{count}-{repeat}", asked.limit)
                speeds[count].append(outcome.images_per_s)
                load = os.getloadavg()[0]
                print(f"{count} workers: {outcome.images} photos, {outcome.images_per_s:.2f} a second, load {load:.1f}")
        ratios = [many / one for one, many in zip(speeds[1], speeds[asked.workers], strict=True)]
        print(f"{asked.workers} workers against 1, turn by turn: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
        print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
