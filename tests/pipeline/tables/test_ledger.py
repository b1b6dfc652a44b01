"""The ledger: a photo version is there once a release, whoever commits at the same time."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from builders import RELEASE, Photo, image_rows, new_warehouse
from warehouse_workers import commit_overlapping, processes

from pipeline.errors import StaleError
from pipeline.tables import OverlapError, Warehouse
from pipeline.tables.ledger import overlapping

A, B, C = Photo("a.jpg"), Photo("b.jpg"), Photo("c.jpg")


def enter(warehouse: Warehouse, batch_id: str, *photos: Photo, release_id: str = RELEASE) -> int:
    return warehouse.commit_images(batch_id, release_id, image_rows(photos, batch_id, release_id))


def ledger(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    rows = warehouse.read("images", columns=["image_key", "etag", "batch_id"]).to_pylist()
    return sorted(tuple(row.values()) for row in rows)


def test_another_batch_with_a_known_photo_is_refused_whole(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    enter(warehouse, "b1", A, B)
    with pytest.raises(
        OverlapError, match=r"batch b2: 1 of its photos are in another batch already: b\.jpg"
    ) as refused:
        enter(warehouse, "b2", B, C)
    assert refused.value.keys == ("b.jpg",)
    assert ledger(warehouse) == [("a.jpg", "e1", "b1"), ("b.jpg", "e1", "b1")]


def test_a_batch_may_be_run_again(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    enter(warehouse, "b1", A, B)
    enter(warehouse, "b1", A, B)
    enter(warehouse, "b1", A)
    assert ledger(warehouse) == [("a.jpg", "e1", "b1")]


def test_another_version_and_another_release_are_no_overlap(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    enter(warehouse, "b1", A, B)
    enter(warehouse, "b2", Photo("a.jpg", etag="e2"), C)
    enter(warehouse, "b3", A, B, release_id="other")
    assert [batch for _, _, batch in ledger(warehouse)] == ["b1", "b3", "b2", "b1", "b3", "b2"]


@pytest.mark.parametrize(
    "key", ["x" * 300 + ".jpg", "it's/ü 写 \U0001f457.jpg", 'a\\b"c`d.jpg', "new\nline.jpg", "%41.jpg"]
)
def test_overlaps_are_found_whatever_the_key(key: str, tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    enter(warehouse, "b1", A, Photo(key), Photo("\U0010ffff"))
    with pytest.raises(OverlapError) as refused:
        enter(warehouse, "b2", Photo(key))
    assert refused.value.keys == (key,)


def test_only_files_with_keys_in_the_batch_s_range_are_read(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    for number in range(5):
        enter(warehouse, f"b{number}", Photo(f"{number}/1.jpg"), Photo(f"{number}/2.jpg"))
    folder = warehouse.folder("images")
    delta = folder.load()
    assert delta is not None
    for file in folder.files(delta):
        if "2/1.jpg" not in (Path(folder.uri) / file).read_bytes().decode("latin-1"):
            (Path(folder.uri) / file).unlink()  # whoever opens another file now fails
    batch = image_rows([Photo("2/1.jpg"), Photo("2/9.jpg")], "new")
    assert overlapping(folder, delta, "new", RELEASE, batch, warehouse.settings.sql) == ["2/1.jpg"]


def test_a_commit_that_the_check_could_not_see_makes_it_fail(tmp_path: Path) -> None:
    """The step that decides: between check and commit of one batch, another one with the same photo lands."""
    warehouse = new_warehouse(tmp_path)
    folder = warehouse.folder("images")
    enter(warehouse, "b0", C)
    checked = folder.load()
    assert checked is not None
    enter(warehouse, "b1", A)
    with pytest.raises(StaleError, match="table images: another writer committed first"):
        folder.put_batch(checked, "b2", image_rows([A], "b2"), rebase=False)
    # Without the compare-and-swap the library lets it through, because no row of batch b2 was touched:
    folder.put_batch(checked, "b2", image_rows([A], "b2"), rebase=True)
    assert [key for key, _, _ in ledger(warehouse)].count("a.jpg") == 2


def race(uri: str, workers: int, rounds: int, universe: int, environment: dict[str, str]) -> None:
    barrier = processes().Barrier(workers)
    running = [
        processes().Process(target=commit_overlapping, args=(uri, seed, rounds, universe, barrier, environment))
        for seed in range(workers)
    ]
    for worker in running:
        worker.start()
    for worker in running:
        worker.join()
        assert worker.exitcode == 0


def attempted(workers: int, rounds: int, universe: int) -> set[str]:
    """The keys that the workers of a race try to commit, all told."""
    import random

    keys = set()
    for seed in range(workers):
        rng = random.Random(seed)
        for _ in range(rounds):
            start = rng.randrange(universe)
            keys |= {f"{i:05d}.jpg" for i in range(start, min(start + rng.randrange(1, 20), universe))}
    return keys


def test_racing_batches_enter_every_photo_exactly_once(tmp_path: Path) -> None:
    race(str(tmp_path), workers=3, rounds=8, universe=50, environment={})
    found = ledger(new_warehouse(tmp_path, warehouse={"uri": str(tmp_path)}))
    assert Counter(key for key, _, _ in found) == Counter(attempted(3, 8, 50))


@pytest.mark.integration
def test_racing_batches_on_s3(s3_uri: str, tmp_path: Path) -> None:
    uri = f"{s3_uri}/some/warehouse"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "ATELIER_S3__ENDPOINT_URL")
    race(uri, workers=3, rounds=4, universe=40, environment={name: os.environ[name] for name in names})
    found = ledger(new_warehouse(tmp_path, warehouse={"uri": uri}))
    assert Counter(key for key, _, _ in found) == Counter(attempted(3, 4, 40))
