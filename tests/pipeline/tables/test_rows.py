"""The writer refuses whatever does not fit the declaration, names table and column, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from builders import RELEASE, Photo, embedding_rows, garment_rows, image_rows, new_warehouse, rows_of

from pipeline.errors import InputError
from pipeline.tables.rows import conform
from pipeline.tables.schema import TABLES

PHOTOS = [Photo("a.jpg"), Photo("b.jpg", garments=2)]


def with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def with_value(rows: pa.Table, name: str, value: object) -> pa.Table:
    values = [value, *rows.column(name).to_pylist()[1:]]
    return with_column(rows, name, pa.array(values, rows.schema.field(name).type))


WRONG: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a column is missing": (lambda rows: rows.drop_columns(["score"]), "column score: is missing"),
    "a column is unknown": (
        lambda rows: rows.append_column("mood", pa.nulls(len(rows), pa.string())),
        "column mood: is not declared",
    ),
    "a column is there twice": (
        lambda rows: rows.append_column("score", rows.column("score")),
        "score: is there twice",
    ),
    "another type": (
        lambda rows: with_column(rows, "score", rows.column("score").cast(pa.float64())),
        "column score: has type double, declared is float",
    ),
    "a null": (lambda rows: with_value(rows, "group", None), "column group: 1 of 3 values are null"),
    "a score above 1": (lambda rows: with_value(rows, "score", 1.5), "column score: 1.5 is outside of 0 to 1"),
    "a score below 0": (lambda rows: with_value(rows, "type_score", -0.5), "column type_score: -0.5 is outside"),
    "a score that is no number": (lambda rows: with_value(rows, "score", float("nan")), "column score: nan is outside"),
    "an infinite share": (
        lambda rows: with_value(rows, "color_measured_share", float("inf")),
        "column color_measured_share: inf is outside of 0 to 1",
    ),
    "another batch": (
        lambda rows: with_value(rows, "batch_id", "b2"),
        "column batch_id: holds b2 in a write of batch b1",
    ),
    "a release that is no folder name": (
        lambda rows: with_value(rows, "release_id", "../x"),
        "column release_id: '../x' may hold",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    spoil, message = WRONG[case]
    warehouse = new_warehouse(tmp_path)
    with pytest.raises(InputError, match="table garments") as refused:
        warehouse.replace_batch("garments", "b1", spoil(garment_rows(PHOTOS, "b1")))
    assert message in str(refused.value)
    assert warehouse.version("garments") is None


def test_a_vector_of_another_length_is_refused() -> None:
    rows = with_value(embedding_rows(PHOTOS, "b1"), "vector", b"1234")
    with pytest.raises(InputError, match="table embeddings, column vector: 4 bytes where dim says 8"):
        conform(TABLES["embeddings"], rows)


def test_columns_in_another_order_are_put_in_order() -> None:
    rows = garment_rows(PHOTOS, "b1")
    shuffled = rows.select(list(reversed(rows.column_names)))
    assert conform(TABLES["garments"], shuffled).equals(rows)


@pytest.mark.parametrize("batch_id", ["", "a b", "a'b", "ü", "-x", "x" * 129])
def test_batch_ids_are_plain(batch_id: str, tmp_path: Path) -> None:
    rows = garment_rows(PHOTOS, batch_id)
    with pytest.raises(InputError, match="the batch_id"):
        new_warehouse(tmp_path).replace_batch("garments", batch_id, rows)


def test_a_batch_of_the_ledger_holds_each_key_once_and_one_release(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    twice = image_rows([Photo("a.jpg", etag="1"), Photo("a.jpg", etag="2")], "b1")
    with pytest.raises(InputError, match=r"image_key: a\.jpg is there twice"):
        warehouse.commit_images("b1", RELEASE, twice)
    with pytest.raises(InputError, match="release_id: holds 0123456789ab in a batch of release other"):
        warehouse.commit_images("b1", "other", image_rows(PHOTOS, "b1"))


def test_each_table_is_written_its_own_way(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    with pytest.raises(InputError, match="table images is not written with replace_batch"):
        warehouse.replace_batch("images", "b1", image_rows(PHOTOS, "b1"))
    with pytest.raises(InputError, match="table feed is not written with replace_batch"):
        warehouse.replace_batch("feed", "b1", rows_of("feed", [{}]))
    with pytest.raises(InputError, match="table garments is not written with overwrite"):
        warehouse.overwrite("garments", garment_rows(PHOTOS, "b1"))
    with pytest.raises(InputError, match="table feed is not written with replace_keys"):
        warehouse.replace_keys("feed", "", [])
    with pytest.raises(InputError, match="there is no table 'nope'; the tables are catalog, feed"):
        warehouse.read("nope")


def test_keys_outside_of_the_prefix_are_refused(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    rows = rows_of("catalog", [{"image_key": "a/1.jpg"}, {"image_key": "b/1.jpg"}])
    with pytest.raises(InputError, match=r"column image_key: b/1\.jpg does not begin with 'a/'"):
        warehouse.replace_keys("catalog", "a/", rows.to_batches())
    assert warehouse.read("catalog").num_rows == 0
