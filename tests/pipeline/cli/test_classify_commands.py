"""`atelier classify` on small made-up features: options, pictures, and what it says when it can't."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from models.cards import read_card
from models.errors import DataError, ModelError
from models.training.features import FeatureWriter
from pipeline.cli import app, register
from pipeline.errors import InputError

DIM = 8
FAST = ("--epochs", "2", "--weight-decay", "0.05", "--dropout", "0.1", "--lr", "0.02")


def write_features(folder: Path, backbone: str = "b1", brands: int = 6, products: int = 180) -> Path:
    """Products of two photos; the brand is easy to see."""
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(products) % brands, 2)
    features = rng.normal(size=(len(code), DIM)) + 4 * np.random.default_rng(1).normal(size=(brands, DIM))[code]
    names = np.repeat(np.arange(products), 2)
    rows = pd.DataFrame({"file": [f"{n}.jpg" for n in range(len(code))], "product_id": [f"p{n}" for n in names]})
    rows["brand"] = np.array([f"brand {n}" for n in range(brands)], object)[code]
    rows["shop"] = "one"
    rows["style"] = np.where(code % 2, "warm|wet", "warm")
    writer = FeatureWriter(folder, {"features": DIM}, len(rows))
    writer.add({"features": features}, rows)
    writer.close({"source": "shop", "heads": ["brand", "shop", "style"], "backbone": backbone})
    return folder


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    return write_features(tmp_path_factory.mktemp("features"))


@pytest.fixture
def run():
    register()

    def invoke(*arguments: object) -> dict:
        result = CliRunner().invoke(app, ["classify", *map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert len(lines) == 1
        return json.loads(lines[0])

    return invoke


def test_train_test_and_train_again_on_the_same_split(run, features: Path, tmp_path: Path) -> None:
    common = ("--features", features, "--head", "brand", *FAST, "--precision", "0.7")
    first = run("train", tmp_path / "a", *common, "--split-seed", "4")
    card = first["cards"]["brand"]
    again = run("train", tmp_path / "b", *common, "--split", tmp_path / "a" / "split.parquet")
    assert again["figures"]["brand"]["test"] == first["figures"]["brand"]["test"]
    tested = run("test", card, "--features", features, "--by-product", "--plots", tmp_path / "plots")
    assert tested["test"] == first["figures"]["brand"]["test"]  # its own split, without being told
    assert tested["by_product"]["products"]["n"] * 2 == tested["by_product"]["photos"]["n"]
    assert {Path(path).name for path in tested["pictures"]} == {"confusion_brand.png", "reliability_brand.png"}
    assert all(Path(path).is_file() for path in tested["pictures"])
    with pytest.raises(DataError, match="trained or tuned"):
        run("test", card, "--features", features, "--split-seed", "5")


def test_an_open_head(run, features: Path, tmp_path: Path) -> None:
    many = write_features(tmp_path / "many", brands=20, products=400)
    made = run(
        "train", tmp_path / "r", "--features", many, "--head", "brand", "--open", "brand", "--leave-out", 0.4, *FAST
    )
    figures = made["figures"]["brand"]
    assert figures["open_set"]["auroc"] > 0.7
    assert read_card(Path(made["cards"]["brand"])).labels[-1] == "(unknown)"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--head", "shop"), DataError, "'shop' has 1 labels .* too few to learn; most frequent: one "),
        (("--head", "brand", "--min-count", "900"), DataError, "0 labels with at least 900 .* brand 0"),
        (("--head", "brnad"), DataError, r"no labels for \['brnad'\]; they have brand, shop, style"),
        (("--head", "brand", "--multi", "style"), InputError, "--head style is missing"),
        (("--head", "brand", "--weight", "style=2"), DataError, "--weight is for 'style'"),
        (("--head", "brand", "--weight", "brand"), InputError, "HEAD=NUMBER"),
        (("--head", "brand", "--extra-input", "brand=color_histogram"), DataError, "features lack; they have none"),
        (("--head", "brand", "--from", "none.toml"), ModelError, "no model card"),
        (("--head", "brand", "--split", "none.parquet"), DataError, "no saved split"),
        (("--head", "brand", "--open", "type"), DataError, "--open is for 'type'"),
        (("--head", "style", "--multi", "style", "--open", "style"), DataError, "several labels or none"),
        (("--head", "brand", "--open", "brand", "--leave-out", "0"), DataError, "leave out a larger share"),
        (("--head", "brand", "--validation", "0.6", "--held-out", "0.5"), DataError, "shares of validation and test"),
    ],
)
def test_errors_say_what_is_wrong(run, features: Path, tmp_path: Path, monkeypatch, arguments, error, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run("train", "r", "--features", features, *arguments)


def test_features_of_another_backbone_are_refused(run, features: Path, tmp_path: Path) -> None:
    other = write_features(tmp_path / "other", "b2")
    card = run("train", tmp_path / "a", "--features", features, "--head", "brand", *FAST)["cards"]["brand"]
    with pytest.raises(DataError, match="another backbone"):
        run("train", tmp_path / "b", "--features", other, "--head", "brand", "--from", card)
    with pytest.raises(DataError, match="another backbone"):
        run("test", card, "--features", other)
    with pytest.raises(DataError, match="different backbones"):
        run("train", tmp_path / "c", "--features", features, "--features", other, "--head", "brand")


def test_refining_without_the_split_of_the_first_run_warns(run, features: Path, tmp_path: Path, caplog) -> None:
    first = run("train", tmp_path / "a", "--features", features, "--head", "brand", *FAST, "--split-seed", "4")
    card = read_card(Path(first["cards"]["brand"]))
    assert card.data == "360 labelled pictures of shop"
    again = (
        "train",
        tmp_path / "b",
        "--features",
        features,
        "--head",
        "brand",
        *FAST,
        "--from",
        first["cards"]["brand"],
    )
    run(*again, "--split-seed", "4")
    assert "states another split" not in caplog.text
    (tmp_path / "a" / "split.parquet").unlink()
    run(*again)
    assert "states another split (by sha256 of the product, seed 4" in caplog.text
