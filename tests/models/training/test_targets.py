"""Label texts to targets, and losses that only see labelled rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError
from models.training.targets import Plan, encode, masked_loss, plan_head, row_weights

PLAN = Plan("type", "single", ("Boots", "Dress", "Sneakers"))


def test_texts_become_sets_and_unknown_is_missing() -> None:
    targets = encode(["Dress", None, "Boots|Sneakers", "Hat", "Hat|Dress", float("nan")], PLAN)  # type: ignore[list-item]
    assert targets.known.tolist() == [True, False, True, False, True, False]
    assert targets.allowed().tolist() == [
        [False, True, False],
        [False] * 3,
        [True, False, True],
        [False] * 3,
        [False, True, False],
        [False] * 3,
    ]


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_rows_without_a_label_contribute_nothing(kind) -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    allowed = torch.tensor([[True, False, False], [False] * 3, [False, True, True], [False] * 3])
    weights = torch.tensor([1.0, 0.0, 1.0, 0.0])
    loss = masked_loss(logits, allowed, weights, kind, smoothing=0.1)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[[1, 3]].abs().max() == 0
    assert logits.grad[[0, 2]].abs().min() > 0
    alone = masked_loss(logits[[0, 2]], allowed[[0, 2]], torch.ones(2), kind, smoothing=0.1)
    assert loss.item() == pytest.approx(alone.item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_a_batch_without_any_label_is_exactly_zero(kind) -> None:
    logits = torch.randn(3, 3, requires_grad=True)
    loss = masked_loss(logits, torch.zeros(3, 3, dtype=torch.bool), torch.zeros(3), kind)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_one_label_is_plain_cross_entropy_and_several_are_their_sum() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    one = masked_loss(logits, torch.tensor([[False, True, False]]), torch.ones(1), "single")
    assert one.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.tensor([1])).item())
    several = masked_loss(logits, torch.tensor([[True, False, True]]), torch.ones(1), "single")
    share = torch.softmax(logits, dim=1)[0, [0, 2]].sum()
    assert several.item() == pytest.approx(-share.log().item(), rel=1e-5)


@given(st.lists(st.sampled_from(["Boots", "Dress", "Sneakers", None]), min_size=1, max_size=40), st.floats(0, 1))
def test_weights_average_to_one_over_labelled_rows(texts, balance) -> None:
    targets = encode(texts, PLAN)
    weights = row_weights(targets, balance, np.ones(len(texts), bool))
    assert (weights[~targets.known] == 0).all()
    if targets.known.any():
        assert weights[targets.known].mean() == pytest.approx(1.0, rel=1e-4)


def test_full_balance_gives_every_label_the_same_total() -> None:
    texts = ["Boots"] * 30 + ["Dress"] * 3
    weights = row_weights(encode(texts, PLAN), 1.0, np.ones(33, bool))
    assert weights[:30].sum() == pytest.approx(weights[30:].sum(), rel=1e-4)


def test_rows_held_out_do_not_say_how_rare_a_label_is() -> None:
    train = np.arange(40) < 20
    one, other = (["Boots"] * 10 + ["Dress"] * 10 + [held_out] * 20 for held_out in ("Boots", "Dress"))
    weights = row_weights(encode(one, PLAN), 1.0, train)
    np.testing.assert_array_equal(weights, row_weights(encode(other, PLAN), 1.0, train))
    np.testing.assert_allclose(weights, train.astype(np.float32))


def test_labels_need_enough_rows() -> None:
    texts = ["Boots"] * 5 + ["Dress"] * 4 + ["Boots|Dress"] * 9 + [None] * 3
    assert plan_head("type", texts, min_count=4).labels == ("Boots", "Dress")
    with pytest.raises(DataError, match=r"Boots 5, Dress 4"):
        plan_head("type", texts, min_count=5)
    with pytest.raises(DataError, match="too few"):
        plan_head("type", ["Boots"] * 50)
    with pytest.raises(DataError, match="no labels at all"):
        plan_head("type", [None])
    assert plan_head("style", texts, "multi", min_count=5).labels == ("Boots", "Dress")


def test_encoding_keeps_the_row_order() -> None:
    texts = ["Sneakers", "Boots", "Sneakers"]
    assert encode(texts, PLAN).allowed(np.array([2, 1])).tolist() == [[False, False, True], [True, False, False]]
