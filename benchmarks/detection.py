"""Detection alone, and as a share of the enrichment pass: both in one run, with the same photos and models.

    python benchmarks/detection.py [--photos FOLDER | --products 40 --size 900x1200] [--limit 96] [--repeats 3]
                                   [--threads 0] [--device cpu] [--release FOLDER] [--json]

Alone: photos are decoded once, as the job decodes them, then found in again and again, batch by batch: letterbox,
network, suppression. In the pass: the job reads the same photos into an empty warehouse and says how long each step
took. The two take turns, so that a machine that grows slower grows slower for both. Steps are summed over the threads
that work side by side; shares are of that sum, waiting left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.release import Release
from pipeline import demo
from pipeline.catalog import Batch, PlannedImage, batch_id
from pipeline.enrich.models import load_models
from pipeline.enrich.runner import Outcome, Runner
from pipeline.images.decode import Limits, decode
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse

WAITING = {"wait", "commit_wait"}
"""Steps in which a thread does nothing; all others are work."""


def alone(release: Release, pictures: list[np.ndarray], batch: int) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds, and how many garments were found."""
    wall, cpu, garments = time.perf_counter(), time.process_time(), 0
    for begin in range(0, len(pictures), batch):
        garments += sum(len(found.groups) for found in release.detect(pictures[begin : begin + batch]))
    return time.perf_counter() - wall, time.process_time() - cpu, garments


def the_job(files: list[Path], release: Release, settings: Settings) -> Outcome:
    """The job on an empty warehouse."""
    shutil.rmtree(settings.warehouse.uri, ignore_errors=True)
    store = open_store(settings.catalog.uri, settings)
    infos = {info.key: info for info in store.list()}
    wanted = [infos[file.relative_to(settings.catalog.uri).as_posix()] for file in files]
    images = tuple(PlannedImage(info.key, info.etag, info.size, None) for info in wanted)
    name = batch_id(release.release_id, [(image.image_key, image.etag) for image in images])
    return Runner(settings, store, open_warehouse(settings), release).run("benchmark", [Batch(name, 0, images)])


def measured(asked: argparse.Namespace, catalog: Path, scratch: Path) -> dict[str, Any]:
    """Everything that is printed."""
    files = sorted(file for file in catalog.rglob("*") if file.suffix.lower() in {".jpg", ".jpeg"})[: asked.limit]
    settings = load_settings(
        catalog={"uri": str(catalog)},
        warehouse={"uri": str(scratch / "warehouse")},
        enrich={"device": asked.device, "threads": asked.threads},
        **({"release": {"uri": str(asked.release.resolve())}} if asked.release else {}),
    )
    release = load_models(settings)
    pictures = [decode(file.read_bytes(), Limits.of(settings)).pixels for file in files]
    alone(release, pictures[: release.batch_images], release.batch_images)  # first passes are slow: memory, kernels
    the_job(files[: release.batch_images], release, settings)
    walls, cpus, outcomes, garments = [], [], [], 0
    for _ in range(asked.repeats):
        wall, cpu, garments = alone(release, pictures, release.batch_images)
        walls.append(wall)
        cpus.append(cpu)
        outcomes.append(the_job(files, release, settings))
    steps: dict[str, float] = {}
    for outcome in outcomes:
        for step, seconds in outcome.steps.items():
            steps[step] = steps.get(step, 0.0) + seconds
    work = sum(seconds for step, seconds in steps.items() if step not in WAITING)
    count = len(files)
    return {
        "photos": count,
        "garments_per_photo": round(garments / count, 2),
        "device": f"{release.device} {release.precision}",
        "size": release.cards.detector[0].preprocessing.size,  # type: ignore[index, union-attr]
        "torch_threads": torch.get_num_threads(),
        "alone_images_per_s": round(count / statistics.median(walls), 1),
        "alone_images_per_cpu_s": round(count / statistics.median(cpus), 1),
        "pass_images_per_s": round(count / statistics.median(outcome.seconds for outcome in outcomes), 1),
        "share_of_pass": round(steps["detect"] / work, 3),
        "shares": {
            step: round(seconds / work, 3)
            for step, seconds in sorted(steps.items(), key=lambda item: -item[1])
            if step not in WAITING
        },
    }


def report(found: dict[str, Any]) -> None:
    """Print it for a person."""
    print(
        f"{found['photos']} photos, {found['garments_per_photo']} garments a photo, input {found['size']} px, ", end=""
    )
    print(f"{found['device']}, {found['torch_threads']} threads a pass")
    print(f"detection alone   {found['alone_images_per_s']:8.1f} images/s of wall time")
    print(f"                  {found['alone_images_per_cpu_s']:8.1f} images/s of one core's time")
    print(f"enrichment pass   {found['pass_images_per_s']:8.1f} images/s of wall time")
    print("share of the pass's work:")
    for step, share in found["shares"].items():
        print(f"  {step:<12} {100 * share:6.1f} %")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of photos in place of a rendered catalog")
    parser.add_argument("--products", type=int, default=40)
    parser.add_argument("--size", default="900x1200")
    parser.add_argument("--limit", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="passes side by side on a CPU; 0: one a core")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--release", type=Path, help="default: the settings'")
    parser.add_argument("--json", action="store_true", help="one JSON line in place of a report")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atelier-benchmark-") as folder:
        catalog = asked.photos.resolve() if asked.photos else Path(folder, "catalog")
        if not asked.photos:
            width, height = (int(side) for side in asked.size.split("x"))
            demo.generate(catalog, asked.products, 1, sizes=((width, height),))
        found = measured(asked, catalog, Path(folder))
    if asked.json:
        print(json.dumps(found))
    else:
        report(found)


if __name__ == "__main__":
    main()
