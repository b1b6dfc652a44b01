"""The plan is the catalog minus the ledger minus the quarantine, whatever happened before."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalog import batch_id
from pipeline.catalog.decide import PENDING
from pipeline.catalog.listing import list_photos
from pipeline.catalog.plan import load_plan, make_plan, read_batches
from pipeline.errors import InputError, Reason, SettingError
from pipeline.settings import load_settings
from pipeline.storage import open_store
from pipeline.tables import open_warehouse

KEYS = [f"{folder}/{product}_{view}.jpg" for folder in ("bags", "shoes") for product in (1, 2, 3) for view in (1, 2)]


@pytest.fixture
def filled(shop: Any) -> Any:
    for key in KEYS:
        shop.put(key)
    return shop


def test_first_plan_holds_every_photo_in_batches(filled: Any) -> None:
    filled.put("feed.parquet.bak")
    filled.put("bags/notes.txt")
    plan = filled.plan()
    assert (plan.listed, plan.pending, plan.batches, plan.parts) == (12, 12, 3, 3)
    assert plan.by_reason == {"new": 12, "changed": 0, "new_release": 0, "retry": 0, "readmitted": 0}
    assert plan.left_out == {"done": 0, "quarantined": 0, "waiting": 0, "other_dates": 0, "over_limit": 0}
    batches = filled.batches(plan)
    assert [image.image_key for batch in batches for image in batch.images] == KEYS
    assert [len(batch.images) for batch in batches] == [4, 4, 4]
    for number, batch in enumerate(batches):
        assert batch.number == number
        assert batch.batch_id == batch_id("r1", [(i.image_key, i.etag) for i in reversed(batch.images)])
    assert batches[0].images[0].product_id == "1"
    assert batches[0].images[0].bytes == 5


def test_what_is_committed_is_done_and_nothing_else(filled: Any) -> None:
    """As after a kill: two of three batches are in the ledger."""
    filled.enrich(filled.plan(), only=2)
    assert filled.pending() == KEYS[8:]
    filled.enrich(filled.plans[-1])
    plan = filled.plan()
    assert (plan.listed, plan.pending, plan.batches, plan.parts) == (12, 0, 0, 0)
    assert plan.left_out["done"] == 12
    assert filled.batches(plan) == []


def test_changed_and_new_photos_are_found_whatever_their_date(filled: Any) -> None:
    filled.enrich(filled.plan())
    filled.put(KEYS[3], b"other bytes")
    filled.put("aaa/late.jpg")
    for key in (KEYS[3], "aaa/late.jpg"):
        os.utime(filled.root / "photos" / key, (1_000_000_000, 1_000_000_000))
    assert filled.pending() == ["aaa/late.jpg", KEYS[3]]
    assert filled.plans[-1].by_reason == {"new": 1, "changed": 1, "new_release": 0, "retry": 0, "readmitted": 0}


def test_new_release_reads_everything_again(filled: Any) -> None:
    filled.enrich(filled.plan())
    filled.put(KEYS[3], b"other bytes")
    filled.release_id = "r2"
    plan = filled.plan()
    assert {k: v for k, v in plan.by_reason.items() if v} == {"new_release": 11, "changed": 1}
    assert {batch.batch_id for batch in filled.batches(plan)}.isdisjoint(
        {batch.batch_id for batch in filled.batches(filled.plans[0])}
    )
    filled.enrich(plan)
    assert filled.pending() == []
    filled.release_id = "r1"
    assert filled.pending() == [KEYS[3]]


def test_prefix_and_limit(filled: Any) -> None:
    plan = filled.plan(prefix="shoes/", limit=5)
    assert [i.image_key for b in filled.batches(plan) for i in b.images] == KEYS[6:11]
    assert (plan.listed, plan.pending, plan.left_out["over_limit"]) == (6, 5, 1)
    filled.enrich(plan)
    assert filled.pending(prefix="shoes/") == KEYS[11:]
    assert filled.pending(prefix="bags/2_1") == ["bags/2_1.jpg"]
    assert filled.pending(prefix="nothing") == []
    assert filled.pending(limit=6) == KEYS[:6]


def test_dry_run_counts_and_writes_nothing(filled: Any) -> None:
    plan = filled.plan(dry_run=True)
    assert (plan.plan_id, plan.listed, plan.pending) == (None, 12, 12)
    assert plan.by_reason["new"] == 12
    assert not (filled.root / "warehouse").exists()


def test_quarantine(filled: Any) -> None:
    bad, slow = KEYS[0], KEYS[5]
    filled.enrich(filled.plan(), {bad: Reason.TRUNCATED, slow: Reason.FETCH_TIMEOUT})
    assert filled.pending() == [slow]
    assert filled.plans[-1].by_reason["retry"] == 1
    assert filled.plans[-1].left_out == {"done": 10, "quarantined": 1, "waiting": 0, "other_dates": 0, "over_limit": 0}
    filled.put(bad, b"mended")
    assert filled.pending() == [bad, slow]
    assert filled.plans[-1].by_reason["changed"] == 1
    filled.enrich(filled.plans[-1])
    assert filled.pending() == []
    filled.release_id = "r2"
    assert sorted(filled.pending()) == KEYS
    assert filled.plans[-1].by_reason["new_release"] == 12


def test_failed_fetches_wait_longer_each_time_and_then_for_a_person(filled: Any) -> None:
    slow = KEYS[5]
    for _ in range(3):
        filled.enrich(filled.plan(), {slow: Reason.FETCH_FAILED})
    assert filled.pending() == []
    assert filled.plans[-1].left_out["quarantined"] == 1
    patient = filled.with_settings(enrich={"retry_after_s": 3600})
    patient.put("late.jpg")
    patient.enrich(patient.plan(), {"late.jpg": Reason.FETCH_FAILED})
    plan = patient.plan()
    assert (plan.pending, plan.left_out["waiting"]) == (0, 1)


def test_catalog_table_follows_the_listing(filled: Any) -> None:
    filled.plan()
    version = filled.warehouse.version("catalog")
    filled.plan()
    assert filled.warehouse.version("catalog") == version, "nothing changed, nothing written"
    filled.delete(KEYS[0])
    filled.delete(KEYS[11])
    filled.put(KEYS[1], b"other")
    filled.plan(prefix="bags/")
    table = filled.warehouse.read("catalog").sort_by("image_key")
    assert table.column("image_key").to_pylist() == KEYS[1:], "rows outside of the prefix stay as they were"
    assert table.column("bytes").to_pylist()[0] == 5
    filled.plan()
    assert sorted(filled.warehouse.read("catalog").column("image_key").to_pylist()) == KEYS[1:11]


def test_catalog_that_is_suddenly_empty_is_not_believed(filled: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is not mounted looks like an empty folder."""
    filled.plan()
    for key in KEYS:
        filled.delete(key)
    plan = filled.plan()
    assert (plan.listed, plan.pending) == (0, 0)
    assert "where there were 12" in caplog.text
    assert filled.warehouse.read("catalog").num_rows == 12


