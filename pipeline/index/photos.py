"""Photos as queries: through the same models as the catalog's, and into the shards of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.release import Release
from pipeline.enrich.query import read_photos
from pipeline.errors import InputError
from pipeline.index.gallery import Hit, Index, Where
from pipeline.settings import Settings

SURE = 0.5
"""Score of a detection from which on its group says where to look."""


def search_photos(
    index: Index,
    photos: Sequence[Path | bytes],
    k: int,
    release: Release,
    settings: Settings,
    where: Where | None = None,
    *,
    by_product: bool = True,
    route: bool = True,
) -> list[list[Hit]]:
    """The k nearest for each photo, as `Index.search` gives them.

    A photo in which the detector finds a garment, and is sure of it, is looked for among that group first, and among
    the others only for what is missing to k. Others are looked for everywhere.

    Args:
        index: what to search.
        photos: files or their bytes; anything the catalog could hold.
        k: results a photo.
        release: the release whose vectors the index holds.
        settings: limits of decoding and working size.
        where: attribute -> value, or values of which one is enough.
        by_product: at most one result a product.
        route: False: look everywhere.

    Raises:
        InputError: a photo can't be used, or the release's vectors are not the index's.
    """
    if index.manifest.feature_id not in ("", release.feature_id):
        raise InputError(
            f"the release makes vectors of {release.feature_id}, index {index.manifest.version} holds vectors of "
            f"{index.manifest.feature_id}: they can't be compared"
        )
    held = {entry.group for entry in index.manifest.shards if entry.live}
    hits = []
    for reading in read_photos(photos, release, settings):
        sure = [one.group for one in reading.garments[:1] if one.score >= SURE and one.group in held]
        vector = np.asarray(reading.features[:1], np.float32)
        groups = sure if route and sure else None
        hits += index.search(vector, k, where, groups=groups, by_product=by_product, feature_id=release.feature_id)
    return hits
