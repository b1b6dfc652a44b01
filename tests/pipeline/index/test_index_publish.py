"""Publishing: gates, races, crashes, going back, cleaning up."""

import json
import multiprocessing
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipeline.errors import GateError, InputError, StaleError
from pipeline.index import build as building
from pipeline.index.gallery import Index, read_pointer
from pipeline.index.manifest import POINTER_KEY
from pipeline.index.matrix import MatrixSource
from pipeline.index.publish import collect_garbage, newest, publish, release_hold, rollback, versions
from pipeline.settings import load_settings
from pipeline.storage import open_store


def source(vectors, snapshot, n=60):
    return MatrixSource(vectors(n, seed=snapshot), snapshot=snapshot)


def live(shop):
    pointer, _ = read_pointer(shop.store)
    return pointer.version if pointer else None


def test_publish_points_at_the_newest_and_counts_up(shop, vectors):
    one, two = (shop.build(source(vectors, n)) for n in (1, 2))
    assert publish(shop.store, shop.settings.index, one.version).sequence == 1
    pointer = publish(shop.store, shop.settings.index)
    assert (pointer.version, pointer.sequence, pointer.previous, pointer.snapshot) == (two.version, 2, one.version, 2)
    assert publish(shop.store, shop.settings.index) == pointer
    assert json.loads(shop.store.get(POINTER_KEY).data)["version"] == two.version


def test_an_older_snapshot_is_never_published_but_can_be_gone_back_to(shop, vectors):
    one, two = (shop.build(source(vectors, n)) for n in (1, 2))
    publish(shop.store, shop.settings.index, two.version)
    with pytest.raises(StaleError, match=f"to go back, use `atelier index rollback {one.version}`"):
        publish(shop.store, shop.settings.index, one.version)
    assert live(shop) == two.version
    pointer = rollback(shop.store, one.version)
    assert (pointer.version, pointer.previous, pointer.sequence) == (one.version, two.version, 2)
    assert rollback(shop.store).version == two.version


def test_a_reader_is_not_disturbed_by_a_rollback(shop, vectors):
    shop.publish(source(vectors, 1))
    two = shop.publish(source(vectors, 2))
    reader = shop.open()
    rollback(shop.store)
    assert reader.search(vectors(60, seed=2)[:5], 1)[3][0].image_key == "000000003"
    assert reader.manifest.version == two.version != shop.open().manifest.version


def test_readers_that_run_while_versions_come_and_go_always_see_a_whole_one(shop, vectors):
    """Each version holds one vector more than the one before, so an answer tells which version gave it."""
    galleries = {snapshot: vectors(40 + snapshot, seed=1) for snapshot in range(1, 5)}
    built = [shop.build(MatrixSource(galleries[n], snapshot=n)) for n in galleries]
    publish(shop.store, shop.settings.index, built[0].version)
    done, seen = threading.Event(), []

    def read():
        reader = shop.open()  # one that stays open, and one that follows
        while not done.is_set():
            for index in (reader, shop.open()):
                (hits,) = index.search(vectors(1, seed=1), 100)
                seen.append((index is reader, len(hits) - 40, index.manifest.snapshot))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        for manifest in built:
            publish(shop.store, shop.settings.index, manifest.version)
        rollback(shop.store, built[0].version, hold=False)
    done.set()
    for reader in readers:
        reader.join()
    assert seen
    assert all(told == snapshot for _, told, snapshot in seen)
    assert len({snapshot for stayed, _, snapshot in seen if not stayed}) > 1


def test_what_a_rollback_holds_stays_live_until_it_is_released(shop, vectors):
    one, two = (shop.publish(source(vectors, n)) for n in (1, 2))
    assert rollback(shop.store).held
    for snapshot in (2, 3, 4):  # the same night again, and further nights
        shop.build(source(vectors, snapshot))
        pointer = publish(shop.store, shop.settings.index)
        assert (pointer.version, pointer.held, pointer.sequence) == (one.version, True, 3)
    assert two.version in versions(shop.store)
    assert not release_hold(shop.store).held
    assert release_hold(shop.store).sequence == 4  # nothing to release, nothing written
    assert publish(shop.store, shop.settings.index).snapshot == 4


def test_a_rollback_that_does_not_hold_lasts_until_the_next_publish(shop, vectors):
    one, two = (shop.publish(source(vectors, n)) for n in (1, 2))
    assert not rollback(shop.store, hold=False).held
    assert live(shop) == one.version
    publish(shop.store, shop.settings.index)
    assert live(shop) == two.version


def test_what_is_live_can_be_held_and_holding_needs_something_live(shop, vectors):
    with pytest.raises(InputError, match="no hold to release"):
        release_hold(shop.store)
    one = shop.publish(source(vectors, 1))
    pointer = rollback(shop.store, one.version)
    assert (pointer.version, pointer.previous, pointer.held) == (one.version, None, True)
    shop.build(source(vectors, 2))
    assert publish(shop.store, shop.settings.index).version == one.version