def test_feed_that_is_suddenly_gone_is_not_believed(filled: Any, caplog: pytest.LogCaptureFixture) -> None:
    filled.put("feed.csv", b"product_id,title\n1,one\n2,two\n")
    filled.plan()
    filled.delete("feed.csv")
    filled.plan()
    assert "where there were 2 products" in caplog.text
    assert filled.warehouse.read("feed").num_rows == 2


def test_empty_catalog_is_a_success(shop: Any) -> None:
    plan = shop.plan()
    assert (plan.listed, plan.pending, plan.parts) == (0, 0, 0)
    assert shop.batches(plan) == []
    assert shop.warehouse.read("runs").column("job").to_pylist() == ["plan"]


def test_missing_catalog_names_the_setting(shop: Any) -> None:
    lost = shop.with_settings(catalog={"uri": str(shop.root / "no such folder")})
    with pytest.raises(SettingError, match=r"no such folder \(catalog.uri\) does not exist"):
        lost.plan()
    assert not (shop.root / "warehouse").exists()


@pytest.mark.parametrize("pattern", ["(unclosed", "no_group"])
def test_wrong_product_pattern_names_the_setting(shop: Any, pattern: str) -> None:
    with pytest.raises(SettingError, match=r"catalog\.product_id_pattern"):
        shop.with_settings(catalog={"product_id_pattern": pattern}).plan()


