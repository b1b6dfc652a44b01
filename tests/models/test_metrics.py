"""Figures against torchmetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    binary_auroc,
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multilabel_f1_score,
)

from models import metrics


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(6) * 0.5, 500)
    truth = np.where(rng.random(500) < 0.6, probabilities.argmax(axis=1), rng.integers(0, 6, 500))
    return probabilities, truth, np.eye(6, dtype=bool)[truth]


def test_single_label_figures_agree_with_torchmetrics(data) -> None:
    probabilities, truth, allowed = data
    figures = metrics.single_figures(probabilities, allowed, threshold=0.5)
    scores, target = torch.from_numpy(probabilities), torch.from_numpy(truth)
    wanted = {
        "accuracy": multiclass_accuracy(scores, target, 6, average="micro"),
        "top3": multiclass_accuracy(scores, target, 6, average="micro", top_k=3),
        "macro_f1": multiclass_f1_score(scores, target, 6, average="macro"),
        "micro_f1": multiclass_f1_score(scores, target, 6, average="micro"),
        "calibration_error": multiclass_calibration_error(scores, target, 6, n_bins=15),
    }
    for name, value in wanted.items():
        assert figures[name] == pytest.approx(float(value), abs=2e-4), name
    answered = probabilities.max(axis=1) >= 0.5
    assert figures["coverage"] == pytest.approx(answered.mean(), abs=1e-4)
    assert figures["n"] == 500


def test_multi_label_figures_agree_with_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    probabilities, allowed = rng.random((300, 5)), rng.random((300, 5)) < 0.4
    figures = metrics.multi_figures(probabilities, allowed, np.full(5, 0.5))
    scores, target = torch.from_numpy(probabilities), torch.from_numpy(allowed.astype(int))
    assert figures["micro_f1"] == pytest.approx(
        float(multilabel_f1_score(scores, target, 5, average="micro")), abs=1e-4
    )
    assert figures["macro_f1"] == pytest.approx(
        float(multilabel_f1_score(scores, target, 5, average="macro")), abs=1e-4
    )
    said = probabilities >= 0.5
    assert figures["accuracy"] == pytest.approx((said == allowed).all(axis=1).mean(), abs=1e-4)
    assert figures["precision_when_answering"] == pytest.approx(allowed[said].mean(), abs=1e-4)


def test_the_area_under_the_roc_agrees_with_torchmetrics() -> None:
    rng = np.random.default_rng(2)
    negative, positive = rng.normal(size=300).round(1), rng.normal(0.8, 1, size=200).round(1)  # rounded: with ties
    scores, truth = np.r_[negative, positive], np.r_[np.zeros(300, int), np.ones(200, int)]
    wanted = float(binary_auroc(torch.from_numpy(scores).sigmoid(), torch.from_numpy(truth)))
    assert metrics.auroc(negative, positive) == pytest.approx(wanted, abs=1e-5)
    assert metrics.auroc(np.zeros(0), positive) == 0.5


def test_samples_f1_by_hand() -> None:
    said = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    true = np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]], bool)
    assert metrics.samples_f1(said, true) == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)


def test_a_coarse_label_accepts_each_of_its_labels() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    allowed = np.array([[True, True, False], [True, True, False]])
    figures = metrics.single_figures(probabilities, allowed, 0.0)
    assert figures["accuracy"] == 0.5
    assert metrics.truth_of(probabilities, allowed).tolist() == [0, 1]


def test_confusion_rows_are_the_truth() -> None:
    assert metrics.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist() == [[1, 1], [0, 1]]


def test_calibration_error_of_a_sure_liar_is_one() -> None:
    assert metrics.calibration_error(np.ones(9), np.zeros(9, bool)) == pytest.approx(1.0)
    assert metrics.calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0
