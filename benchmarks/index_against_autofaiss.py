"""Atelier's index against autofaiss on the same vectors, in one run: CPU to build, size, speed, held-out recall.

Both sides get the same clustered vectors and one thread; recall is measured with 1,000 queries that are in neither
index, against exact search. autofaiss tunes its index by the time a query takes on this machine, so its recall and
speed differ from run to run: its speed is also measured at the smallest setting that reaches our recall. Atelier is
built twice, for autofaiss's recall (but no more than 0.995) and as it is set by default. For Atelier alone: the cost of
adding 1 % to a version, recall under a filter that 1 % of the gallery passes, and the memory of the build.
autofaiss needs an environment of its own (numpy < 2, pyarrow < 20):

    uv venv /tmp/autofaiss --python 3.11
    VIRTUAL_ENV=/tmp/autofaiss uv pip install autofaiss==2.18.0 'numpy<2' 'pyarrow<20'
    python benchmarks/index_against_autofaiss.py --autofaiss-python /tmp/autofaiss/bin/python
    python benchmarks/index_against_autofaiss.py --vectors 1000000 --dim 512 --autofaiss-python ...

With --folder the vectors and what autofaiss reached are kept there, and a further run measures our side only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

QUERIES = 1_000
BLOCK = 50_000


class Clusters:
    """Normalized vectors on a curved sheet: overlapping clusters in 32 latent dimensions, and noise in all."""

    def __init__(self, dim: int, clusters: int) -> None:
        random = np.random.default_rng(5)
        self.basis = np.linalg.qr(random.normal(size=(dim, 32)))[0].T.astype(np.float32)
        self.centers = random.normal(size=(clusters, 32)).astype(np.float32)

    def draw(self, n: int, seed: int) -> np.ndarray:
        """float32 (n, dim), rounded to what float16 holds, as the tables hold them."""
        random = np.random.default_rng(seed)
        dim = self.basis.shape[1]
        out = np.empty((n, dim), np.float32)
        for first in range(0, n, BLOCK):
            size = min(BLOCK, n - first)
            picked = self.centers[random.integers(0, len(self.centers), size)]
            latent = picked + 0.8 * random.standard_normal((size, 32), np.float32)
            noise = 0.3 * np.sqrt(32 / dim) * random.standard_normal((size, dim), np.float32)
            block = latent @ self.basis + noise
            out[first : first + size] = (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float16)
        return out


def prepare(folder: Path, n: int, dim: int) -> None:
    """Write gallery, queries, truth, 1 % more vectors, and the truth under the filter."""
    import faiss

    clusters = Clusters(dim, max(50, n // 200))
    gallery, queries = clusters.draw(n, 0), clusters.draw(QUERIES, 1)
    metric = faiss.METRIC_INNER_PRODUCT
    np.save(folder / "gallery.npy", gallery)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "more.npy", clusters.draw(n // 100, 2))
    np.save(folder / "truth.npy", faiss.knn(queries, gallery, 10, metric=metric)[1])
    np.save(folder / "filtered.npy", faiss.knn(queries, gallery[::100], 10, metric=metric)[1] * 100)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean share of the true 10 that were found."""
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))


