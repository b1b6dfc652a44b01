"""The answer "none of my labels", tested with labels that nobody trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.cards import read_card
from models.errors import CardError, DataError
from models.heads import load_head
from models.open_set import UNKNOWN
from models.training.classify import Request, Trained, train_heads
from models.training.features import FeatureSet
from models.training.heads import HeadOptions
from models.training.judge import judge_head
from models.training.open_set import OpenRequest, calibrates, leave_out, logistic, outside, whitening
from models.training.splits import Split
from models.training.targets import Plan

DIM, BRANDS = 24, tuple(f"brand {number}" for number in range(30))
WANTED = OpenRequest(("brand",), leave_out=0.3)


def shop(per_brand: int = 30) -> FeatureSet:
    """Thirty brands, each with a place of its own; pictures of a brand lie around it."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(len(BRANDS), DIM)) * 2.2
    code = np.repeat(np.arange(len(BRANDS)), per_brand)
    features = (places[code] + rng.normal(size=(len(code), DIM))).astype(np.float16)
    rows = pd.DataFrame({"source": "a", "product_id": [f"p{n}" for n in range(len(code))]})
    rows["file"], rows["brand"] = rows["product_id"] + ".jpg", np.array(BRANDS, object)[code]
    return FeatureSet(features, rows, ("brand",), "b1")


def request(**changes) -> Request:
    options = HeadOptions(epochs=12, lr=0.02, weight_decays=(0.05,), batch=64, dropout=0.2)
    return replace(
        Request({"brand": "single"}, split=Split(0, 0.2, 0.2), options=options, open_set=WANTED, precision=0.8),
        **changes,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Trained, Path]:
    folder = tmp_path_factory.mktemp("open")
    return train_heads(shop(), request(), folder), folder


def test_labels_nobody_trained_are_told_apart(trained) -> None:
    figures = trained[0].figures["brand"]["open_set"]
    assert figures["auroc"] > 0.95
    assert figures["auroc"] > figures["auroc_closed"]
    assert figures["unknown_given_a_label"] < figures["unknown_given_a_label_closed"] / 3
    assert figures["unknown_said_unknown"] > 0.8
    assert figures["known_said_unknown"] < 0.1
    assert figures["unknown_rows"] == 30 * len(unseen_labels())


def unseen_labels() -> set[str]:
    left = {b for b in BRANDS if leave_out([b], WANTED) == [None]}
    return {label for label in left if not calibrates(label, WANTED.seed)}


def test_what_tests_has_neither_trained_nor_calibrated(trained) -> None:
    card = read_card(trained[0].cards["brand"])
    assert card.labels[-1] == UNKNOWN
    assert unseen_labels()
    assert not unseen_labels() & (set(card.labels) | set(card.options["open_set"]["calibrated_on"]))


def test_the_loaded_head_answers_unknown_and_abstains(trained) -> None:
    made, folder = trained
    head = load_head(read_card(made.cards["brand"]), folder / "cards", "cpu", DIM)
    data = shop()
    probabilities = head.probabilities(torch.from_numpy(data.features.astype(np.float32)))
    assert probabilities.shape == (len(data), len(head.known) + 1)
    assert probabilities.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    said = [answer.label for answer in head.answers(probabilities.numpy())]
    unseen = data.rows["brand"].isin(unseen_labels()).to_numpy()
    assert np.mean([label == UNKNOWN for label, new in zip(said, unseen, strict=True) if new]) > 0.8
    middle = torch.from_numpy(data.features.astype(np.float32)).mean(dim=0, keepdim=True)
    assert head.answers(head.probabilities(middle).numpy())[0].label in (None, UNKNOWN)
    assert head.probabilities(torch.zeros(0, DIM)).shape == (0, len(head.labels))


def test_the_written_head_gives_the_figures_of_its_card(trained) -> None:
    made, _ = trained
    judged = judge_head(made.cards["brand"], shop(), Split(0, 0.2, 0.2))
    assert judged["test"] == made.figures["brand"]["test"]
    assert judged["open_set"] == made.figures["brand"]["open_set"]


def test_refining_an_open_head_knows_its_labels_and_may_be_open_again(trained, tmp_path: Path) -> None:
    made, _ = trained
    known = read_card(made.cards["brand"]).labels[:-1]
    closed = train_heads(shop(), request(start=dict(made.cards), open_set=OpenRequest()), tmp_path / "closed")
    labels = read_card(closed.cards["brand"]).labels
    assert labels[: len(known)] == known
    assert UNKNOWN not in labels
    again = train_heads(shop(), request(start=dict(made.cards)), tmp_path / "open")
    assert read_card(again.cards["brand"]).labels == (*known, UNKNOWN)


def test_a_card_and_its_weights_agree_on_being_open(trained, tmp_path: Path) -> None:
    made, folder = trained
    card = read_card(made.cards["brand"])
    with pytest.raises(CardError, match=r"\(unknown\)"):
        load_head(replace(card, labels=card.labels[:-1]), folder / "cards", "cpu", DIM)


def test_too_few_outside_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave out a larger share"):
        train_heads(shop(), request(open_set=OpenRequest(("brand",), leave_out=0.0)), tmp_path)
    with pytest.raises(DataError, match="lie in"):
        OpenRequest(leave_out=1.0)


def test_what_is_left_out_depends_on_the_label_alone() -> None:
    texts = [*BRANDS, None, "brand 1|brand 2"]
    kept = leave_out(texts, WANTED)
    assert leave_out(texts[::-1], WANTED) == kept[::-1]
    assert leave_out(texts, replace(WANTED, seed=5)) != kept
    assert leave_out(texts, replace(WANTED, leave_out=0.0)) == texts
    either = outside(["a", "c", None, "c|d", "a|b"], Plan("brand", "single", ("a", "b")))
    assert either.tolist() == [None, "c", None, None, None]


def test_whitening_makes_the_spread_within_labels_round() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.arange(4000) % 5
    stretched = torch.randn(4000, 6, generator=generator) * torch.tensor([9.0, 3, 1, 1, 1, 1])
    x = stretched + torch.randn(5, 6, generator=generator)[codes] * 20
    made = whitening(x, codes, 6)
    within = (x - torch.stack([x[codes == c].mean(dim=0) for c in range(5)])[codes]) @ made
    values = torch.linalg.eigvalsh(within.T @ within / len(within))
    assert values.max() / values.min() < 10  # 81 before
    assert whitening(x, codes, 3).shape == (6, 3)


def test_the_logistic_curve_is_found_again() -> None:
    generator = torch.Generator().manual_seed(1)
    evidence = torch.randn(20_000, 3, generator=generator) * torch.tensor([1.0, 0.1, 5.0]) + 2
    true = torch.tensor([1.0, -8.0, 0.0])
    truth = (torch.rand(20_000, generator=generator) < torch.sigmoid(evidence @ true + 13)).float()
    weights, bias = logistic(evidence, truth, torch.full((20_000,), 1 / 20_000))
    assert weights.tolist() == pytest.approx(true.tolist(), abs=0.4)
    assert float(bias) == pytest.approx(13, abs=0.8)
