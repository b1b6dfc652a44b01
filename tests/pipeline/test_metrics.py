"""The Prometheus text file of a run, read back by the format's own rules."""

from __future__ import annotations

import re
from pathlib import Path

from builders import RELEASE, RUN, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline.metrics import render, write_metrics

SAMPLE = re.compile(r"^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\\]|\\\\.)*)"')


def read(text: str) -> dict[tuple[str, frozenset], float]:
    """The samples of a file in the text exposition format."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            found[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return found


def test_a_run_in_figures(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path, catalog={"uri": str(tmp_path)})
    commit(warehouse, [Photo("a.jpg"), Photo("b.jpg")])
    list_catalog(warehouse, ["a.jpg", "b.jpg", "c.jpg"])
    common = {"run_id": RUN, "release_id": RELEASE, "seconds": 4.0}
    enriched = {"job": "enrich", "images": 2, "rejects": 1, "images_per_s": 0.5, "device": "cpu bf16"}
    rows = [common | {"batch_id": "r1", "job": "plan", "part": 0}, common | enriched | {"batch_id": "r1", "part": 1}]
    warehouse.replace_batch("runs", "r1", rows_of("runs", rows))
    warehouse.snapshot(RELEASE, RUN)
    uri = write_metrics(warehouse.settings, RUN)
    assert uri == f"{warehouse.store.uri}/metrics/{RUN}.prom"
    text = Path(uri).read_text()
    assert Path(uri).with_name("latest.prom").read_text() == text
    found = read(text)
    part = frozenset({("job", "enrich"), ("part", "1")})
    assert found["atelier_run_images", part] == 2
    assert found["atelier_run_rejects", part] == 1
    assert found["atelier_run_images_per_second", part | {("device", "cpu bf16")}] == 0.5
    assert found["atelier_job_seconds", frozenset({("job", "plan"), ("part", "0")})] == 4
    assert {dict(labels)["state"]: n for (name, labels), n in found.items() if name == "atelier_catalog_photos"} == {
        "enriched": 2,
        "quarantined": 0,
        "pending": 1,
    }
    assert not any(name.startswith("atelier_index") for name, _ in found), "there is no index yet"
    assert text.count("# TYPE") == len({name for name, _ in found})


def test_odd_values_of_labels_are_escaped() -> None:
    text = render("m", "words", [({"of": 'a"b\\c\nd'}, 1.0)])
    assert text.splitlines()[-1] == 'm{of="a\\"b\\\\c\\nd"} 1'
