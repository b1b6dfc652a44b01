"""Cards and weights: what goes in comes out, and nothing altered or pickled is ever read."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.cards import Card, read_card, write_card
from models.errors import CardError
from models.preprocessing import Preprocessing
from models.weights import load_tensors, weights_path

TENSORS = {"linear.weight": torch.arange(6.0).reshape(2, 3), "linear.bias": torch.zeros(2)}
CARD = Card(
    role="head",
    name="type",
    architecture="linear",
    weights="",
    labels=("Shirt", 'A "quoted" ärmel'),
    preprocessing=Preprocessing(224, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0), "letterbox"),
    licence="CC0-1.0",
    data="photos",
    split="by product",
    seed=3,
    command="atelier classify train x",
    figures={"test": {"n": 3, "accuracy": 0.5}, "train_rows": 9},
    thresholds={"abstain": 0.25},
    options={"kind": "single"},
)

text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


def test_round_trip(tmp_path: Path) -> None:
    path = write_card(CARD, TENSORS, tmp_path)
    card = read_card(path)
    assert card == replace(CARD, weights="type.safetensors", sha256=card.sha256)
    loaded = load_tensors(card, tmp_path)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in TENSORS.items())


@given(labels=st.lists(text, max_size=4), data=text, score=st.floats(0, 1), seed=st.none() | st.integers(0, 9))
def test_any_text_survives(tmp_path_factory, labels, data, score, seed) -> None:
    card = Card("head", "x", "linear", "random:1", "", tuple(labels), data=data, seed=seed, thresholds={"a": score})
    assert read_card(write_card(card, None, tmp_path_factory.mktemp("card"))) == card


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    card = read_card(write_card(CARD, TENSORS, tmp_path))
    file = tmp_path / card.weights
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CardError, match="not what the card says"):
        load_tensors(card, tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    card = read_card(write_card(CARD, TENSORS, tmp_path))
    (tmp_path / card.weights).unlink()
    with pytest.raises(CardError, match=r"type\.safetensors"):
        load_tensors(card, tmp_path)


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


@pytest.mark.parametrize("save", [torch.save, lambda o, f: f.write_bytes(pickle.dumps(o))])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_is_unpickled(tmp_path: Path, monkeypatch, save) -> None:
    import hashlib

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.pth"
    save({"a": Bomb()}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(CardError, match="plain tensors"):
        load_tensors(Card("head", "type", "linear", "weights.pth", digest), tmp_path)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('role = "cook"\nname = "a"\narchitecture = "b"\nweights = "random:1"', "roles are"),
        ('role = "head"\nname = "a"\narchitecture = "b"', r"lacks \['weights'\]"),
        ('role = "head"\nname = "a"\narchitecture = "b"\nweights = "w"', "without their sha256"),
        ('role = "head"\nname = "a"\narchitecture = "b"\nweights = "random:1"\nmood = "good"', "unknown fields"),
        ("role = ", "not TOML"),
        (
            'role = "backbone"\nname = "a"\narchitecture = "b"\nweights = "random:1"\n[preprocessing]\nsize = 1',
            r"\[preprocessing\]",
        ),
    ],
)
def test_broken_cards_say_what_is_wrong(tmp_path: Path, change: str, words: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(change)
    with pytest.raises(CardError, match=words):
        read_card(path)


def test_unknown_package_and_absent_card(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no model card"):
        read_card(tmp_path / "none.toml")
    with pytest.raises(CardError, match="not installed"):
        weights_path(Card("backbone", "x", "resnet50", "package:no_such_package/a.pth", "0" * 64), tmp_path)


def test_functional_digest_ignores_words_and_sees_what_matters() -> None:
    card = replace(CARD, weights="a.safetensors", sha256="ab" * 32)
    same = replace(card, figures={}, licence="other", data="", command="", weights="elsewhere.safetensors")
    assert card.digest(functional=True) == same.digest(functional=True)
    assert card.digest() != same.digest()
    for other in (
        replace(card, sha256="cd" * 32),
        replace(card, labels=("a", "b")),
        replace(card, preprocessing=None),
        replace(card, thresholds={"abstain": 0.3}),
    ):
        assert card.digest(functional=True) != other.digest(functional=True)
