"""`atelier annotate` as a person types it: both decoders from one command, and every way of writing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_release import photo_bytes, write_tiny_release
from typer.testing import CliRunner

from models.cards import read_card
from models.errors import ModelError
from models.release_cards import read_release
from models.training.features import FeatureWriter
from pipeline.cli import app, register
from pipeline.errors import InputError
from pipeline.images.color import HISTOGRAM_LENGTH

DIM = 1280


@pytest.fixture(scope="module")
def cli():
    register()
    before = sys.argv
    yield app
    sys.argv = before


def run(cli, *arguments: object) -> dict:
    sys.argv = ["atelier", *map(str, arguments)]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return write_tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def features(tmp_path_factory, release: Path) -> Path:
    """Features, as if of the release, that say nothing but whether it is a shirt or a dress."""
    folder = tmp_path_factory.mktemp("captioned")
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 2
    arrays = {
        "features": rng.normal(size=(60, DIM)) + kind[:, None] * 2,
        "color_histogram": rng.random((60, HISTOGRAM_LENGTH)),
    }
    captions = [f"men blue {('shirt', 'dress')[k]}" for k in kind]
    rows = pd.DataFrame({"file": "", "product_id": [f"p{i}" for i in range(60)], "caption": captions})
    writer = FeatureWriter(folder, {"features": DIM, "color_histogram": HISTOGRAM_LENGTH}, 60)
    writer.add(arrays, rows)
    backbone = read_release(release).backbone[0].digest(functional=True)
    writer.close({"source": "a", "heads": ["caption"], "backbone": backbone})
    return folder


def test_from_features_to_written_captions(cli, features: Path, release: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("--features", features, "--held-out", 0.2, "--validation", 0.2, "--extra-input", "color_histogram")
    quick = ("--epochs", 3, "--width", 16, "--layers", 1, "--batch", 8, "--lr", 0.003, "--max-words", 8)
    made = run(cli, "annotate", "train", "run", *common, *quick, "--decoder", "both")
    card = read_card(Path(made["card"]))
    assert card.architecture in {"gru", "transformer"}
    assert card.command.startswith("atelier annotate train run ")
    assert made["figures"] == json.loads(json.dumps(card.figures))
    assert {"test", "validation", "nearest_photo", "nearest_consensus", "parameters"} <= set(made["figures"])
    pictures = run(cli, "annotate", "plot", "run")["pictures"]
    assert len(pictures) == 3
    assert all(Path(picture).stat().st_size > 1000 for picture in pictures)

    tested = run(cli, "annotate", "test", made["card"], "--features", features)
    assert tested == {"card": made["card"]} | {name: made["figures"][name] for name in tested if name != "card"}
    everything = run(cli, "annotate", "test", made["card"], "--features", features, "--all")
    assert everything["test"]["n"] == 60
    shortest = run(
        cli, "annotate", "test", made["card"], "--features", features, "--decode", "greedy", "--max-words", 1
    )
    assert shortest["test"]["exact"] == 0.0

    photo = tmp_path / "photo.jpg"
    photo.write_bytes(photo_bytes(1))

    def written(*options: object) -> list:
        asked = ("annotate", "write", photo, photo, "--release", release, "--card", made["card"])
        return run(cli, *asked, *options)["captions"]

    assert written()[0] == written()[1]
    assert len(written("--decode", "greedy", "--min-words", 5, "--max-words", 5)[0]["caption"].split()) == 5
    wild = ("--decode", "sample", "--temperature", 9, "--seed")
    assert written(*wild, 1) == written(*wild, 1) != written(*wild, 2)
    with pytest.raises(ModelError, match="another backbone"):
        run(cli, "annotate", "write", photo, "--release", "starter", "--card", made["card"])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (("--decoder", "both", "--checkpoint", "c.pt"), InputError, "--decoder both"),
        (("--width", 18), InputError, "--width"),
        (("--extra-input", "depth"), ModelError, "no input"),
        (("--checkpoint", "c.pt"), ModelError, r"no c\.pt"),
        (("--max-words", 3, "--min-words", 5), ModelError, "min_words"),
    ],
)
def test_errors_name_what_is_wrong(cli, features: Path, tmp_path: Path, monkeypatch, options, error, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run(cli, "annotate", "train", "run", "--features", features, *options)
