"""Runs of the same kind of photos raise no alarm, shifted ones do; what is compared are stored statistics."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import typer
from builders import DIM, RELEASE, START, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline import settings as settings_module
from pipeline.cli import drift_command
from pipeline.drift.measure import measure_run
from pipeline.errors import InputError
from pipeline.tables import Warehouse, connect
from pipeline.tables.checks import run_checks

KINDS = ("Dress", "Shirt", "Skirt")


def night(
    warehouse: Warehouse,
    number: int,
    photos: int = 400,
    kinds: tuple[str | None, ...] = KINDS,
    score: float = 0.8,
    middle: float = 0.0,
    release_id: str = RELEASE,
) -> str:
    """A run of so many photos, each of its own product; vectors lie around a direction that turns with `middle`."""
    run_id = f"night{number}"
    rng = np.random.default_rng(number)
    rows = []
    for index in range(photos):
        kind = kinds[int(rng.integers(len(kinds)))]
        columns = {"type": kind, "type_score": float(np.clip(rng.normal(score, 0.05), 0, 1))}
        columns |= {"attributes": [{"head": "fit", "label": "slim" if rng.random() < 0.5 else None, "score": 0.5}]}
        columns |= {"enriched_at": START + timedelta(days=number)}
        rows.append(Photo(f"{number}-{index:04d}.jpg", garments=0, columns=columns))
    commit(warehouse, rows, f"b{number}", release_id, run_id)
    vectors = rng.normal(size=(photos, DIM)) * 0.5 + np.eye(DIM)[0] * np.cos(middle) + np.eye(DIM)[1] * np.sin(middle)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    stored = [
        {"image_key": photo.image_key, "etag": "e1", "release_id": release_id, "batch_id": f"b{number}"}
        | {"kind": "image", "garment_index": -1, "feature_id": "f1", "dim": DIM, "norm": 1.0}
        | {"vector": vector.astype("<f2").tobytes()}
        for photo, vector in zip(rows, vectors, strict=True)
    ]
    warehouse.replace_batch("embeddings", f"b{number}", rows_of("embeddings", stored))
    run = {"batch_id": f"run{number}", "run_id": run_id, "job": "enrich", "release_id": release_id}
    warehouse.replace_batch("runs", f"run{number}", rows_of("runs", [run | {"started_at": START}]))
    return run_id


def states(warehouse: Warehouse, run_id: str) -> dict[tuple[str, str], str]:
    return {(drift.stats.subject, drift.stats.measure): drift.state for drift in measure_run(warehouse, run_id)}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Three nights of the same kind, measured."""
    made = new_warehouse(tmp_path)
    for number in range(3):
        states(made, night(made, number))
    return made


MEASURES = {(head, measure) for head in ("type", "fit") for measure in ("labels", "scores")} | {
    ("embedding", "vectors")
}


def test_the_first_run_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    made = new_warehouse(tmp_path)
    assert states(made, night(made, 0)) == dict.fromkeys(MEASURES, "not judged")
    with connect(made) as con:
        assert con.execute("SELECT DISTINCT state, distance, reference_runs FROM drift").fetchall() == [
            ("not judged", None, 0)
        ]


def test_a_night_of_the_same_kind_is_no_alarm(warehouse: Warehouse) -> None:
    assert states(warehouse, night(warehouse, 3)) == dict.fromkeys(MEASURES, "ok")


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ({"kinds": ("Dress",)}, {("type", "labels")}),
        ({"kinds": ("Dress", None)}, {("type", "labels")}),
        ({"kinds": ("Hat",)}, {("type", "labels")}),
        ({"score": 0.6}, {("type", "scores")}),
        ({"middle": 0.6}, {("embedding", "vectors")}),
    ],
)
def test_a_shifted_night_raises_that_alarm_and_no_other(
    warehouse: Warehouse, shift: dict, expected: set[tuple[str, str]]
) -> None:
    run_id = night(warehouse, 3, **shift)
    found = states(warehouse, run_id)
    assert {measure for measure, state in found.items() if state == "alarm"} == expected
    with connect(warehouse, warehouse.snapshot(RELEASE, run_id)) as con:
        warned = {result.name: result for result in run_checks(con) if result.name == "drift_limits"}
        assert warned["drift_limits"].rows == 1
        assert not warned["drift_limits"].blocks
        assert set(con.execute("SELECT subject, measure FROM drift WHERE state = 'alarm'").fetchall()) == expected


def test_what_moved_is_named(warehouse: Warehouse) -> None:
    measure_run(warehouse, night(warehouse, 3, kinds=("Hat",)))
    with connect(warehouse) as con:
        found = con.execute("SELECT moved[1] FROM drift WHERE state = 'alarm'").fetchone()
        assert found is not None
        assert found[0] == {"bin": "Hat", "share": 1.0, "usual_share": 0.0}


def test_few_photos_are_not_judged(warehouse: Warehouse) -> None:
    assert set(states(warehouse, night(warehouse, 3, photos=99, kinds=("Hat",))).values()) == {"not judged"}


def test_a_new_release_starts_over(warehouse: Warehouse) -> None:
    assert set(states(warehouse, night(warehouse, 3, kinds=("Hat",), release_id="other")).values()) == {"not judged"}


def test_measuring_again_replaces_and_compares_with_what_came_before(warehouse: Warehouse) -> None:
    def results() -> list[dict]:
        rows = warehouse.read("drift_results").drop_columns(["measured_at"]).to_pylist()
        return sorted((row for row in rows if row["run_id"] == "night2"), key=lambda r: (r["subject"], r["measure"]))

    before = results()
    measure_run(warehouse, night(warehouse, 3, middle=0.6))
    measure_run(warehouse, "night2")
    assert results() == before
    assert {row["reference_runs"] for row in before} == {2}


def test_old_photos_are_not_read_again(warehouse: Warehouse) -> None:
    for number in range(3):
        warehouse.replace_batch("embeddings", f"b{number}", rows_of("embeddings", []))
    found = states(warehouse, night(warehouse, 3, middle=0.6))
    assert found["embedding", "vectors"] == "alarm"


def test_a_sample_of_the_vectors_is_enough(tmp_path: Path) -> None:
    made = new_warehouse(tmp_path, drift={"sample": 150})
    for number, middle in enumerate((0.0, 0.0, 0.6)):
        found = measure_run(made, night(made, number, middle=middle))
        (embedding,) = (drift for drift in found if drift.stats.subject == "embedding")
        assert 100 <= embedding.stats.photos < 200
    assert embedding.alarm


def test_the_command(warehouse: Warehouse, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_WAREHOUSE__URI", str(tmp_path / "warehouse"))
    settings_module.settings.cache_clear()
    app = typer.Typer()
    drift_command.attach(app)
    list_catalog(warehouse, [])
    try:
        app(["--run", night(warehouse, 3, middle=0.6)], standalone_mode=False)
        printed = json.loads(capsys.readouterr().out)
        (alarm,) = printed.pop("alarms")
        assert printed == {"run_id": "night3", "measured": 5, "not_judged": 0, "reference_runs": 3}
        assert (alarm["subject"], alarm["measure"]) == ("embedding", "vectors")
        with pytest.raises(InputError, match="there is no run 'nope' with a release"):
            app(["--run", "nope"], standalone_mode=False)
        nothing = {"batch_id": "idle", "run_id": "idle", "job": "plan", "release_id": RELEASE}
        warehouse.replace_batch("runs", "idle", rows_of("runs", [nothing]))
        app(["--run", "idle"], standalone_mode=False)
        assert json.loads(capsys.readouterr().out)["measured"] == 0
    finally:
        settings_module.settings.cache_clear()