def test_a_hold_is_not_lost_to_a_publisher_that_read_the_pointer_before(shop, vectors, monkeypatch):
    one, two = (shop.publish(source(vectors, n)) for n in (1, 2))
    three = shop.build(source(vectors, 3))
    original = type(shop.store).put_if

    def overtaken(store, key, data, *, etag):
        monkeypatch.setattr(type(shop.store), "put_if", original)
        rollback(shop.store)
        return original(store, key, data, etag=etag)

    monkeypatch.setattr(type(shop.store), "put_if", overtaken)
    with pytest.raises(StaleError, match="somebody else published"):
        publish(shop.store, shop.settings.index, three.version)
    assert publish(shop.store, shop.settings.index, three.version).version == one.version != two.version


def test_a_live_version_of_an_earlier_format_is_replaced_by_one_built_anew(shop, vectors):
    one = shop.publish(source(vectors, 1))
    old = json.loads(shop.store.get(one.key).data)
    shop.store.put(one.key, json.dumps({"format": 1, "version": old["version"]}).encode())
    with pytest.raises(InputError, match=r"was altered"):
        shop.open()
    two = shop.build(source(vectors, 2), base=one.version)
    assert two.built_on is None
    assert publish(shop.store, shop.settings.index, two.version).version == two.version


def test_rollback_needs_somewhere_to_go(shop, vectors):
    with pytest.raises(InputError, match="there is nothing to go back from"):
        rollback(shop.store)
    shop.publish(source(vectors, 1))
    with pytest.raises(InputError, match="is the first that was published"):
        rollback(shop.store)
    with pytest.raises(InputError, match="no index version 00000009-000000000000"):
        rollback(shop.store, "00000009-000000000000")


def test_an_index_that_lost_most_of_its_vectors_is_not_published(shop, vectors):
    one = shop.publish(source(vectors, 1, n=60))
    half, less = shop.build(source(vectors, 2, n=30)), shop.build(source(vectors, 3, n=29))
    with pytest.raises(GateError, match=r"holds 29 vectors, the live one 60.*index\.max_shrink = 0\.5"):
        publish(shop.store, shop.settings.index, less.version)
    assert live(shop) == one.version
    publish(shop.store, shop.settings.index, half.version)
    assert live(shop) == half.version


def poor(shop, manifest, **update):
    """The manifest as if it had been judged worse."""
    judgement = manifest.judgement.model_copy(update=update)
    shop.store.put(manifest.key, manifest.model_copy(update={"judgement": judgement}).to_json())


def test_below_the_gate_the_old_version_stays(shop, vectors):
    one = shop.publish(source(vectors, 1))
    two = shop.build(source(vectors, 2))
    recall = two.judgement.overall
    poor(shop, two, overall=recall.model_copy(update={"at_10": 0.9499}))
    with pytest.raises(GateError, match=r"overall 0\.950 is below index\.min_recall 0\.95"):
        publish(shop.store, shop.settings.index)
    poor(shop, two, shards={"whole": recall.model_copy(update={"at_10": 0.89})})
    with pytest.raises(GateError, match=r"shard whole 0\.890 is below index\.min_shard_recall 0\.9"):
        publish(shop.store, shop.settings.index)
    poor(shop, two, filtered={"type": recall.model_copy(update={"at_10": 0.5})})
    with pytest.raises(GateError, match=r"filter by type 0\.500"):
        publish(shop.store, shop.settings.index)
    assert live(shop) == one.version
    poor(shop, two, overall=recall.model_copy(update={"at_10": 0.95}))
    assert publish(shop.store, shop.settings.index).version == two.version


def test_a_version_with_a_missing_file_does_not_go_live(shop, vectors):
    one = shop.publish(source(vectors, 1))
    two = shop.build(source(vectors, 2))
    shop.store.delete(two.shards[0].files[0].key)
    with pytest.raises(InputError, match=r"shard-whole\.faiss is missing; build it again"):
        publish(shop.store, shop.settings.index)
    assert live(shop) == one.version
    assert shop.build(source(vectors, 2)).version == two.version
    assert publish(shop.store, shop.settings.index).version == two.version


class Dying:
    """A store that stops working at the nth write, as a killed process does."""

    def __init__(self, store, writes):
        self._store, self._left = store, writes
        self.uri = store.uri

    def __getattr__(self, name):
        return getattr(self._store, name)

    def _write(self, name, *arguments, **options):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return getattr(self._store, name)(*arguments, **options)

    def put(self, *arguments):
        return self._write("put", *arguments)

    def put_file(self, *arguments):
        return self._write("put_file", *arguments)

    def put_if(self, *arguments, **options):
        return self._write("put_if", *arguments, **options)


