"""The training commands as a person types them: from labels to a release that loads, one JSON line each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.errors import ModelError
from models.release_cards import read_release, release_id_of
from pipeline.cli import app, register
from pipeline.errors import InputError, SettingError


@pytest.fixture(scope="module")
def cli():
    register()
    before = sys.argv
    yield app
    sys.argv = before


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Sixty photos of thirty products: bars that stand or lie, with captions."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        pixels = rng.integers(0, 90, (64, 64, 3), np.uint8)
        upright = (number // 2) % 2 == 0
        at = int(rng.integers(8, 40))
        pixels[(slice(None), slice(at, at + 14)) if upright else (slice(at, at + 14), slice(None))] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")
        word = "upright" if upright else "lying"
        rows.append({"file": f"{number}.png", "sku": f"p{number // 2}", "shape": word, "caption": f"a {word} bar"})
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


def run(cli, *arguments: object) -> dict:
    sys.argv = ["atelier", *map(str, arguments)]  # the card names the command that was typed
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_from_labels_to_a_release(cli, shop: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ("--labels", shop / "labels.csv", "--product-column", "sku")
    made = run(cli, "features", "f", *labels, "--label-column", "shape", "--label-column", "caption", "--pictures")
    assert made["rows"] == 60
    assert made["heads"] == ["shape", "caption"]

    common = ("--features", "f", "--min-count", 2, "--epochs", 3)
    trained = run(cli, "classify", "train", "run", *common, "--head", "shape", "--extra-input", "shape=color_histogram")
    assert trained["figures"]["shape"]["test"]["accuracy"] > 0.8
    tested = run(cli, "classify", "test", "run/cards/shape.toml", "--features", "f")
    assert tested["test"] == trained["figures"]["shape"]["test"]
    pictures = run(cli, "classify", "plot", "run")["pictures"]
    assert all(Path(path).is_file() for path in pictures)
    again = run(cli, "classify", "train", "more", *common, "--head", "shape", "--from", "run/cards/shape.toml")
    assert again["epochs"] == 3

    assert run(cli, "vocab", "--features", "f", "--out", "words.txt")["words"] == 4
    captions = run(cli, "annotate", "train", "captions", *common)
    assert captions["figures"]["test"]["n"] > 0

    cards = ("--card", "run/cards/shape.toml", "--card", captions["card"])
    release = run(cli, "release", "create", "rel", "--from", "starter", *cards, "--without", "detector")
    assert release["release_id"] == release_id_of(Path("rel"))
    verified = run(cli, "release", "verify", "rel")["verified"]
    assert "head shape" in verified
    assert not any(name.startswith("detector") for name in verified)
    assert set(read_release(Path("rel")).heads) > {"shape", "type"}
    shown = run(cli, "release", "show", "rel")
    command = next(card["command"] for card in shown["models"] if card["name"] == "shape")
    assert command.startswith("atelier classify train run ")
    listed = run(cli, "release", "list", tmp_path)
    assert {row["release"] for row in listed["releases"]} == {"starter", str(tmp_path / "rel")}
    said = run(cli, "annotate", "write", shop / "0.png", "--release", "rel")["captions"]
    assert said[0]["caption"]

    with pytest.raises(InputError, match="never change"):
        run(cli, "release", "create", "rel", "--from", "starter")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("features", "f", "--labels", "{shop}/labels.csv", "--label-column", "hue"), InputError, "no column 'hue'"),
        (("features", "f", "--labels", "{shop}/none.csv", "--label-column", "shape"), InputError, r"none\.csv"),
        (("classify", "train", "r", "--features", "none", "--head", "type"), ModelError, "no finished features"),
        (("classify", "plot", "none"), ModelError, "no training run"),
        (("release", "show", "none"), SettingError, r"release\.uri"),
        (("release", "create", "r", "--card", "none.toml"), ModelError, "no model card"),
        (("release", "create", "r"), InputError, "needs a backbone"),
    ],
)
def test_errors_name_what_is_wrong(cli, shop: Path, tmp_path: Path, monkeypatch, arguments, error, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run(cli, *(argument.format(shop=shop) for argument in arguments))


@pytest.mark.parametrize("group", ["features", "vocab", "classify train", "annotate train", "release create"])
def test_help_teaches_by_example(cli, group: str) -> None:
    text = CliRunner().invoke(cli, [*group.split(), "--help"]).output
    assert "Example" in text
    assert f"atelier {group}" in " ".join(text.replace("│", " ").split())
