"""The enrich job against a plain loop over photos: how much one decode and one pass, in batches, save.

    python benchmarks/enrich.py [--products 20] [--size 1200x1600] [--photos FOLDER] [--repeats 2] [--device cpu]

Three ways do the same work with the same models and precision, in turns within one run:

    naive     one photo at a time, full decode with Pillow, a backbone pass for every head, the caption and the vector,
              over the photo and each crop, as scripts that call one model after the other do
    one pass  one photo at a time, full decode, but a single backbone pass a picture
    atelier   the job itself: fetch and decode ahead, reduced scale, full passes, commits to tables

Prints CPU seconds and wall seconds a photo, their ratios, and the job's time by step. The loops run on one thread,
which costs them the least CPU: as many of them as there are cores could run at once, so the CPU seconds are the number
to compare. `--loop-threads 0` gives the loops PyTorch's default instead, which is what such scripts do.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.release import Release, load_release
from pipeline.catalog import Batch, PlannedImage, batch_id
from pipeline.enrich.models import load_models
from pipeline.enrich.runner import Outcome, Runner
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse


@dataclass
class Spent:
    """Seconds of one way over all repeats."""

    cpu: float = 0.0
    wall: float = 0.0
    photos: int = 0

    def measure(self, work: Callable[[], int]) -> None:
        """Add one run of `work`, which returns how many photos it did."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.photos += work()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall


def plain_loop(files: list[Path], release: Release, most: int, *, pass_each: bool) -> int:
    """The loop: `pass_each` runs the backbone anew for every head, the caption and the vector."""
    answers = len(release.heads) + bool(release.captioner) + 1
    for file in files:
        pixels = np.array(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))
        found = release.detect([pixels])[0]
        pictures = [pixels, *(crop(pixels, box) for box in found.boxes[:most])]
        for picture in pictures:
            for _ in range(answers if pass_each else 1):
                features = release.features(release.preprocessing.resize_image(picture)[None])
            measured = {"color_histogram": color_histogram(picture)[None]}
            release.classify(features, measured)
        release.caption(features, measured)
    return len(files)


def the_job(files: list[Path], release: Release, settings: Settings, outcomes: list[Outcome]) -> int:
    """The job on an empty warehouse."""
    shutil.rmtree(settings.warehouse.uri, ignore_errors=True)
    store = open_store(settings.catalog.uri, settings)
    infos = {info.key: info for info in store.list()}
    wanted = [infos[file.relative_to(settings.catalog.uri).as_posix()] for file in files]
    images = tuple(PlannedImage(info.key, info.etag, info.size, None) for info in wanted)
    name = batch_id(release.release_id, [(image.image_key, image.etag) for image in images])
    runner = Runner(settings, store, open_warehouse(settings), release)
    outcomes.append(runner.run("benchmark", [Batch(name, 0, images)]))
    return len(files)


def photos(asked: argparse.Namespace, scratch: Path) -> Path:
    """The folder of photos to read: the one that was named, or a rendered catalog."""
    if asked.photos:
        return asked.photos.resolve()
    from pipeline import demo

    width, height = (int(side) for side in asked.size.split("x"))
    demo.generate(scratch / "catalog", asked.products, 1, sizes=((width, height),))
    return scratch / "catalog"


def report(ways: dict[str, Spent], outcome: Outcome, release: Release, garments: float) -> None:
    """Print what was measured."""
    print(f"release {release.release_id} on {release.device} {release.precision}, loops on {torch.get_num_threads()}")
    print(f"threads; {len(release.heads)} heads, {garments:.1f} garments a photo")
    base = ways["naive"]
    print(f"{'way':<10} {'CPU ms/photo':>13} {'times':>6} {'wall ms/photo':>14} {'times':>6}")
    for name, spent in ways.items():
        cpu, wall = 1000 * spent.cpu / spent.photos, 1000 * spent.wall / spent.photos
        print(f"{name:<10} {cpu:13.1f} {base.cpu / spent.cpu:6.2f} {wall:14.1f} {base.wall / spent.wall:6.2f}")
    print("the job's steps, seconds summed over threads, share of its wall time:")
    for step, seconds in sorted(outcome.steps.items(), key=lambda item: -item[1]):
        print(f"  {step:<12} {seconds:8.2f} s {100 * seconds / outcome.seconds:6.1f} %")
    print(f"peak memory {outcome.peak_rss_mib} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=20)
    parser.add_argument("--size", default="1200x1600")
    parser.add_argument("--photos", type=Path, help="folder of photos in place of a rendered catalog")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--loop-threads", type=int, default=1, help="threads of the plain loops; 0 = PyTorch's default")
    asked = parser.parse_args()
    if asked.loop_threads:
        torch.set_num_threads(asked.loop_threads)
    with tempfile.TemporaryDirectory(prefix="atelier-benchmark-") as folder:
        catalog = photos(asked, Path(folder))
        files = sorted(file for file in catalog.rglob("*.jpg"))[: asked.limit]
        settings = load_settings(
            catalog={"uri": str(catalog)},
            warehouse={"uri": f"{folder}/warehouse"},
            enrich={"device": asked.device, "precision": asked.precision},
        )
        one, many = (
            load_release(release_folder(settings), asked.device, asked.precision, batch_images=1),
            load_models(settings),
        )
        if one._detector is not None:
            one._detector.batch_images = 1  # type: ignore[attr-defined]  # no padding where photos come one by one
        most = settings.enrich.max_garments
        outcomes: list[Outcome] = []
        the_job(files[:8], many, settings, [])  # first passes are slow: memory, kernels
        plain_loop(files[:2], one, most, pass_each=False)
        ways = {"naive": Spent(), "one pass": Spent(), "atelier": Spent()}
        for _ in range(asked.repeats):
            ways["naive"].measure(lambda: plain_loop(files, one, most, pass_each=True))
            ways["one pass"].measure(lambda: plain_loop(files, one, most, pass_each=False))
            ways["atelier"].measure(lambda: the_job(files, many, settings, outcomes))
        garments = open_warehouse(settings).read("garments").num_rows / len(files)
        report(ways, outcomes[-1], many, garments)


if __name__ == "__main__":
    main()