def test_a_crash_between_any_two_writes_leaves_the_old_version_live(shop, vectors):
    one = shop.publish(source(vectors, 1))
    crashes = 0
    for writes in range(10):
        dying = Dying(shop.store, writes)
        try:
            built = building.build_index(source(vectors, 2), dying, shop.settings.index)
            publish(dying, shop.settings.index, built.version)
            break
        except KeyboardInterrupt:
            crashes += 1
            assert live(shop) == one.version
            assert len(shop.open().search(vectors(60, seed=1)[:1], 60)[0]) == 60
    assert crashes == 5  # ids, shard, queries, manifest, pointer
    assert live(shop) == built.version
    assert not list((shop.folder / "cache").glob("build-*"))


def race(folder, version, start, results):
    settings = load_settings(warehouse={"uri": str(folder)}, index={"threads": 1})
    start.wait()
    try:
        results.put(("published", publish(open_store(f"{folder}/index", settings), settings.index, version).version))
    except StaleError:
        results.put(("stale", version))


def test_of_two_publishers_at_once_the_newer_snapshot_is_never_lost(shop, vectors):
    context = multiprocessing.get_context("fork")
    built = [shop.build(source(vectors, n, n=20)).version for n in range(1, 7)]
    for pair in zip(built[::2], built[1::2], strict=True):
        start, results = context.Barrier(2), context.Queue()
        children = [context.Process(target=race, args=(shop.folder, version, start, results)) for version in pair]
        for child in children:
            child.start()
        outcomes = [results.get(timeout=30) for _ in children]
        for child in children:
            child.join()
        winners = [version for outcome, version in outcomes if outcome == "published"]
        assert winners
        # the newer one may lose the swap and has to come again; it then wins, and the older one never follows it
        publish(shop.store, shop.settings.index, pair[1])
        with pytest.raises(StaleError):
            publish(shop.store, shop.settings.index, pair[0])
        pointer, _ = read_pointer(shop.store)
        assert pointer.version == pair[1]
        assert len(shop.open().search(vectors(20, seed=1)[:1], 20)[0]) == 20


def test_a_publisher_that_was_overtaken_between_reading_and_swapping_is_refused(shop, vectors, monkeypatch):
    one, two = (shop.build(source(vectors, n)) for n in (1, 2))
    original = type(shop.store).put_if

    def overtaken(store, key, data, *, etag):
        monkeypatch.setattr(type(shop.store), "put_if", original)
        publish(shop.store, shop.settings.index, two.version)
        return original(store, key, data, etag=etag)

    monkeypatch.setattr(type(shop.store), "put_if", overtaken)
    with pytest.raises(StaleError, match="somebody else published"):
        publish(shop.store, shop.settings.index, one.version)
    assert live(shop) == two.version


def test_two_builds_of_one_snapshot_at_once_share_the_first_manifest(shop, vectors):
    first = shop.build(source(vectors, 1))
    assert shop.build(source(vectors, 1), full=True) == first


def test_gc_keeps_the_newest_the_live_one_the_one_before_and_files_they_use(shop, gallery):
    def variant(snapshot, kind):
        attributes = {**gallery.attributes, "type": [kind] * 600}
        return MatrixSource(gallery.vectors, attributes, snapshot=snapshot)

    first = shop.build(variant(1, "a"))
    others = [shop.build(variant(n, str(n)), base=first.version) for n in range(2, 7)]
    for manifest in (others[0], others[1]):
        publish(shop.store, shop.settings.index, manifest.version)
    rollback(shop.store)  # live: others[0], before: others[1]
    before = {info.key for info in shop.store.list()}
    dry = collect_garbage(shop.store, 2, dry_run=True)
    assert {info.key for info in shop.store.list()} == before
    done = collect_garbage(shop.store, 2)
    assert dry == done
    assert done.versions == (first.version, others[2].version)
    assert versions(shop.store) == [m.version for m in (others[0], others[1], others[3], others[4])]
    for manifest in (others[0], others[1], others[3], others[4]):
        assert len(shop.open(manifest.version).search(gallery.vectors[:1], 600)[0]) == 600  # first's shard files stay
    assert collect_garbage(shop.store, 2).keys == ()


def test_gc_leaves_builds_under_way_alone_and_removes_abandoned_ones(shop, vectors, monkeypatch):
    shop.publish(source(vectors, 1))
    shop.store.put("versions/00000009-aaaaaaaaaaaa/ids.parquet", b"half")
    assert collect_garbage(shop.store, 5).keys == ()

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=2)

    monkeypatch.setattr("pipeline.index.publish.datetime", Later)
    assert collect_garbage(shop.store, 5).keys == ("versions/00000009-aaaaaaaaaaaa/ids.parquet",)


def test_newest_means_the_newest_snapshot(shop, vectors):
    with pytest.raises(InputError, match="holds no index version"):
        newest(shop.store)
    two = shop.build(source(vectors, 2))
    shop.build(source(vectors, 1))
    assert newest(shop.store) == two.version


def test_versions_open_by_name(shop, vectors):
    one = shop.build(source(vectors, 1))
    index = Index.open(None, shop.settings, one.version)
    assert len(index) == 60
    assert index.manifest.built_at <= datetime.now(UTC)
    assert np.allclose(np.linalg.norm(index.vectors_of(np.arange(5)), axis=1), 1, atol=1e-5)
