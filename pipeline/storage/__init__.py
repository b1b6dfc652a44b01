"""Objects by key, in a local folder or in S3, behind one interface: see `ObjectStore` for the contract."""

from pipeline.storage.base import (
    Fetched,
    ObjectInfo,
    ObjectMissing,
    ObjectStore,
    ObjectTimeout,
    ObjectTooLarge,
    StoreDenied,
    StoreMissing,
    StoreUnavailable,
    check_key,
)
from pipeline.storage.opening import open_store, storage_options

__all__ = [
    "Fetched",
    "ObjectInfo",
    "ObjectMissing",
    "ObjectStore",
    "ObjectTimeout",
    "ObjectTooLarge",
    "StoreDenied",
    "StoreMissing",
    "StoreUnavailable",
    "check_key",
    "open_store",
    "storage_options",
]
