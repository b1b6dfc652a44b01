"""The example questions answer rightly on a small shop; their headers name their columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from builders import RELEASE, RUN, START, Photo, commit, garment_rows, image_rows, new_warehouse, rows_of

from pipeline.tables import Warehouse, connect
from pipeline.tables.sql_files import SqlFile, read_sql

EXAMPLES = {example.name: example for example in read_sql("examples")}


def labelled(key: str, product: str, kind: str | None, color: str | None, price_ms: float, **more: Any) -> Photo:
    columns = {"type": kind, "type_score": 0.8, "color": color, "color_score": 0.6, "decode_ms": price_ms}
    return Photo(key, product_id=product, columns=columns | {"width": 2000, "height": 1000} | more)


PHOTOS = [
    labelled("p1_1.jpg", "p1", "Dress", "Red", 10.0),
    labelled("p1_2.jpg", "p1", "Dress", "Red", 20.0),
    labelled("p2_1.jpg", "p2", "Dress", "Blue", 30.0, sha256="5" * 64),
    labelled("p3_1.jpg", "p3", "Shirt", None, 40.0, sha256="5" * 64),
]

ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "abstention_by_type": [
        ("color", "Shirt", 1, 1.0),
        ("color", "Dress", 3, 0.0),
        ("type", "Dress", 3, 0.0),
        ("type", "Shirt", 1, 0.0),
    ],
    "brands_that_disagree": [("Acme", 2, 2, 1.0, ["color", "type"]), ("Nord", 2, 1, 0.5, ["type"])],
    "abstention_over_runs": [
        ("earlier", START, "color", 1, 0.0, None),
        (RUN, START + timedelta(minutes=10), "color", 4, 0.25, 0.25),
        ("earlier", START, "type", 1, 0.0, None),
        (RUN, START + timedelta(minutes=10), "type", 4, 0.0, 0.0),
    ],
    "colors_by_type_and_month": [
        (date(2026, 11, 1), "Dress", "Blue", 1, 0.5),
        (date(2026, 11, 1), "Dress", "Red", 1, 0.5),
        (date(2026, 10, 1), "Dress", "Red", 1, 1.0),
    ],
    "what_drifted": [
        ("type", "labels", "alarm", 0.3, 0.05, "Hat", 0.5, 0.0),
        ("embedding", "vectors", "ok", 0.01, 0.05, None, None, None),
    ],
    "cost_per_thousand_photos": [(RUN, START, "cpu bf16", 900, 5.0)],
    "near_duplicate_listings": [("p3", "p2", 1, ["same_bytes"], "p3_1.jpg", "p2_1.jpg")],
    "prices_by_color": [("Dress", "Blue", 1, 50.0), ("Dress", "Red", 1, 20.0)],
    "products_without_usable_photo": [("p4", "Lost hat", 2, ["corrupt", "empty"])],
    "rejects_by_reason": [
        ("corrupt", True, 1, START, "p4_1.jpg", "bad bytes"),
        ("empty", True, 1, START + timedelta(hours=1), "p4_2.jpg", "no bytes"),
    ],
    "time_per_photo": [("jpeg", 2, 4, 0.0, 25.0, 0.0)],
    "worn_together": [("bag", "full-body", 2), ("bag", "footwear", 1), ("footwear", "full-body", 1)],
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = new_warehouse(tmp_path_factory.mktemp("examples"))
    commit(made, PHOTOS)
    worn = [("p1_1.jpg", ["full-body", "bag", "bag"]), ("p1_2.jpg", ["full-body", "footwear", "bag"])]
    photos = [Photo(key, garments=len(groups)) for key, groups in worn]
    rows = garment_rows(photos, "b1").to_pylist()
    for row, group in zip(rows, [group for _, groups in worn for group in groups], strict=True):
        row["group"] = group
    made.replace_batch("garments", "b1", rows_of("garments", rows))
    made.commit_images("b1", RELEASE, image_rows(PHOTOS, "b1"))
    seen_before = labelled("gone.jpg", "p0", "Dress", "Red", 1.0, enriched_at=START)
    commit(made, [seen_before], "b0", run_id="earlier")
    listed = [*PHOTOS, Photo("p4_1.jpg", product_id="p4"), Photo("p4_2.jpg", product_id="p4")]
    october = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)
    rows = [
        {"image_key": photo.image_key, "etag": "e1", "product_id": photo.product_id}
        | {"modified_at": october if photo.image_key == "p1_1.jpg" else START}
        for photo in listed
    ]
    made.replace_keys("catalog", "", rows_of("catalog", rows).to_batches())
    feed = [
        {"product_id": "p1", "brand": "Acme", "type": "Shirt", "color": "Blue", "price": 20.0},
        {"product_id": "p2", "brand": "Nord", "type": "shirt", "price": 50.0},
        {"product_id": "p3", "brand": "Nord", "type": "shirt", "price": 70.0},
        {"product_id": "p4", "title": "Lost hat"},
    ]
    made.overwrite("feed", rows_of("feed", feed))
    out = {"etag": "e1", "batch_id": "q", "permanent": True}
    events = [
        out | {"image_key": "p4_1.jpg", "reason": "corrupt", "message": "bad bytes", "happened_at": START},
        out
        | {"image_key": "p4_2.jpg", "reason": "empty", "message": "no bytes"}
        | {"happened_at": START + timedelta(hours=1)},
    ]
    made.replace_batch("quarantine", "q", rows_of("quarantine", events))
    run = {"batch_id": "1", "run_id": RUN, "job": "enrich", "seconds": 300.0, "images": 900, "rejects": 100}
    made.replace_batch("runs", "1", rows_of("runs", [run | {"started_at": START, "device": "cpu bf16"}]))
    of_run = {"batch_id": "d", "run_id": RUN, "level": 0.05, "enriched_at": START}
    hats = {"subject": "type", "measure": "labels", "distance": 0.3, "alarm": True}
    hats |= {"moved": [{"bin": "Hat", "share": 0.5, "usual_share": 0.0}]}
    vectors = {"subject": "embedding", "measure": "vectors", "distance": 0.01, "alarm": False}
    stats = [of_run | {name: row[name] for name in ("subject", "measure")} for row in (hats, vectors)]
    made.replace_batch("drift_stats", "d", rows_of("drift_stats", [without(row, "level") for row in stats]))
    results = [without(of_run, "enriched_at") | row for row in (hats, vectors)]
    made.replace_batch("drift_results", "d", rows_of("drift_results", results))
    return made


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.fixture(scope="module")
def con(shop: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(shop) as connection:
        yield connection


def test_every_example_is_tried() -> None:
    assert set(ANSWERS) == set(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=lambda example: example.name)
def test_an_example_answers(example: SqlFile, con: duckdb.DuckDBPyConnection) -> None:
    cursor = con.execute(example.statement)
    assert [column[0] for column in cursor.description or ()] == list(example.columns)
    rows = [tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in cursor.fetchall()]
    assert rows == ANSWERS[example.name]
    assert example.purpose.endswith(("?", "."))
