"""Recommendations on a shop whose products are known: outfits that share a direction, pictures that are there twice."""

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.index.gallery import Hit
from pipeline.index.matrix import MatrixSource
from pipeline.index.recommend import complete_the_look, similar
from pipeline.index.sheet import Tile, draw_sheet, hit_tile

DIM = 24


@pytest.fixture
def boutique(shop):
    """Ten dresses and ten shoes; product n of each shares a direction. dress-1 and dress-2 show one picture."""
    random = np.random.default_rng(0)
    base = np.linalg.qr(random.normal(size=(DIM, DIM)))[0]
    vectors, products, groups, colors = [], [], [], []
    for n in range(10):
        for group, shift in (("full-body", 10), ("footwear", 11)):
            for photo in range(2):
                vectors.append(base[n] + 0.35 * base[shift] + 0.15 * base[12 + photo] + 0.25 * base[(n + 1) % 10])
                products.append(f"{'dress' if shift == 10 else 'shoe'}-{n}")
                groups.append(group)
                colors.append("Red" if n < 5 else "Blue")
    at = {p: i for i, p in reversed(list(enumerate(products)))}
    vectors[at["dress-2"]] = vectors[at["dress-1"]]
    vectors[at["dress-2"] + 1] = vectors[at["dress-1"] + 1]
    vectors = np.stack(vectors)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    source = MatrixSource(vectors, {"product_id": products, "group": groups, "color": colors})
    return shop.index(shop.build(source)), base


def products(hits):
    return [hit.product_id for hit in hits]


def test_similar_products_come_once_and_never_the_asking_one(boutique):
    index, _ = boutique
    hits = similar(index, "dress-5", 6)
    assert "dress-5" not in products(hits)
    assert len(hits) == len(set(products(hits))) == 6
    assert hits == sorted(hits, key=lambda hit: -hit.score)
    assert products(hits)[0] == "shoe-5"
    assert set(products(similar(index, "dress-5", 5, {"group": "full-body"}))) <= {f"dress-{n}" for n in range(10)}


def test_a_picture_that_is_sold_twice_is_recommended_once(boutique):
    index, _ = boutique
    found = products(similar(index, "dress-3", 19, {"group": "full-body"}))
    assert len({"dress-1", "dress-2"} & set(found)) == 1


def test_the_look_comes_from_other_groups_and_the_same_color_first(boutique):
    index, _ = boutique
    (look,) = complete_the_look(index, "dress-6", 4)
    assert (look.group, look.by) == ("footwear", "photo")
    assert products(look.hits)[0] == "shoe-6"
    assert {hit.attributes["color"] for hit in look.hits} == {"Blue"}
    (look,) = complete_the_look(index, "dress-6", 8)
    assert [hit.attributes["color"] for hit in look.hits] == ["Blue"] * 5 + ["Red"] * 3


def test_a_variant_asks_instead_of_the_photo(boutique):
    index, base = boutique
    (look,) = complete_the_look(index, "dress-6", 1, {"footwear": (base[2] + 0.3 * base[11])[None]})
    assert look.by == "variant"
    assert products(look.hits) == ["shoe-2"]


def test_an_unknown_product_is_named(boutique):
    index, _ = boutique
    with pytest.raises(InputError, match="does not hold the product 'hat-1'"):
        similar(index, "hat-1", 3)


def test_a_sheet_shows_every_tile_also_where_a_photo_is_gone(tmp_path):
    hit = Hit("k.jpg", "p1", 0.91, {"type": "Dress", "color": "Red"}, "image", -1, 0)
    red = np.full((40, 60, 3), (200, 0, 0), np.uint8)
    draw_sheet(
        [Tile(red, ("query", "a name that is far too long for its tile " * 3), accent=True), None, hit_tile(hit, None)],
        tmp_path / "s.jpg",
        columns=2,
    )
    with Image.open(tmp_path / "s.jpg") as sheet:
        pixels = np.asarray(sheet)
        assert sheet.size[0] < sheet.size[1] * 2
        assert (np.abs(pixels.astype(int) - (200, 0, 0)).sum(axis=2) < 30).any()
