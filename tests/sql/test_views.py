"""Every view on a small warehouse written by hand, with the answer worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from builders import RELEASE, RUN, START, Photo, commit, list_catalog, new_warehouse, rows_of

from pipeline.tables import Warehouse, connect
from pipeline.tables.schema import TABLES
from pipeline.tables.sql_files import read_sql

HASH = 0x5A5A_5A5A_5A5A_5A5A


def looks(bits: int, sha256: str) -> dict[str, Any]:
    """Columns of a photo whose perceptual hash differs from HASH in the lowest `bits` bits of every other position."""
    changed = sum(1 << (2 * i) for i in range(bits))
    return {"phash": f"{HASH ^ changed:016x}", "sha256": sha256 * 64}


PHOTOS = [
    # p1: a red dress. Two photos say Dress (0.9, 0.6), one says Skirt (0.8): the dress has the larger sum.
    Photo(
        "p1_1.jpg",
        product_id="p1",
        garments=2,
        columns={"type": "Dress", "type_score": 0.9, "color": "Red", "color_score": 0.8, "color_measured": "Red"}
        | {"color_agrees": True, "color_measured_share": 0.7, "caption": "red dress", "caption_score": 0.5}
        | {"attributes": [{"head": "fit", "label": "slim", "score": 0.75}], **looks(0, "a")},
    ),
    Photo(
        "p1_2.jpg",
        product_id="p1",
        columns={"type": "Dress", "type_score": 0.6, "color": "Pink", "color_score": 0.5, "color_measured": "Red"}
        | {"color_agrees": False, "color_measured_share": 0.4, "caption": "a dress", "caption_score": 0.625}
        | {"attributes": [{"head": "fit", "label": None, "score": 0.25}], **looks(2, "b")},
    ),
    Photo(
        "p1_3.jpg",
        product_id="p1",
        garments=0,
        columns={"type": "Skirt", "type_score": 0.8, "color": None, "color_score": 0.3} | looks(0, "c"),
    ),
    # p2: sold under another name with p1's first photo
    Photo(
        "p2_1.jpg",
        product_id="p2",
        columns={"type": "T-Shirts", "type_score": 0.9, "brand": "acme  inc", "brand_score": 0.7} | looks(0, "a"),
    ),
    # of no product
    Photo("x.jpg", columns={"type": None, "type_score": 0.2} | looks(4, "d")),
]
OLD = [Photo("p1_1.jpg", etag="e0", product_id="p1"), Photo("gone.jpg", product_id="p1")]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = new_warehouse(tmp_path_factory.mktemp("views"))
    commit(made, OLD, "old")  # an earlier version of a photo, and a photo that has left the catalog
    commit(made, PHOTOS, "b1")
    commit(made, [Photo("p1_1.jpg", product_id="p1")], "b2", release_id="another")
    bad = [Photo("bad.jpg", product_id="p3"), Photo("late.jpg", product_id="p1"), Photo("back.jpg", product_id="p1")]
    list_catalog(made, [*PHOTOS, *bad, Photo("pending.jpg", product_id="p4")])
    made.overwrite("feed", rows_of("feed", FEED))
    for batch_id, *events in QUARANTINE:
        made.replace_batch("quarantine", batch_id, rows_of("quarantine", [{"batch_id": batch_id} | e for e in events]))
    for row in RUNS:
        made.replace_batch("runs", row["batch_id"], rows_of("runs", [row]))
    for night, distance in enumerate((None, 0.01, 0.2)):
        of_run = {"batch_id": f"d{night}", "run_id": f"r{night}", "subject": "type", "measure": "labels"}
        stats = of_run | {"release_id": RELEASE, "enriched_at": START + timedelta(days=night)}
        made.replace_batch("drift_stats", f"d{night}", rows_of("drift_stats", [stats]))
        judged = {"distance": distance, "level": 0.05, "alarm": distance == 0.2, "release_id": RELEASE}
        made.replace_batch("drift_results", f"d{night}", rows_of("drift_results", [of_run | judged]))
    built = {"batch_id": "v1", "run_id": "r1", "index_version": "v1", "recall_at_10": 0.96875, "built_at": START}
    made.replace_batch("indexes", "v1", rows_of("indexes", [built]))
    return made


FEED = [
    {"product_id": "p1", "type": "dress", "color": "Blue", "brand": "Acme", "title": "Red dress", "price": 49.5},
    {"product_id": "p2", "type": "tshirts", "brand": "Acme Inc.", "color": "Black"},
    {"product_id": "p3", "type": "Coats"},
]
HOUR = timedelta(hours=1)
QUARANTINE = [
    (
        "q1",
        {"image_key": "bad.jpg", "etag": "e1", "reason": "fetch_failed", "permanent": False, "happened_at": START},
        {"image_key": "back.jpg", "etag": "e1", "reason": "corrupt", "permanent": True, "happened_at": START},
        {"image_key": "late.jpg", "etag": "e0", "reason": "corrupt", "permanent": True, "happened_at": START},
        {"image_key": "p1_1.jpg", "etag": "e1", "reason": "fetch_failed", "permanent": False, "happened_at": START},
    ),
    (
        "q2",
        {"image_key": "bad.jpg", "etag": "e1", "reason": "truncated", "permanent": True, "happened_at": START + HOUR},
        {"image_key": "back.jpg", "etag": "e1", "reason": "readmitted", "happened_at": START + HOUR},
    ),
]
RUNS = [
    {"batch_id": "1", "run_id": "r1", "job": "plan", "release_id": RELEASE, "started_at": START, "seconds": 60.0},
    {"batch_id": "2", "run_id": "r1", "job": "enrich", "part": 0, "release_id": RELEASE, "seconds": 600.0}
    | {"started_at": START + timedelta(minutes=2), "images": 900, "rejects": 100, "device": "cpu bf16"},
    {"batch_id": "3", "run_id": "r1", "job": "enrich", "part": 1, "release_id": RELEASE, "seconds": 600.0}
    | {"started_at": START + timedelta(minutes=7), "images": 600, "rejects": 0, "device": "cpu bf16"},
    {"batch_id": "4", "run_id": "r2", "job": "plan", "started_at": START + timedelta(days=1), "seconds": 5.0},
]


@pytest.fixture(scope="module")
def con(warehouse: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(warehouse, warehouse.snapshot(RELEASE, RUN)) as connection:
        yield connection


def ask(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    """The answer, floats rounded to 6 digits (scores are stored as float32)."""
    rows = con.execute(query).fetchall()
    return [tuple(round(v, 6) if isinstance(v, float) else v for v in row) for row in rows]


def test_enriched_has_the_current_row_of_each_photo_with_the_feed(con: duckdb.DuckDBPyConnection) -> None:
    columns = "image_key, etag, release_id, batch_id, product_id, feed_type, feed_title, feed_price"
    assert ask(con, f"select {columns} from enriched order by 1") == [
        ("p1_1.jpg", "e1", RELEASE, "b1", "p1", "dress", "Red dress", 49.5),
        ("p1_2.jpg", "e1", RELEASE, "b1", "p1", "dress", "Red dress", 49.5),
        ("p1_3.jpg", "e1", RELEASE, "b1", "p1", "dress", "Red dress", 49.5),
        ("p2_1.jpg", "e1", RELEASE, "b1", "p2", "tshirts", None, None),
        ("x.jpg", "e1", RELEASE, "b1", None, None, None, None),
    ]


def test_garments_current(con: duckdb.DuckDBPyConnection) -> None:
    columns = 'image_key, garment_index, product_id, "group", width, height, round(area_share, 6)'
    area = round(49 * 58 / (100 * 120), 6)
    assert ask(con, f"select {columns} from garments_current order by 1, 2") == [
        ("p1_1.jpg", 0, "p1", "upper-body", 100, 120, area),
        ("p1_1.jpg", 1, "p1", "upper-body", 100, 120, area),
        ("p1_2.jpg", 0, "p1", "upper-body", 100, 120, area),
        ("p2_1.jpg", 0, "p2", "upper-body", 100, 120, area),
        ("x.jpg", 0, None, "upper-body", 100, 120, area),
    ]


def test_quarantined_goes_by_the_newest_event_of_the_current_version(con: duckdb.DuckDBPyConnection) -> None:
    assert ask(con, "select image_key, product_id, reason, permanent, batch_id from quarantined") == [
        ("bad.jpg", "p3", "truncated", True, "q2")
    ]


def test_answers(con: duckdb.DuckDBPyConnection) -> None:
    found = ask(con, "select image_key, head, label, score from answers where image_key < 'p2' order by all")
    assert found == [
        ("p1_1.jpg", "color", "Red", 0.8),
        ("p1_1.jpg", "fit", "slim", 0.75),
        ("p1_1.jpg", "type", "Dress", 0.9),
        ("p1_2.jpg", "color", "Pink", 0.5),
        ("p1_2.jpg", "fit", None, 0.25),
        ("p1_2.jpg", "type", "Dress", 0.6),
        ("p1_3.jpg", "color", None, 0.3),
        ("p1_3.jpg", "type", "Skirt", 0.8),
    ]


def test_products_vote_by_score(con: duckdb.DuckDBPyConnection) -> None:
    columns = "product_id, photos, type, type_score, type_photos, color, color_score, color_photos"
    assert ask(con, f"select {columns} from products order by 1") == [
        ("p1", 3, "Dress", 0.5, 3, "Red", 0.4, 2),
        ("p2", 1, "T-Shirts", 0.9, 1, None, None, 0),
    ]
    columns = "brand, brand_photos, pattern, caption, caption_score, best_image_key, feed_color"
    assert ask(con, f"select {columns} from products order by product_id") == [
        (None, 0, None, "a dress", 0.625, "p1_2.jpg", "Blue"),
        ("acme  inc", 1, None, None, None, "p2_1.jpg", "Black"),
    ]


def test_a_tied_vote_goes_to_the_last_label_by_name_whatever_the_order(tmp_path: Path) -> None:
    for name, labels in {"one": ["Shirt", "Dress"], "other": ["Dress", "Shirt"]}.items():
        made = new_warehouse(tmp_path / name)
        photos = [
            Photo(f"{i}.jpg", product_id="p", columns={"type": label, "type_score": 0.7})
            for i, label in enumerate(labels)
        ]
        commit(made, photos)
        list_catalog(made, photos)
        with connect(made) as con:
            assert ask(con, "select type, type_score from products") == [("Shirt", 0.35)]


def test_label_conflicts_look_past_spelling(con: duckdb.DuckDBPyConnection) -> None:
    columns = "image_key, product_id, head, feed_label, label, score, feed_label_known"
    assert ask(con, f"select {columns} from label_conflicts order by all") == [
        ("p1_1.jpg", "p1", "color", "Blue", "Red", 0.8, False),
        ("p1_2.jpg", "p1", "color", "Blue", "Pink", 0.5, False),
        ("p1_3.jpg", "p1", "type", "dress", "Skirt", 0.8, True),
    ]


def test_color_conflicts(con: duckdb.DuckDBPyConnection) -> None:
    columns = "image_key, product_id, color, color_measured, color_measured_share, feed_color"
    assert ask(con, f"select {columns} from color_conflicts") == [("p1_2.jpg", "p1", "Pink", "Red", 0.4, "Blue")]


def test_duplicates_name_the_first_photo_they_repeat(con: duckdb.DuckDBPyConnection) -> None:
    assert ask(con, "from duplicates order by image_key") == [
        ("p1_2.jpg", "p1", "near_look", 2, "p1_1.jpg", "p1", False),
        ("p1_3.jpg", "p1", "same_look", 0, "p1_1.jpg", "p1", False),
        ("p2_1.jpg", "p2", "same_bytes", 0, "p1_1.jpg", "p1", True),
        ("x.jpg", None, "near_look", 2, "p1_2.jpg", "p1", True),  # 4 bits from p1_1.jpg, 2 from p1_2.jpg
    ]


def test_near_looks_are_those_within_three_bits_wherever_they_differ(tmp_path: Path) -> None:
    """Against the definition, over every way in which 1 to 4 of the block borders' bits may flip."""
    import random

    rng = random.Random(7)
    hashes = [HASH] + [HASH ^ sum(1 << bit for bit in rng.sample(range(64), rng.randrange(1, 6))) for _ in range(60)]
    photos = [
        Photo(f"{i:03d}.jpg", columns={"phash": f"{value:016x}", "sha256": f"{i:064x}"})
        for i, value in enumerate(hashes)
    ]
    made = new_warehouse(tmp_path)
    commit(made, photos)
    list_catalog(made, photos)
    expected = {}
    for i, value in enumerate(hashes):
        near = [
            (j, (value ^ other).bit_count()) for j, other in enumerate(hashes[:i]) if (value ^ other).bit_count() <= 3
        ]
        if near:
            same = [pair for pair in near if pair[1] == 0]
            expected[f"{i:03d}.jpg"] = (f"{(same or near)[0][0]:03d}.jpg", (same or near)[0][1])
    with connect(made) as con:
        found = {
            key: (of, bits) for key, of, bits in ask(con, "select image_key, of_image_key, distance from duplicates")
        }
    assert found == expected
    assert len(expected) > 20


