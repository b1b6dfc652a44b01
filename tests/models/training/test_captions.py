"""The captioner learns, resumes, is refined, and is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.caption_decoders import DECODERS, Shape
from models.caption_search import Decoding
from models.captioner import LoadedCaptioner, load_captioner
from models.cards import read_card
from models.errors import CardError, DataError
from models.training.caption_plot import plot_captioner
from models.training.caption_trainer import CaptionOptions
from models.training.captions import CaptionRequest, compare_decoders, train_captioner, write_all
from models.training.features import FeatureSet
from models.training.splits import Split

COLORS, TYPES = ("red", "blue", "green", "white"), ("dress", "shirt", "boots")
SMALL = Shape(hidden=48, word_dim=16, width=32, layers=1, prefix=2, direct=1)
FAST = CaptionRequest(
    Split(0, 0.2, 0.2),
    CaptionOptions(shape=SMALL, epochs=9, lr=1e-2, batch=16, input_dropout=0.1, decoding=Decoding(beam=2, max_words=6)),
)
BOTH = pytest.mark.parametrize("decoder", DECODERS)


def made_up(n: int = 240, colors: int = 3, seed: int = 0) -> FeatureSet:
    """Features that say the type, a further input that says the color, captions that name both."""
    rng = np.random.default_rng(seed)
    color, kind = rng.integers(0, colors, n), rng.integers(0, 3, n)
    noise = rng.normal(size=(n, 7)) * 0.2
    features, measured = np.eye(3)[kind] * 3 + noise[:, :3], np.eye(4)[color] * 3 + noise[:, 3:]
    captions = [f"a {COLORS[c]} {TYPES[t]}" for c, t in zip(color, kind, strict=True)]
    rows = pd.DataFrame({"source": "a", "product_id": [f"p{i}" for i in range(n)], "caption": captions})
    extra = {"measured": measured.astype(np.float16)}
    return FeatureSet(features.astype(np.float16), rows, ("caption",), "b1", extra)


def loaded(card: Path) -> LoadedCaptioner:
    return load_captioner(read_card(card), card.parent, "cpu", 3)


def of(decoder: str, **options: object) -> CaptionRequest:
    return replace(FAST, inputs=("measured",), options=replace(FAST.options, decoder=decoder, **options))


@BOTH
def test_it_learns_to_name_what_is_there(decoder: str, tmp_path: Path) -> None:
    path, figures = train_captioner(made_up(), of(decoder), tmp_path)
    assert figures["test"]["exact"] > 0.9
    assert figures["validation"]["n"] > 20
    assert figures["nearest_photo"]["exact"] < 0.7  # the feature does not say the color
    card = read_card(path)
    assert (card.architecture, card.options["extra_inputs"]) == (decoder, {"measured": 4})
    captioner = loaded(path)
    assert figures["parameters"] == sum(p.numel() for p in captioner.module.parameters())
    said = write_all(captioner, made_up(), [0, 1, 2])
    assert said == write_all(captioner, made_up(), [2, 1, 0])[::-1]
    sampled = Decoding("sample", max_words=6, seed=1)
    assert write_all(captioner, made_up(), [0, 1], sampled) == write_all(captioner, made_up(), [0, 1], sampled)
    with pytest.raises(DataError, match="measured"):
        write_all(captioner, replace(made_up(), extra={}), [0])
    with pytest.raises(CardError, match="does not fit"):
        load_captioner(card, path.parent, "cpu", 9)


@BOTH
def test_refining_improves_on_new_labels(decoder: str, tmp_path: Path) -> None:
    path, _ = train_captioner(made_up(), of(decoder), tmp_path / "first")
    new = made_up(240, colors=4, seed=1)
    white = [row for row, text in enumerate(new.rows["caption"]) if "white" in text]
    assert not any("white" in text for text in write_all(loaded(path), new, white))
    refined, figures = train_captioner(new, replace(of("gru"), inputs=(), start=path), tmp_path / "refined")
    assert figures["test"]["exact"] > 0.9
    with pytest.raises(DataError, match="another backbone"):
        train_captioner(replace(new, backbone="b2"), replace(FAST, start=path), tmp_path / "strange")
    with pytest.raises(DataError, match="use its own split"):
        train_captioner(new, replace(FAST, split=Split(5), start=path), tmp_path / "leak")
    assert read_card(refined).architecture == decoder
    right = [
        said == text
        for said, text in zip(write_all(loaded(refined), new, white), new.rows["caption"][white], strict=True)
    ]
    assert np.mean(right) > 0.9


@BOTH
def test_a_resumed_run_ends_like_one_never_interrupted(decoder: str, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 2:
            raise Killed

    short = of(decoder, epochs=3)
    whole, _ = train_captioner(made_up(120), short, tmp_path / "whole")
    with pytest.raises(Killed):
        train_captioner(made_up(120), short, tmp_path / "cut", kill)
    elsewhere = replace(short, checkpoint=tmp_path / "cut" / "checkpoint.pt")
    continued, _ = train_captioner(made_up(120), elsewhere, tmp_path / "elsewhere")
    resumed, _ = train_captioner(made_up(120), short, tmp_path / "cut", resume=True)
    assert read_card(whole).sha256 == read_card(resumed).sha256 == read_card(continued).sha256
    for wanted in (of(decoder, shape=Shape(24, width=24)), replace(short, split=Split(1, 0.2, 0.2))):
        with pytest.raises(DataError, match="another training run"):
            train_captioner(made_up(120), wanted, tmp_path / "cut", resume=True)


def test_the_better_of_two_decoders_is_kept(tmp_path: Path) -> None:
    path, figures = compare_decoders(made_up(120), of("gru", epochs=4), tmp_path)
    card = read_card(path)
    other = next(name for name in DECODERS if name != card.architecture)
    assert figures["validation"]["cider"] >= figures[other]["validation"]["cider"]
    assert card.figures["nearest_photo"]["n"] == card.figures[other]["test"]["n"]
    assert loaded(path).captions(torch.zeros(1, 7))[0][0]
    again, _ = compare_decoders(made_up(120), of("gru", epochs=4), tmp_path, resume=True)
    assert read_card(again).sha256 == card.sha256
    pictures = plot_captioner(tmp_path)
    assert [picture.name for picture in pictures] == ["decoders.png", "curves.png", "curves.png"]
    assert [picture.name for picture in plot_captioner(tmp_path / "gru")] == ["curves.png"]


def test_long_captions_are_learned_up_to_the_limit(tmp_path: Path) -> None:
    data = made_up(120)
    data.rows["caption"] += " with buttons made of horn" * 20
    path, _ = train_captioner(data, of("transformer", epochs=1), tmp_path)
    assert all(len(said.split()) <= 6 for said in write_all(loaded(path), data, [0, 1]))


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    data = made_up(20)
    with pytest.raises(DataError, match="no captions"):
        train_captioner(replace(data, heads=("type",)), FAST, tmp_path)
    with pytest.raises(DataError, match="no input"):
        train_captioner(data, replace(FAST, inputs=("depth",)), tmp_path)
    with pytest.raises(DataError, match="nothing to resume"):
        train_captioner(data, FAST, tmp_path, resume=True)
    data.rows["caption"] = None
    with pytest.raises(DataError, match="no row"):
        train_captioner(data, FAST, tmp_path)
