"""The translate commands as a person types them: from photos to variants, one JSON line each."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_release import write_tiny_release
from typer.testing import CliRunner

from models.errors import ModelError
from models.translation.networks import GENERATORS
from models.translation.options import TranslateOptions
from pipeline.cli import app, register
from pipeline.cli.translate_commands import train as train_command
from pipeline.cli.translate_tests import _answer
from pipeline.errors import InputError, SettingError

SMALL = (
    *("--size", 32, "--width", 2, "--discriminator-width", 2, "--batch", 2, "--steps-per-epoch", 2, "--pool", 2),
    *("--epochs", 1, "--decay-epochs", 1, "--samples", 2),
)


@pytest.fixture(scope="module")
def cli():
    register()
    before = sys.argv
    yield app
    sys.argv = before


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of 24 products: plain rectangles that stand (Dress) or lie (Shoes); and one that is no photo."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(48):
        upright = (number // 2) % 2 == 0
        kind = "dresses" if upright else "shoes"
        (folder / kind).mkdir(exist_ok=True)
        pixels = np.full((64, 48, 3), 240, np.uint8)
        pixels[(slice(4, 60), slice(16, 32)) if upright else (slice(24, 40), slice(4, 44))] = rng.integers(0, 200, 3)
        Image.fromarray(pixels).save(folder / kind / f"{number:02}.png")
        rows.append({"file": f"{kind}/{number:02}.png", "sku": f"p{number // 2}", "type": kind.title()[:-1]})
    (folder / "dresses" / "broken.jpg").write_bytes(b"no photo")
    rows.append({"file": "dresses/broken.jpg", "sku": "p0", "type": "Dresse"})
    table = pd.DataFrame(rows).replace({"type": {"Dresse": "Dress", "Shoe": "Shoes"}})
    table.to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(cli, *arguments: object) -> dict:
    sys.argv = ["atelier", *map(str, arguments)]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_from_photos_to_variants(cli, shop: Path, release: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sides = ("--catalog", shop / "labels.csv", "--product-column", "sku", "--a", "type=Dress", "--b", "type=Shoes")
    made = run(cli, "translate", "train", "r/skips", *sides, "--held-out", 0.3, *SMALL, "--licence", "CC0-1.0")
    assert made["epochs"] == 2
    assert made["photos"]["a_train"] < 24
    assert Path(made["samples"]).is_file()
    card = Path(made["cards"][0])
    assert card.name == "dress_to_shoes.toml"
    assert 'command = "atelier translate train r/skips ' in card.read_text()

    assert "30% test, the rest training" in card.read_text()

    pictures = ("--pictures", "r/skips/pictures")
    run(cli, "translate", "train", "r/deconv", *pictures, *SMALL, "--generator", "ganilla_deconv", "--card-every", 1)
    tested = run(cli, "translate", "test", "r/deconv", "--every", "--release", release)
    assert set(tested["figures"]) == {"0", "1", "2"}
    figures = tested["figures"]["0"]["dress_to_shoes"]
    assert figures == tested["figures"]["2"]["dress_to_shoes"]  # the last epoch's card is the final one
    assert 0 <= figures["color_distance"] <= 1
    assert figures["n"] > 2
    assert figures["features"].startswith("efficientnet_lite0 (1280 numbers at 64 px)")
    assert {Path(p).name for p in run(cli, "translate", "plot", "r/deconv")["pictures"]} == {"curves.png", "tests.png"}
    alone = run(cli, "translate", "test", card, *pictures, "--release", release)
    assert set(alone) == {"card", "dress_to_shoes"}

    compared = run(cli, "translate", "compare", "out", "r/skips", "r/deconv", "--release", release, "--rows", 2)
    assert set(compared["answers"]["deconv"]) == {"dress_to_shoes", "shoes_to_dress"}
    assert compared["figures"]["deconv"]["dress_to_shoes"] == figures
    assert all(Path(path).is_file() for path in compared["pictures"])

    written = run(cli, "translate", "write", card, shop / "dresses", "variants", "--batch", 5)
    assert written["variants"] == 24
    assert written["left_out"] == {"not_an_image": 1}
    files = sorted(Path("variants").iterdir())
    assert [path.name for path in files[:2]] == ["00.png.png", "01.png.png"]
    assert Image.open(files[0]).size == (32, 32)
    before = files[3].read_bytes()
    run(cli, "translate", "write", card, shop / "dresses", "variants", "--batch", 3)
    assert files[3].read_bytes() == before
    for place in (shop / "dresses", shop / "dresses" / "variants"):  # another run would translate variants
        with pytest.raises(InputError, match="among the photos"):
            run(cli, "translate", "write", card, shop / "dresses", place)


def test_pictures_of_folders(cli, shop: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = ("--a", shop / "dresses", "--b", shop / "shoes", "--size", 32)
    made = run(cli, "translate", "pictures", "one", *folders, "--held-out", 0.3, "--name-a", "Gown No. 1")
    assert made["names"] == {"a": "Gown No. 1", "b": "shoes"}
    assert made["left_out"] == {"not_an_image": 1}
    assert made["counts"]["a_train"] + made["counts"]["a_test"] == 24
    rows = pd.read_parquet("one/rows.parquet")
    assert len(rows) == 48
    assert json.loads(Path("one/meta.json").read_text())["split"].endswith("seed 0: 30% test, the rest training")
    again = run(cli, "translate", "pictures", "two", *folders, "--test-a", shop / "shoes", "--test-b", shop / "dresses")
    assert again["counts"] == {"a_train": 24, "a_test": 24, "b_train": 24, "b_test": 24}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("pictures", "p", "--a", "x", "--b", "y", "--size", "100"), ModelError, "size is 100.*multiple of 16"),
        (("pictures", "p", "--a", "{shop}/none", "--b", "{shop}/shoes"), SettingError, "none"),
        (("pictures", "p", "--a", "{shop}/shoes", "--b", "{shop}/shoes"), InputError, "both sides are called"),
        (
            ("pictures", "p", "--a", "type", "--b", "type=Shoes", "--catalog", "{shop}/labels.csv"),
            InputError,
            "COLUMN=",
        ),
        (
            ("pictures", "p", "--a", "type=Hat", "--b", "type=Shoes", "--catalog", "{shop}/labels.csv"),
            InputError,
            "no photo has type 'Hat'; the labels there are: ",
        ),
        (("train", "r"), InputError, "--a and --b"),
        (("train", "r", "--pictures", "none"), ModelError, "no finished pictures"),
        (("train", "r", "--pictures", "p", "--average", "2"), ModelError, "average is 2.0"),
        (("plot", "none"), ModelError, "no training run"),
        (("test", "none"), InputError, "name them with --pictures"),
        (("write", "none.toml", "{shop}", "out"), ModelError, "no model card"),
        (("train", "r", "--pictures", "p", "--lr", "0"), ModelError, "lr is above 0"),
    ],
)
def test_errors_name_what_is_wrong(cli, shop: Path, tmp_path: Path, monkeypatch, arguments, error, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run(cli, "translate", *(argument.format(shop=shop) for argument in arguments))


def test_the_answer_is_about_structure_and_color() -> None:
    first = {"x": {"target_probability": 0.3, "color_distance": 0.4}}
    better = _answer({"x": {"target_probability": 0.5, "color_distance": 0.47}}, first)["x"]
    assert better["structure_changes_more"]
    assert better["color_stays"]
    worse = _answer({"x": {"target_probability": 0.2, "color_distance": 0.5}}, first)["x"]
    assert not worse["structure_changes_more"]
    assert not worse["color_stays"]
    with pytest.raises(InputError, match="different things"):
        _answer({"y": {}}, first)


def test_every_option_of_the_training_can_be_given() -> None:
    """The command hands its parameters over by name: none may be missing."""
    given = inspect.signature(train_command).parameters
    assert {field.name for field in fields(TranslateOptions)} <= set(given)
    for field in fields(TranslateOptions):
        if field.name != "augment":
            assert given[field.name].default == field.default, field.name
    assert set(GENERATORS) == set(get_args(get_type_hints(train_command)["generator"]))


@pytest.mark.parametrize("command", ["pictures", "train", "test", "compare", "plot", "write"])
def test_help_teaches_by_example(cli, command: str) -> None:
    text = CliRunner().invoke(cli, ["translate", command, "--help"]).output
    assert "Example" in text
    assert f"atelier translate {command}" in " ".join(text.replace("│", " ").split())


@pytest.mark.real_photos
def test_real_photos_become_pictures(cli, shared_data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = pd.read_csv(shared_data / "cc0" / "labels.csv")
    few = pd.concat([labels[labels["type"] == kind].iloc[::12] for kind in ("Dress", "Shoes")])
    few.to_csv("labels.csv", index=False)
    source = ("--catalog", "labels.csv", "--images", shared_data / "cc0", "--product-column", "sender_id")
    made = run(cli, "translate", "pictures", "p", *source, "--a", "type=Dress", "--b", "type=Shoes", "--size", 64)
    assert sum(made["counts"].values()) == len(few)
    assert np.load("p/a_train.npy").std() > 30
