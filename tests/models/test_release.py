"""Releases: identity, and that one photo's result never depends on which photos come with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.caption_words import SPECIAL
from models.cards import Card, read_card, write_card
from models.errors import CardError, DataError
from models.heads import Head, head_tensors
from models.preprocessing import Preprocessing
from models.release import Release, load_release
from models.release_cards import STARTER, read_release, release_id_of, write_release

WORDS = (*SPECIAL, "a", "red", "blue", "shirt", "dress", "with", "sleeves")
SIZE = 64
DIM = 1280


def make_release(folder: Path, *, precision: str = "fp32", batch_images: int = 4) -> Release:
    write_parts(folder)
    return load_release(folder, "cpu", precision, batch_images=batch_images)


def write_parts(folder: Path) -> None:
    """A release with the real backbone on small pictures, two random heads and a random captioner."""
    cards = folder / "cards"
    real = read_card(STARTER / "cards" / "efficientnet_lite0.toml")
    backbone = replace(real, name="tiny", preprocessing=Preprocessing(SIZE, (127.0,) * 3, (128.0,) * 3))
    write_card(backbone, None, cards)
    for name, kind, labels in (("type", "single", ("Dress", "Shirt", "Shoes")), ("style", "multi", ("A", "B"))):
        torch.manual_seed(len(name))
        head = Head(DIM, len(labels))
        card = Card("head", name, "linear", "", labels=labels, options={"kind": kind}, thresholds={"abstain": 0.1})
        write_card(card, head_tensors(head), cards)
    write_card(Card("captioner", "captioner", "gru", "random:2", labels=WORDS, options={"hidden": 32}), None, cards)
    heads = {"type": "cards/type.toml", "style": "cards/style.toml"}
    write_release(folder, {"backbone": "cards/tiny.toml", "captioner": "cards/captioner.toml", "heads": heads})


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def release(request, tmp_path_factory) -> Release:
    return make_release(tmp_path_factory.mktemp("release"), precision=request.param)


def photos(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def everything(release: Release, crops: torch.Tensor):
    features = release.features(crops)
    return features, release.classify(features), release.caption(features)


def test_same_image_twice(release: Release) -> None:
    first, second = everything(release, photos(3)), everything(release, photos(3))
    assert np.array_equal(first[0], second[0])
    assert np.ptp(first[0], axis=0).max() > 0.1  # the features do say something of the photos
    assert first[1:] == second[1:]


@settings(deadline=None, max_examples=8)
@given(neighbours=st.integers(0, 9), place=st.integers(0, 9), seed=st.integers(0, 3), garbage=st.booleans())
def test_neighbours_and_position_change_no_bit(release, neighbours, place, seed, garbage) -> None:
    alone = photos(1, seed=99)
    others = torch.full((neighbours, 3, SIZE, SIZE), 255, dtype=torch.uint8) if garbage else photos(neighbours, seed)
    at = place % (neighbours + 1)
    together = torch.cat([others[:at], alone, others[at:]])
    features, answers, captions = everything(release, together)
    wanted_features, wanted_answers, wanted_captions = everything(release, alone)
    assert np.array_equal(features[at], wanted_features[0])
    assert captions[at] == wanted_captions[0]
    assert {name: said[at] for name, said in answers.items()} == {n: said[0] for n, said in wanted_answers.items()}


def test_shapes_types_and_empty_input(release: Release) -> None:
    features = release.features(photos(5))
    assert features.shape == (5, DIM)
    assert features.dtype == np.float32
    answers = release.classify(features)
    assert set(answers) == {"type", "style"}
    assert all(len(said) == 5 for said in answers.values())
    assert all(0 <= answer.score <= 1 for said in answers.values() for answer in said)
    assert release.features(photos(0)).shape == (0, DIM)
    assert release.caption(features[:0]) == []
    assert [len(found.groups) for found in release.detect([np.zeros((9, 9, 3), np.uint8)])] == [0]


def test_precisions_agree(tmp_path: Path) -> None:
    write_parts(tmp_path)
    full, half = (load_release(tmp_path, "cpu", precision).features(photos(4)) for precision in ("fp32", "bf16"))
    cosine = (full * half).sum(axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.99


def test_wrong_inputs_are_refused(release: Release) -> None:
    with pytest.raises(DataError, match="crops are uint8"):
        release.features(torch.zeros(1, 3, SIZE, SIZE))
    with pytest.raises(DataError, match="features are"):
        release.classify(np.zeros((1, 7), np.float32))


def test_ids_follow_cards_and_weights(tmp_path: Path) -> None:
    write_parts(tmp_path)
    before = read_release(tmp_path)
    moved = tmp_path.with_name(tmp_path.name + "-copy")
    shutil.copytree(tmp_path, moved)
    assert release_id_of(moved) == before.release_id  # where it lies does not matter

    path = tmp_path / "cards" / "type.toml"
    card = read_card(path)
    write_card(replace(card, licence="CC0-1.0"), None, tmp_path / "cards")
    words_changed = read_release(tmp_path)
    assert words_changed.release_id != before.release_id
    assert words_changed.feature_id == before.feature_id

    write_card(card, head_tensors(Head(DIM, 3)), tmp_path / "cards")
    assert release_id_of(tmp_path) not in {before.release_id, words_changed.release_id}
    assert read_release(tmp_path).feature_id == before.feature_id

    backbone = read_card(tmp_path / "cards" / "tiny.toml")
    write_card(replace(backbone, weights="random:5"), None, tmp_path / "cards")
    assert read_release(tmp_path).feature_id != before.feature_id


def test_altered_weights_do_not_load(tmp_path: Path) -> None:
    write_parts(tmp_path)
    file = tmp_path / "cards" / "type.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CardError, match="not what the card says"):
        load_release(tmp_path, "cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cards]\n", "no backbone"),
        ('[cards]\nbackbone = "cards/type.toml"', "that card is a head"),
        ('[cards]\nbackbone = "cards/tiny.toml"\nstylist = "a.toml"', "unknown roles"),
        ('[cards]\nbackbone = "cards/none.toml"', "no model card"),
        ("cards", "not a release"),
    ],
)
def test_broken_releases_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    write_parts(tmp_path)
    (tmp_path / "release.toml").write_text(text)
    with pytest.raises(CardError, match=words):
        read_release(tmp_path)


def test_no_release_there(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no release"):
        read_release(tmp_path)


def test_a_head_for_another_backbone_does_not_load(tmp_path: Path) -> None:
    write_parts(tmp_path)
    card = read_card(tmp_path / "cards" / "type.toml")
    write_card(card, head_tensors(Head(7, 3)), tmp_path / "cards")
    with pytest.raises(CardError, match="does not fit a backbone"):
        load_release(tmp_path, "cpu")


def test_the_starter_ships_whole_and_small() -> None:
    files = [path for path in STARTER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25 * 2**20
    cards = read_release(STARTER)
    for card, _ in cards.all():
        assert card.licence
        assert card.data
