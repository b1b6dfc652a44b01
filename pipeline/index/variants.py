"""Generated variants of gallery photos, as queries: a dress asks for shoes by the shoe that was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.index.gallery import Index
from pipeline.index.job import pick_snapshot
from pipeline.settings import Settings
from pipeline.tables import open_warehouse
from pipeline.tables.query import connect


@dataclass(frozen=True)
class StoredVariant:
    """A variant as the tables hold it.

    Args:
        image_key: photo that it was made of.
        group: of garments, that it is of, such as footwear.
        target: what its generator's card calls that, such as shoe.
        generator: name of the card.
        key: of the picture, under the warehouse root.
        target_probability: of the type head, in [0, 1]; None where it was not judged.
        vector: float32 (dim,).
    """

    image_key: str
    group: str
    target: str
    generator: str
    key: str
    target_probability: float | None
    vector: np.ndarray


def variants_of(settings: Settings, index: Index, image_keys: Sequence[str]) -> list[StoredVariant]:
    """Variants of some photos, from the index's own snapshot, the most convincing first."""
    warehouse = open_warehouse(settings)
    snapshot = pick_snapshot(warehouse, index.manifest.snapshot)
    if not image_keys or snapshot.versions.get("variants") is None:
        return []
    with connect(warehouse, snapshot) as con:
        found = con.execute(_SQL, [snapshot.release_id, list(image_keys), index.manifest.dim]).fetchall()
    return [
        StoredVariant(photo, group, target, generator, key, sure, np.frombuffer(vector, "<f2").astype(np.float32))
        for photo, group, target, generator, key, sure, vector in found
    ]


def meant_by(variants: Sequence[StoredVariant], target: str, product_id: str) -> list[StoredVariant]:
    """Those that show `target`: a group of garments, or what a generator's card calls its target.

    Raises:
        InputError: there are none; the message says what there is.
    """
    meant = [one for one in variants if target.casefold() in (one.target.casefold(), one.group.casefold())]
    if meant:
        return meant
    there = sorted({f"{one.target} ({one.group}, {one.generator})" for one in variants})
    if not there:
        raise InputError(
            f"no variants were made of the product {product_id!r} in the snapshot that the index was built from: "
            "variants.rules says which photos get them when they are enriched"
        )
    raise InputError(f"the product {product_id!r} has no variant {target!r}; it has {', '.join(there)}")


def vectors_by_group(variants: Sequence[StoredVariant]) -> dict[str, np.ndarray]:
    """Vectors float32 (n, dim) by group of garments."""
    groups = sorted({one.group for one in variants})
    return {group: np.stack([one.vector for one in variants if one.group == group]) for group in groups}


_SQL = """
select v.image_key, v.target_group, coalesce(v.target, v.generator), v.generator, v.variant_key, v.target_probability,
       e.vector
from variants v
join embeddings e on e.image_key = v.image_key and e.etag = v.etag and e.release_id = v.release_id
    and e.garment_index = v.garment_index and e.generator = v.generator
join "catalog" c on c.image_key = v.image_key and c.etag = v.etag
where e.kind = 'variant' and v.release_id = ? and list_contains(?, v.image_key) and e.dim = ?
order by v.target_probability desc nulls last, v.image_key, v.generator
"""