def own_memory() -> int:
    """Bytes this process holds that are no mapped file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The most that `own_memory` says while the block runs."""
    highest, done = [own_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest[0] = max(highest[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        done.set()
        watcher.join()


def ours(folder: Path, target: float) -> dict[str, object]:
    """Build, search, filter, add."""
    from pipeline.index.build import build_index
    from pipeline.index.choose import PROGRAM_BYTES
    from pipeline.index.gallery import Index
    from pipeline.index.matrix import MatrixSource
    from pipeline.settings import load_settings
    from pipeline.storage import open_store

    gallery, queries = np.load(folder / "gallery.npy"), np.load(folder / "queries.npy")
    more = np.load(folder / "more.npy")
    n = len(gallery)
    vectors = np.concatenate([gallery, more]).astype(np.float16)
    columns = {"color": ["Red" if i % 100 == 0 else "Blue" for i in range(len(vectors))]}
    columns["product_id"] = [str(i) for i in range(len(vectors))]
    settings = load_settings(
        warehouse={"uri": str(folder / "warehouse")},
        index={"threads": 1, "target_recall": target, "cache": str(folder / "cache"), "memory_gib": 16},
    )
    shutil.rmtree(folder / "warehouse", ignore_errors=True)
    store = open_store(str(folder / "warehouse" / "index"), settings)

    def timed_build(source: MatrixSource, base: str | None) -> tuple[object, float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        manifest = build_index(source, store, settings.index, base=base)
        return manifest, time.process_time() - cpu, time.perf_counter() - wall

    first = MatrixSource(vectors[:n], {name: values[:n] for name, values in columns.items()})
    before = own_memory()
    with peak_memory() as highest:
        manifest, build_cpu, build_wall = timed_build(first, None)
    peak = highest[0] - before + PROGRAM_BYTES
    index = Index.open(None, settings, manifest.version)
    index.search_rows(queries[:10], 10)
    began = time.process_time()
    found = index.search_rows(queries, 10)
    search_cpu = time.process_time() - began
    keys = np.array([int(key) for key in index.rows.image_keys()])
    began = time.process_time()
    filtered = index.search_rows(queries, 10, {"color": "Red"})
    filtered_cpu = time.process_time() - began
    added, add_cpu, add_wall = timed_build(MatrixSource(vectors, columns, snapshot=2), manifest.version)
    new_files = [file for file in added.files if added.version in file.key]
    judged = manifest.judgement
    return {
        "index": manifest.shards[0].index_type,
        "parameters": f"{manifest.shards[0].probes} lists, {manifest.shards[0].candidates} candidates a result",
        "memory_stated_gib": manifest.memory_bytes / 2**30,
        "memory_peak_gib": peak / 2**30,
        "build_cpu_s": build_cpu,
        "build_s": build_wall,
        "of_which_judging_s": judged.seconds,
        "bytes": manifest.bytes,
        "recall_at_10": recall(keys[found], np.load(folder / "truth.npy")),
        "recall_at_10_in_manifest": judged.overall.at_10,
        "queries_per_cpu_s": len(queries) / search_cpu,
        "filtered_1_percent": {
            "recall_at_10": recall(keys[filtered], np.load(folder / "filtered.npy")),
            "queries_per_cpu_s": len(queries) / filtered_cpu,
        },
        "adding_1_percent": {
            "cpu_s": add_cpu,
            "share_of_rebuild_cpu": add_cpu / build_cpu,
            "share_of_rebuild_wall": add_wall / build_wall,
            "bytes_written": sum(file.bytes for file in new_files if "shard-" in file.key),
            "recall_at_10": added.judgement.overall.at_10,
        },
    }


def compare(mine: dict[str, float], theirs: dict[str, object]) -> dict[str, float | None]:
    """How many times better, and the difference in recall."""
    enough = [point["queries_per_cpu_s"] for point in theirs["curve"] if point["recall_at_10"] >= mine["recall_at_10"]]
    return {
        "cpu_to_build": theirs["build_cpu_s"] / mine["build_cpu_s"],
        "size": theirs["bytes"] / mine["bytes"],
        "queries_per_cpu_s": mine["queries_per_cpu_s"] / theirs["queries_per_cpu_s"],
        "queries_per_cpu_s_at_our_recall": mine["queries_per_cpu_s"] / enough[0] if enough else None,
        "recall_difference": mine["recall_at_10"] - theirs["recall_at_10"],
    }


def child(command: list[str], folder: Path) -> dict[str, object]:
    """Run one side in a process of its own, one thread; its last line of output is the result."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Prepare, run both sides, print figures and ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--target", type=float, default=None, help="build once, for this recall@10")
    parser.add_argument("--memory", default="8G", help="what autofaiss's index may take")
    parser.add_argument("--autofaiss-python", help="python of an environment with autofaiss; without: only our side")
    parser.add_argument("--folder", type=Path, help="keep vectors and autofaiss's figures here, or go on with them")
    parser.add_argument("--ours-in", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.ours_in:
        print(json.dumps(ours(chosen.ours_in, chosen.target)))
        return
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="atelier-benchmark-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (folder / "filtered.npy").exists():
            prepare(folder, chosen.vectors, chosen.dim)
        result: dict[str, object] = {"vectors": chosen.vectors, "dim": chosen.dim}
        theirs = their_side(folder, chosen.autofaiss_python, chosen.memory)
        if theirs:
            result["autofaiss"] = theirs
        targets = {"atelier": chosen.target} if chosen.target else {"atelier_as_set": 0.98}
        if theirs and not chosen.target:
            targets["atelier_same_recall"] = min(0.995, theirs["recall_at_10"])
        for name, target in targets.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--ours-in", str(folder), "--target", str(target)]
            result[name] = mine = {"target": target, **child(command, folder)}
            if theirs:
                mine["times_better"] = compare(mine, theirs)
        print(json.dumps(rounded(result), indent=1))
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder)


def their_side(folder: Path, python: str | None, memory: str) -> dict[str, object] | None:
    """What autofaiss reached in this folder; None if it was never asked."""
    kept = folder / "autofaiss-figures.json"
    if not kept.exists() and python is not None:
        script = str(Path(__file__).resolve().with_name("index_autofaiss_part.py"))
        kept.write_text(json.dumps(child([python, script, str(folder), memory], folder)))
    return json.loads(kept.read_text()) if kept.exists() else None


def rounded(value: object) -> object:
    """Figures to four digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
