"""Heads: abstaining, several labels, extra inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.cards import Card, read_card, write_card
from models.errors import DataError
from models.heads import Answer, Head, LoadedHead, head_tensors, join_inputs, labels_of, load_head


def loaded(kind: str, thresholds: dict[str, float], extra: dict[str, int] | None = None) -> LoadedHead:
    card = Card("head", "x", "linear", "", labels=("a", "b", "c"), options={"kind": kind}, thresholds=thresholds)
    return LoadedHead(card, Head(4, 3, extra))


def test_a_single_label_head_abstains_below_its_threshold_and_keeps_the_score() -> None:
    head = loaded("single", {"abstain": 0.6})
    said = head.answers(np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]]))
    assert said == [Answer("a", 0.7, "a"), Answer(None, 0.5, "b")]


def test_a_multi_label_head_gives_every_label_above_its_threshold() -> None:
    head = loaded("multi", {"a": 0.5, "b": 0.2, "c": 0.9})
    first, second = head.answers(np.array([[0.6, 0.8, 0.8], [0.1, 0.1, 0.4]]))
    assert labels_of(first) == ["b", "a"]
    assert second == Answer(None, 0.4, "c")
    assert labels_of(second) == []


def test_probabilities_of_a_single_label_head_sum_to_one() -> None:
    rows = loaded("single", {}).probabilities(torch.randn(5, 4))
    assert torch.allclose(rows.sum(dim=1), torch.ones(5))


def test_extra_inputs_are_joined_in_order_and_checked(tmp_path) -> None:
    card = Card("head", "x", "linear", "", labels=("a", "b", "c"), options={"extra_inputs": {"color_histogram": 2}})
    path = write_card(card, head_tensors(Head(4, 3, {"color_histogram": 2})), tmp_path)
    head = load_head(read_card(path), tmp_path, "cpu", dim=2)
    assert head.extra_inputs == ("color_histogram",)
    features = torch.zeros(3, 2)
    joined = join_inputs(features, head, {"color_histogram": np.ones((3, 2))})
    assert joined.tolist() == [[0, 0, 1, 1]] * 3
    with pytest.raises(DataError, match="color_histogram"):
        join_inputs(features, head, {})
    with pytest.raises(DataError, match="shape"):
        join_inputs(features, head, {"color_histogram": np.ones((2, 2))})


def test_standardizing_survives_constant_columns() -> None:
    head = Head(2, 2)
    head.standardize_like(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert head(torch.tensor([[2.0, 5.0]])).isfinite().all()
    assert head.mean.tolist() == [2.0, 5.0]
    assert head.std.tolist() == [1.0, 1.0]
