"""Shards of every kind against brute force."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.index import shards
from pipeline.index.choose import Choice
from pipeline.index.searching import FACTORS, Segment, Shard, tune

KINDS = (Choice("fp16"), Choice("fp16", 24), Choice("rabitq", 24, "sq8"), Choice("rabitq", 24, "fp16"))
DIM = 128


def files(choice, vectors, folder, like=None):
    """Write and open a segment; `like` is the folder of one whose training is taken over."""
    sample = vectors[: len(vectors) // 2].astype(np.float32)
    if like is None:
        made = [shards.train(choice, vectors.shape[1], sample)]
        made += [shards.new_ranker(choice.ranker, vectors.shape[1], sample)] if choice.ranker else []
    else:
        made = [shards.empty_like(path) for path in sorted(like.glob("*.faiss"))]
        assert [index.ntotal for index in made] == [0] * len(made)
    folder.mkdir(exist_ok=True)
    for number, index in enumerate(made):
        shards.add(index, vectors)
        shards.write(index, folder / f"{number}.faiss")
    return opened(folder)


def opened(folder):
    return Segment(*(shards.read(path, mapped=True) for path in sorted(folder.glob("*.faiss"))))


def make(choice, vectors, tmp_path):
    return Shard((files(choice, vectors, tmp_path / "shard"),), choice, max(1, choice.lists))


def near(gallery, n):
    """float32 (n, dim): queries that lie near vectors of the gallery."""
    queries = gallery[:n] + 0.03 * np.random.default_rng(9).normal(size=(n, gallery.shape[1]))
    return (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)


def truth(vectors, queries, k, keep=None):
    scores = queries @ vectors.astype(np.float32).T
    if keep is not None:
        scores[:, ~keep] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def overlap(found, true):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), true.tolist(), strict=True)])


@pytest.mark.parametrize("choice", KINDS, ids=lambda choice: choice.name)
def test_every_kind_finds_the_neighbors_with_and_without_a_filter(choice, vectors, tmp_path):
    gallery = vectors(2_000, dim=DIM)
    queries = near(gallery, 40)
    shard = make(choice, gallery, tmp_path)
    keep = np.arange(2_000) % 7 == 0
    floor = 1.0 if choice.exact else 0.93
    assert overlap(shard.search(queries, 10)[1], truth(gallery, queries, 10)) >= floor
    rows = shard.search(queries, 10, keep)[1]
    assert keep[rows].all()
    assert overlap(rows, truth(gallery, queries, 10, keep)) >= floor


@pytest.mark.parametrize("choice", KINDS, ids=lambda choice: choice.name)
def test_fewer_hits_where_there_are_no_more(choice, vectors, tmp_path):
    gallery = vectors(300, dim=DIM)
    shard = make(choice, gallery, tmp_path)
    keep = np.zeros(300, bool)
    keep[[3, 77]] = True
    scores, rows = shard.search(gallery[:1].astype(np.float32), 5, keep)
    assert set(rows[0, :2].tolist()) == {3, 77}
    assert (rows[0, 2:] == -1).all()
    assert scores.shape == rows.shape == (1, 5)
    assert (shard.search(gallery[:1].astype(np.float32), 400)[1] >= 0).sum() == 300


def test_few_lists_still_give_as_many_hits_as_are_asked_for(vectors, tmp_path):
    gallery = vectors(2_000, dim=DIM)
    shard = make(Choice("fp16", 24), gallery, tmp_path)
    rows = shard.search(gallery[:5].astype(np.float32), 1_500, probes=1)[1]
    assert (rows >= 0).all()


@pytest.mark.parametrize("choice", KINDS, ids=lambda choice: choice.name)
def test_vectors_come_back_as_they_were_up_to_their_code(choice, vectors, tmp_path):
    gallery = vectors(500, dim=DIM)
    shard = make(choice, gallery, tmp_path)
    rows = np.array([7, 499, 0, 7])
    back = shard.vectors_of(rows)
    assert np.abs(back - gallery[rows].astype(np.float32)).max() < (0.05 if choice.ranker == "sq8" else 1e-3)


@pytest.mark.parametrize("choice", KINDS, ids=lambda choice: choice.name)
def test_leaving_a_query_out_of_the_results_is_as_if_it_had_never_been_added(choice, vectors, tmp_path):
    """What the judgement rests on: see the module's docstring."""
    gallery = vectors(1_500, dim=DIM)
    held_out = np.arange(0, 1_500, 50)
    rest = np.setdiff1d(np.arange(1_500), held_out)
    without = Shard((files(choice, gallery[rest], tmp_path / "without"),), choice, 4)
    everything = Shard((files(choice, gallery, tmp_path / "whole", like=tmp_path / "without"),), choice, 4)
    queries = gallery[held_out].astype(np.float32)
    kept = np.ones(1_500, bool)
    kept[held_out] = False
    a, b = everything.search(queries, 10, kept, probes=4)[1], without.search(queries, 10, probes=4)[1]
    assert np.array_equal(a, rest[b])


