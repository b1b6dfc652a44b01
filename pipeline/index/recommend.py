"""Products to go with a product: those that look alike, and those of other groups that complete the look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import InputError
from pipeline.index.gallery import Hit, Index, Where
from pipeline.index.source import WHOLE

PHOTOS = 8
"""Photos of a product that are asked by, at the most."""
SAME_PICTURE = 0.99
"""Cosine from which on two photos are taken for one picture: the second is no recommendation."""


@dataclass(frozen=True)
class Look:
    """Products of another group; `by` says whether a generated variant asked for them, or the product's own photos."""

    group: str
    by: Literal["variant", "photo"]
    hits: list[Hit]


def similar(index: Index, product_id: str, k: int, where: Where | None = None) -> list[Hit]:
    """The products most like any photo of a product, each once, none showing a picture that is there already.

    Raises:
        InputError: the index does not hold the product.
    """
    rows = product_rows(index, product_id)
    asked = whole_photos(index, rows)
    return _merged(index, index.vectors_of(asked), rows, k, where)


def complete_the_look(
    index: Index, product_id: str, k: int, variants: Mapping[str, np.ndarray] | None = None
) -> list[Look]:
    """Products of each other group of garments that go with a product.

    Where style transfer made variants of the product's photos for a group (a shoe of a dress), the nearest to them
    count: the variant has the dress's color and texture in a shoe's shape. Without, it is the nearest to the
    product's own photos, of the product's color as far as there are any.

    Args:
        index: the gallery.
        product_id: a product in it.
        k: products a group.
        variants: group -> vectors (n, dim) of generated images.

    Raises:
        InputError: the index does not hold the product.
    """
    rows = product_rows(index, product_id)
    own = set(index.rows.values("group", rows))
    colors = [color for color in index.rows.values("color", rows) if color is not None]
    color = max(sorted(set(colors)), key=colors.count) if colors else None
    vectors = index.vectors_of(whole_photos(index, rows))
    looks = []
    for group in sorted({entry.group for entry in index.manifest.shards} - own - {WHOLE}):
        made = (variants or {}).get(group)
        if made is not None and len(made):
            looks.append(Look(group, "variant", _merged(index, made, rows, k, {"group": group})))
            continue
        hits = _merged(index, vectors, rows, k, {"group": group, "color": color}) if color else []
        if len(hits) < k:
            more = _merged(index, vectors, rows, 2 * k, {"group": group})
            known = {_product(hit) for hit in hits}
            hits += [hit for hit in more if _product(hit) not in known][: k - len(hits)]
        looks.append(Look(group, "photo", hits))
    return [look for look in looks if look.hits]


def by_variants(index: Index, product_id: str, k: int, variants: Mapping[str, np.ndarray]) -> list[Look]:
    """The products that generated variants of a product ask for, each group's nearest, and nothing else.

    Args:
        index: the gallery.
        product_id: a product; its own photos are left out. It need not be in the gallery.
        k: products a group.
        variants: group -> vectors (n, dim) of generated images.
    """
    own = index.rows.find("product_id", product_id)
    looks = [Look(group, "variant", _merged(index, variants[group], own, k, {"group": group})) for group in variants]
    return [look for look in looks if look.hits]


def product_rows(index: Index, product_id: str) -> np.ndarray:
    """Live gallery rows (int64) of a product.

    Raises:
        InputError: there are none.
    """
    rows = index.rows.find("product_id", product_id)
    if not len(rows):
        raise InputError(f"index {index.manifest.version} does not hold the product {product_id!r}")
    return rows


def whole_photos(index: Index, rows: np.ndarray) -> np.ndarray:
    """Of some rows those of whole images, all where there are none; `PHOTOS` at the most."""
    whole = rows[[kind == "image" for kind in index.rows.values("kind", rows)]]
    return (whole if len(whole) else rows)[:PHOTOS]


def _merged(index: Index, vectors: np.ndarray, own: np.ndarray, k: int, where: Where | None) -> list[Hit]:
    """The k best products over several queries, without the asking product and without pictures shown twice."""
    excluded: Sequence[np.ndarray] = [own] * len(vectors)
    found = index.search(vectors, 2 * k, where, by_product=True, exclude=excluded)
    ranked = sorted((hit for hits in found for hit in hits), key=lambda hit: (-hit.score, hit.image_key))
    best: dict[str, Hit] = {}
    for hit in ranked:
        best.setdefault(_product(hit), hit)
    return _pictured_once(index, list(best.values()), k)


def _pictured_once(index: Index, hits: list[Hit], k: int) -> list[Hit]:
    """The first k hits whose picture is none of those before."""
    vectors = index.vectors_of(np.array([hit.row for hit in hits], np.int64))
    kept: list[int] = []
    for number in range(len(hits)):
        if len(kept) == k:
            break
        if not kept or (vectors[kept] @ vectors[number]).max() < SAME_PICTURE:
            kept.append(number)
    return [hits[number] for number in kept]


def _product(hit: Hit) -> str:
    """What a hit is of; a photo without product is its own."""
    return hit.product_id or f"photo {hit.image_key}"
