"""Every check passes on good tables and finds the rows when they are spoiled; the gate works from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from builders import RELEASE, RUN, START, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline.errors import InputError, Reason, SettingError
from pipeline.tables import Warehouse, connect, run_checks
from pipeline.tables.checks import EXAMPLES, run_check, severity_of
from pipeline.tables.schema import TABLES
from pipeline.tables.sql_files import parse, read_sql

CHECKS = {check.name: check for check in read_sql("checks")}
SCORED = {"type": "Dress", "type_score": 0.9, "attributes": [{"head": "fit", "label": "slim", "score": 0.5}]}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Every table has rows; every check passes, warnings too."""
    made = new_warehouse(tmp_path_factory.mktemp("checks"))
    photos = [
        Photo("a.jpg", product_id="p1", garments=2, columns=SCORED),
        Photo("b.jpg", product_id="p1"),
        Photo("c.jpg", product_id="p2", garments=0),
    ]
    commit(made, photos)
    variant = {"image_key": "a.jpg", "etag": "e1", "release_id": RELEASE, "batch_id": "b1", "target_probability": 0.5}
    made.replace_batch("variants", "b1", rows_of("variants", [variant]))
    commit(made, [Photo("a.jpg", product_id="p1")], "b2", release_id="another")
    list_catalog(made, [*photos, Photo("bad.jpg", product_id="p2")])
    made.overwrite("feed", rows_of("feed", [{"product_id": "p1"}, {"product_id": "p2"}]))
    bad = {"image_key": "bad.jpg", "etag": "e1", "batch_id": "b1", "release_id": RELEASE, "reason": "corrupt"}
    made.replace_batch("quarantine", "b1", rows_of("quarantine", [bad | {"permanent": True}]))
    history = [{"batch_id": "r", "run_id": RUN, "job": "enrich", "images": 100, "started_at": START}]
    for night in range(1, 5):
        of_run = {"run_id": f"r{night}", "started_at": START - timedelta(days=night)}
        history += [of_run | {"batch_id": f"e{night}", "job": "enrich", "images": 100 if night < 4 else 0}]
        history += [of_run | {"batch_id": f"p{night}", "job": "plan", "details": '{"listed": 4, "prefix": ""}'}]
    for row in history:
        made.replace_batch("runs", row["batch_id"], rows_of("runs", [row]))
    made.replace_batch("check_results", "c", rows_of("check_results", [{"batch_id": "c", "severity": "warning"}]))
    drift = {"batch_id": "d", "run_id": RUN, "measure": "labels", "level": 0.05, "alarm": False}
    made.replace_batch("drift_stats", "d", rows_of("drift_stats", [{"batch_id": "d", "run_id": RUN}]))
    made.replace_batch("drift_results", "d", rows_of("drift_results", [drift]))
    made.replace_batch("indexes", "v", rows_of("indexes", [{"batch_id": "v", "recall_at_10": 0.5}]))
    return made


