"""Heads: abstaining, several labels, extra inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.cards import Card, read_card, write_card
from models.errors import CardError, DataError
from models.heads import Answer, Head, LoadedHead, dropped, head_tensors, join_inputs, labels_of, load_head


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


def test_a_hidden_layer_is_written_and_loaded_with_the_head(tmp_path) -> None:
    module = Head(4, 3, hidden=8)
    with torch.no_grad():
        module.hidden.weight.copy_(module.hidden.weight.half())
        module.linear.weight.copy_(module.linear.weight.half())
    card = Card("head", "x", "mlp", "", labels=("a", "b", "c"), options={"hidden": 8})
    path = write_card(card, head_tensors(module), tmp_path)
    x = torch.randn(5, 4)
    assert torch.equal(load_head(read_card(path), tmp_path, "cpu", 4).module(x), module(x))


@pytest.mark.parametrize(("architecture", "options"), [("mlp", {}), ("linear", {"hidden": 8}), ("forest", {})])
def test_a_head_of_another_architecture_is_refused(tmp_path, architecture, options) -> None:
    card = Card("head", "x", architecture, "", labels=("a", "b", "c"), options=options)
    path = write_card(card, head_tensors(Head(4, 3)), tmp_path)
    with pytest.raises(CardError, match=architecture):
        load_head(read_card(path), tmp_path, "cpu", 4)


def test_dropout_keeps_the_mean_and_repeats_with_its_generator() -> None:
    x = torch.ones(200, 50)
    once, again = (dropped(x, 0.4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again)
    assert once.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert abs(float(once.mean()) - 1) < 0.03
    assert dropped(x, 0.0, None) is x
