"""Judging heads product by product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.errors import DataError
from models.training.classify import Request, train_heads
from models.training.features import FeatureSet
from models.training.heads import HeadOptions
from models.training.judge import judge_head
from models.training.splits import Split

DIM, LABELS = 10, ("Coat", "Dress", "Shirt", "Skirt")


def shop(products: int = 240, photos: int = 3) -> FeatureSet:
    """Photos that say little each: the label's place and much noise."""
    rng = np.random.default_rng(0)
    code = np.repeat(rng.integers(0, 4, products), photos)
    features = rng.normal(size=(4, DIM))[code] + 1.3 * rng.normal(size=(len(code), DIM))
    rows = pd.DataFrame({"source": "a", "product_id": [f"p{n}" for n in np.repeat(np.arange(products), photos)]})
    rows["file"] = [f"{n}.jpg" for n in range(len(rows))]
    rows["type"] = np.array(LABELS, object)[code]
    return FeatureSet(features.astype(np.float16), rows, ("type",), "b1")


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> Path:
    options = HeadOptions(epochs=10, lr=0.02, weight_decays=(0.05,), batch=64, dropout=0.1)
    wanted = Request({"type": "single"}, split=Split(0, 0.25, 0.25), options=options, precision=0.9)
    return train_heads(shop(), wanted, tmp_path_factory.mktemp("judge")).cards["type"]


def test_products_beat_single_photos_on_held_out_products(card: Path) -> None:
    figures = judge_head(card, shop(), Split(0, 0.25, 0.25), by_product=True)["by_product"]
    assert figures["photos"]["n"] == 3 * figures["products"]["n"]
    assert figures["products"]["accuracy"] > figures["photos"]["accuracy"] + 0.05
    assert figures["products"]["coverage"] > figures["photos"]["coverage"]
    assert figures["products"]["calibration_error"] < 0.15
    assert figures["labelled_differently"] == 0


def test_products_whose_photos_bear_different_labels_are_left_out(card: Path) -> None:
    data = shop()
    data.rows.loc[0, "type"] = "Coat" if data.rows["type"][1] != "Coat" else "Dress"
    figures = judge_head(card, data, None, by_product=True)["by_product"]
    assert figures["labelled_differently"] == 1
    assert figures["products"]["n"] == 239


def test_crops_are_left_out_where_there_are_whole_photos(card: Path) -> None:
    data = shop()
    data.rows["x1"] = np.where(np.arange(len(data)) % 3 == 2, 5.0, np.nan)
    assert judge_head(card, data, None, by_product=True)["by_product"]["photos"]["n"] == 480


def test_single_photos_have_nothing_to_agree(card: Path) -> None:
    data = shop()
    alone = data.take(~data.rows["product_id"].duplicated().to_numpy())
    with pytest.raises(DataError, match="no held-out product has several photos"):
        judge_head(card, alone, None, by_product=True)
