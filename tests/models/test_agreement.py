"""Photos of a product agreed into one answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.agreement import agree, vote

rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**31)), min_size=1, max_size=30)


def photos(drawn: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Products and probabilities over four labels."""
    made = [np.random.default_rng(seed).dirichlet(np.ones(4)) for _, seed in drawn]
    return np.array([product for product, _ in drawn]), np.array(made)


@given(rows)
def test_the_label_is_that_of_the_mean_whatever_the_order(drawn) -> None:
    product, probabilities = photos(drawn)
    agreed = agree(probabilities, product)
    assert agreed.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert agreed.photos.sum() == len(product)
    for number, row in zip(agreed.products, agreed.probabilities, strict=True):
        assert row.argmax() == probabilities[product == number].mean(axis=0).argmax()
    turned = agree(probabilities[::-1], product[::-1])
    assert turned.probabilities == pytest.approx(agreed.probabilities, abs=1e-6)


def test_one_photo_is_left_as_it_is_and_more_of_one_mind_are_surer() -> None:
    one = np.array([[0.6, 0.3, 0.1]])
    assert agree(one, np.array([7])).probabilities == pytest.approx(one)
    sure = [agree(np.repeat(one, n, axis=0), np.zeros(n, int)).probabilities[0, 0] for n in (1, 2, 3, 7)]
    assert sure == sorted(sure)
    assert 0.7 < sure[2] < 0.9
    divided = agree(np.array([[0.9, 0.1], [0.1, 0.9]]), np.zeros(2, int)).probabilities
    assert divided[0] == pytest.approx([0.5, 0.5])


def test_no_photo_that_is_sure_of_nonsense_overrules_the_rest() -> None:
    probabilities = np.array([[0.70, 0.30, 0.00], [0.70, 0.30, 0.00], [0.00, 0.01, 0.99]])
    assert agree(probabilities, np.zeros(3, int)).probabilities[0].argmax() == 0


def test_labels_of_a_multi_label_head_are_averaged() -> None:
    agreed = agree(np.array([[0.9, 0.8], [0.5, 0.2]]), np.zeros(2, int), "multi")
    assert agreed.probabilities == pytest.approx(np.array([[0.7, 0.5]]))


def test_no_photos() -> None:
    assert len(agree(np.zeros((0, 3)), np.zeros(0, int)).products) == 0


def test_agreeing_beats_single_photos() -> None:
    """Three photos of a product, each right in about seven of ten cases and calibrated."""
    rng = np.random.default_rng(0)
    truth = np.repeat(rng.integers(0, 8, 2000), 3)
    logits = rng.normal(size=(6000, 8)) + 2.6 * np.eye(8)[truth]
    probabilities = np.exp(2.6 * logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    single = (probabilities.argmax(axis=1) == truth).mean()
    agreed = agree(probabilities, np.repeat(np.arange(2000), 3)).probabilities
    assert (agreed.argmax(axis=1) == truth[::3]).mean() > single + 0.1


def test_a_vote() -> None:
    assert vote([("Dress", 0.9), ("Dress", 0.6), ("Skirt", 0.8), (None, 0.99)]) == ("Dress", pytest.approx(0.5), 3)
    assert vote([("Shirt", 0.7), ("Dress", 0.7)]) == ("Shirt", pytest.approx(0.35), 2)
    assert vote([(None, 0.4)]) == (None, None, 0)
    assert vote([]) == (None, None, 0)
