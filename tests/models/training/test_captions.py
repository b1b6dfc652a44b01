"""The captioner learns, resumes and is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.captioner import load_captioner
from models.cards import read_card
from models.errors import DataError
from models.training.caption_metrics import caption_figures, nearest_captions
from models.training.captions import CaptionOptions, CaptionRequest, train_captioner, write_all
from models.training.features import FeatureSet
from models.training.splits import Split

COLORS, TYPES = ("red", "blue", "green"), ("dress", "shirt", "boots")
FAST = CaptionRequest(Split(0, 0.2, 0.2), CaptionOptions(epochs=5, lr=5e-3, batch=16, beam=2))


def made_up(n: int = 240) -> FeatureSet:
    """Features that say color and type; captions that name them."""
    rng = np.random.default_rng(0)
    color, kind = rng.integers(0, 3, n), rng.integers(0, 3, n)
    features = np.concatenate([np.eye(3)[color], np.eye(3)[kind]], axis=1) * 3 + rng.normal(size=(n, 6)) * 0.2
    captions = [f"a {COLORS[c]} {TYPES[t]}" for c, t in zip(color, kind, strict=True)]
    rows = pd.DataFrame({"source": "a", "product_id": [f"p{i}" for i in range(n)], "caption": captions})
    return FeatureSet(features.astype(np.float16), rows, ("caption",), "b1")


def test_it_learns_to_name_what_is_there(tmp_path: Path) -> None:
    path, figures = train_captioner(made_up(), FAST, tmp_path)
    assert figures["test"]["exact"] > 0.9
    assert figures["nearest_photo"]["exact"] > 0.9
    card = read_card(path)
    captioner = load_captioner(card, path.parent, "cpu", 6)
    said = write_all(captioner, made_up().features, [0, 1, 2])
    assert said == write_all(captioner, made_up().features, [2, 1, 0])[::-1]
    refined, after = train_captioner(made_up(), replace(FAST, start=captioner), tmp_path / "refined")
    assert after["test"]["exact"] > 0.9
    assert read_card(refined).labels == card.labels


def test_a_resumed_run_ends_like_one_never_interrupted(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 2:
            raise Killed

    short = replace(FAST, options=replace(FAST.options, epochs=3))
    whole, _ = train_captioner(made_up(120), short, tmp_path / "whole")
    with pytest.raises(Killed):
        train_captioner(made_up(120), short, tmp_path / "cut", kill)
    resumed, _ = train_captioner(made_up(120), short, tmp_path / "cut", resume=True)
    assert read_card(whole).sha256 == read_card(resumed).sha256


def test_no_captions(tmp_path: Path) -> None:
    data = made_up(20)
    with pytest.raises(DataError, match="no captions"):
        train_captioner(replace(data, heads=("type",)), FAST, tmp_path)
    data.rows["caption"] = None
    with pytest.raises(DataError, match="no row"):
        train_captioner(data, FAST, tmp_path)


def test_figures() -> None:
    truth = ["a red dress with long sleeves", "blue cotton shirt for men", "green leather boots with laces"]
    perfect, none = caption_figures(truth, truth), caption_figures(["", "", ""], truth)
    assert perfect["exact"] == perfect["rouge_l"] == 1.0
    assert perfect["bleu4"] > 0.99
    assert perfect["cider"] > none["cider"] == 0.0
    partly = caption_figures(["a red dress", "blue shirt", "green boots"], truth)
    assert none["rouge_l"] < partly["rouge_l"] < 1.0


def test_nearest_caption_is_copied() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 2.0]])
    assert nearest_captions(features, np.array([0, 1]), np.array([2]), ["x", "y", "z"]) == ["y"]
