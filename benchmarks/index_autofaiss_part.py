"""The other side of index_against_autofaiss.py: runs in autofaiss's own environment and prints one JSON line.

Arguments: folder with gallery.npy, queries.npy, truth.npy; memory its index may take, such as 8G (of 20G).
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import faiss
import numpy as np
from autofaiss import build_index


def main(folder: Path, memory: str) -> None:
    """Build with autofaiss's defaults, then search."""
    embeddings = folder / "autofaiss_in"
    embeddings.mkdir(exist_ok=True)
    if not (embeddings / "0.npy").exists():
        os.link(folder / "gallery.npy", embeddings / "0.npy")
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    index, _ = build_index(
        str(embeddings),
        index_path=str(folder / "autofaiss.index"),
        index_infos_path=str(folder / "autofaiss.json"),
        metric_type="ip",
        nb_cores=1,
        max_index_memory_usage=memory,
        current_memory_available="20G",
        verbose=30,
    )
    build_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    faiss.omp_set_num_threads(1)
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    index.search(queries[:10], 10)
    tuned = measure(index, queries, truth)
    infos = json.loads((folder / "autofaiss.json").read_text())
    result = {
        "index": infos.get("index_key"),
        "parameters": infos.get("index_param"),
        "build_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "build_s": build_s,
        "bytes": (folder / "autofaiss.index").stat().st_size,
        **tuned,
        "curve": curve(index, queries, truth),
    }
    print(json.dumps(result))


def measure(index: object, queries: np.ndarray, truth: np.ndarray) -> dict:
    """Recall and speed as the index is set."""
    began = time.process_time()
    found = index.search(queries, 10)[1]
    seconds = time.process_time() - began
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    return {"recall_at_10": float(recall), "queries_per_cpu_s": len(queries) / seconds}


def curve(index: object, queries: np.ndarray, truth: np.ndarray) -> list:
    """Recall and speed at other settings than autofaiss chose, of an HNSW index; empty for other kinds."""
    index = faiss.downcast_index(index)
    if not hasattr(index, "hnsw"):
        return []
    points = []
    for width in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024):
        index.hnsw.efSearch = width
        points.append({"efSearch": width, **measure(index, queries, truth)})
    return points


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
