"""Batches: the unit of work, retry and commit. What they are called is a hash of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedImage:
    """One photo version to enrich; `bytes` is its size as listed."""

    image_key: str
    etag: str
    bytes: int
    product_id: str | None


@dataclass(frozen=True)
class Batch:
    """Images that are enriched, committed and retried together; `number` counts from 0 within the plan."""

    batch_id: str
    number: int
    images: tuple[PlannedImage, ...]


def batch_id(release_id: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The name of the batch that holds these photo versions: 16 hexadecimal digits, whatever their order.

    Args:
        release_id: release that reads them.
        pairs: (image_key, etag) of each.
    """
    digest = hashlib.sha256(release_id.encode())
    for pair in sorted(pairs):
        for part in pair:
            digest.update(b"\0" + part.encode())  # no key holds a NUL, so no two batches spell the same
    return digest.hexdigest()[:16]