def test_products_come_from_the_feed_before_the_key(filled: Any) -> None:
    feed = {"product_id": ["B", "A"], "title": ["b", "a"], "image_keys": [["bags/1_1.jpg"], ["bags/1_1.jpg", KEYS[1]]]}
    pq.write_table(pa.table(feed), filled.root / "photos" / "feed.parquet")
    plan = filled.plan()
    product = {image.image_key: image.product_id for batch in filled.batches(plan) for image in batch.images}
    assert (product[KEYS[0]], product[KEYS[1]], product[KEYS[2]]) == ("A", "A", "2")
    assert filled.warehouse.read("feed").column("product_id").to_pylist() == ["A", "B"]
    version = filled.warehouse.version("feed")
    filled.plan()
    assert filled.warehouse.version("feed") == version


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_parts_share_out_every_batch_once(filled: Any, parts: int) -> None:
    plan = filled.with_settings(enrich={"batch_images": 3}).plan()
    assert plan.plan_id
    shares = [[b.number for b in read_batches(filled.settings, plan.plan_id, part, parts)] for part in range(parts)]
    assert [number for share in shares for number in share] == [0, 1, 2, 3]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_unknown_plans_and_parts(filled: Any) -> None:
    plan_id = filled.plan().plan_id
    with pytest.raises(InputError, match=r"no plan 'nonsense' in .*\(warehouse.uri\)"):
        load_plan(filled.settings, "nonsense")
    for part in (-1, 2):
        with pytest.raises(InputError, match="there is no part"):
            read_batches(filled.settings, plan_id, part, 2)
    assert load_plan(filled.settings, plan_id) == filled.plans[0]


def expected_state(photo: tuple[str, str], ledger: set[tuple[str, str, str]], events: list[dict[str, Any]]) -> str:
    """The rule of the plan, spelled out for one photo and release r1."""
    key, _ = photo
    if (*photo, "r1") in ledger:
        return "done"
    own = [event for event in events if (event["image_key"], event["etag"]) == photo]
    newest = max(own, key=lambda event: (event["happened_at"], event["batch_id"]), default=None)
    same_bytes = any((k, e) == photo for k, e, _ in ledger)
    if newest and newest["reason"] != "readmitted":
        if newest["next_retry_at"] is None:
            return "quarantined"
        if newest["next_retry_at"] > datetime.now(UTC):
            return "waiting"
    if newest and (newest["release_id"] == "r1" or not same_bytes):
        return "readmitted" if newest["reason"] == "readmitted" else "retry"
    if same_bytes:
        return "new_release"
    known = any(k == key for k, _, _ in ledger) or any(event["image_key"] == key for event in events)
    return "changed" if known else "new"


def random_events(rng: random.Random, keys: list[str], etags: list[str]) -> list[dict[str, Any]]:
    """Events of all kinds, several a photo, some at the same moment; none of the same photo version in one batch."""
    now = datetime.now(UTC)
    events = {}
    for _ in range(400):
        kind = rng.choice(["permanent", "waiting", "due", "readmitted"])
        retry_at = {"waiting": now + timedelta(days=1), "due": now - timedelta(days=1), "readmitted": now}.get(kind)
        event = {
            "image_key": rng.choice(keys),
            "etag": rng.choice(etags),
            "release_id": rng.choice(["r1", "r2"]),
            "batch_id": f"q{rng.randrange(5)}",
            "reason": {"readmitted": "readmitted", "permanent": "corrupt"}.get(kind, "fetch_failed"),
            "permanent": kind == "permanent",
            "next_retry_at": retry_at,
            "happened_at": now - timedelta(minutes=rng.randrange(4)),
        }
        events[event["image_key"], event["etag"], event["batch_id"]] = event
    return list(events.values())


