"""Features of labelled photos from a real cluster: the folder that one process writes, to the bit and in its order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cluster_shop import Shop
from distributed import Client

from models.release import load_release
from models.training.features import read_features
from pipeline.cluster import features
from pipeline.cluster.features import read_pieces_on
from pipeline.labels.catalog import BOX, LabelledCatalog
from pipeline.labels.extract import extract, write_pieces
from pipeline.releases import release_folder
from pipeline.storage import open_store

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


def test_features_are_those_of_one_process(
    client: Client, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = shop.settings("features")
    files = [*shop.keys, "new/missing.jpg", shop.keys[0]]
    rows = pd.DataFrame({"file": files, "product_id": files, "type": "Shirt", **dict.fromkeys(BOX, np.nan)})
    rows.loc[len(rows) - 1, list(BOX)] = (5.0, 5.0, 40.0, 60.0)
    catalog = LabelledCatalog("shop", rows, ("type",), open_store(settings.catalog.uri, settings), ())
    release = load_release(release_folder(settings), "cpu", "fp32", 1, 4)
    here = extract(catalog, release, settings, tmp_path / "here", lambda count: None, pictures=True)

    monkeypatch.setattr(features, "PHOTOS_A_TASK", 4)
    told: list[int] = []
    pieces = read_pieces_on(client, settings, catalog, pictures=True)
    there = write_pieces(pieces, catalog, release.cards, tmp_path / "there", told.append, pictures=True)
    assert there == here
    assert sum(told) == len(rows) and len(told) > 5
    assert here.left_out["missing"] == 1 and len(here.left_out) > 3
    one, other = read_features(tmp_path / "here"), read_features(tmp_path / "there")
    pd.testing.assert_frame_equal(one.rows, other.rows)
    for name in ("features.npy", "pictures.npy", "input_color_histogram.npy"):
        assert np.array_equal(np.load(tmp_path / "here" / name), np.load(tmp_path / "there" / name)), name
