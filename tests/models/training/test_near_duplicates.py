"""Look-alikes across the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models.training.near_duplicates import find_twins, write_twins
from models.training.splits import TEST, TRAIN, VALIDATION


def features() -> tuple[np.ndarray, np.ndarray]:
    """50 training, 10 test and 5 validation rows; two test rows are in training too, one nearly, one validation row."""
    rng = np.random.default_rng(0)
    train, test, validation = (rng.normal(size=(n, 64)) for n in (50, 10, 5))
    test[3] = train[7] * 2.0
    test[5] = train[9] + 0.01 * rng.normal(size=64)
    test[6] = train[11] + 0.2 * rng.normal(size=64)
    validation[2] = train[4]
    parts = np.array([TRAIN] * 50 + [TEST] * 10 + [VALIDATION] * 5)
    return np.concatenate([train, test, validation]).astype(np.float16), parts


def test_the_same_picture_and_the_same_scene_are_counted_apart() -> None:
    rows, parts = features()
    twins = find_twins(rows, parts)
    assert (twins.checked, twins.same, twins.alike) == (10, 2, 1)
    assert set(zip(twins.pairs["row"], twins.pairs["twin"], strict=True)) == {(53, 7), (55, 9), (56, 11), (62, 4)}
    assert twins.figures() == {"checked": 10, "same_picture": 2, "same_scene": 1}


def test_no_training_rows_no_twins() -> None:
    rows = features()[0]
    assert find_twins(rows, np.full(len(rows), VALIDATION)).pairs.empty
    assert find_twins(rows, np.full(len(rows), TRAIN)).checked == 0


def test_only_so_many_rows_are_looked_at() -> None:
    rows, parts = features()
    assert find_twins(rows, parts, limit=4).checked == 4


def test_the_pairs_are_written_to_be_looked_at(tmp_path: Path) -> None:
    rows, parts = features()
    names = pd.DataFrame({"file": [f"{n}.jpg" for n in range(65)], "product_id": [f"p{n}" for n in range(65)]})
    frame = pd.read_csv(write_twins(find_twins(rows, parts), names, parts, tmp_path))
    assert frame["cosine"].is_monotonic_decreasing
    line = frame[frame["file"] == "56.jpg"].iloc[0]
    assert (line["looks_like"], line["part"], line["twin_part"]) == ("same scene", "test", "train")
    assert (line["product_id"], line["twin_file"], line["twin_product_id"]) == ("p56", "11.jpg", "p11")
