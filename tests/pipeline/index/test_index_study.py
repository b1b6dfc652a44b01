"""The retrieval study against figures worked out by hand and by loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InputError
from pipeline.index.study import Extractor, label_matrix, relevant, run_study, split
from pipeline.index.study_report import draw_curves, table

SETS = st.lists(st.frozensets(st.integers(0, 5), max_size=4), min_size=1, max_size=12)


def matrix(sets):
    out = np.zeros((len(sets), 6), bool)
    for row, labels in enumerate(sets):
        out[row, list(labels)] = True
    return out


@given(SETS, SETS)
def test_relevant_means_at_least_half_of_the_union_is_shared(queries, gallery):
    found = relevant(matrix(queries), matrix(gallery))
    for q, a in enumerate(queries):
        for g, b in enumerate(gallery):
            assert found[q, g] == (len(a | b) > 0 and len(a & b) / len(a | b) >= 0.5)


def test_labels_come_from_all_heads_and_may_be_several():
    rows = pd.DataFrame({"type": ["Dress", "Shoe", None], "color": ["Red|Blue", None, None]})
    found, names = label_matrix(rows, ["type", "color"])
    assert names == ["color=Blue", "color=Red", "type=Dress", "type=Shoe"]
    assert found.tolist() == [[True, True, True, False], [False, False, False, True], [False] * 4]
    with pytest.raises(InputError, match="no label column 'brand'; there are type, color"):
        label_matrix(rows, ["brand"])
    with pytest.raises(InputError, match="no row has a label"):
        label_matrix(rows[2:], ["type"])


def test_queries_are_drawn_once_each_and_are_not_in_the_gallery():
    asked, searched = split(100, 30, None, seed=0)
    assert len(set(asked) | set(searched)) == 100
    assert len(split(100, 30, 20, seed=0)[1]) == 20
    assert not np.array_equal(asked, split(100, 30, None, seed=1)[0])
    with pytest.raises(InputError, match="30 labelled pictures are too few for 30 queries"):
        split(30, 30, None, seed=0)


def test_only_rows_that_may_ask_do():
    askable = np.arange(100) % 4 == 0
    asked, searched = split(100, 20, None, 0, askable)
    assert askable[asked].all()
    assert sorted({*asked, *searched}) == list(range(100))
    assert len(asked) == 20
    with pytest.raises(InputError, match="25 labelled pictures are too few for 26 queries"):
        split(100, 26, None, 0, askable)


@pytest.fixture(scope="module")
def study():
    """Features that tell the type well and the color not at all, and features of noise."""
    random = np.random.default_rng(0)
    n = 900
    kinds = random.integers(0, 6, n)
    good = np.eye(16)[kinds] + 0.2 * random.normal(size=(n, 16))
    noise = random.normal(size=(n, 16))
    rows = pd.DataFrame({"type": [f"t{kind}" for kind in kinds], "color": random.choice(["r", "b"], n)})
    labels, _ = label_matrix(rows, ["type", "color"])
    predicted = [f"t{kind}" if random.random() < 0.9 else "t0" for kind in kinds]
    extractors = [Extractor("good", good, predicted), Extractor("noise", noise)]
    found = run_study(extractors, labels, queries=100, gallery=None, probes=(1, 999), ks=(1, 10, 100, 800), seed=0)
    return found, labels, good


def test_good_features_beat_noise_and_noise_finds_at_random(study):
    curves = {(curve.extractor, curve.method): curve for curve in study[0].curves}
    good, noise = curves["good", "brute force"], curves["noise", "brute force"]
    assert good.precision[1] > 0.4 > 0.2 > noise.precision[1]
    assert good.recall[-1] == noise.recall[-1] == 1.0  # everything is found when everything is returned
    assert good.scanned == 1.0
    assert (study[0].queries, study[0].gallery, study[0].labels) == (100, 800, 8)


def test_figures_are_those_of_a_plain_loop(study):
    found, labels, good = study
    curve = found.curves[0]
    asked, searched = split(900, 100, None, seed=0)
    vectors = good / np.linalg.norm(good, axis=1, keepdims=True)
    precision, recall = [], []
    for query in asked:
        order = searched[np.argsort(-(vectors[searched] @ vectors[query]))]
        right = [(labels[query] & labels[i]).sum() / (labels[query] | labels[i]).sum() >= 0.5 for i in order]
        precision.append(np.mean(right[:10]))
        recall.append(np.sum(right[:10]) / np.sum(right))
    assert curve.precision[1] == pytest.approx(np.mean(precision), abs=2e-3)  # features are kept in 16 bits
    assert curve.recall[1] == pytest.approx(np.mean(recall), abs=2e-3)


def test_lists_and_categories_look_at_less_and_all_lists_are_brute_force(study):
    curves = {curve.method: curve for curve in study[0].curves if curve.extractor == "good"}
    one, everything = (curve for name, curve in curves.items() if name.startswith("k-means"))
    assert one.scanned < 0.2
    assert everything.scanned == 1.0
    assert np.allclose(everything.recall, curves["brute force"].recall, atol=5e-3)
    category = curves["predicted category"]
    assert 0.1 < category.scanned < 0.3
    assert category.recall[-1] < 1.0  # what was predicted wrongly is never looked at
    assert category.precision[1] > 0.35


def test_queries_without_anything_relevant_are_counted_and_left_out():
    labels = np.eye(8, dtype=bool)[[0, 1, 2, 3, 4, 5, 0, 0]]
    features = np.random.default_rng(0).normal(size=(8, 4))
    found = run_study([Extractor("x", features)], labels, queries=4, gallery=None, probes=(1,), ks=(1, 4), seed=3)
    asked, searched = split(8, 4, None, seed=3)
    expected = sum(not relevant(labels[[query]], labels[searched]).any() for query in asked)
    assert found.without == expected > 0


def test_curves_are_drawn_and_tabled(study, tmp_path):
    draw_curves(study[0], tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    rows = table(study[0])
    assert rows[0]["method"] == "brute force"
    assert rows[0]["precision@10"] == round(float(study[0].curves[0].precision[1]), 4)