@pytest.mark.parametrize("choice", KINDS, ids=lambda choice: choice.name)
def test_segments_answer_as_one_file_does_and_so_does_what_they_are_joined_to(choice, vectors, tmp_path):
    gallery = vectors(1_500, dim=DIM)
    segments, first = [], None
    for number, part in enumerate((gallery[:1_000], gallery[1_000:1_010], gallery[1_010:])):
        segments.append(files(choice, part, tmp_path / f"part-{number}", like=first))
        first = tmp_path / "part-0"
    together = Shard(tuple(segments), choice, 8)
    names = sorted(path.name for path in first.iterdir())
    joined = [shards.joined([tmp_path / f"part-{number}" / name for number in range(3)]) for name in names]
    one = Shard((Segment(*joined),), choice, 8)
    assert together.rows == one.rows == 1_500
    queries = vectors(30, seed=5, dim=DIM).astype(np.float32)
    keep = np.arange(1_500) % 3 == 0
    for mask in (None, keep):
        a, b = (shard.search(queries, 10, mask, probes=8) for shard in (together, one))
        if choice.ranker:  # segments hand over more candidates to be ranked again
            assert (a[0].mean(axis=1) >= b[0].mean(axis=1) - 1e-6).all()
        else:
            assert np.array_equal(a[1], b[1])
            assert np.allclose(a[0], b[0])
    rows = np.array([0, 999, 1_000, 1_009, 1_010, 1_499])
    assert np.allclose(together.vectors_of(rows), one.vectors_of(rows))


def test_tuning_takes_the_fewest_lists_that_reach_the_target_or_the_plateau(vectors, tmp_path):
    gallery = vectors(3_000)
    shard = make(Choice("fp16", 64), gallery, tmp_path)
    own = np.arange(0, 3_000, 60)
    queries = gallery[own].astype(np.float32)
    nearest = truth(gallery, queries, 11)
    true = [set(row.tolist()) - {self_row} for row, self_row in zip(nearest, own, strict=True)]
    low, high = (tune(shard, queries, own, true, target).probes for target in (0.5, 0.95))
    assert 1 <= low < high <= 64
    # a target that no number of lists reaches: where more lists stop helping
    assert high <= tune(shard, queries, own, true, 1.01).probes < 64


def test_where_codes_are_too_coarse_for_the_target_more_candidates_are_ranked_again(tmp_path):
    gallery = np.random.default_rng(1).normal(size=(3_000, DIM))  # no clusters: many are nearly as near as the nearest
    gallery = (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).astype(np.float16)
    shard = make(Choice("rabitq", 24, "fp16"), gallery, tmp_path)
    own = np.arange(0, 3_000, 60)
    queries = gallery[own].astype(np.float32)
    true = [set(row.tolist()) - {self_row} for row, self_row in zip(truth(gallery, queries, 11), own, strict=True)]
    modest, high = (tune(shard, queries, own, true, target) for target in (0.3, 0.98))
    assert modest.factor == FACTORS[0] < high.factor
    found = high.search(queries, 11)[1]
    assert np.mean([len(set(a) & b) / 10 for a, b in zip(found.tolist(), true, strict=True)]) > 0.8


def test_a_file_that_is_no_index_is_named(tmp_path):
    (tmp_path / "x.faiss").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"x\.faiss is not an index file"):
        shards.read(tmp_path / "x.faiss", mapped=True)