@pytest.mark.parametrize("seed", range(3))
def test_any_state_is_planned_by_the_rule(shop: Any, rows: Any, seed: int) -> None:
    """Random listings, ledgers and quarantines against the rule spelled out in plain Python."""
    rng = random.Random(seed)
    keys = [f"{number:03d}.jpg" for number in range(260)]
    for key in keys[:250]:
        shop.put(key, rng.choice([b"1", b"22"]))
        os.utime(shop.root / "photos" / key, (1, 1))  # so that there are two etags in all
    photos = [(photo.key, photo.etag) for photo in list_photos(shop.settings)]
    etags = [*{etag for _, etag in photos}, "gone"]
    ledger = {(rng.choice(keys), rng.choice(etags), rng.choice(["r1", "r2", "r3"])) for _ in range(250)}
    events = random_events(rng, keys, etags)
    for release, etag in itertools.product(("r1", "r2", "r3"), etags):
        done = [{"image_key": k} for k, e, r in ledger if (e, r) == (etag, release)]
        name = f"{release}-{etag}"
        batch = rows("images", done, etag=etag, release_id=release, batch_id=name)
        shop.warehouse.commit_images(name, release, batch)
    for name in {event["batch_id"] for event in events}:
        shop.warehouse.replace_batch(
            "quarantine", name, rows("quarantine", (e for e in events if e["batch_id"] == name))
        )

    plan = shop.plan()

    expected = {photo: expected_state(photo, ledger, events) for photo in photos}
    counts = Counter(expected.values())
    assert plan.by_reason | plan.left_out == {reason: counts[reason] for reason in (*PENDING, *plan.left_out)}
    assert plan.listed == plan.pending + sum(plan.left_out.values()) == 250
    assert len(counts) == 8, "every case comes up"
    planned = [(image.image_key, image.etag) for batch in shop.batches(plan) for image in batch.images]
    assert planned == [photo for photo in photos if expected[photo] in PENDING]


@pytest.mark.integration
def test_plan_on_s3(s3_uri: str, rows: Any) -> None:
    """Photos, feed, tables and plan in a bucket; a part reads its row groups by ranges."""
    settings = load_settings(
        catalog={"uri": f"{s3_uri}/shop"}, warehouse={"uri": f"{s3_uri}/warehouse"}, enrich={"batch_images": 5}
    )
    store = open_store(settings.catalog.uri, settings)
    for key in KEYS:
        store.put(key, b"photo")
    store.put("feed.csv", b"product_id,title\n1,one\n")
    warehouse = open_warehouse(settings)
    plan = make_plan(settings, warehouse, "r1")
    assert plan.plan_id
    (batch,) = read_batches(settings, plan.plan_id, 2, 3)
    assert [image.image_key for image in batch.images] == KEYS[10:]
    keys = ({"image_key": image.image_key, "etag": image.etag} for image in batch.images)
    warehouse.commit_images(batch.batch_id, "r1", rows("images", keys, release_id="r1", batch_id=batch.batch_id))
    assert make_plan(settings, warehouse, "r1", dry_run=True).pending == 10
    with pytest.raises(SettingError, match=r"no bucket 'no-such-shop'"):
        elsewhere = load_settings(catalog={"uri": "s3://no-such-shop"}, warehouse={"uri": f"{s3_uri}/other"})
        make_plan(elsewhere, open_warehouse(elsewhere), "r1")


@pytest.mark.real_photos
def test_plan_of_real_photos(shared_data: Path, tmp_path: Path) -> None:
    settings = load_settings(catalog={"uri": str(shared_data / "retail")}, warehouse={"uri": str(tmp_path)})
    plan = make_plan(settings, open_warehouse(settings), "r1")
    assert plan.plan_id
    assert plan.pending == plan.listed == len(list((shared_data / "retail" / "images").iterdir()))
    image = next(read_batches(settings, plan.plan_id, 0, plan.parts)).images[0]
    assert image.image_key == f"images/{image.product_id}.jpg"


def test_a_warehouse_belongs_to_one_catalog(filled: Any, tmp_path: Path) -> None:
    """Keys of another shop would pass for photos that are done, and its listing would empty the gallery."""
    before = filled.plan()
    (tmp_path / "elsewhere").mkdir()
    other = load_settings(
        catalog={"uri": str(tmp_path / "elsewhere")}, warehouse={"uri": filled.settings.warehouse.uri}
    )
    for dry_run in (True, False):
        with pytest.raises(SettingError, match=r"elsewhere: name another warehouse\.uri"):
            make_plan(other, open_warehouse(other), "r1", dry_run=dry_run)
    assert filled.plan().listed == before.listed
    open_store(filled.settings.warehouse.uri, filled.settings).delete("catalog.json")
    assert make_plan(other, open_warehouse(other), "r1").listed == 0
