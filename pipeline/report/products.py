"""The real products nearest to the generated pictures that a page shows: what a shop would recommend by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import AtelierError
from pipeline.report.asking import Row
from pipeline.report.texts import clip
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.index.gallery import Hit

PRODUCTS_SHOWN = 3
LABEL_LENGTH = 60


@dataclass(frozen=True)
class Nearest:
    """A real product: the photo it is known by, and it in words."""

    image_key: str
    words: str


class Recommender:
    """Asks an index by vectors of generated pictures.

    Args:
        settings: where the index is.
        version: of the index; None: there is none.
    """

    def __init__(self, settings: Settings, version: str | None) -> None:
        self._settings = settings
        self._version = version

    def nearest(self, rows: Sequence[Row]) -> tuple[dict[str, tuple[Nearest, ...]], str]:
        """Products by the key of the generated picture, and where there are none to be had, why.

        Args:
            rows: of the statement `VARIANT_VECTORS`.
        """
        if not rows:
            return {}, ""
        if self._version is None:
            return {}, "There is no search index yet to find real products by them."
        try:
            return self._asked(rows), ""
        except AtelierError as error:
            return {}, f"Real products like them could not be found: {clip(str(error), 300)}."

    def _asked(self, rows: Sequence[Row]) -> dict[str, tuple[Nearest, ...]]:
        from pipeline.index.gallery import Index
        from pipeline.index.recommend import by_variants

        index = Index.open(None, self._settings, self._version)
        found: dict[str, tuple[Nearest, ...]] = {}
        for row in rows:
            vector = np.frombuffer(row["vector"], "<f2").astype(np.float32)[None]
            asked = {row["target_group"]: vector}
            for look in by_variants(index, row["product_id"] or "", PRODUCTS_SHOWN, asked):
                found[row["variant_key"]] = tuple(Nearest(hit.image_key, _words(hit)) for hit in look.hits)
        return found


def _words(hit: Hit) -> str:
    """Product, color and type, and how near."""
    said = " ".join(hit.attributes[name] for name in ("color", "type") if name in hit.attributes)
    return clip(f"{hit.product_id or hit.image_key} {said} {hit.score:.2f}", 2 * LABEL_LENGTH)
