"""Reading: the declared columns at any version, by filter. The catalog is replaced by prefix; columns may be added."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from builders import Photo, commit, garment_rows, list_catalog, new_warehouse, rows_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.tables import Warehouse, connect
from pipeline.tables.schema import TABLES, Column, Table
from pipeline.tables.warehouse import SCAN_BATCH_ROWS

FEW = ("a", "b", "'", "/", "\x7f", "é", "\ud7ff", "\ue000", "\U0010ffff")
keys = st.lists(st.sampled_from(FEW), min_size=1, max_size=3).map("".join)
prefixes = st.lists(st.sampled_from(FEW), max_size=2).map("".join)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_was_never_written_is_empty(table: str, tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    assert warehouse.version(table) is None
    assert warehouse.read(table).equals(TABLES[table].arrow_schema.empty_table())
    with pytest.raises(InputError, match=f"table {table} has no version 3"):
        warehouse.read(table, version=3)
    assert not (tmp_path / "warehouse").exists()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    photo = Photo("a.jpg", columns={"attributes": [{"head": "fit", "label": None, "score": 0.25}], "type": "Dress"})
    commit(warehouse, [photo, Photo("b.jpg", garments=2)])
    rows = warehouse.read("images")
    assert rows.schema.equals(TABLES["images"].arrow_schema)
    assert rows.to_pylist()[0]["attributes"] == [{"head": "fit", "label": None, "score": 0.25}]
    found = warehouse.read("garments", columns=["garment_index", "image_key"], filter=pc.field("garment_index") == 1)
    assert found.to_pydict() == {"garment_index": [1], "image_key": ["b.jpg"]}
    with pytest.raises(InputError, match="table garments has no column mood"):
        warehouse.read("garments", columns=["mood"])


def test_versions_stay_readable(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    first = warehouse.replace_batch("garments", "b1", garment_rows([Photo("a.jpg")], "b1"))
    second = warehouse.replace_batch("garments", "b1", garment_rows([Photo("b.jpg"), Photo("c.jpg")], "b1"))
    assert warehouse.read("garments", version=first).column("image_key").to_pylist() == ["a.jpg"]
    assert warehouse.read("garments", version=second).num_rows == warehouse.read("garments").num_rows == 2
    with pytest.raises(InputError, match="table garments has no version 99"):
        warehouse.read("garments", version=99)


def test_a_scan_streams(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    rows = rows_of("feed", [{"product_id": str(i)} for i in range(3 * SCAN_BATCH_ROWS)])
    warehouse.overwrite("feed", rows)
    batches = list(warehouse.scan("feed", columns=["product_id"]))
    assert max(batch.num_rows for batch in batches) <= SCAN_BATCH_ROWS
    assert sum(batch.num_rows for batch in batches) == len(rows)


@settings(max_examples=25, deadline=None)
@example(before=["a"], prefix="\U0010ffff", after=[])
@example(before=["\ue000", "\ud7ff\U0010ffff"], prefix="\ud7ff", after=[])
@given(before=st.lists(keys, unique=True, max_size=6), prefix=prefixes, after=st.lists(keys, unique=True, max_size=3))
def test_the_catalog_is_replaced_by_prefix(before: list[str], prefix: str, after: list[str]) -> None:
    new = sorted({prefix + key for key in after})
    with tempfile.TemporaryDirectory() as folder:
        warehouse = new_warehouse(Path(folder))
        list_catalog(warehouse, before)
        warehouse.replace_keys("catalog", prefix, rows_of("catalog", [{"image_key": key} for key in new]).to_batches())
        found = warehouse.read("catalog").column("image_key").to_pylist()
    assert sorted(found) == sorted([key for key in before if not key.startswith(prefix)] + new)


def test_a_listing_that_breaks_off_changes_nothing_and_says_why(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    list_catalog(warehouse, ["a.jpg"])

    def listing():
        yield rows_of("catalog", [{"image_key": "b.jpg"}]).to_batches()[0]
        raise InputError("the store went away")

    with pytest.raises(InputError, match=r"^the store went away$"):
        warehouse.replace_keys("catalog", "", listing())
    assert warehouse.read("catalog").column("image_key").to_pylist() == ["a.jpg"]


def declare(monkeypatch: pytest.MonkeyPatch, name: str, columns: tuple[Column, ...]) -> Table:
    monkeypatch.setitem(TABLES, name, replace(TABLES[name], columns=columns))
    return TABLES[name]


@pytest.fixture
def widened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse whose table garments was written once without and once with the columns pattern and x2."""
    warehouse = new_warehouse(tmp_path)
    columns = TABLES["garments"].columns
    with monkeypatch.context() as older:
        declared = declare(older, "garments", tuple(c for c in columns if c.name not in {"pattern", "attributes"}))
        rows = garment_rows([Photo("a.jpg")], "b1").select(declared.arrow_schema.names)
        assert warehouse.replace_batch("garments", "b1", rows) == 1
    return warehouse


def test_columns_added_since_are_null_in_older_versions(widened: Warehouse) -> None:
    old = widened.read("garments", version=1)
    assert old.schema.equals(TABLES["garments"].arrow_schema)
    assert old.column("pattern").to_pylist() == [None]
    with connect(widened) as con:
        assert con.sql("select pattern, attributes from stored.garments").fetchall() == [(None, None)]


def test_a_write_adds_declared_columns(widened: Warehouse) -> None:
    commit(widened, [Photo("b.jpg")], "b2")
    rows = widened.read("garments", filter=pc.is_valid(pc.field("etag")))
    assert sorted(rows.column("image_key").to_pylist()) == ["a.jpg", "b.jpg"]
    with connect(widened) as con:
        assert con.sql("select image_key, pattern, attributes from stored.garments order by 1").fetchall() == [
            ("a.jpg", None, None),
            ("b.jpg", None, None),
        ]


def test_a_column_that_may_not_be_null_can_t_be_added(widened: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, "garments", (*TABLES["garments"].columns, Column("mood", pa.string(), "new")))
    rows = garment_rows([Photo("b.jpg")], "b2")
    with pytest.raises(InputError, match="table garments, column mood: added later, so it must be nullable"):
        widened.replace_batch("garments", "b2", rows)
    with pytest.raises(InputError, match="table garments was written without the column mood"):
        widened.read("garments")


def test_a_table_of_a_newer_or_another_atelier_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = new_warehouse(tmp_path)
    warehouse.overwrite("feed", rows_of("feed", [{}]))
    columns = TABLES["feed"].columns
    declare(monkeypatch, "feed", columns[:-1])
    with pytest.raises(InputError, match="column price: was written by a newer Atelier"):
        warehouse.overwrite("feed", rows_of("feed", [{}]))
    assert warehouse.read("feed").column_names == [c.name for c in columns[:-1]]
    declare(monkeypatch, "feed", (*columns[:-1], Column("price", pa.int64(), "", nullable=True)))
    with pytest.raises(InputError, match="column price: is stored as double, declared is int64"):
        warehouse.overwrite("feed", rows_of("feed", [{}]))
