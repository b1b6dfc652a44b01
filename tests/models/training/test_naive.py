"""The naive head and multi-task heads on made-up features: the same data for both, fair thresholds, figures by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.errors import DataError
from models.training.classify import Request
from models.training.comparison_plot import plot_comparison
from models.training.features import FeatureSet
from models.training.heads import Examples, HeadOptions
from models.training.log import read_log
from models.training.naive import (
    AS_NEGATIVE,
    METHODS,
    MULTI_TASK,
    NAIVE,
    TOGETHER,
    Comparison,
    Joined,
    compare_heads,
    decided,
    judge,
    tune,
)
from models.training.splits import TEST, VALIDATION, Split
from models.training.targets import Plan, encode

TYPE = Plan("type", "single", ("Dress", "Hat", "Shoe"))
STYLE = Plan("style", "multi", ("warm", "wet"))
TEXTS = {"type": ["Hat", None, "Dress|Shoe", None], "style": ["warm|wet", "wet", None, None]}


def joined() -> Joined:
    return Joined([TYPE, STYLE], {plan.head: encode(TEXTS[plan.head], plan) for plan in (TYPE, STYLE)})


def made_up(n: int = 600, dim: int = 16) -> FeatureSet:
    """Many types that lie close together, two styles, and a type for two thirds of the pictures only."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(14, dim))
    kind, warm, wet = rng.integers(0, 12, n), rng.random(n) < 0.3, rng.random(n) < 0.3
    features = rng.normal(size=(n, dim)) * 0.8 + directions[kind]
    features += np.outer(warm, directions[12]) + np.outer(wet, directions[13])
    rows = pd.DataFrame(
        {"source": "a", "file": [f"{i}.jpg" for i in range(n)], "product_id": [f"p{i}" for i in range(n)]}
    )
    rows["type"] = pd.Series([f"t{k}" if i % 3 else None for i, k in enumerate(kind)], dtype=object)
    style = ["|".join(w for w, on in (("warm", a), ("wet", b)) if on) or None for a, b in zip(warm, wet, strict=True)]
    rows["style"] = pd.Series(style, dtype=object)
    return FeatureSet(features.astype(np.float16), rows, ("type", "style"), "b1")


REQUEST = Request(
    {"type": "single", "style": "multi"},
    split=Split(1, 0.2, 0.2),
    options=HeadOptions(epochs=6, lr=0.02, weight_decays=(0.01,), batch=64, dropout=0.1),
)


def test_a_missing_label_is_a_no_for_the_naive_head_alone() -> None:
    targets = joined().encode()
    assert joined().plan().labels == ("type: Dress", "type: Hat", "type: Shoe", "style: warm", "style: wet")
    assert targets.known.tolist() == [True, True, True, False]
    assert targets.allowed()[:3].astype(int).tolist() == [[0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [1, 0, 1, 0, 0]]
    assert joined().asked(np.arange(3)).astype(int).tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [1, 1, 1, 0, 0]]


def test_of_several_right_answers_the_most_probable_is_the_truth() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7, 0.9, 0.9]], np.float32)
    assert joined().truth(np.array([2]), probabilities).astype(int).tolist() == [[0, 0, 1, 0, 0]]


def test_single_label_heads_give_one_answer_where_they_are_told_to() -> None:
    probabilities = np.array([[0.4, 0.45, 0.15, 0.6, 0.2]], np.float32)
    free = joined().thresholded(argmax=True)
    assert free.tolist() == [False, False, False, True, True]
    assert decided(probabilities, joined(), np.array([0.5, 0.5]), free).astype(int).tolist() == [[0, 1, 0, 1, 0]]
    everywhere = joined().thresholded(argmax=False)
    said = decided(probabilities, joined(), np.full(5, 0.3), everywhere)
    assert said.astype(int).tolist() == [[1, 1, 0, 1, 0]]


def test_thresholds_are_tuned_only_where_a_head_is_asked() -> None:
    """Rows without a label for the second column say high numbers there, which must not matter."""
    probabilities = np.array([[0.9, 0.6], [0.2, 0.1], [0.8, 0.99], [0.1, 0.99]], np.float32)
    truth = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], bool)
    asked = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], bool)
    said = (probabilities >= tune(probabilities, truth, asked)) & asked
    assert (said == truth).all()
    assert tune(np.zeros((3, 0), np.float32), np.zeros((3, 0), bool), np.zeros((3, 0), bool)).shape == (0,)


