"""Temperatures and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.training.calibration import (
    MIN_ANSWERS,
    NEVER,
    abstain_threshold,
    fit_temperature,
    label_thresholds,
    lower_bound,
)


def test_temperature_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 5, generator=generator) * 2
    truth = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)[:, 0]
    allowed = torch.nn.functional.one_hot(truth, 5).bool()
    assert fit_temperature(logits * 3, allowed) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits, allowed) == pytest.approx(1, rel=0.1)


def test_temperature_of_a_multi_label_head_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator) * 2
    allowed = torch.rand(4000, 3, generator=generator) < torch.sigmoid(logits)
    assert fit_temperature(logits / 2, allowed, "multi") == pytest.approx(0.5, rel=0.1)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=120),
    precision=st.floats(0.05, 1.0),
)
def test_the_threshold_keeps_its_promise_and_gives_nothing_away(pairs, precision) -> None:
    score = np.array([p for p, _ in pairs]) / 20
    right = np.array([r for _, r in pairs])
    threshold = abstain_threshold(score, right, precision)
    answered = score >= threshold
    if threshold < NEVER:
        assert lower_bound(right[answered].sum(), answered.sum()) >= precision
        assert answered.sum() >= MIN_ANSWERS
    for lower in np.unique(score[score < threshold]):  # no lower one would do
        more = score >= lower
        assert more.sum() < MIN_ANSWERS or lower_bound(right[more].sum(), more.sum()) < precision


def test_thresholds_at_the_ends() -> None:
    score = np.linspace(0, 1, 50)
    assert abstain_threshold(score, np.ones(50, bool), 0.9) == 0.0
    assert abstain_threshold(score, np.zeros(50, bool), 0.9) == NEVER
    assert abstain_threshold(np.zeros(0), np.zeros(0, bool), 0.9) == NEVER


def test_few_rows_claim_little() -> None:
    """All answers right: a share of 0.99 needs 163 of them to be shown."""
    for rows, precision, shown in ((19, 0.5, False), (20, 0.9, True), (100, 0.99, False), (170, 0.99, True)):
        threshold = abstain_threshold(np.linspace(0, 1, rows), np.ones(rows, bool), precision)
        assert (threshold == 0.0) == shown, (rows, precision)
        assert shown or threshold == NEVER


def test_the_bound_is_exceeded_nine_times_out_of_ten() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(60, 0.85, size=20_000)
    assert (lower_bound(right, np.full(20_000, 60)) <= 0.85).mean() == pytest.approx(0.9, abs=0.03)


def test_on_new_data_the_promise_mostly_holds() -> None:
    """Scores say what they mean; the threshold is chosen on 300 rows and judged on 4,000, two hundred times over."""
    rng = np.random.default_rng(1)
    kept = []
    for _ in range(200):
        score = rng.random(4300)
        right = rng.random(4300) < score
        threshold = abstain_threshold(score[:300], right[:300], 0.8)
        answered = score[300:] >= threshold
        if threshold < NEVER:
            kept.append(right[300:][answered].mean() >= 0.8)
    assert len(kept) > 190
    assert np.mean(kept) > 0.8


def test_label_thresholds_separate_where_that_is_possible() -> None:
    probabilities = np.array([[0.9, 0.2, 0.9], [0.8, 0.1, 0.1], [0.3, 0.05, 0.1], [0.2, 0.3, 0.2]] * 3)
    allowed = np.array([[True, False, True], [True, False, False], [False] * 3, [False] * 3] * 3)
    thresholds = label_thresholds(probabilities, allowed)
    assert 0.3 < thresholds[0] <= 0.8
    assert thresholds[1] == 0.5  # never occurs
    assert thresholds[2] == 0.5  # three rows show too little
