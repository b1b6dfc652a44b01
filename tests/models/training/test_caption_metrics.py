"""Figures of captions, and the baselines."""

from __future__ import annotations

import numpy as np

from models.training.caption_metrics import caption_figures, consensus, nearest_rows


def test_figures() -> None:
    truth = ["a red dress with long sleeves", "blue cotton shirt for men", "green leather boots with laces"]
    perfect, none = caption_figures(truth, truth), caption_figures(["", "", ""], truth)
    assert perfect["exact"] == perfect["rouge_l"] == 1.0
    assert perfect["bleu4"] > 0.99
    assert perfect["cider"] > none["cider"] == 0.0
    partly = caption_figures(["a red dress", "blue shirt", "green boots"], truth)
    assert none["rouge_l"] < partly["rouge_l"] < 1.0


def test_words_are_weighed_by_how_few_of_the_true_sentences_have_them() -> None:
    truth = ["men blue shirt", "men red shirt", "men green shirt", "men black shirt"]
    rare = caption_figures(["blue", "red", "green", "black"], truth)["cider"]
    common = caption_figures(["men", "men", "men", "men"], truth)["cider"]
    assert rare > 0
    assert common == 0.0  # a word in every true sentence says nothing, however rare it is among those written


def test_all_sentences_are_split_alike() -> None:
    truth = ["Nike Men's T-Shirt, Red!", "Puma Women Blue/White Shoes (Pack of 3)"]
    plain = ["nike men's t-shirt red", "puma women blue white shoes pack of 3"]
    assert caption_figures(plain, truth) == caption_figures(truth, plain) == caption_figures(plain, plain)


def test_nearest_rows() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 2.0], [5.0, 5.0]])
    assert nearest_rows(features, np.array([0, 1, 3]), np.array([2]), 2).tolist() == [[1, 3]]
    many = np.random.default_rng(0).normal(size=(5000, 8))
    train, test = np.arange(4900), np.arange(4900, 5000)
    unit = many / np.linalg.norm(many, axis=1, keepdims=True)
    expected = np.argsort(-(unit[test] @ unit[train].T), axis=1)[:, :5]
    assert np.array_equal(nearest_rows(many, train, test, 5), expected)


def test_consensus_is_most_like_the_others() -> None:
    assert consensus(["gift card", "blue shirt men", "blue shirt", "blue shirt women"]) == "blue shirt"
    assert consensus(["first", "second"]) == "first"
