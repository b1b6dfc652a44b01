"""A photo as a query: enriched as the catalog's photos are, looked for where it belongs, and elsewhere if need be."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_release import photo_bytes, write_tiny_release

from models.release import load_release
from pipeline.enrich.query import read_photos
from pipeline.errors import InputError
from pipeline.index import photos
from pipeline.index.matrix import MatrixSource
from pipeline.index.photos import search_photos


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return load_release(write_tiny_release(tmp_path_factory.mktemp("release")), "cpu", "fp32", batch_images=4)


@pytest.fixture(scope="module")
def readings(release):
    return [next(iter(read_photos([photo_bytes(seed)], release))) for seed in range(6)]


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def catalog(release, readings, groups):
    """The photos' own vectors, `groups` in turn, and as many others."""
    own = np.stack([reading.features[0] for reading in readings])
    others = own + 0.5 * own.std() * np.random.default_rng(0).normal(size=own.shape)
    everything = unit(np.concatenate([own, others]))
    of = [groups[n % len(groups)] for n in range(len(everything))]
    return MatrixSource(everything, {"group": of}, feature_id=release.feature_id)


def test_a_photo_finds_itself(shop, release, readings):
    index = shop.index(shop.build(catalog(release, readings, ["whole"])))
    asked = [photo_bytes(seed) for seed in range(6)]
    hits = search_photos(index, asked, 3, release, shop.settings)
    assert [int(found[0].image_key) for found in hits] == list(range(6))
    assert all(found[0].score > 0.999 for found in hits)


def test_a_photo_is_looked_for_in_its_group_first_and_elsewhere_for_what_is_missing(
    shop, release, readings, monkeypatch
):
    monkeypatch.setattr(photos, "SURE", 0.0)
    reading = next(one for one in readings if one.garments)
    group = reading.garments[0].group
    index = shop.index(shop.build(catalog(release, readings, [group, "whole", "whole"])))
    asked = [photo_bytes(readings.index(reading))]
    (hits,) = search_photos(index, asked, 3, release, shop.settings)
    assert {hit.attributes["group"] for hit in hits} == {group}
    (more,) = search_photos(index, asked, 10, release, shop.settings)
    assert [hit.attributes["group"] for hit in more].count(group) == 4
    assert len(more) == 10
    (anywhere,) = search_photos(index, asked, 12, release, shop.settings, route=False)
    assert [hit.score for hit in anywhere] == sorted((hit.score for hit in anywhere), reverse=True)


def test_a_photo_whose_group_the_index_does_not_hold_is_looked_for_everywhere(shop, release, readings, monkeypatch):
    monkeypatch.setattr(photos, "SURE", 0.0)
    index = shop.index(shop.build(catalog(release, readings, ["swimwear"])))
    assert len(search_photos(index, [photo_bytes(0)], 5, release, shop.settings)[0]) == 5


def test_another_release_is_refused(shop, release, readings):
    source = MatrixSource(unit(np.stack([one.features[0] for one in readings])), feature_id="another")
    index = shop.index(shop.build(source))
    with pytest.raises(InputError, match="holds vectors of another: they can't be compared"):
        search_photos(index, [photo_bytes(0)], 5, release, shop.settings)
