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
    began = time.process_time()
    found = index.search(queries, 10)[1]
    search_s = time.process_time() - began
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    infos = json.loads((folder / "autofaiss.json").read_text())
    result = {
        "index": infos.get("index_key"),
        "parameters": infos.get("index_param"),
        "build_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "build_s": build_s,
        "bytes": (folder / "autofaiss.index").stat().st_size,
        "recall_at_10": float(recall),
        "queries_per_cpu_s": len(queries) / search_s,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
