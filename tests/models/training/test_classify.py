"""Training heads end to end on small made-up features: learning, refining, resuming, abstaining, cards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.cards import read_card
from models.errors import DataError
from models.heads import load_head
from models.training.classify import Request, train_heads
from models.training.features import FeatureSet, FeatureWriter, join_features, read_features
from models.training.heads import HeadOptions
from models.training.judge import judge_head
from models.training.log import read_log, series
from models.training.open_set import OpenRequest
from models.training.plots import plot_predictions, plot_run
from models.training.splits import Split, read_split

DIM = 12
FAST = HeadOptions(epochs=8, lr=0.01, weight_decays=(0.01, 0.3), batch=32, dropout=0.1)
TYPES = ("Boots", "Dress", "Hat")


def made_up(n: int = 600, labels: tuple[str, ...] = TYPES, source: str = "a", seed: int = 0) -> FeatureSet:
    """Products of two photos each; every label has its own direction, `style` its own as well."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(42).normal(size=(10, DIM)) * 2
    place = {label: number for number, label in enumerate((*TYPES, "Belt"))}
    products = [f"p{number // 2}" for number in range(n)]
    kind = np.array([labels[(number // 2) % len(labels)] for number in range(n)], object)
    warm, wet = rng.random(n) < 0.5, rng.random(n) < 0.5
    features = rng.normal(size=(n, DIM)) + directions[[place[k] for k in kind]]
    features += np.outer(warm, directions[5]) + np.outer(wet, directions[6])
    style = ["|".join(w for w, on in (("warm", a), ("wet", b)) if on) or None for a, b in zip(warm, wet, strict=True)]
    rows = pd.DataFrame({"source": source, "file": [f"{i}.jpg" for i in range(n)], "product_id": products})
    rows["type"], rows["style"] = kind, pd.Series(style, dtype=object)
    rows.loc[rows.index % 5 == 0, "type"] = None
    return FeatureSet(features.astype(np.float16), rows, ("type", "style"), "b1")


def request(**changes) -> Request:
    return replace(Request({"type": "single"}, split=Split(1, 0.2, 0.2), options=FAST), **changes)


def test_two_heads_learn_together(tmp_path: Path) -> None:
    made = train_heads(made_up(), request(heads={"type": "single", "style": "multi"}), tmp_path)
    assert made.figures["type"]["test"]["accuracy"] > 0.9
    assert made.figures["style"]["test"]["micro_f1"] > 0.8
    card = read_card(made.cards["type"])
    assert card.labels == TYPES
    assert "seed 1" in card.split
    assert 0 <= card.thresholds["abstain"] <= 1
    assert set(read_card(made.cards["style"]).thresholds) == {"warm", "wet"}


def test_figures_of_each_source_are_stated_apart(tmp_path: Path) -> None:
    joined = join_features([made_up(source="a"), made_up(source="b", seed=1)])
    figures = train_heads(joined, request(), tmp_path).figures["type"]
    assert figures["test"]["n"] == figures["test_a"]["n"] + figures["test_b"]["n"]


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first = train_heads(made_up(), request(), tmp_path / "a")
    second = train_heads(made_up(), request(), tmp_path / "b")
    assert read_card(first.cards["type"]).sha256 == read_card(second.cards["type"]).sha256
    other = train_heads(made_up(), request(options=replace(FAST, seed=1)), tmp_path / "c")
    assert read_card(other.cards["type"]).sha256 != read_card(first.cards["type"]).sha256


@pytest.mark.parametrize("recipe", ["adamw", "sgd"])
def test_a_resumed_run_ends_like_one_never_interrupted(tmp_path: Path, recipe) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 3:
            raise Killed

    wanted = request(options=replace(FAST, recipe=recipe))
    whole = train_heads(made_up(), wanted, tmp_path / "whole")
    with pytest.raises(Killed):
        train_heads(made_up(), wanted, tmp_path / "cut", kill)
    resumed = train_heads(made_up(), wanted, tmp_path / "cut", resume=True)
    assert read_card(resumed.cards["type"]).sha256 == read_card(whole.cards["type"]).sha256
    assert read_log(tmp_path / "cut") == read_log(tmp_path / "whole")


def test_resume_needs_a_checkpoint_of_the_same_heads(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to resume"):
        train_heads(made_up(), request(), tmp_path, resume=True)
    train_heads(made_up(), request(), tmp_path)
    other_split = request(split=Split(2, 0.2, 0.2))
    other_labels = made_up(labels=("Boots", "Belt", "Hat"))
    other_recipe = request(options=replace(FAST, recipe="sgd"))
    for data, wanted in (
        (made_up(labels=("Boots", "Dress")), request()),
        (other_labels, request()),
        (made_up(), other_split),
        (made_up(), other_recipe),
        (replace(made_up(), backbone="b2"), request()),
    ):
        with pytest.raises(DataError, match="another training run"):
            train_heads(data, wanted, tmp_path, resume=True)
    longer = request(options=replace(FAST, epochs=FAST.epochs + 2))
    assert train_heads(made_up(), longer, tmp_path, resume=True).epochs == longer.options.epochs


def test_refining_learns_a_new_label_and_keeps_the_old(tmp_path: Path) -> None:
    old = train_heads(made_up(), request(), tmp_path / "old").cards["type"]
    more = made_up(400, labels=("Belt", "Dress"), seed=2)
    before = judge_head(old, more, Split(1, 0.2, 0.2))
    assert before["unknown_labels"] > 0
    refined = train_heads(more, request(start={"type": old}), tmp_path / "new")
    card = read_card(refined.cards["type"])
    assert card.labels == (*TYPES, "Belt")
    assert refined.figures["type"]["test"]["accuracy"] > 0.9
    assert judge_head(refined.cards["type"], made_up(), None)["test"]["accuracy"] > 0.6  # has not forgotten Boots, Hat


def test_refining_needs_no_minimum_of_labels_that_the_head_knows(tmp_path: Path) -> None:
    old = train_heads(made_up(), request(), tmp_path / "old").cards["type"]
    few = made_up(60, labels=("Dress", "Belt"), seed=3)
    refined = train_heads(few, request(min_count=50, start={"type": old}), tmp_path / "new")
    assert read_card(refined.cards["type"]).labels == TYPES  # too few belts for a label of their own


def test_refining_improves_on_few_new_photos(tmp_path: Path) -> None:
    """Photos of another kind (turned features): the refined head beats the old one."""
    old = train_heads(made_up(), request(), tmp_path / "old").cards["type"]
    few = made_up(120, seed=5)
    rows = few.rows.assign(product_id="new " + few.rows["product_id"])
    moved = replace(few, features=few.features[:, ::-1], rows=rows)
    held_out = judge_head(old, moved, Split(1, 0.2, 0.4))["test"]["accuracy"]
    gentle = replace(request(min_count=2, start={"type": old}), split=Split(1, 0.2, 0.4))
    refined = train_heads(moved, gentle, tmp_path / "new").figures["type"]["test"]["accuracy"]
    assert refined > held_out + 0.1


def test_the_written_head_answers_what_was_tested(tmp_path: Path) -> None:
    data = made_up()
    made = train_heads(data, request(), tmp_path)
    assert judge_head(made.cards["type"], data, Split(1, 0.2, 0.2))["test"] == made.figures["type"]["test"]
    head = load_head(read_card(made.cards["type"]), tmp_path / "cards", "cpu", DIM)
    assert head.module.linear.weight.shape == (3, DIM)


def test_a_head_may_join_a_further_input(tmp_path: Path) -> None:
    """The feature says nothing of the type; the further input says it all."""
    data = made_up()
    hue = np.eye(3)[[TYPES.index(TYPES[(n // 2) % 3]) for n in range(len(data))]]
    noise = np.random.default_rng(1).normal(size=data.features.shape).astype(np.float16)
    blind = replace(data, features=noise, extra={"hue": hue})
    with_hue = train_heads(blind, request(inputs={"type": ("hue",)}), tmp_path / "with")
    assert with_hue.figures["type"]["test"]["accuracy"] > 0.95
    assert train_heads(blind, request(), tmp_path / "without").figures["type"]["test"]["accuracy"] < 0.6
    card = read_card(with_hue.cards["type"])
    assert card.options["extra_inputs"] == {"hue": 3}
    again = train_heads(blind, request(start={"type": with_hue.cards["type"]}), tmp_path / "again")
    assert read_card(again.cards["type"]).options["extra_inputs"] == {"hue": 3}
    assert load_head(card, tmp_path / "with" / "cards", "cpu", DIM).extra_inputs == ("hue",)
    with pytest.raises(DataError, match="input 'tone', which the features lack; they have hue"):
        train_heads(blind, request(inputs={"type": ("tone",)}), tmp_path / "none")


def test_a_saved_split_is_used_again_and_leaks_are_refused(tmp_path: Path) -> None:
    data = made_up()
    first = train_heads(data, request(), tmp_path / "a")
    split = read_split(tmp_path / "a" / "split.parquet", Split(9))
    again = train_heads(data, request(split=split), tmp_path / "b")
    assert again.figures["type"]["test"] == first.figures["type"]["test"]
    assert "as saved in split.parquet" in read_card(again.cards["type"]).split
    elsewhere = Split(9, 0.2, 0.2)
    with pytest.raises(DataError, match=r"held out now.*trained or tuned.*--split"):
        train_heads(data, request(split=elsewhere, start=dict(first.cards)), tmp_path / "c")
    with pytest.raises(DataError, match="trained or tuned"):
        judge_head(first.cards["type"], data, elsewhere)
    assert train_heads(data, request(split=split, start=dict(first.cards)), tmp_path / "d").epochs


def test_look_alikes_across_the_split_are_counted_and_listed(tmp_path: Path) -> None:
    data = made_up()
    parts = Split(1, 0.2, 0.2).parts(data.rows["product_id"])
    features = np.random.default_rng(3).normal(size=(len(data), 64)).astype(np.float16)
    test, train = np.flatnonzero(parts == 2), np.flatnonzero(parts == 0)
    features[test[:3]] = features[train[:3]]
    made = train_heads(replace(data, features=features), request(), tmp_path)
    assert made.near_duplicates == 3
    assert read_card(made.cards["type"]).figures["near_duplicates"] == {
        "checked": len(test),
        "same_picture": 3,
        "same_scene": 0,
    }
    listed = pd.read_csv(tmp_path / "near_duplicates.csv")
    assert listed["file"].tolist() == [f"{row}.jpg" for row in test[:3]]
    assert listed["twin_file"].tolist() == [f"{row}.jpg" for row in train[:3]]


def test_log_to_plot(tmp_path: Path) -> None:
    seen: dict[int, float] = {}
    train_heads(made_up(), request(), tmp_path, lambda epoch, numbers: seen.update({epoch: numbers["train_loss"]}))
    epochs, losses = series(read_log(tmp_path), "train_loss")
    assert dict(zip(epochs, losses, strict=True)) == seen
    pictures = plot_run(tmp_path)
    assert {path.name for path in pictures} == {"curves.png", "confusion_type.png", "reliability_type.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_every_figure_and_picture_is_there_for_both_kinds_of_head(tmp_path: Path) -> None:
    data = made_up()
    made = train_heads(data, request(heads={"type": "single", "style": "multi"}), tmp_path)
    wanted = {"n", "accuracy", "top3", "macro_f1", "micro_f1", "samples_f1", "coverage", "calibration_error"}
    for head in ("type", "style"):
        assert set(made.figures[head]["test"]) == wanted | {"precision_when_answering"}
        judged = judge_head(made.cards[head], data, Split(1, 0.2, 0.2), plots=tmp_path / "test")
        assert judged["test"] == made.figures[head]["test"]
    assert made.figures["style"]["test"]["calibration_error"] < 0.1
    names = {f"{picture}_{head}.png" for picture in ("confusion", "reliability") for head in ("type", "style")}
    assert {path.name for path in plot_predictions(tmp_path / "test")} == names
    assert {path.name for path in plot_run(tmp_path)} == names | {"curves.png"}


def test_predictions_of_an_earlier_version_can_be_drawn(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]], np.float16)
    old = {"probabilities": probabilities, "allowed": np.eye(2, dtype=bool), "labels": np.array(["a", "b"])}
    np.savez(tmp_path / "predictions" / "type.npz", rows=np.arange(2), **old)
    assert len(plot_predictions(tmp_path)) == 2


def test_few_validation_rows_make_no_promise(tmp_path: Path) -> None:
    """Well under twenty validation rows: the head never answers, and says so."""
    made = train_heads(made_up(80), request(min_count=2), tmp_path)
    assert made.figures["type"]["test"]["coverage"] == 0
    assert read_card(made.cards["type"]).thresholds["abstain"] > 1


def test_a_log_cut_off_in_the_middle_of_a_line_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "train_loss": 2.0}) + '\n{"epoch": 2, "tr')
    assert series(read_log(tmp_path), "train_loss") == ([1], [2.0])
    with pytest.raises(DataError, match="no training run"):
        read_log(tmp_path / "none")


@pytest.mark.parametrize(
    ("data", "wanted", "words"),
    [
        (made_up(), request(heads={"color": "single"}), "no labels for"),
        (made_up(labels=("Boots",)), request(), "too few to learn"),
        (made_up(20), request(min_count=50), "at least 50"),
        (made_up(), request(weights={"tipe": 2.0}), "--weight is for 'tipe', which is not trained here; heads: type"),
        (made_up(), request(inputs={"color": ("hue",)}), "--extra-input is for 'color'"),
        (made_up(), request(open_set=OpenRequest(("color",))), "--open is for 'color'"),
        (
            made_up(),
            request(heads={"style": "multi"}, open_set=OpenRequest(("style",))),
            "'style' may give several labels",
        ),
        (made_up(), request(open_set=OpenRequest(("type",), 0.0)), "0 rows of labels outside .* larger share"),
    ],
)
def test_unusable_data_say_why(tmp_path: Path, data, wanted, words: str) -> None:
    with pytest.raises(DataError, match=words):
        train_heads(data, wanted, tmp_path)


def test_a_head_is_not_tested_on_what_it_can_not_know(tmp_path: Path) -> None:
    card = train_heads(made_up(), request(), tmp_path).cards["type"]
    with pytest.raises(DataError, match="no test row"):
        judge_head(card, made_up(labels=("Belt",)), None)
    with pytest.raises(DataError, match="another backbone"):
        judge_head(card, replace(made_up(), backbone="b2"), None)
    with pytest.raises(DataError, match="no labels for"):
        judge_head(card, replace(made_up(), heads=("style",)), None)


def test_features_round_trip(tmp_path: Path) -> None:
    data = made_up(10)
    writer = FeatureWriter(tmp_path, {"features": DIM, "hue": 3}, capacity=15)  # five photos could not be read
    hue = np.arange(30.0).reshape(10, 3)
    for begin in (0, 6):
        part = slice(begin, begin + 6)
        writer.add({"features": data.features[part], "hue": hue[part]}, data.rows.drop(columns="source")[part])
    assert writer.close({"source": "a", "heads": ["type"], "backbone": "b1"}) == 10
    again = read_features(tmp_path)
    assert np.array_equal(again.features, data.features)
    assert np.array_equal(join_features([again, again]).extra["hue"], np.concatenate([hue, hue]))
    assert again.rows["file"].tolist() == data.rows["file"].tolist()
    (tmp_path / "meta.json").unlink()
    with pytest.raises(DataError, match="no finished features"):
        read_features(tmp_path)


def test_products_of_two_sources_are_two_products() -> None:
    joined = join_features([made_up(10, source="a"), made_up(10, source="b")])
    assert joined.rows["product_id"].nunique() == 10
    with pytest.raises(DataError, match="different backbones"):
        join_features([made_up(4), replace(made_up(4), backbone="b2")])
