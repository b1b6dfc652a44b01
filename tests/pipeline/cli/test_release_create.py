"""Releases put together from cards of different backbones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.cards import read_card, write_card
from models.errors import CardError
from models.preprocessing import Preprocessing
from models.release import load_release
from models.release_cards import STARTER, read_release, write_release
from pipeline.cli.release_commands import create, write_copies
from pipeline.errors import InputError

CARDS = STARTER / "cards"


def another_backbone(folder: Path, name: str) -> Path:
    card = read_card(CARDS / "efficientnet_lite0.toml")
    return write_card(
        replace(card, name=name, preprocessing=Preprocessing(64, (127.0,) * 3, (128.0,) * 3)), None, folder
    )


def test_a_detector_brings_the_backbone_it_stands_on(tmp_path: Path) -> None:
    backbone = another_backbone(tmp_path / "run", "tuned")
    write_copies({"backbone": backbone, "detector": CARDS / "detector.toml"}, tmp_path / "release")
    release = load_release(tmp_path / "release", "cpu", "fp32")
    assert release.cards.backbone[0].name == "tuned"
    assert (tmp_path / "release/cards/efficientnet_lite0.toml").is_file()


def test_two_backbones_of_one_name_are_refused(tmp_path: Path) -> None:
    backbone = another_backbone(tmp_path / "run", "efficientnet_lite0")
    with pytest.raises(InputError, match="--name"):
        write_copies({"backbone": backbone, "detector": CARDS / "detector.toml"}, tmp_path / "release")


def test_heads_of_another_backbone_are_refused(tmp_path: Path, caplog) -> None:
    """Their input is as long as they expect, so that nothing else would notice."""
    backbone = another_backbone(tmp_path / "run", "tuned")
    with pytest.raises(CardError, match=r"captioner 'captioner', head 'brand'.* --without brand"):
        create(tmp_path / "release", [backbone], "starter", ["type"])
    assert not (tmp_path / "release").exists()
    create(tmp_path / "release", [backbone], "starter", ["captioner", "brand", "color", "pattern", "type"])
    assert read_release(tmp_path / "release").backbone[0].name == "tuned"
    assert "no licence" not in caplog.text
    write_copies({"backbone": backbone}, tmp_path / "mixed")
    write_release(tmp_path / "mixed", {"backbone": "cards/tuned.toml", "heads": {"type": str(CARDS / "type.toml")}})
    with pytest.raises(CardError, match="another backbone"):
        read_release(tmp_path / "mixed")


def test_a_card_without_a_licence_is_named(tmp_path: Path, caplog) -> None:
    card = read_card(another_backbone(tmp_path / "run", "tuned"))
    create(tmp_path / "release", [write_card(replace(card, licence=""), None, tmp_path / "run")])
    assert "no licence is stated in the cards of tuned" in caplog.text
