"""Commits that meet what other batches have entered into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import builders
from builders import RELEASE, RUN, START, Photo

from pipeline.catalog import Batch, PlannedImage, batch_id
from pipeline.enrich.batch import Enriched
from pipeline.enrich.commit import Committed, commit
from pipeline.enrich.photo import Reject
from pipeline.enrich.rows import Stamp
from pipeline.errors import Reason
from pipeline.tables import Warehouse, connect

PHOTOS = [Photo("a.jpg"), Photo("b.jpg"), Photo("c.jpg")]


def commit_photos(
    warehouse: Warehouse,
    photos: Sequence[Photo],
    rejected: Sequence[Photo] = (),
    run_id: str = RUN,
    reason: Reason = Reason.FETCH_FAILED,
) -> Committed:
    """Commit what the models would have made of a batch of `photos` and `rejected`."""
    everything = sorted([*photos, *rejected], key=lambda photo: photo.image_key)
    planned = {photo.image_key: PlannedImage(photo.image_key, photo.etag, 1000, None) for photo in everything}
    name = batch_id(RELEASE, [(photo.image_key, photo.etag) for photo in everything])
    enriched = Enriched(
        builders.image_rows(photos, name, run_id=run_id),
        builders.garment_rows(photos, name, run_id=run_id),
        builders.embedding_rows(photos, name),
        tuple(Reject(planned[photo.image_key], reason, "no answer") for photo in rejected),
    )
    batch = Batch(name, 0, tuple(planned.values()))
    return commit(warehouse, batch, enriched, Stamp(name, run_id, RELEASE, "f1", START), warehouse.settings.enrich)


def counted(warehouse: Warehouse, table: str) -> dict[str, int]:
    """Rows that readers see, by photo."""
    with connect(warehouse) as con:
        return dict(con.sql(f"SELECT image_key, count(*) FROM {table} GROUP BY 1 ORDER BY 1").fetchall())


def test_a_batch_committed_before_without_a_photo_that_came_later_in_another_keeps_its_rows(tmp_path: Path) -> None:
    """A plan that is worked off late: its batch is in the ledger already, but for a photo that was retried alone."""
    warehouse = builders.new_warehouse(tmp_path)
    commit_photos(warehouse, PHOTOS[1:], rejected=PHOTOS[:1])
    commit_photos(warehouse, PHOTOS[:1], run_id="retried")
    late = commit_photos(warehouse, PHOTOS, run_id="late")
    assert (late.images, late.overlapped) == (2, 1)
    assert counted(warehouse, "images") == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
    assert counted(warehouse, "garments") == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
    assert counted(warehouse, "embeddings") == {"a.jpg": 2, "b.jpg": 2, "c.jpg": 2}


def test_a_photo_that_is_done_stays_done_when_a_rerun_can_t_fetch_it(tmp_path: Path) -> None:
    warehouse = builders.new_warehouse(tmp_path)
    commit_photos(warehouse, PHOTOS)
    again = commit_photos(warehouse, [PHOTOS[0], PHOTOS[2]], rejected=[PHOTOS[1]], run_id="again")
    assert (again.images, again.rejects) == (3, {})
    assert counted(warehouse, "images") == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
    assert counted(warehouse, "garments") == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
    assert counted(warehouse, "embeddings") == {"a.jpg": 2, "b.jpg": 2, "c.jpg": 2}
    assert counted(warehouse, "quarantine") == {}
    runs = warehouse.read("images", columns=["image_key", "run_id"]).to_pylist()
    assert {row["image_key"]: row["run_id"] for row in runs} == {"a.jpg": "again", "b.jpg": RUN, "c.jpg": "again"}


def test_bad_bytes_and_photos_that_never_were_done_go_to_quarantine(tmp_path: Path) -> None:
    warehouse = builders.new_warehouse(tmp_path)
    commit_photos(warehouse, PHOTOS[:2], rejected=PHOTOS[2:])
    assert commit_photos(warehouse, PHOTOS[:2], rejected=PHOTOS[2:], run_id="again").rejects == {"fetch_failed": 1}
    commit_photos(warehouse, PHOTOS[:1], rejected=PHOTOS[1:], run_id="bad", reason=Reason.CORRUPT)
    assert counted(warehouse, "images") == {"a.jpg": 1}
    assert counted(warehouse, "quarantine").keys() == {"b.jpg", "c.jpg"}


def test_what_is_left_of_a_new_batch_goes_by_its_own_name(tmp_path: Path) -> None:
    warehouse = builders.new_warehouse(tmp_path)
    commit_photos(warehouse, PHOTOS[:1])
    assert commit_photos(warehouse, PHOTOS).overlapped == 1
    with connect(warehouse) as con:
        names = {name for (name,) in con.sql("SELECT DISTINCT batch_id FROM stored.garments").fetchall()}
    rest = [(photo.image_key, photo.etag) for photo in PHOTOS[1:]]
    assert names == {batch_id(RELEASE, [("a.jpg", "e1")]), batch_id(RELEASE, rest)}
    assert counted(warehouse, "garments") == {"a.jpg": 1, "b.jpg": 1, "c.jpg": 1}
