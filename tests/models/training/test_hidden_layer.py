"""Heads with a hidden layer: what a linear head can't learn, resuming, refining."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.cards import read_card
from models.errors import DataError
from models.heads import load_head
from models.training.classify import Request, train_heads
from models.training.features import FeatureSet
from models.training.heads import HeadOptions
from models.training.splits import Split

DIM = 6


def crossed(n: int = 800, seed: int = 0) -> FeatureSet:
    """Products whose label is whether two of the features have the same sign: no straight line parts them."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, DIM))
    same = features[:, 0] * features[:, 1] > 0
    rows = pd.DataFrame({"source": "a", "file": "x", "product_id": [f"{seed} {i}" for i in range(n)]})
    rows["kind"] = np.where(same, "like", "unlike")
    return FeatureSet(features.astype(np.float16), rows, ("kind",), "b1")


def request(**changes) -> Request:
    options = HeadOptions(epochs=30, lr=0.02, weight_decays=(0.01,), batch=64, dropout=0.05)
    made = Request({"kind": "single"}, split=Split(1, 0.2, 0.2), options=options, hidden={"kind": 32})
    return replace(made, **changes)


def test_a_hidden_layer_learns_what_a_linear_head_cannot(tmp_path: Path) -> None:
    straight = train_heads(crossed(), request(hidden={}), tmp_path / "linear").figures["kind"]["test"]["accuracy"]
    made = train_heads(crossed(), request(), tmp_path / "mlp")
    assert straight < 0.65
    assert made.figures["kind"]["test"]["accuracy"] > 0.85
    card = read_card(made.cards["kind"])
    assert (card.architecture, card.options["hidden"]) == ("mlp", 32)
    loaded = load_head(card, tmp_path / "mlp" / "cards", "cpu", DIM)
    assert loaded.module.width == 32


def test_a_resumed_run_with_a_hidden_layer_ends_like_one_never_interrupted(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 4:
            raise Killed

    wanted = request(options=replace(request().options, epochs=8))
    whole = train_heads(crossed(), wanted, tmp_path / "whole")
    with pytest.raises(Killed):
        train_heads(crossed(), wanted, tmp_path / "cut", kill)
    resumed = train_heads(crossed(), wanted, tmp_path / "cut", resume=True)
    assert read_card(resumed.cards["kind"]).sha256 == read_card(whole.cards["kind"]).sha256


def test_refining_goes_on_from_the_hidden_layer(tmp_path: Path) -> None:
    """After one gentle epoch it still knows what a new head could not have learned in it."""
    old = train_heads(crossed(), request(), tmp_path / "old").cards["kind"]
    gentle = replace(request().options, epochs=1, lr=1e-4)
    more = crossed(200, seed=9)
    refined = train_heads(more, request(options=gentle, hidden={}, start={"kind": old}), tmp_path / "new")
    assert read_card(refined.cards["kind"]).options["hidden"] == 32
    assert refined.figures["kind"]["test"]["accuracy"] > 0.8
    fresh = train_heads(more, request(options=gentle), tmp_path / "fresh").figures["kind"]["test"]["accuracy"]
    assert fresh < refined.figures["kind"]["test"]["accuracy"]


def test_a_hidden_layer_for_a_head_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--hidden is for 'color'"):
        train_heads(crossed(), request(hidden={"color": 8}), tmp_path)