@pytest.fixture(scope="module")
def opened(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(warehouse, warehouse.snapshot(RELEASE, RUN)) as connection:
        connection.execute("UPDATE limits SET asked_at = ?", [START + timedelta(hours=1)])
        connection.execute("INSERT INTO accepted_labels VALUES ('type', 'Dress'), ('fit', 'slim')")
        yield connection


@pytest.fixture
def con(opened: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose tables a test may spoil: everything is rolled back behind it."""
    opened.begin()
    yield opened
    opened.rollback()


def spoil(con: duckdb.DuckDBPyConnection, table: str, change: str) -> None:
    """Let the connection see a copy of `table` after an SQL change of `rows`: the writer would refuse most of them."""
    con.execute(f"CREATE TABLE rows AS FROM stored.{table}")
    con.execute(change)
    con.execute(f"CREATE OR REPLACE VIEW stored.{table} AS FROM rows")


def repeat_a_row(table: str) -> str:
    """SQL that doubles one row of the table (of this release, where the check looks at no other)."""
    big = TABLES[table].ledgered or table == "images"
    condition = f"WHERE release_id = '{RELEASE}'" if big else ""
    return f"INSERT INTO rows FROM rows {condition} LIMIT 1"


SPOILED = {
    "catalog_whole": [
        ("catalog", "DELETE FROM rows WHERE image_key > 'a.jpg'"),
        ("runs", "UPDATE rows SET details = '{\"listed\": 9}' WHERE job = 'plan'"),
    ],
    "drift_limits": [("drift_results", "UPDATE rows SET alarm = true, distance = 0.4")],
    "fresh": [
        ("runs", "UPDATE rows SET started_at = '2026-11-21 02:00:00+00' WHERE job = 'plan'"),
        ("catalog", "UPDATE rows SET etag = 'e2', modified_at = '2026-11-21 02:00:00+00' WHERE image_key = 'a.jpg'"),
    ],
    "labels_accepted": [
        ("images", "UPDATE rows SET type = 'dress' WHERE image_key = 'a.jpg'"),
        ("images", "UPDATE rows SET attributes = [{'head': 'fit', 'label': 'loose', 'score': 0.5}]"),
        ("garments", "UPDATE rows SET color = 'Red'"),
    ],
    "not_null": [
        (table.name, f'UPDATE rows SET "{column.name}" = NULL')
        for table in TABLES.values()
        for column in table.columns
        if not column.nullable and column.name not in ("vector", "batch_id")
    ],
    "volume": [
        ("runs", f"UPDATE rows SET images = 501 WHERE run_id = '{RUN}'"),
        ("runs", f"UPDATE rows SET images = 19 WHERE run_id = '{RUN}'"),
    ],
    "boxes_inside": [
        ("garments", "UPDATE rows SET x1 = -1"),
        ("garments", "UPDATE rows SET y2 = 120.5"),
        ("garments", "UPDATE rows SET x2 = x1"),
        ("garments", "UPDATE rows SET y1 = 'nan'"),
        ("garments", "UPDATE rows SET y1 = 70"),
    ],
    "enriched_or_quarantined": [("quarantine", "UPDATE rows SET image_key = 'a.jpg'")],
    "garments_counted": [
        ("garments", "DELETE FROM rows WHERE garment_index = 1"),
        ("images", "UPDATE rows SET garments = 3 WHERE image_key = 'a.jpg'"),
        ("images", "UPDATE rows SET garments = 1, main_group = 'bag' WHERE image_key = 'c.jpg'"),
        ("garments", "UPDATE rows SET garment_index = 2 WHERE garment_index = 1"),
        ("garments", "UPDATE rows SET is_main = true"),
        ("garments", "UPDATE rows SET is_main = false"),
        ("images", "UPDATE rows SET main_group = 'bag' WHERE image_key = 'a.jpg'"),
        ("images", "UPDATE rows SET main_group = 'bag' WHERE image_key = 'c.jpg'"),
    ],
    "known_codes": [
        ("garments", "UPDATE rows SET \"group\" = 'hat'"),
        ("images", "UPDATE rows SET main_group = 'hat'"),
        ("embeddings", "UPDATE rows SET kind = 'picture'"),
        ("quarantine", "UPDATE rows SET reason = 'ugly'"),
        ("check_results", "UPDATE rows SET severity = 'fatal'"),
        ("drift_results", "UPDATE rows SET measure = 'mood'"),
    ],
    "one_feature_id": [
        ("images", "UPDATE rows SET feature_id = 'f2' WHERE image_key = 'a.jpg'"),
        ("embeddings", "UPDATE rows SET feature_id = 'f2'"),
    ],
    "photos_usable": [("catalog", "UPDATE rows SET product_id = 'p3' WHERE image_key = 'bad.jpg'")],
    "products_known": [
        ("feed", "DELETE FROM rows WHERE product_id = 'p2'"),
        ("catalog", "UPDATE rows SET product_id = NULL WHERE image_key = 'a.jpg'"),
    ],
    "promise_kept": [
        ("catalog", "INSERT INTO rows SELECT * REPLACE ('new.jpg' AS image_key) FROM rows LIMIT 1"),
        ("catalog", "UPDATE rows SET etag = 'e2' WHERE image_key = 'a.jpg'"),
        ("quarantine", "UPDATE rows SET reason = 'readmitted'"),
    ],
    "rows_have_image": [
        ("garments", "UPDATE rows SET image_key = 'z.jpg' WHERE garment_index = 1"),
        ("embeddings", "UPDATE rows SET etag = 'e2' WHERE image_key = 'a.jpg'"),
        ("variants", "UPDATE rows SET image_key = 'z.jpg'"),
        ("images", "DELETE FROM rows WHERE image_key = 'b.jpg'"),
    ],
    "scores_in_range": [
        ("images", "UPDATE rows SET type_score = 1.5"),
        ("images", "UPDATE rows SET caption_score = -0.5"),
        ("images", "UPDATE rows SET color_measured_share = 'nan'"),
        ("images", "UPDATE rows SET attributes = [{'head': 'fit', 'label': 'x', 'score': 2}]"),
        ("garments", "UPDATE rows SET score = 'infinity'"),
        ("garments", "UPDATE rows SET attributes = [{'head': 'fit', 'label': 'x', 'score': 2}]"),
        ("variants", "UPDATE rows SET target_probability = 2"),
        ("variants", "UPDATE rows SET color_distance = 2"),
        ("indexes", "UPDATE rows SET recall_at_10 = 2"),
    ],
    "unique_keys": [(table, repeat_a_row(table)) for table in TABLES],
    "vectors_counted": [
        ("embeddings", "DELETE FROM rows WHERE kind = 'image' AND image_key = 'a.jpg'"),
        ("embeddings", "DELETE FROM rows WHERE kind = 'garment' AND image_key = 'a.jpg' AND garment_index = 1"),
        ("embeddings", "INSERT INTO rows FROM rows WHERE kind = 'image'"),
        ("embeddings", "UPDATE rows SET garment_index = 0 WHERE kind = 'garment'"),
        ("embeddings", "UPDATE rows SET garment_index = 5 WHERE kind = 'garment' AND garment_index = 1"),
        ("embeddings", "UPDATE rows SET garment_index = 0 WHERE kind = 'image'"),
    ],
    "vectors_whole": [
        ("embeddings", "UPDATE rows SET vector = 'abc'::BLOB WHERE image_key = 'a.jpg'"),
        ("embeddings", "UPDATE rows SET vector = NULL WHERE image_key = 'a.jpg'"),
        ("embeddings", "UPDATE rows SET dim = 4 WHERE image_key = 'a.jpg'"),
        ("embeddings", "UPDATE rows SET dim = 4, vector = 'abcdefgh'::BLOB WHERE image_key = 'a.jpg'"),
        ("embeddings", "UPDATE rows SET norm = 0"),
        ("embeddings", "UPDATE rows SET norm = 'nan'"),
    ],
    "well_formed": [
        ("images", "UPDATE rows SET sha256 = upper(sha256)"),
        ("images", "UPDATE rows SET phash = '12'"),
        ("images", "UPDATE rows SET width = 0"),
        ("images", "UPDATE rows SET height = -1"),
        ("images", "UPDATE rows SET bytes = 0"),
    ],
}


def test_good_tables_pass_every_check(con: duckdb.DuckDBPyConnection) -> None:
    results = run_checks(con)
    assert [result.name for result in results if not result.passed] == []
    assert len(results) == len(CHECKS)


def test_an_empty_warehouse_passes_every_check(tmp_path: Path) -> None:
    with connect(new_warehouse(tmp_path)) as con:
        assert all(result.passed for result in run_checks(con))


def test_every_check_is_tried() -> None:
    assert set(SPOILED) == set(CHECKS)


@pytest.mark.parametrize(("name", "table", "change"), [(n, t, c) for n, cases in SPOILED.items() for t, c in cases])
def test_spoiled_rows_are_found(name: str, table: str, change: str, con: duckdb.DuckDBPyConnection) -> None:
    spoil(con, table, change)
    result = run_check(con, CHECKS[name])
    assert result.rows > 0
    assert result.blocks is (severity_of(CHECKS[name]) == "blocking")
    assert len(result.examples) == min(result.rows, EXAMPLES)


@pytest.mark.parametrize("table", TABLES)
def test_unique_keys_names_table_and_declared_key(table: str, con: duckdb.DuckDBPyConnection) -> None:
    spoil(con, table, repeat_a_row(table))
    (example,) = run_check(con, CHECKS["unique_keys"]).examples
    assert (example["table_name"], example["times"]) == (table, 2)
    assert tuple(json.loads(example["key"])) == TABLES[table].key


def test_all_reasons_are_known_codes(con: duckdb.DuckDBPyConnection) -> None:
    codes = [*Reason, "readmitted"]
    spoil(
        con, "quarantine", f"INSERT INTO rows SELECT * REPLACE (unnest({[str(c) for c in codes]}) AS reason) FROM rows"
    )
    assert run_check(con, CHECKS["known_codes"]).passed


def test_the_vectors_of_other_runs_are_not_read(con: duckdb.DuckDBPyConnection) -> None:
    spoil(con, "images", "UPDATE rows SET run_id = 'earlier'")
    con.execute("CREATE TABLE vectors AS SELECT * REPLACE ('abc'::BLOB AS vector) FROM stored.embeddings")
    con.execute("CREATE OR REPLACE VIEW stored.embeddings AS FROM vectors")
    assert run_check(con, CHECKS["vectors_whole"]).passed
    con.execute("UPDATE this_snapshot SET run_id = NULL")
    assert not run_check(con, CHECKS["vectors_whole"]).passed


NOTHING = {
    "volume": [
        ("runs", f"UPDATE rows SET images = 499 WHERE run_id = '{RUN}'"),
        ("runs", "DELETE FROM rows"),
        ("runs", "DELETE FROM rows WHERE run_id = 'r1'"),
        ("runs", f"UPDATE rows SET images = 0 WHERE run_id = '{RUN}'"),
    ],
    "catalog_whole": [
        ("catalog", "DELETE FROM rows WHERE image_key > 'b.jpg'"),
        ("runs", 'UPDATE rows SET details = \'{"listed": 9, "prefix": "new/"}\' WHERE job = \'plan\''),
    ],
    "fresh": [("catalog", "UPDATE rows SET modified_at = '2026-11-21 02:00:00+00'")],
    "drift_limits": [("drift_results", "UPDATE rows SET alarm = true, run_id = 'r1'")],
    "labels_accepted": [("images", "UPDATE rows SET type = 'dress' WHERE release_id = 'another'")],
}


@pytest.mark.parametrize(("name", "table", "change"), [(n, t, c) for n, cases in NOTHING.items() for t, c in cases])
def test_what_is_within_the_limits_passes(name: str, table: str, change: str, con: duckdb.DuckDBPyConnection) -> None:
    spoil(con, table, change)
    assert run_check(con, CHECKS[name]).passed


def test_labels_pass_where_the_release_is_not_at_hand(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM accepted_labels")
    spoil(con, "images", "UPDATE rows SET type = 'anything'")
    assert run_check(con, CHECKS["labels_accepted"]).passed


def test_a_setting_makes_a_warning_block(con: duckdb.DuckDBPyConnection) -> None:
    spoil(con, "drift_results", "UPDATE rows SET alarm = true")
    assert not any(result.blocks for result in run_checks(con))
    assert [result.name for result in run_checks(con, ["drift_limits"]) if result.blocks] == ["drift_limits"]
    with pytest.raises(SettingError, match=r"checks\.block names mood; the checks are boxes_inside, "):
        run_checks(con, ["mood"])


def test_five_examples_and_the_full_count(con: duckdb.DuckDBPyConnection) -> None:
    more = (
        "INSERT INTO rows SELECT one.* REPLACE (n || '.jpg' AS image_key) FROM (FROM rows LIMIT 1) one, range(50) t(n)"
    )
    spoil(con, "catalog", more)
    result = run_check(con, CHECKS["promise_kept"])
    assert (result.rows, len(result.examples)) == (50, EXAMPLES)
    assert set(result.examples[0]) == {"image_key", "etag"}


def test_a_check_that_can_t_run_names_its_file(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sql"
    wrong.write_text("-- purpose: nothing\n-- severity: blocking\nSELECT mood FROM images\n")
    with pytest.raises(InputError, match=r"sql/checks/wrong\.sql: .*mood"):
        run_check(con, parse(wrong))
    wrong.write_text("-- purpose: nothing\n-- severity: fatal\nSELECT 1\n")
    with pytest.raises(SettingError, match="its header needs"):
        run_check(con, parse(wrong))
    wrong.write_text("SELECT 1\n")
    with pytest.raises(SettingError, match="has no header line"):
        parse(wrong)
