"""The commands as a person or a DAG runs them: one JSON line, exit codes, answers in every format."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import typer
from builders import RELEASE, RUN, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline import settings as settings_module
from pipeline.cli import tables_commands
from pipeline.errors import GateError, InputError, SettingError
from pipeline.tables import Warehouse, connect
from pipeline.tables.dictionary import dictionary
from pipeline.tables.schema import TABLES, Column
from pipeline.tables.sql_files import read_sql

ROOT = Path(__file__).parents[3]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse with one run, which the commands find through the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_WAREHOUSE__URI", str(tmp_path / "warehouse"))
    monkeypatch.setenv("ATELIER_SQL__SPILL", str(tmp_path / "spill"))
    settings_module.settings.cache_clear()
    made = new_warehouse(tmp_path)
    photos = [Photo("a.jpg", columns={"type": "Dress", "type_score": 0.5}), Photo("b.jpg")]
    commit(made, photos)
    list_catalog(made, photos)
    run = {"batch_id": "1", "run_id": RUN, "job": "plan", "release_id": RELEASE}
    made.replace_batch("runs", "1", rows_of("runs", [run]))
    yield made
    settings_module.settings.cache_clear()


@pytest.fixture
def atelier(capsys: pytest.CaptureFixture[str]):
    """Run a command in this process; returns its stdout."""
    app = typer.Typer()
    tables_commands.attach(app)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        app(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def line(out: str) -> dict[str, Any]:
    (only,) = out.splitlines()
    return json.loads(only)


def test_tables_lists_versions_and_rows(warehouse: Warehouse, atelier) -> None:
    found = line(atelier("tables"))
    assert found["tables"]["images"]["rows"] == 2
    assert found["tables"]["variants"] is None
    assert (found["snapshots"], found["latest_snapshot"]) == (0, None)


def test_snapshot_takes_the_release_of_the_run(warehouse: Warehouse, atelier) -> None:
    first = line(atelier("snapshot", "--run-id", RUN))
    assert (first["snapshot"], first["run_id"], first["release_id"]) == (1, RUN, RELEASE)
    assert first["versions"]["images"] == 1
    assert line(atelier("snapshot"))["run_id"] == RUN
    assert line(atelier("snapshot", "--run-id", "by-hand", "--release-id", "r"))["snapshot"] == 3
    with pytest.raises(InputError, match="there is no run nope with a release"):
        atelier("snapshot", "--run-id", "nope")


def test_snapshot_without_any_run(tmp_path: Path, warehouse: Warehouse, atelier) -> None:
    warehouse.replace_batch("runs", "1", rows_of("runs", []))
    with pytest.raises(InputError, match=r"no run is recorded in .* yet: start with `atelier plan`"):
        atelier("snapshot")


def test_check_passes_and_is_recorded(warehouse: Warehouse, atelier) -> None:
    atelier("snapshot")
    found = line(atelier("check", "--snapshot", "1"))
    assert (found["snapshot"], found["passed"], found["blocking"], found["warnings"]) == (1, found["checks"], {}, {})
    atelier("check")
    runs = [row for row in warehouse.read("runs").to_pylist() if row["job"] == "check"]
    assert [(row["run_id"], row["release_id"]) for row in runs] == [(RUN, RELEASE)]
    assert len(json.loads(runs[0]["details"])["results"]) == found["checks"]
    stored = warehouse.read("check_results").to_pylist()
    assert len(stored) == found["checks"]
    assert {(row["run_id"], row["snapshot"], row["passed"], row["rows"]) for row in stored} == {(RUN, 1, True, 0)}


def test_check_stops_what_comes_behind_it(warehouse: Warehouse, atelier, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.replace_batch("garments", "b1", rows_of("garments", []))
    atelier("snapshot")
    with pytest.raises(GateError, match=r"blocking data checks found rows: garments_counted \(2 rows\)") as refused:
        atelier("check")
    assert refused.value.exit_code == 4
    printed = capsys.readouterr()
    assert json.loads(printed.out)["blocking"] == {"garments_counted": 2}
    (failed,) = warehouse.read("check_results", filter=~pc.field("passed")).to_pylist()
    assert (failed["name"], failed["severity"], failed["rows"]) == ("garments_counted", "blocking", 2)
    assert json.loads(failed["examples"])[0]["image_key"] == "a.jpg"
    assert "garments_counted: {'image_key': 'a.jpg'" in printed.err


def test_an_unknown_snapshot(warehouse: Warehouse, atelier) -> None:
    with pytest.raises(InputError, match="there is no snapshot 9"):
        atelier("check", "--snapshot", "9")


def test_sql_reads_the_latest_snapshot_unless_told_otherwise(warehouse: Warehouse, atelier) -> None:
    atelier("snapshot")
    commit(warehouse, [Photo("c.jpg")], "b2")
    query = "copy (select count(*) as n from images) to 'n.csv' (header false)"
    for more, count in (([], "2"), (["--newest"], "3"), (["--snapshot", "1"], "2")):
        atelier("sql", "-c", query, *more)
        assert Path("n.csv").read_text().strip() == count
    with pytest.raises(InputError, match="can't go together"):
        atelier("sql", "-c", "select 1", "--newest", "--snapshot", "1")


def test_sql_as_of_a_run(warehouse: Warehouse, atelier) -> None:
    atelier("snapshot")
    commit(warehouse, [Photo("c.jpg")], "b2")
    atelier("snapshot", "--run-id", "later", "--release-id", RELEASE)
    query = "copy (select count(*) from images) to 'n.csv' (header false)"
    for more, count in ((["--run", RUN], "2"), (["--run", "later"], "3"), ([], "3")):
        atelier("sql", "-c", query, *more)
        assert Path("n.csv").read_text().strip() == count
    with pytest.raises(InputError, match=f"no snapshot of a run 'nope'; the latest with one are later, {RUN}"):
        atelier("sql", "-c", query, "--run", "nope")
    with pytest.raises(InputError, match="can't go together"):
        atelier("sql", "-c", query, "--run", RUN, "--snapshot", "1")
    with connect(warehouse, run=RUN) as con:
        assert con.execute("select count(*) from enriched").fetchone() == (2,)
        assert con.execute("select run_id from this_snapshot").fetchone() == (RUN,)
    with pytest.raises(InputError, match="a snapshot or a run, not both"):
        connect(warehouse, warehouse.latest_snapshot(), run=RUN)


def test_a_run_without_any_snapshot(warehouse: Warehouse, atelier) -> None:
    with pytest.raises(InputError, match=f"there is no snapshot of a run '{RUN}'; no run has taken one yet"):
        atelier("sql", "-c", "select 1", "--run", RUN)


def test_sql_says_which_tables_are_not_there(warehouse: Warehouse, atelier, caplog: pytest.LogCaptureFixture) -> None:
    atelier("sql", "-c", "select * from products")  # reads enriched, which reads feed
    assert caplog.messages == ["table feed does not exist yet: it reads as empty"]
    caplog.clear()
    atelier("snapshot")
    atelier("sql", "-c", "select count(*) from variants", "--run", RUN)
    assert caplog.messages == ["table variants does not exist in snapshot 1: it reads as empty"]
    caplog.clear()
    atelier("sql", "-c", "select count(*) from images")
    assert caplog.messages == []


def test_sql_says_which_columns_came_later(
    warehouse: Warehouse, atelier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = replace(TABLES["images"], columns=(*TABLES["images"].columns, Column("mood", pa.string(), "", "", True)))
    monkeypatch.setitem(TABLES, "images", wider)
    assert json.loads(atelier("sql", "-c", "select distinct mood from images", "--format", "json")) == [{"mood": None}]
    assert caplog.messages == ["table images, version 1, is of an older schema: mood came later and read as null"]


def test_examples_can_be_asked(warehouse: Warehouse, atelier) -> None:
    found = json.loads(atelier("sql", "--example", "list", "--format", "json"))
    assert len(found) == len(read_sql("examples")) >= 10
    (row,) = json.loads(atelier("sql", "--example", "time_per_photo", "--format", "json"))
    assert (row["format"], row["photos"]) == ("jpeg", 2)
    with pytest.raises(InputError, match="there is no example 'mood' in sql/examples; there are abstention_by_type, "):
        atelier("sql", "--example", "mood")
    with pytest.raises(InputError, match="can't go together"):
        atelier("sql", "--example", "list", "-c", "select 1")


def test_sql_as_a_table_and_to_files(warehouse: Warehouse, atelier, tmp_path: Path) -> None:
    query = "set threads = 1; select image_key, type from enriched order by 1 -- the end"
    assert "│ a.jpg" in atelier("sql", "-c", query)
    target = tmp_path / "it's.parquet"
    assert line(atelier("sql", "-c", query, "--format", "parquet", "-o", str(target))) == {
        "file": str(target),
        "rows": 2,
    }
    assert pq.read_table(target).to_pydict() == {"image_key": ["a.jpg", "b.jpg"], "type": ["Dress", None]}
    atelier("sql", "-c", query, "--format", "csv", "-o", str(tmp_path / "x.csv"))
    assert (tmp_path / "x.csv").read_text() == "image_key,type\na.jpg,Dress\nb.jpg,\n"
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["it's.parquet", "x.csv"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-c", "select mood from images"], InputError, "the query fails: Binder Error: .*mood"),
        (["-c", "selec 1", "--format", "csv"], InputError, "the query fails: Parser Error"),
        (["-c", "set threads = 1", "--format", "csv"], InputError, "the query fails"),
        (["-c", "", "--format", "csv"], InputError, "the query fails"),
        (["-c", "from command"], InputError, "the query fails: Catalog Error: .*command"),
        (["-c", "select 1", "-o", "x"], InputError, "-o needs --format"),
        (["--format", "csv"], InputError, "--format and -o need a query"),
        (["-c", "select 1", "--format", "csv", "-o", "nowhere/x"], SettingError, "can't write nowhere/x: .* no folder"),
    ],
)
def test_sql_mistakes(
    warehouse: Warehouse, atelier, arguments: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        atelier("sql", *arguments)


def test_the_prompt_answers_statements_from_stdin(
    warehouse: Warehouse, atelier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (
        "select\n  42 as answer;\n.tables\n.columns feed\n.columns\nselect mood;\n.notes\n.example worn_together\n"
        "select 43 as last\n"
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    out = atelier("sql")
    for expected in ("42", "garments_current", "price", "43", "table feed does not exist yet", "│ photos │"):
        assert expected in out
    monkeypatch.setattr(sys, "stdin", io.StringIO(".quit\nselect 44 as never;\n"))
    assert "44" not in atelier("sql")


def test_the_dictionary_in_docs_is_current() -> None:
    written = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == dictionary(), "run: python -m pipeline.tables.dictionary > docs/data-dictionary.md"


def test_an_answer_on_stdout_is_nothing_but_the_answer(warehouse: Warehouse, atelier) -> None:
    query = ("-c", "select image_key from images order by 1")
    assert atelier("sql", *query, "--format", "csv") == "image_key\na.jpg\nb.jpg\n"
    assert json.loads(atelier("sql", *query, "--format", "json")) == [{"image_key": "a.jpg"}, {"image_key": "b.jpg"}]
