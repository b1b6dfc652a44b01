"""Which garment a photo is about, and colors that agree or not."""

from __future__ import annotations

import numpy as np

from models.detections import Detections
from models.heads import Answer
from pipeline.enrich.garments import order, prominence
from pipeline.enrich.photo import Colors
from pipeline.enrich.rows import encode, label_columns
from pipeline.images.color import Measured


def detections(*found: tuple[float, tuple[float, float, float, float]]) -> Detections:
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([score for score, _ in found], np.float32), ["upper-body"] * len(found))


def test_the_large_central_garment_is_the_main_one() -> None:
    bag, dress, passer_by = (0.95, (70, 60, 85, 80)), (0.9, (30, 10, 70, 90)), (0.92, (0, 10, 15, 95))
    found = detections(bag, passer_by, dress)
    assert order(found, 100, 100, 8) == [2, 0, 1]
    assert prominence(found, 100, 100).argmax() == 2


def test_only_the_best_scores_are_kept_and_no_garment_is_no_main() -> None:
    found = detections(*((0.9 - 0.1 * i, (10.0 * i, 0, 10.0 * i + 10, 100)) for i in range(5)))
    kept = order(found, 100, 100, 3)
    assert sorted(kept) == [0, 1, 2]
    assert kept[0] == 2  # nearest to the middle of the three
    assert order(Detections(), 100, 100, 3) == []


def test_prominence_falls_off_towards_the_edge() -> None:
    found = detections(*((0.5, (x, 40, x + 20, 60)) for x in (40, 20, 0)))
    middle, aside, edge = prominence(found, 100, 100)
    assert middle > aside > edge > 0


def colors(name: str) -> Colors:
    return Colors(Measured(name, 0.8), np.zeros(384, np.float32))


def test_learned_and_measured_colors_are_compared_by_meaning() -> None:
    def row(label: str | None, measured: str) -> bool | None:
        return label_columns({"color": Answer(label, 0.9, label or "x")}, colors(measured))["color_agrees"]

    assert row("Blue", "Navy Blue") is True
    assert row("Blue", "Red") is False
    assert row(None, "Red") is None
    assert label_columns({}, colors("Red"))["color_agrees"] is None


def test_further_answers_go_to_attributes() -> None:
    second = Answer("Red", 0.6, "Red")
    row = label_columns(
        {"color": Answer("Blue", 0.9, "Blue", (second,)), "sleeve": Answer(None, 0.3, "long")}, colors("Blue")
    )
    assert (row["color"], row["color_score"]) == ("Blue", 0.9)
    assert row["attributes"] == [
        {"head": "color", "label": "Red", "score": 0.6},
        {"head": "sleeve", "label": None, "score": 0.3},
    ]


def test_a_feature_comes_back_from_vector_and_norm() -> None:
    feature = np.random.default_rng(0).normal(size=64).astype(np.float32) * 30
    data, norm = encode(feature)
    back = np.frombuffer(data, "<f2").astype(np.float32) * norm
    assert np.abs(back - feature).max() < 0.05
    assert encode(np.zeros(4, np.float32)) == (bytes(8), 0.0)
