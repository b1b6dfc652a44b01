"""Pictures of several folders as one: order, missing and odd folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError
from models.training.features import FeatureWriter, Pictures, read_pictures


def folder(path: Path, n: int, side: int, first: int) -> Path:
    """A finished folder of n plain pictures of the values first, first + 1, ..."""
    writer = FeatureWriter(path, {"features": 2}, n, side)
    made = np.broadcast_to(np.arange(first, first + n, dtype=np.uint8)[:, None, None, None], (n, 3, side, side))
    arrays = {"features": np.zeros((n, 2)), "pictures": made}
    writer.add(arrays, pd.DataFrame({"product_id": [str(i) for i in range(n)]}))
    writer.close({"source": path.name, "heads": [], "backbone": "b"})
    return path


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(sum),
    picks=st.lists(st.integers(0, 1000), max_size=8),
)
def test_rows_are_taken_as_from_one_array(lengths: list[int], picks: list[int]) -> None:
    whole = np.arange(sum(lengths) * 3 * 4, dtype=np.uint8).reshape(-1, 3, 2, 2)
    joined = Pictures(np.split(whole, np.cumsum(lengths)[:-1]))
    rows = np.array([pick % len(whole) for pick in picks], int)
    assert len(joined) == len(whole)
    assert np.array_equal(joined.take(rows), whole[rows])


def test_folders_are_joined_in_their_order(tmp_path: Path) -> None:
    joined = read_pictures([folder(tmp_path / "a", 3, 4, 0), folder(tmp_path / "b", 2, 4, 10)])
    assert joined.take(np.array([4, 0, 3]))[:, 0, 0, 0].tolist() == [11, 0, 10]


def test_folders_without_pictures_or_of_another_size_are_refused(tmp_path: Path) -> None:
    good, larger = folder(tmp_path / "a", 2, 4, 0), folder(tmp_path / "b", 2, 8, 0)
    with pytest.raises(DataError, match="different sizes"):
        read_pictures([good, larger])
    with pytest.raises(DataError, match="keeps no pictures"):
        read_pictures([good, tmp_path])


def test_pictures_of_an_earlier_run_are_not_those_of_the_next(tmp_path: Path) -> None:
    path = folder(tmp_path, 2, 4, 0)
    writer = FeatureWriter(path, {"features": 2}, 2)
    writer.add({"features": np.ones((2, 2))}, pd.DataFrame({"product_id": ["8", "9"]}))
    writer.close({"source": "a", "heads": [], "backbone": "b"})
    with pytest.raises(DataError, match="keeps no pictures"):
        read_pictures([path])