def test_a_photo_without_a_readable_hash_is_still_compared_by_its_bytes(tmp_path: Path) -> None:
    made = new_warehouse(tmp_path)
    photos = [Photo(key, columns={"phash": "?", "sha256": "a" * 64}) for key in ("a.jpg", "b.jpg")]
    commit(made, photos)
    list_catalog(made, photos)
    with connect(made) as con:
        assert ask(con, "select image_key, kind, of_image_key from duplicates") == [("b.jpg", "same_bytes", "a.jpg")]


def test_coverage_counts_answers_and_abstentions(con: duckdb.DuckDBPyConnection) -> None:
    columns = "head, photos, answered, abstained, answered_share, abstained_share, labels, mean_score"
    assert ask(con, f"select {columns} from coverage order by head") == [
        ("brand", 1, 1, 0, 1.0, 0.0, 1, 0.7),
        ("color", 3, 2, 1, 0.666667, 0.333333, 2, 0.533333),
        ("fit", 2, 1, 1, 0.5, 0.5, 1, 0.5),
        ("type", 5, 4, 1, 0.8, 0.2, 3, 0.68),
    ]


def test_run_history(con: duckdb.DuckDBPyConnection) -> None:
    columns = "run_id, seconds, jobs, release_id, images, rejects, reject_share, enrich_seconds, images_per_s, device"
    assert ask(con, f"select {columns}, index_version, recall_at_10 from run_history order by 1") == [
        ("r1", 1020.0, ["plan", "enrich"], RELEASE, 1500, 100, 0.0625, 900.0, 1.666667, "cpu bf16", "v1", 0.96875),
        ("r2", 5.0, ["plan"], None, 0, 0, None, None, None, None, None, None),
    ]
    assert ask(con, "select started_at, finished_at from run_history where run_id = 'r1'") == [
        (START, START + timedelta(seconds=1020))
    ]


def test_drift_says_how_it_stands_and_how_it_changed(con: duckdb.DuckDBPyConnection) -> None:
    assert ask(con, "select run_id, enriched_at, state, distance, change from drift order by enriched_at") == [
        ("r0", START, "not judged", None, None),
        ("r1", START + timedelta(days=1), "ok", 0.01, None),
        ("r2", START + timedelta(days=2), "alarm", 0.2, 0.19),
    ]


@pytest.mark.parametrize("view", read_sql("views"), ids=lambda view: view.name)
def test_the_header_names_the_columns(view: Any, con: duckdb.DuckDBPyConnection) -> None:
    described: list[str] = []
    for name in view.columns:
        table, _, star = name.partition(".")
        described += [c.name for c in TABLES[table].columns] if star == "*" else [name]
    assert [row[0] for row in ask(con, f"describe {view.name}")] == described
    assert view.fields["grain"]
    assert all(view.columns.values())
