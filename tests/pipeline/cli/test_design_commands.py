"""The design commands as a person types them: from photos to designs, one JSON line each."""

from __future__ import annotations

import gzip
import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_release import write_tiny_release
from typer.testing import CliRunner

from models.design.options import DesignOptions
from models.errors import ModelError
from pipeline.cli import app, register
from pipeline.cli.design_commands import train as train_command
from pipeline.errors import InputError

SMALL = ("--width", 2, "--noise", 4, "--batch", 4, "--epochs", 2, "--steps-per-epoch", 2)


@pytest.fixture(scope="module")
def cli():
    register()
    before = sys.argv
    yield app
    sys.argv = before


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos of boots (dark) and hats (light) in folders, a damaged one, and a table of labels."""
    folder = tmp_path_factory.mktemp("shop")
    rows = []
    for number in range(12):
        kind = ("boots", "hats")[number % 2]
        (folder / kind).mkdir(exist_ok=True)
        pixels = np.full((20, 30, 3), (40, 160)[number % 2] + number, np.uint8)
        Image.fromarray(pixels).save(folder / kind / f"{number:02}.png")
        rows.append({"file": f"{kind}/{number:02}.png", "sku": f"p{number // 2}", "kind": kind.title()[:-1]})
    (folder / "boots" / "broken.png").write_bytes(b"no photo")
    rows[0]["kind"] = "Boot|Hat"
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


def run(cli, *arguments: object) -> dict:
    sys.argv = ["atelier", *map(str, arguments)]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_from_photos_to_designs(cli, shop: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = ("--labels", shop / "labels.csv", "--product-column", "sku", "--label-column", "type=kind", "--by", "type")
    made = run(cli, "design", "pictures", "p", *table, "--size", 16)
    assert made["count"] == 12
    assert made["heads"] == {"type": ["Boot", "Hat"]}
    assert pd.read_parquet("p/rows.parquet")["type"].isna().sum() == 1  # one of these: nobody said which
    run(cli, "design", "pictures", "q", "--images", shop, "--by", "folder", "--size", 32)

    first = run(cli, "design", "train", "r/exp4", "--pictures", "p", *SMALL, "--licence", "CC0-1.0", "--preset", "exp4")
    assert (first["epochs"], first["steps"]) == (2, 4)
    assert first["attributes"] == ["type=Boot", "type=Hat"]
    card = Path(first["card"])
    assert 'command = "atelier design train r/exp4 ' in card.read_text()
    more = ("--preset", "exp1", "--no-attributes", "--network", "plain", "--balance", "ratio", "--average", 0.9)
    assert run(cli, "design", "train", "r/plain", "--pictures", "p", *SMALL, *more)["attributes"] == []

    drawn = run(cli, "design", "sample", card, "grid.png", "--count", 6, "--columns", 3, "--with", "type=Hat")
    assert Image.open(drawn["files"][0]).size == (3 * 18, 2 * 18)
    assert 0 <= drawn["apart"] < 1
    assert run(cli, "design", "sample", card, "ways.png", "--count", 2, "--interpolate", 4)["pictures"] == 8
    assert len(run(cli, "design", "sample", card, "each", "--count", 3, "--each")["files"]) == 3
    assert Path(run(cli, "design", "plot", "r/exp4")["pictures"][0]).is_file()

    release = write_tiny_release(tmp_path / "release")
    arguments = ("--pictures", "p", "--release", release, "--count", 8, "--last", 1)
    compared = run(cli, "design", "compare", "out", "r/exp4", "r/plain", *arguments)
    figures = compared["figures"]
    assert set(figures) == {"exp4", "plain"}
    assert figures["exp4"]["loss_ratio"] > 0
    assert 0 <= figures["plain"]["in_band"] <= 1
    assert figures["plain"]["frozen"] == 0
    assert "| exp4 | 2 | " in Path("out/comparison.md").read_text()
    assert {path.name for path in Path("out").iterdir()} == {
        "comparison.json", "comparison.md", "designs.png", "curves.png"
    }  # fmt: skip


def test_a_second_stage_and_going_on(cli, shop: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for size in (16, 32):
        made = run(cli, "design", "pictures", f"p{size}", "--images", shop, "--by", "folder", "--size", size)
        assert made["left_out"] == {"not_an_image": 1}
    first = run(cli, "design", "train", "one", "--pictures", "p16", *SMALL, "--name", "small")
    assert first["attributes"] == ["folder=boots", "folder=hats"]
    arguments = ("design", "train", "two", "--pictures", "p32", "--first", first["card"], *SMALL)
    assert run(cli, *arguments)["epochs"] == 2
    again = run(cli, *arguments[:-4], "--epochs", 3, "--steps-per-epoch", 2, "--resume")
    assert (again["epochs"], again["steps"]) == (3, 6)
    assert run(cli, "design", "sample", again["card"], "large.png", "--count", 2)["size"] == 32


def test_fashion_mnist_is_read_by_type(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.zeros((20, 28, 28), np.uint8)
    pixels[:, 8:20, 8:20] = 200
    heads = {"labels": np.uint8([3, 9] * 10).tobytes(), "images": pixels.tobytes()}
    for name, shape in (("labels", (20,)), ("images", (20, 28, 28))):
        head = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()
        Path(f"train-{name}-idx{len(shape)}-ubyte.gz").write_bytes(gzip.compress(head + heads[name]))
    source = ("--format", "fashion-mnist", "--labels", tmp_path, "--by", "type", "--size", 16)
    made = run(cli, "design", "pictures", "p", *source, "--where", "type=Dress|Ankle boot")
    assert made["heads"] == {"type": ["Ankle boot", "Dress"]}
    assert np.load("p/pictures.npy")[0, 0, 0, 0] == 255


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("pictures", "p"), InputError, "name one source"),
        (("pictures", "p", "--images", "{shop}", "--demo", "x"), InputError, "name one source"),
        (("pictures", "p", "--images", "{shop}", "--size", "48"), ModelError, "size is 48.*power of two"),
        (("pictures", "p", "--images", "{shop}", "--by", "color"), InputError, "no labels 'color'; there are folder"),
        (("pictures", "p", "--images", "{shop}", "--where", "folder=bags"), InputError, "there are: (boots|hats)"),
        (("pictures", "p", "--images", "{shop}", "--where", "folder"), InputError, "--where is HEAD=LABEL"),
        (("train", "r", "--pictures", "none"), ModelError, "no finished pictures"),
        (("sample", "none.toml", "x.png"), ModelError, "no model card"),
        (("sample", "none.toml", "x.png", "--interpolate", "1"), InputError, "leads nowhere"),
        (("plot", "none"), ModelError, "no training run"),
    ],
)
def test_errors_name_what_is_wrong(cli, shop: Path, tmp_path: Path, monkeypatch, arguments, error, words) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run(cli, "design", *(argument.format(shop=shop) for argument in arguments))


def test_every_option_of_the_training_can_be_given() -> None:
    given = inspect.signature(train_command).parameters
    ours = {field.name: field.default for field in fields(DesignOptions)}
    assert set(ours) - set(given) == {"normalized", "saturating", "size"}  # of the preset, of the pictures
    for name in ("width", "noise", "batch", "lr", "epochs", "steps_per_epoch", "balance", "average", "keep", "seed"):
        assert given[name].default == ours[name], name


@pytest.mark.parametrize("command", ["pictures", "train", "sample", "plot", "compare"])
def test_help_teaches_by_example(cli, command: str) -> None:
    text = CliRunner().invoke(cli, ["design", command, "--help"]).output
    assert "Example" in text
    assert f"atelier design {command}" in " ".join(text.replace("│", " ").split())
