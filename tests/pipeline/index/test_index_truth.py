"""The truth: exact, and still exact after it was carried over to a version that changed a little."""

import numpy as np
import pytest

from pipeline.index.files import Files
from pipeline.index.manifest import Manifest
from pipeline.index.matrix import MatrixSource
from pipeline.index.rows import Rows
from pipeline.index.truth import KEPT, NEEDED, Nearest, Queries, Truth, pick_queries

N = 3_000


def changed(vectors, attributes, *, drop, add, snapshot=2):
    """The first N vectors without every `drop`-th, and `add` new ones."""
    everything, columns = vectors(N + 400), attributes(N + 400)
    keep = np.concatenate([np.setdiff1d(np.arange(N), np.arange(0, N, drop) if drop else []), N + np.arange(add)])
    keep = keep.astype(int)
    chosen = {name: [values[i] for i in keep] for name, values in columns.items()}
    keys = [f"{i:09d}" for i in keep]
    return MatrixSource(everything[keep], chosen, keys=keys, snapshot=snapshot)


def stored(shop, manifest: Manifest):
    files = Files(shop.store, shop.folder / "cache")
    rows = Rows(files.path(manifest.ids), manifest)
    truth, _ = Truth.load(files.path(manifest.truth), np.where(rows.live, np.arange(len(rows)), -1))
    return truth, rows


@pytest.mark.parametrize(("drop", "add"), [(0, 60), (40, 0), (40, 60), (0, 0)])
def test_a_truth_that_was_carried_over_is_the_one_brute_force_gives(shop, vectors, attributes, drop, add):
    first = shop.build(changed(vectors, attributes, drop=0, add=0, snapshot=1))
    source = changed(vectors, attributes, drop=drop, add=add)
    second = shop.build(source, base=first.version)
    assert second.judgement.drawn_for == first.version
    assert second.judgement.added_since == add
    carried, rows = stored(shop, second)
    fresh = Truth.of(carried.queries, rows, source.vectors(None))
    for scope, nearest in fresh.nearest.items():
        for query in range(len(carried.queries.rows)):
            for k in (1, 10, 100):
                assert carried.nearest[scope].right(query, k) == nearest.right(query, k)
    assert second.judgement.overall.at_100 == 1.0


def test_carried_over_twice_it_is_still_exact(shop, vectors, attributes):
    version = None
    for snapshot, (drop, add) in enumerate([(0, 0), (60, 30), (30, 100)], 1):
        source = changed(vectors, attributes, drop=drop, add=add, snapshot=snapshot)
        manifest = shop.build(source, base=version)
        version = manifest.version
    assert manifest.judgement.drawn_for.startswith("00000001")
    carried, rows = stored(shop, manifest)
    fresh = Truth.of(carried.queries, rows, source.vectors(None))
    assert all(
        carried.nearest[scope].right(query, 100) == fresh.nearest[scope].right(query, 100)
        for scope in fresh.nearest
        for query in range(len(carried.queries.rows))
    )


def test_much_that_is_new_or_gone_means_new_queries(shop, vectors, attributes):
    first = shop.build(changed(vectors, attributes, drop=0, add=0, snapshot=1))
    for drop, add in [(0, 200), (2, 0)]:
        second = shop.build(changed(vectors, attributes, drop=drop, add=add), base=first.version)
        assert second.judgement.drawn_for == second.version
        assert second.judgement.added_since == 0


def test_vectors_that_come_back_mean_new_queries(shop, vectors, attributes):
    version = None
    for snapshot, drop in enumerate([0, 50, 0], 1):
        source = changed(vectors, attributes, drop=drop, add=0, snapshot=snapshot)
        manifest = shop.build(source, base=version)
        version = manifest.version
    assert manifest.judgement.drawn_for == version
    assert manifest.judgement.overall.at_100 == 1.0


@pytest.mark.parametrize("column", ["type", "color", "group"])
def test_a_vector_with_another_label_or_shard_means_new_queries(shop, vectors, attributes, column):
    everything, columns = vectors(N), attributes(N)
    first = shop.build(MatrixSource(everything, columns))
    at = columns[column].index("Red" if column == "color" else columns[column][0])
    other = {"type": "Shoe", "color": None, "group": "whole"}[column]
    changed = [other if number == at else value for number, value in enumerate(columns[column])]
    assert changed != columns[column]
    second = shop.build(MatrixSource(everything, {**columns, column: changed}, snapshot=2), base=first.version)
    assert second.built_on == first.version
    assert second.judgement.drawn_for == second.version
    assert second.judgement.filtered["type"].at_10 == 1.0


def test_a_list_that_lost_too_many_entries_is_not_trusted():
    nearest = Nearest(1)
    nearest.offer(np.linspace(1, 0, 400)[None].astype(np.float32), np.arange(400), None)
    gone = np.zeros((1, KEPT), bool)
    gone[0, : KEPT - NEEDED] = True
    assert nearest.without(gone)
    nearest.offer(np.array([[0.5]], np.float32), np.array([999]), None)  # below what was kept: others may lie between
    assert 999 not in nearest.rows
    nearest.offer(np.array([[0.99]], np.float32), np.array([998]), None)
    assert 998 in nearest.rows
    gone = np.zeros((1, KEPT), bool)
    gone[0, :2] = True
    assert not nearest.without(gone)


def test_queries_come_from_every_shard_by_size_and_repeat():
    rows = {"a": np.arange(0, 9_000), "b": np.arange(9_000, 9_900), "c": np.arange(9_900, 9_905)}
    sizes = {name: len(found) for name, found in rows.items()}
    picked = pick_queries(rows, sizes, 500, seed=0)
    counts = [int(((picked >= found[0]) & (picked <= found[-1])).sum()) for found in rows.values()]
    assert counts == [454, 45, 5]
    assert np.array_equal(picked, pick_queries(rows, sizes, 500, seed=0))
    assert not np.array_equal(picked, pick_queries(rows, sizes, 500, seed=1))
    assert len(Queries(picked, picked, np.empty((len(picked), 4))).rows) == len(np.unique(picked))