def test_figures_by_hand() -> None:
    """Two test pictures: one right in three of four labels, one asked for its style only."""
    texts = {"type": ["Hat", None], "style": ["warm|wet", "wet"]}
    both = {plan.head: encode(texts[plan.head] * 2, plan) for plan in (TYPE, STYLE)}
    parts = np.array([VALIDATION] * 2 + [TEST] * 2, np.int8)
    examples = Examples(np.zeros((4, 1), np.float32), parts, both, {})
    right = np.array([[0.1, 0.8, 0.1, 0.9, 0.9], [0.8, 0.1, 0.1, 0.1, 0.9]], np.float32)
    wrong = np.array([[0.8, 0.1, 0.1, 0.9, 0.9], [0.8, 0.1, 0.1, 0.1, 0.9]], np.float32)
    of = {tuple(range(2)): right, (2, 3): wrong}
    figures = judge(lambda _, rows: of[tuple(rows.tolist())], examples, Joined([TYPE, STYLE], both), argmax=True)
    # first picture: Hat, warm, wet against Dress, warm, wet: 2 of 3; second: wet, right
    assert figures[TOGETHER]["samples_f1"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    assert figures[TOGETHER]["micro_f1"] == pytest.approx(2 * 3 / (4 + 4), abs=1e-4)
    assert figures[TOGETHER][AS_NEGATIVE] == pytest.approx(
        (2 / 3 + 2 / 3) / 2, abs=1e-4
    )  # its Dress is held against it
    assert figures["type"]["samples_f1"] == 0.0
    assert figures["style"]["samples_f1"] == 1.0


def test_multi_task_beats_naive_where_labels_exclude_one_another(tmp_path: Path) -> None:
    told: list[str] = []
    made = compare_heads(
        made_up(), REQUEST, tmp_path, (0.001, 0.02), 2, lambda training, epoch, numbers: told.append(training)
    )
    summary = made.summary()
    assert set(summary["methods"]) == set(METHODS)
    assert set(summary["methods"][NAIVE]) == {TOGETHER, "type", "style"}
    assert summary["multi_task_minus_naive"]["samples_f1"]["better_in"] == 2
    assert summary["methods"][MULTI_TASK][TOGETHER]["samples_f1"]["mean"] > 0.5
    assert made.rates == {NAIVE: [0.02, 0.02], MULTI_TASK: [0.02, 0.02]}  # six epochs are too few for the lower one
    assert len(set(told)) == 8
    name = "repeat_1/naive/lr_0.02"
    assert len(read_log(tmp_path / name)) == told.count(name) == 6
    picture = plot_comparison(made, tmp_path / "c.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_figures(tmp_path: Path) -> None:
    data, short = made_up(300), replace(REQUEST, options=replace(REQUEST.options, epochs=2), min_count=2)
    assert compare_heads(data, short, tmp_path / "a", (0.02,), 1) == compare_heads(
        data, short, tmp_path / "b", (0.02,), 1
    )


def test_a_resumed_comparison_ends_like_one_never_interrupted(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(training: str, epoch: int, _: dict[str, float]) -> None:
        if "multi_task" in training and epoch == 1:
            raise Killed

    data, short = made_up(300), replace(REQUEST, options=replace(REQUEST.options, epochs=2), min_count=2)
    whole = compare_heads(data, short, tmp_path / "whole", (0.02,), 1)
    with pytest.raises(Killed):
        compare_heads(data, short, tmp_path / "cut", (0.02,), 1, kill)
    trained: list[str] = []
    again = compare_heads(data, short, tmp_path / "cut", (0.02,), 1, lambda name, *_: trained.append(name), resume=True)
    assert again == whole
    assert trained == ["repeat_0/multi_task/lr_0.02"]  # its second epoch; naive was finished


def test_the_spread_is_that_of_the_repeats() -> None:
    def figures(*values: float) -> dict[str, dict[str, list[float]]]:
        return {TOGETHER: {name: list(values) for name in ("samples_f1", "micro_f1", "macro_f1", AS_NEGATIVE)}}

    by = {"naive": figures(0.5, 0.7), "naive_argmax": figures(0.5, 0.5), "multi_task": figures(0.7, 0.6)}
    summary = Comparison(by, [10, 12], [5, 5], {}).summary()
    assert summary["methods"]["naive"][TOGETHER]["samples_f1"] == {"mean": 0.6, "spread": 0.1414}
    gain = summary["multi_task_minus_naive"]["samples_f1"]
    assert gain == {"mean": 0.05, "spread": 0.2121, "better_in": 1}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (replace(REQUEST, heads={"type": "single"}), "at least two heads"),
        (replace(REQUEST, inputs={"type": ("hue",)}), "features alone"),
        (replace(REQUEST, min_count=500), "too few to learn"),
    ],
)
def test_what_can_not_be_compared_says_why(tmp_path: Path, wanted: Request, words: str) -> None:
    with pytest.raises(DataError, match=words):
        compare_heads(made_up(), wanted, tmp_path, (0.02,))
