"""Splits by product: nothing leaks, nothing drifts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError
from models.training.splits import TEST, TRAIN, VALIDATION, Split, read_split, refuse_leaks

products = st.lists(st.text(max_size=6), max_size=60)


@given(products=products, seed=st.integers(0, 99))
def test_a_product_is_never_on_two_sides(products: list[str], seed: int) -> None:
    parts = Split(seed).parts(products * 2)
    sides: dict[str, set[int]] = {}
    for product, part in zip(products * 2, parts.tolist(), strict=True):
        sides.setdefault(product, set()).add(part)
    assert all(len(side) == 1 for side in sides.values())


@given(products=products, more=products, seed=st.integers(0, 9))
def test_more_data_moves_no_product(products: list[str], more: list[str], seed: int) -> None:
    assert Split(seed).parts(products + more)[: len(products)].tolist() == Split(seed).parts(products).tolist()


def test_shares_are_about_right_and_the_rule_is_pinned() -> None:
    parts = Split(0, validation=0.2, test=0.1).parts([f"p{n}" for n in range(5000)])
    shares = np.bincount(parts, minlength=3) / 5000
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    # whoever changes the rule leaks test products of shipped cards into training: these three must stay
    assert [Split(0).part_of(p) for p in ("p0", "p1", "p9")] == [TRAIN, VALIDATION, TEST]


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.5, 0.5), (0.1, 1.0)])
def test_shares_out_of_range(shares) -> None:
    with pytest.raises(DataError, match="shares"):
        Split(0, *shares)


def saved(folder: Path, parts: dict[str, str]) -> Path:
    path = folder / "split.parquet"
    pd.DataFrame({"product_id": list(parts), "part": list(parts.values())}).to_parquet(path)
    return path


def test_a_saved_split_is_taken_over_and_new_products_fall_by_the_rule(tmp_path: Path) -> None:
    path = saved(tmp_path, {"p0": "test", "p1": "train"})
    split = read_split(path, Split(0))
    assert split.parts(["p0", "p1", "p0", "p9"]).tolist() == [TEST, TRAIN, TEST, Split(0).part_of("p9")]
    assert "split.parquet" in split.words()
    with pytest.raises(DataError, match=r"none of the 2 products asked for, such as 'shop/p0'; it has such as 'p0'"):
        split.parts(["shop/p0", "shop/p1"])
    assert read_split(saved(tmp_path, {"p1": "train", "p0": "test"})).digest == split.digest  # whatever the order
    assert read_split(saved(tmp_path, {"p1": "train", "p0": "train"})).digest != split.digest


def test_a_damaged_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no saved split"):
        read_split(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="unknown part 'dev'"):
        read_split(saved(tmp_path, {"p0": "dev"}))
    pd.DataFrame({"product_id": ["a", "a"], "part": ["train", "test"]}).to_parquet(tmp_path / "two.parquet")
    with pytest.raises(DataError, match="1 products are in two parts, such as 'a'"):
        read_split(tmp_path / "two.parquet")
    pd.DataFrame({"product": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="product_id and part"):
        read_split(tmp_path / "other.parquet")


def test_products_that_trained_a_head_may_not_test_it(tmp_path: Path) -> None:
    card = tmp_path / "cards" / "type.toml"
    refuse_leaks(["p0"], np.array([TEST]), card)  # nothing known of the head's split
    saved(tmp_path, {"p0": "train", "p1": "validation", "p2": "test"})
    refuse_leaks(["p0", "p1", "p2", "new"], np.array([TRAIN, TRAIN, TEST, TEST]), card)
    with pytest.raises(DataError, match=r"1 products .* such as 'p0'.*--split .*split\.parquet"):
        refuse_leaks(["p0", "p0", "p2"], np.array([TEST, TEST, TEST]), card)
    with pytest.raises(DataError, match="2 products"):
        refuse_leaks(["p0", "p1"], np.array([VALIDATION, TEST]), card)


def test_a_card_tells_whether_its_test_products_are_these() -> None:
    assert Split(3, 0.2, 0.1).tests_like(Split(3, 0.15, 0.1).words())
    assert not Split(3).tests_like(Split(4).words())
    assert not Split(3).tests_like("")
