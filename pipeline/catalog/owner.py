"""A warehouse belongs to one catalog: keys and etags of two catalogs would pass for each other's photos."""

from __future__ import annotations

import json

from pipeline.errors import SettingError, StaleError
from pipeline.storage import ObjectMissing, ObjectStore

KEY = "catalog.json"


def check_owner(warehouse: ObjectStore, catalog_uri: str) -> None:
    """Refuse to work on another catalog than the one the warehouse was begun with.

    Raises:
        SettingError: the warehouse belongs to another catalog.
    """
    try:
        owner = json.loads(warehouse.get(KEY).data)["uri"]
    except ObjectMissing:
        return
    if owner != catalog_uri:
        raise SettingError(
            f"the warehouse {warehouse.uri} holds what was read from the catalog {owner}, but catalog.uri is "
            f"{catalog_uri}: name another warehouse.uri. If the same photos moved there, delete {KEY} in the warehouse"
        )


def claim(warehouse: ObjectStore, catalog_uri: str) -> None:
    """Enter the catalog as the warehouse's, unless it has one; the same arguments again change nothing.

    Raises:
        SettingError: the warehouse belongs to another catalog.
    """
    try:
        warehouse.put_if(KEY, json.dumps({"uri": catalog_uri}).encode(), etag=None)
    except StaleError:
        check_owner(warehouse, catalog_uri)
