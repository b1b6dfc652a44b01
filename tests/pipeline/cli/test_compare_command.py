"""`atelier classify compare` and `atelier features --format` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.training.features import FeatureWriter
from pipeline.cli import app, register
from pipeline.errors import InputError


@pytest.fixture(scope="module")
def cli():
    register()
    return app


def run(cli, *arguments: object) -> tuple[dict, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
    return json.loads(result.stdout), result.stderr


def test_compare_prints_a_table_and_one_line(cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind, shade = rng.integers(0, 4, 240), rng.integers(0, 3, 240)
    features = rng.normal(size=(240, 8)) + 2 * np.eye(8)[kind] + 2 * np.eye(8)[4 + shade]
    writer = FeatureWriter(tmp_path / "f", {"features": 8}, capacity=240)
    rows = {"file": [f"{i}.jpg" for i in range(240)], "product_id": [str(i) for i in range(240)]}
    rows |= {"type": [f"t{k}" for k in kind], "color": [f"c{s}" for s in shade]}
    writer.add({"features": features}, pd.DataFrame(rows))
    writer.close({"source": "a", "heads": ["type", "color"], "backbone": "b"})

    common = ("--features", tmp_path / "f", "--head", "pool", "--head", "color", "--multi", "color")
    made, said = run(cli, "classify", "compare", tmp_path / "out", *common, "--repeats", 2, "--epochs", 2)
    assert made["heads"] == {"type": "single", "color": "multi"}
    assert made["repeats"] == 2
    assert set(made["methods"]) == {"naive", "naive_argmax", "multi_task"}
    assert "multi-task minus naive: samples F1" in said
    assert Path(made["picture"]).is_file()
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["methods"] == made["methods"]


def test_features_of_a_product_list(cli, tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / f"{name}.png")
    products = [
        {"sku": "A", "images": ["a1.png", "a2.png"], "brand": "Nike", "pool": "Shoe"},
        {"sku": "B", "images": ["b1.png", "gone.png"], "brand": "Nike", "pool": "Hat"},
    ]
    (tmp_path / "products.json").write_text(json.dumps(products))
    made, _ = run(cli, "features", tmp_path / "f", "--format", "fashionbrain", "--labels", tmp_path / "products.json")
    assert made["rows"] == 3
    assert made["heads"] == ["brand", "type"]
    assert made["left_out"] == {"missing": 1}
    assert made["notes"] == ["head 'brand' has only the label 'Nike': a single-label head needs two to learn"]


def test_multi_is_for_a_head_that_is_compared(cli, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--head color is missing"):
        run(cli, "classify", "compare", tmp_path, "--features", "f", "--head", "type", "--multi", "color")


def test_help_teaches_by_example(cli) -> None:
    text = CliRunner().invoke(cli, ["classify", "compare", "--help"]).output
    assert "atelier classify compare" in " ".join(text.replace("│", " ").split())
