"""The demo catalog as training data: its truth says what every photo and every box shows."""

from __future__ import annotations

import io

import pandas as pd

from pipeline.errors import InputError
from pipeline.labels.catalog import BOX, LabelledCatalog
from pipeline.settings import Settings
from pipeline.storage.base import ObjectMissing, ObjectStore
from pipeline.storage.opening import open_store

HEADS = ("type", "color", "brand", "pattern", "caption")


def read_demo(uri: str, settings: Settings) -> LabelledCatalog:
    """Whole photos with every label, and every boxed garment (its own type, color and pattern) as a picture.

    Args:
        uri: folder or s3:// prefix that `atelier demo-catalog` wrote.

    Raises:
        InputError: there is no demo catalog with a truth folder.
    """
    store = open_store(uri, settings)
    images, boxes = _table(store, "truth/images.parquet"), _table(store, "truth/boxes.parquet")
    whole = images.rename(columns={"image_key": "file"})[["file", "product_id", *HEADS]]
    products = images.set_index("image_key")[["product_id", "brand", "caption"]]
    crops = boxes.rename(columns={"image_key": "file"}).join(products, on="file")
    crops.loc[~crops["is_main"].astype(bool), ["brand", "caption"]] = None
    rows = pd.concat([whole, crops[["file", "product_id", *BOX, *HEADS]]], ignore_index=True)
    for head in HEADS:
        rows[head] = rows[head].astype(object).where(rows[head].notna() & (rows[head] != ""), None)
    return LabelledCatalog("demo", rows, HEADS, store)


def _table(store: ObjectStore, key: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(store.get(key).data))
    except ObjectMissing:
        raise InputError(
            f"{store.uri} is no demo catalog: it has no {key}; make one with atelier demo-catalog"
        ) from None
