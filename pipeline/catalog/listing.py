"""What lies in the catalog right now: its photos, and which product each key says it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa

from pipeline.errors import SettingError
from pipeline.settings import CatalogSettings, Settings
from pipeline.storage import ObjectInfo, open_store
from pipeline.tables.schema import CATALOG

ROWS = 50_000
"""Photos a record batch."""


def list_photos(settings: Settings, prefix: str = "") -> Iterator[ObjectInfo]:
    """Yield the objects whose key begins with `prefix` and ends like a photo (`catalog.suffixes`), lazily.

    Raises:
        StoreMissing: the folder or bucket of catalog.uri does not exist (an empty one is fine).
        StoreDenied: it can't be listed.
    """
    store = open_store(settings.catalog.uri, settings)
    store.check()
    suffixes = tuple(suffix.lower() for suffix in settings.catalog.suffixes)
    return (found for found in store.list(prefix) if found.key.lower().endswith(suffixes))


def photo_batches(settings: Settings, prefix: str, on_listed: Callable[[int], object]) -> Iterator[pa.RecordBatch]:
    """The listing as rows of the table `catalog`, some ten thousand at a time; product_id is what the key says."""
    photos = list_photos(settings, prefix)
    product_of = product_from_key(settings.catalog)
    while block := list(islice(photos, ROWS)):
        on_listed(len(block))
        yield pa.record_batch(
            [
                [photo.key for photo in block],
                [photo.etag for photo in block],
                [photo.size for photo in block],
                [photo.modified for photo in block],
                [product_of(photo.key) for photo in block],
            ],
            schema=CATALOG.arrow_schema,
        )


def product_from_key(catalog: CatalogSettings) -> Callable[[str], str | None]:
    """A function from a photo's key to the product that `catalog.product_id_pattern` finds in it, or None.

    Raises:
        SettingError: the pattern is no regular expression or has no group `product_id`.
    """
    try:
        pattern = re.compile(catalog.product_id_pattern)
    except re.error as error:
        raise SettingError(f"catalog.product_id_pattern is not a regular expression: {error}") from None
    if "product_id" not in pattern.groupindex:
        raise SettingError(f"catalog.product_id_pattern {pattern.pattern!r} has no group (?P<product_id>...)")

    def product_of(key: str) -> str | None:
        found = pattern.search(key)
        return (found["product_id"] or None) if found else None

    return product_of
