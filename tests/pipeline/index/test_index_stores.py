"""The index on a real S3-protocol server, and under kill -9."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from pipeline.errors import InputError, StaleError
from pipeline.index.build import build_index
from pipeline.index.gallery import Index, read_pointer
from pipeline.index.matrix import MatrixSource
from pipeline.index.publish import collect_garbage, publish, rollback
from pipeline.settings import load_settings
from pipeline.storage import open_store

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def remote(s3_uri, tmp_path):
    """Settings of a warehouse on S3, with a local cache."""
    return load_settings(warehouse={"uri": f"{s3_uri}/shop"}, index={"threads": 1, "cache": str(tmp_path / "cache")})


def remote_store(settings):
    return open_store(f"{settings.warehouse.uri}/index", settings)


@pytest.mark.integration
def test_an_index_on_s3_is_built_searched_from_a_cache_and_cleaned_up(remote, gallery, tmp_path):
    store = remote_store(remote)
    first = build_index(gallery.source, store, remote.index)
    assert build_index(gallery.source, store, remote.index) == first
    publish(store, remote.index)
    index = Index.open(None, remote)
    assert [hits[0].image_key for hits in index.search(gallery.vectors[:20], 1)] == [f"{n:09d}" for n in range(20)]
    cached = {path.name for path in (tmp_path / "cache").iterdir()}
    assert {entry.sha256 for shard in first.shards for entry in shard.files} <= cached
    vectors = np.concatenate([gallery.vectors, gallery.vectors[:3]])
    attributes = {name: [*values, *values[:3]] for name, values in gallery.attributes.items()}
    keys = [f"{n:09d}" for n in range(600)] + ["x", "y", "z"]
    second = build_index(
        MatrixSource(vectors, attributes, keys=keys, snapshot=2), store, remote.index, base=first.version
    )
    assert second.built_on == first.version
    publish(store, remote.index)
    rollback(store)
    assert len(index) == len(Index.open(None, remote)) == 600
    assert len(Index.open(None, remote, second.version)) == 603
    assert collect_garbage(store, 1).keys == ()


@pytest.mark.integration
def test_an_altered_copy_in_the_cache_is_refused(remote, gallery, tmp_path):
    store = remote_store(remote)
    manifest = build_index(gallery.source, store, remote.index)
    publish(store, remote.index)
    Index.open(None, remote).search(gallery.vectors[:1], 3)
    path = tmp_path / "cache" / manifest.shards[0].files[0].sha256
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="was altered"):
        Index.open(None, remote).search(gallery.vectors[:1], 3)


def swap(settings, version, start, results):
    start.wait()
    try:
        results.put(publish(remote_store(settings), settings.index, version).version)
    except StaleError:
        results.put(None)


@pytest.mark.integration
def test_publishers_at_once_on_s3_leave_one_whole_pointer(remote, vectors):
    store = remote_store(remote)
    built = [build_index(MatrixSource(vectors(20, seed=n), snapshot=n), store, remote.index) for n in range(1, 5)]
    start, results = FORK.Barrier(4), FORK.Queue()
    children = [FORK.Process(target=swap, args=(remote, one.version, start, results)) for one in built]
    for child in children:
        child.start()
    outcomes = [results.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    winners = [version for version in outcomes if version]
    pointer, _ = read_pointer(store)
    assert pointer.sequence == len(winners) >= 1
    assert pointer.version == max(winners)
    assert len(Index.open(None, remote).search(vectors(20)[:1], 20)[0]) == 20


def work(folder, first, vectors, attributes):
    """Build and publish one snapshot after the other until killed."""
    settings = load_settings(warehouse={"uri": str(folder)}, index={"threads": 1, "cache": str(folder / "cache")})
    store = open_store(f"{folder}/index", settings)
    for snapshot in range(first, first + 1_000):
        pointer, _ = read_pointer(store)
        n = 100 + snapshot % 100
        columns = {name: values[:n] for name, values in attributes.items()}
        source = MatrixSource(vectors[:n], columns, snapshot=snapshot)
        build_index(source, store, settings.index, base=pointer.version if pointer else None)
        publish(store, settings.index)


@pytest.mark.slow
def test_killed_at_any_moment_what_is_live_is_whole_and_the_next_run_goes_on(shop, vectors, attributes):
    gallery, labels, random = vectors(200), attributes(200), np.random.default_rng(0)
    last = 0
    for _ in range(4):
        child = FORK.Process(target=work, args=(shop.folder, last + 1, gallery, labels))
        child.start()
        deadline = time.monotonic() + 60  # a busy machine may need long for the first
        while not last and read_pointer(shop.store)[0] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3 + random.random() * 0.7)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        pointer, _ = read_pointer(shop.store)
        if pointer is None:
            continue
        assert pointer.snapshot >= last
        last = pointer.snapshot
        index = shop.open()
        hits = index.search(gallery[:100], 1)
        assert len(index) == 100 + last % 100
        assert np.mean([hit.image_key == f"{n:09d}" for n, (hit,) in enumerate(hits)]) > 0.95
    assert last > 0
    child = FORK.Process(target=work, args=(shop.folder, last + 1, gallery, labels))
    child.start()
    deadline = time.monotonic() + 30
    while read_pointer(shop.store)[0].snapshot == last and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert read_pointer(shop.store)[0].snapshot > last
