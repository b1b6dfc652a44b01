"""Searching: filters, products, bad questions, altered files, many threads."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.index.matrix import MatrixSource

LISTS = {"exact_below": 100, "target_recall": 0.9}
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.lists(st.sampled_from(["Dress", "Shirt", "Shoe", "Hat"]), min_size=1, max_size=2),
        "color": st.sampled_from(["Red", "Blue", "Green"]),
        "group": st.sampled_from(["footwear", "upper-body", "whole"]),
        "product_id": st.sampled_from(["p0", "p100"]),
    },
)


@pytest.fixture(scope="module", params=[{}, LISTS], ids=["exact", "lists"])
def index(request, gallery, tmp_path_factory):
    shop_type = request.getfixturevalue("shop_type")
    shop = shop_type(tmp_path_factory.mktemp("shop"))
    return shop.index(shop.build(gallery.source, **request.param))


def fits(gallery, where):
    mask = np.ones(len(gallery.vectors), bool)
    for column, values in where.items():
        allowed = [values] if isinstance(values, str) else values
        mask &= np.array([value in allowed for value in gallery.attributes[column]])
    return mask


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS, k=st.integers(1, 50), query=st.integers(0, 599))
def test_filters_equal_brute_force(index, gallery, where, k, query):
    mask = fits(gallery, where)
    scores = gallery.vectors.astype(np.float32) @ gallery.vectors[query].astype(np.float32)
    (hits,) = index.search(gallery.vectors[[query]], k, where)
    found = [int(hit.image_key) for hit in hits]
    assert mask[found].all()
    assert len(found) == len(set(found)) == min(k, int(mask.sum()))
    if where and not any(entry.lists for entry in index.manifest.shards):
        best = np.sort(scores[mask])[::-1][: len(found)]
        assert np.allclose([hit.score for hit in hits], best, atol=2e-3)
    assert all(a.score >= b.score for a, b in pairwise(hits))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=FILTERS, k=st.integers(1, 250), query=st.integers(0, 599))
def test_by_product_gives_each_product_once_and_as_many_as_there_are(index, gallery, where, k, query):
    (hits,) = index.search(gallery.vectors[[query]], k, where, by_product=True)
    products = {p for p, fit in zip(gallery.attributes["product_id"], fits(gallery, where), strict=True) if fit}
    assert len(hits) == len({hit.product_id for hit in hits}) == min(k, len(products))


def test_more_than_there_is_gives_what_there_is(index):
    assert len(index.search(np.ones((1, 32)), 10_000)[0]) == 600


def test_groups_are_searched_first_and_the_others_only_for_what_is_missing(index, gallery):
    (hits,) = index.search(gallery.vectors[:1], 20, groups=["whole"])
    assert {hit.attributes["group"] for hit in hits} == {"whole"}
    inside = gallery.attributes["group"].count("whole")
    (hits,) = index.search(gallery.vectors[:1], inside + 5, groups=["whole"])
    assert sum(hit.attributes["group"] == "whole" for hit in hits) == inside
    assert len(hits) == inside + 5


def test_rows_that_are_excluded_are_no_results(index, gallery):
    (first,) = index.search(gallery.vectors[:1], 3)
    (without,) = index.search(gallery.vectors[:1], 2, exclude=[np.array([first[0].row])])
    assert [hit.row for hit in without] == [hit.row for hit in first[1:]]


@pytest.mark.parametrize(
    ("vectors", "arguments", "message"),
    [
        (np.full((1, 32), np.nan), {}, "NaN or infinity"),
        (np.full((1, 32), np.inf), {}, "NaN or infinity"),
        (np.zeros((1, 32)), {}, "all zeros"),
        (np.ones((1, 33)), {}, r"shape \(1, 33\), .* takes \(n, 32\)"),
        (np.ones(32), {}, r"shape \(32,\)"),
        (np.ones((1, 32)), {"feature_id": "other"}, "come from other, index .* holds vectors of matrix"),
        (np.ones((1, 32)), {"where": {"colour": "Red"}}, "can't be filtered by 'colour'; there are kind, group, type"),
        (np.ones((1, 32)), {"k": 0}, "k is 0"),
    ],
)
def test_questions_that_make_no_sense_are_refused(index, vectors, arguments, message):
    with pytest.raises(InputError, match=message):
        index.search(vectors, **{"k": 5, **arguments})


def test_no_queries_no_answers(index):
    assert index.search(np.empty((0, 32)), 5) == []


def test_many_threads_get_the_same_answers(shop, gallery):
    manifest = shop.build(gallery.source, **LISTS)
    wheres = [None, {"type": "Dress"}, {"color": "Red", "group": "footwear"}]
    asked = list(product(range(0, 600, 40), wheres)) * 3
    calm = shop.index(manifest)
    expected = [calm.search(gallery.vectors[[query]], 5, where) for query, where in asked]
    index = shop.index(manifest)  # no shard is open yet: the threads race to open them
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: index.search(gallery.vectors[[ask[0]]], 5, ask[1]), asked))
    assert found == expected


@pytest.mark.parametrize("name", ["shard-footwear.faiss", "ids.parquet"])
def test_altered_shortened_or_missing_files_are_named(shop, gallery, name):
    manifest = shop.publish(gallery.source)
    path = shop.folder / "index" / "versions" / manifest.version / name
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 1
    for data, message in [(bytes(altered), "was altered"), (whole[:-1], "the manifest says"), (None, "is missing")]:
        path.unlink() if data is None else path.write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}.* {message}"):
            shop.open().search(gallery.vectors[:1], 3)


def test_shards_that_are_not_searched_are_not_read(shop, gallery):
    manifest = shop.publish(gallery.source)
    (shop.folder / "index" / "versions" / manifest.version / "shard-footwear.faiss").unlink()
    assert len(shop.open().search(gallery.vectors[:1], 3, {"group": "upper-body"})[0]) == 3


def test_an_altered_manifest_is_refused(shop, gallery):
    manifest = shop.publish(gallery.source)
    shop.store.put(manifest.key, manifest.model_copy(update={"dim": 31}).to_json())
    with pytest.raises(InputError, match=r"manifest\.json was altered"):
        shop.open()


def test_a_file_of_another_version_under_the_right_name_is_refused(shop, gallery, vectors):
    a = shop.build(gallery.source)
    b = shop.build(MatrixSource(vectors(600, seed=5), gallery.attributes, snapshot=2))
    root = shop.folder / "index" / "versions"
    (root / a.version / "shard-whole.faiss").write_bytes((root / b.version / "shard-whole.faiss").read_bytes())
    with pytest.raises(InputError, match="was altered"):
        shop.index(a).search(gallery.vectors[:1], 3)


def test_nothing_published_says_what_to_do(shop):
    with pytest.raises(InputError, match=r"no index is published under .*: run `atelier index build`"):
        shop.open()


def test_identical_photos_do_not_cost_recall(shop, vectors):
    gallery = vectors(200)
    gallery[50:90] = gallery[50]
    assert shop.build(MatrixSource(gallery)).judgement.overall.at_1 == 1.0


@pytest.mark.parametrize("settings", [{}, LISTS], ids=["exact", "lists"])
def test_further_attributes_filter_and_are_told(shop, gallery, settings):
    season = [None if n % 5 == 0 else ("summer", "winter")[n % 2] for n in range(600)]
    usage = ["sport" if n % 3 == 0 else None for n in range(600)]
    columns = {**gallery.attributes, "season": season, "usage": usage}
    index = shop.index(shop.build(MatrixSource(gallery.vectors, columns), **settings))
    (hits,) = index.search(gallery.vectors[:1], 600, {"season": "summer", "usage": "sport", "type": "Dress"})
    expected = [
        n for n in range(600) if (season[n], usage[n], gallery.attributes["type"][n]) == ("summer", "sport", "Dress")
    ]
    assert sorted(int(hit.image_key) for hit in hits) == expected
    assert all((hit.attributes["season"], hit.attributes["usage"]) == ("summer", "sport") for hit in hits)
    assert len(index.search(gallery.vectors[:1], 600, {"season": ["summer", "winter"]})[0]) == 480
    assert index.rows.known_values("season") == ["summer", "winter"]
    with pytest.raises(InputError, match=r"can't be filtered by 'sleeve'; there are kind, .* season, usage"):
        index.search(gallery.vectors[:1], 5, {"sleeve": "long"})


def test_a_head_with_several_labels_is_found_by_each_of_them(shop, vectors):
    source = MatrixSource(
        vectors(20), {"attributes": [["style=boho", "style=retro"] if n < 4 else [] for n in range(20)]}
    )
    index = shop.index(shop.build(source))
    for style in ("boho", "retro"):
        (hits,) = index.search(vectors(20)[:1], 20, {"style": style})
        assert {int(hit.image_key) for hit in hits} == {0, 1, 2, 3}
        assert hits[0].attributes["style"] == "boho|retro"


def test_an_altered_file_of_finer_codes_is_named(shop, vectors):
    manifest = shop.publish(MatrixSource(vectors(600, dim=128)), exact_below=300)
    path = shop.folder / "index" / manifest.shards[0].segments[0].ranker.key
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"shard-whole\.ranker\.faiss was altered"):
        shop.open().search(vectors(600, dim=128)[:1], 3)


def test_a_shard_whose_vectors_are_all_gone_finds_nothing_and_harms_nothing(shop, gallery):
    """All of a group are gone, and too few of them to build the rest anew."""
    first = shop.build(gallery.source)
    footwear = np.array([group == "footwear" for group in gallery.attributes["group"]])
    keep = np.flatnonzero(~footwear)
    chosen = {name: [values[i] for i in keep] for name, values in gallery.attributes.items()}
    keys = [f"{i:09d}" for i in keep]
    second = shop.build(MatrixSource(gallery.vectors[keep], chosen, keys=keys, snapshot=2), base=first.version)
    index = shop.index(second)
    assert "footwear" not in {entry.name for entry in second.shards}
    assert index.search(gallery.vectors[:1], 5, {"group": "footwear"})[0] == []
    assert len(index.search(gallery.vectors[:1], 5, groups=["footwear"])[0]) == 5
    assert second.judgement.overall.at_10 == 1.0
