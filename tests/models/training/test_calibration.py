"""Temperatures and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.training.calibration import MIN_ANSWERS, abstain_threshold, fit_temperature, label_thresholds


def test_temperature_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 5, generator=generator) * 2
    truth = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)[:, 0]
    allowed = torch.nn.functional.one_hot(truth, 5).bool()
    assert fit_temperature(logits * 3, allowed) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits, allowed) == pytest.approx(1, rel=0.1)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=120),
    precision=st.floats(0.05, 1.0),
)
def test_the_threshold_keeps_its_promise_and_gives_nothing_away(pairs, precision) -> None:
    score = np.array([p for p, _ in pairs]) / 20
    right = np.array([r for _, r in pairs])
    threshold = abstain_threshold(score, right, precision)
    answered = score >= threshold
    if threshold < 1:
        assert right[answered].mean() >= precision
        assert answered.sum() >= MIN_ANSWERS
    for lower in np.unique(score[score < threshold]):  # no lower one would do
        more = score >= lower
        assert more.sum() < MIN_ANSWERS or right[more].mean() < precision


def test_thresholds_at_the_ends() -> None:
    score = np.linspace(0, 1, 50)
    assert abstain_threshold(score, np.ones(50, bool), 0.9) == 0.0
    assert abstain_threshold(score, np.zeros(50, bool), 0.9) == 1.0
    assert abstain_threshold(np.zeros(0), np.zeros(0, bool), 0.9) == 1.0


def test_label_thresholds_separate_where_that_is_possible() -> None:
    probabilities = np.array([[0.9, 0.2], [0.8, 0.1], [0.3, 0.05], [0.2, 0.3]])
    allowed = np.array([[True, False], [True, False], [False, False], [False, False]])
    thresholds = label_thresholds(probabilities, allowed)
    assert 0.3 < thresholds[0] <= 0.8
    assert thresholds[1] == 0.5  # never occurs
