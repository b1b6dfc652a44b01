"""Figures against direct formulas, and a finished translator: pictures in, the same pictures out whatever the batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.kid import poly_mmd

from models.cards import Card, read_card
from models.devices import Placement
from models.errors import CardError, DataError
from models.translation.distances import KID_ROWS, fid, hellinger, kid
from models.translation.measures import Look, Plan, make_bench, measure
from models.translation.networks import build_generator
from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair
from models.translation.translator import Words, load_both, load_translator, write_cards

CPU = Placement("cpu", "fp32")


def features(rows: int, columns: int, shift: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) / 3 + shift).astype(np.float32)


@pytest.mark.parametrize(("n", "m"), [(200, 150), (10, 7), (200, 7)])
def test_fid_equals_the_formula(n: int, m: int) -> None:
    x, y = features(n, 16, 0.0, 0).astype(np.float64), features(m, 16, 0.5, 1).astype(np.float64)
    covariances = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(16)).real
    direct = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert fid(x, y) == pytest.approx(direct, rel=1e-4)
    assert fid(x, x) == pytest.approx(0, abs=1e-6)


def test_kid_equals_that_of_torchmetrics() -> None:
    x, y = features(60, 16, 0.0, 0), features(40, 16, 0.3, 1)
    value, spread = kid(x, y[:40])
    pairs = torch.from_numpy(x[:40]).double(), torch.from_numpy(y).double()
    assert kid(x[:40], y)[0] == pytest.approx(float(poly_mmd(*pairs)), rel=1e-6)
    assert value > 0
    assert spread > 0


def test_kid_is_unbiased_and_takes_large_sets_in_pieces() -> None:
    same = [kid(features(20, 4, 0.0, seed), features(20, 4, 0.0, seed) + 0, seed)[0] for seed in range(5)]
    assert min(same) < 0  # an unbiased estimate of zero is negative now and then
    x = np.random.default_rng(0).normal(size=(3 * KID_ROWS, 4)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=(2 * KID_ROWS, 4)).astype(np.float32)
    value, spread = kid(x, y)
    assert abs(value) < 4 * spread + 1e-3


def test_distances_refuse_what_they_can_not_compare() -> None:
    with pytest.raises(DataError, match="two rows"):
        fid(np.zeros((1, 4)), np.zeros((5, 4)))


def test_hellinger_is_0_for_equal_and_1_for_apart() -> None:
    one, other = np.sqrt([[0.5, 0.5, 0, 0]]), np.sqrt([[0, 0, 0.25, 0.75]])
    assert hellinger(one, one)[0] == pytest.approx(0, abs=1e-7)
    assert hellinger(one, other)[0] == 1


@pytest.fixture
def cards(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    generators = build_generator("ganilla_no_skip", 4), build_generator("ganilla_no_skip", 4)
    options = replace(tiny, generator="ganilla_no_skip")
    return write_cards(generators, pair, options, 3, tmp_path / "cards", Words(data="stripes"))[0]


def test_a_variant_does_not_depend_on_its_neighbors(cards: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 3, 32, 32), np.uint8)
    translator, back = load_both(cards, CPU, batch=4)
    made = translator(pictures)
    assert made.shape == pictures.shape
    assert made.dtype == np.uint8
    assert np.array_equal(translator(pictures), made)
    assert np.array_equal(np.concatenate([translator(pictures[i : i + 1]) for i in range(7)]), made)
    assert np.array_equal(translator(pictures[::-1])[::-1], made)
    assert not np.array_equal(back(pictures), made)
    assert translator(pictures[:0]).shape == (0, 3, 32, 32)
    with pytest.raises(DataError, match=r"uint8 \(N, 3, 32, 32\)"):
        translator(pictures[..., :16])


def test_cards_say_what_they_are_and_refuse_what_they_are_not(cards: Path) -> None:
    card = read_card(cards)
    assert (card.role, card.name, card.architecture) == ("translator", "upright_to_lying", "ganilla_no_skip")
    assert card.options["training"]["cycle"] == 10.0
    assert card.preprocessing is not None
    assert card.preprocessing.size == 32
    with pytest.raises(CardError, match="does not fit its weights"):
        load_translator(replace(card, architecture="ganilla"), cards.parent, CPU)
    with pytest.raises(CardError, match="is a head"):
        load_translator(Card("head", "type", "linear", "random:0"), cards.parent, CPU)
    with pytest.raises(CardError, match="lacks"):
        load_translator(replace(card, options={}), cards.parent, CPU)
    (cards.parent / "lying_to_upright.safetensors").write_bytes(b"other")
    with pytest.raises(CardError, match="sha256"):
        load_both(cards, CPU)


class StripeJudge:
    """Says of stripes whether they stand or lie, by which way the picture changes more."""

    name = "stripes"
    labels = ("Dress", "Boots", "Heels")

    def look(self, pictures: np.ndarray) -> Look:
        gray = pictures.astype(np.float32).mean(axis=1)
        across = np.abs(np.diff(gray, axis=2)).mean(axis=(1, 2))
        along = np.abs(np.diff(gray, axis=1)).mean(axis=(1, 2))
        upright = across / (across + along + 1e-6)
        probabilities = np.stack([upright, (1 - upright) * 0.75, (1 - upright) * 0.25], axis=1)
        colors = np.stack([np.bincount(one.ravel() // 64, minlength=4) for one in pictures]).astype(np.float32)
        return Look(
            np.stack([across, along], axis=1), probabilities, np.sqrt(colors / colors.sum(axis=1, keepdims=True))
        )


class Turned:
    """A translator that is exactly right: it turns the picture by 90 degrees."""

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(pictures.transpose(0, 1, 3, 2))


class Nothing:
    """A translator that does nothing."""

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return pictures


def test_figures_tell_a_right_translator_from_one_that_does_nothing(pair: PicturePair) -> None:
    judge = StripeJudge()
    bench = make_bench(pair, "a", judge, Plan())
    right, nothing = measure(Turned(), Turned(), bench, judge), measure(Nothing(), Nothing(), bench, judge)
    assert right["target_probability"] > 0.9 > 0.1 > nothing["target_probability"]
    assert right["target_share"] == 1
    assert right["source_probability"] < 0.1
    assert right["color_distance"] == nothing["color_distance"] == 0
    assert right["color_distance_chance"] > 0
    assert right["cycle_error"] == 0
    assert right["fid"] < nothing["fid"] == nothing["untranslated"]["fid"]
    assert right["kid"] < nothing["kid"]
    assert (right["n"], right["n_reference"], right["features"]) == (3, 8, "stripes")
    assert right["real"]["target_probability"] > 0.9


def test_labels_must_be_those_of_the_judge(pair: PicturePair) -> None:
    with pytest.raises(DataError, match=r"Shoes.*Dress, Boots, Heels"):
        make_bench(pair, "a", StripeJudge(), Plan(target_labels=("Shoes",)))


def test_the_color_of_chance_is_not_that_of_the_neighbor(pair: PicturePair) -> None:
    """Photos of one product lie side by side: their colors agree whether or not color transfers."""
    judge = StripeJudge()
    bench = replace(make_bench(pair, "a", judge, Plan()), sources=np.repeat(np.eye(2, dtype=np.uint8) * 200, 2, axis=0))
    grays = np.repeat(np.array([[0, 1], [1, 0]], np.float32), 2, axis=0)
    sources = np.broadcast_to((grays[:, :1, None, None] * 200).astype(np.uint8), (4, 3, 32, 32)).copy()
    bench = replace(bench, sources=sources, seen_sources=judge.look(sources))
    assert measure(Nothing(), Nothing(), bench, judge)["color_distance_chance"] == 1
