"""A run's figures as a Prometheus text file: `metrics/<run_id>.prom`, and the newest also as `metrics/latest.prom`.

Read by the textfile collector of a node exporter, or put to a push gateway as it is. Names of runs are no labels: a
series that exists for one night only is of no use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow.compute as pc

from pipeline.index.gallery import read_pointer
from pipeline.index.job import index_store
from pipeline.settings import Settings
from pipeline.status import gather
from pipeline.tables import Warehouse, open_warehouse

FOLDER = "metrics/"
LATEST_KEY = f"{FOLDER}latest.prom"

Samples = Sequence[tuple[Mapping[str, object], float]]


def write_metrics(settings: Settings, run_id: str) -> str:
    """Write the figures of a run, and of the catalog as its last snapshot has it; returns the file's URI."""
    warehouse = open_warehouse(settings)
    text = "".join(render(*metric) for metric in (*_of_run(warehouse, run_id), *_of_catalog(settings, warehouse)))
    key = f"{FOLDER}{run_id}.prom"
    for name in (key, LATEST_KEY):
        warehouse.store.put(name, text.encode())
    return f"{warehouse.store.uri}/{key}"


def render(name: str, words: str, samples: Samples) -> str:
    """One metric in the text exposition format; nothing where it has no sample."""
    if not samples:
        return ""
    lines = [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}")
    return "\n".join(lines) + "\n"


def _of_run(warehouse: Warehouse, run_id: str) -> Iterable[tuple[str, str, Samples]]:
    """Durations, counts and speed, a sample a job and part."""
    rows = warehouse.read("runs", filter=pc.field("run_id") == run_id).to_pylist()
    rows.sort(key=lambda row: (row["started_at"], row["job"], row["part"]))
    of = [({"job": row["job"], "part": row["part"]}, row) for row in rows]
    yield "atelier_job_seconds", "wall time of a job", [(labels, row["seconds"]) for labels, row in of]
    started = [(labels, row["started_at"].timestamp()) for labels, row in of]
    yield "atelier_job_started_timestamp_seconds", "when a job began", started
    enriched = [(labels, row) for labels, row in of if row["job"] == "enrich"]
    yield "atelier_run_images", "photos enriched", [(labels, row["images"]) for labels, row in enriched]
    yield "atelier_run_rejects", "photos sent to quarantine", [(labels, row["rejects"]) for labels, row in enriched]
    speed = [
        ({**labels, "device": row["device"] or ""}, row["images_per_s"])
        for labels, row in enriched
        if row["images_per_s"] is not None
    ]
    yield "atelier_run_images_per_second", "photos enriched a second of wall time", speed


def _of_catalog(settings: Settings, warehouse: Warehouse) -> Iterable[tuple[str, str, Samples]]:
    """Photos by state, quarantine by reason, and the live index."""
    status = gather(settings)
    states = ("enriched", "quarantined", "pending")
    photos: Samples = [({"state": state}, getattr(status, state)) for state in states]
    yield "atelier_catalog_photos", "photos of the catalog, by state", photos
    pointer, _ = read_pointer(index_store(settings))
    live = pointer.version if pointer else None
    rows = warehouse.read("indexes", filter=pc.field("batch_id") == live).to_pylist() if live else []
    yield "atelier_index_vectors", "vectors in the live index", [({}, row["vectors"]) for row in rows]
    recall: Samples = [({}, row["recall_at_10"]) for row in rows if row["recall_at_10"] is not None]
    yield "atelier_index_recall_at_10", "recall of the live index on held-out queries", recall


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
