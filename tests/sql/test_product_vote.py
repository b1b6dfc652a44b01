"""The view `products` follows the rule that models/agreement.py states, and `(unknown)` is a label like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import Photo, commit, list_catalog, new_warehouse, rows_of

from models.agreement import vote
from models.open_set import UNKNOWN
from pipeline.tables import connect


def test_the_view_votes_like_the_function(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    said: dict[str, list[tuple[str | None, float]]] = {}
    photos = []
    for number in range(120):
        label = [None, "Acme", "Bolt", UNKNOWN][rng.integers(4)]
        score = float(np.float32(rng.integers(1, 20) / 20))  # coarse, so that votes tie
        product = f"p{rng.integers(30)}"
        said.setdefault(product, []).append((label, score))
        photos.append(Photo(f"{number}.jpg", product_id=product, columns={"brand": label, "brand_score": score}))
    made = new_warehouse(tmp_path)
    commit(made, photos)
    list_catalog(made, photos)
    with connect(made) as con:
        found = con.execute("select product_id, brand, brand_score, brand_photos from products").fetchall()
    assert len(found) == len(said)
    for product, label, score, count in found:
        wanted = vote(said[product])
        assert (label, count) == (wanted[0], wanted[2]), product
        assert score == (None if wanted[1] is None else pytest.approx(wanted[1], abs=1e-6))


def test_an_unknown_brand_contradicts_only_a_brand_that_the_head_knows(tmp_path: Path) -> None:
    columns = {"brand": UNKNOWN, "brand_score": 0.9}
    photos = [
        Photo("new.jpg", product_id="p1", columns=columns),
        Photo("known.jpg", product_id="p2", columns=columns),
        Photo("right.jpg", product_id="p2", columns={"brand": "Acme", "brand_score": 0.9}),
    ]
    made = new_warehouse(tmp_path)
    commit(made, photos)
    list_catalog(made, photos)
    feed = [{"product_id": "p1", "brand": "Newcomer"}, {"product_id": "p2", "brand": "ACME"}]
    made.overwrite("feed", rows_of("feed", feed))
    with connect(made) as con:
        found = con.execute("select image_key, feed_label_known from label_conflicts where head = 'brand'").fetchall()
    assert found == [("known.jpg", True)]
