"""From real tables to an index: what counts as current, and the whole way through the job."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.index.gallery import Index
from pipeline.index.job import build_from_tables, index_store, measure_again, table_source
from pipeline.index.publish import publish
from pipeline.index.source import unpack_vectors, vector_id
from pipeline.settings import load_settings
from pipeline.tables import open_warehouse
from pipeline.tables.query import connect
from pipeline.tables.schema import TABLES

RELEASE = "release1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULTS = {
    pa.string(): "x",
    pa.int64(): 1,
    pa.int32(): 1,
    pa.int16(): 0,
    pa.float32(): 0.5,
    pa.bool_(): False,
    pa.timestamp("us", tz="UTC"): NOW,
}


def rows(table, records):
    """Rows of a declared table; what a record does not say is null or a filler."""
    schema = TABLES[table].arrow_schema
    filler = {field.name: None if field.nullable else DEFAULTS.get(field.type) for field in schema}
    return pa.Table.from_pylist([filler | record for record in records], schema)


class Tables:
    """A warehouse that is filled by hand."""

    def __init__(self, folder):
        self.settings = load_settings(
            warehouse={"uri": str(folder / "warehouse")},
            index={"kinds": ("image", "garment"), "threads": 1, "cache": str(folder / "cache"), "held_out": 40},
            sql={"spill": str(folder / "spill")},
        )
        self.warehouse = open_warehouse(self.settings)
        self.vectors = {}

    def vector(self, *name):
        random = np.random.default_rng(vector_id(*name))
        vector = random.normal(size=16)
        self.vectors[name] = (vector / np.linalg.norm(vector)).astype("<f2")
        return self.vectors[name].tobytes()

    def batch(self, batch_id, keys, *, etag="1", release=RELEASE, feature_id="f", commit=True, garments=1):
        of = {"release_id": release, "batch_id": batch_id, "run_id": "r"}
        images = [
            {**of, "image_key": k, "etag": etag, "main_group": "bag", "type": "Bag", "color": "Red"} for k in keys
        ]
        found = [
            {**of, "image_key": k, "etag": etag, "garment_index": g, "group": "footwear", "type": "Shoe"}
            for k in keys
            for g in range(garments)
        ]
        owners = [(k, "image", -1) for k in keys] + [(k, "garment", g) for k in keys for g in range(garments)]
        embeddings = [
            {**of, "image_key": k, "etag": etag, "kind": kind, "garment_index": g, "feature_id": feature_id, "dim": 16}
            | {"vector": self.vector(k, etag, kind, g), "norm": 1.0}
            for k, kind, g in owners
        ]
        self.warehouse.replace_batch("garments", batch_id, rows("garments", found))
        self.warehouse.replace_batch("embeddings", batch_id, rows("embeddings", embeddings))
        if commit:
            self.warehouse.commit_images(batch_id, release, rows("images", images))

    def catalog(self, etags):
        listed = [{"image_key": k, "etag": e, "product_id": f"p-{k[0]}"} for k, e in sorted(etags.items())]
        self.warehouse.replace_keys("catalog", "", rows("catalog", listed).to_batches())

    def snapshot(self, release=RELEASE):
        return self.warehouse.snapshot(release, "r")

    def source(self, release=RELEASE):
        return table_source(self.settings, self.warehouse, self.snapshot(release))


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


def keys_of(source):
    parts = dict.fromkeys(source.counts(), 1)
    return [(r["image_key"], r["etag"], r["kind"]) for batch in source.rows(parts) for r in batch.to_pylist()]


def test_only_current_rows_of_committed_batches_and_this_release_count(tables):
    tables.batch("aaaa", ["a1", "a2", "gone"])
    tables.batch("bbbb", ["b1"], commit=False)
    tables.batch("cccc", ["a2"], etag="2")
    tables.batch("dddd", ["a1"], release="release2")
    tables.catalog({"a1": "1", "a2": "2", "b1": "1", "never": "1"})
    assert sorted(keys_of(tables.source())) == [
        ("a1", "1", "garment"),
        ("a1", "1", "image"),
        ("a2", "2", "garment"),
        ("a2", "2", "image"),
    ]
    assert sorted(keys_of(tables.source("release2"))) == [("a1", "1", "garment"), ("a1", "1", "image")]


def test_rows_carry_what_they_are_filtered_by(tables):
    tables.batch("aaaa", ["a1"])
    tables.catalog({"a1": "1"})
    source = tables.source()
    by_kind = {r["kind"]: r for batch in source.rows({"bag": 1, "footwear": 1}) for r in batch.to_pylist()}
    image, garment = by_kind["image"], by_kind["garment"]
    assert (image["group"], image["type"], image["color"], image["product_id"]) == ("bag", "Bag", "Red", "p-a")
    assert (garment["group"], garment["type"], garment["color"]) == ("footwear", "Shoe", None)
    assert image["id"] == vector_id("a1", "1", "image", -1)
    assert garment["id"] == vector_id("a1", "1", "garment", 0)


def test_vectors_come_with_their_ids_all_or_those_asked_for(tables):
    tables.batch("aaaa", ["a1", "a2"])
    tables.batch("bbbb", ["b1"])
    tables.batch("cccc", ["b1"], etag="2", commit=False)
    tables.catalog({"a1": "1", "a2": "1", "b1": "1"})
    source = tables.source()
    expected = {vector_id(*name): vector for name, vector in tables.vectors.items() if name[1] == "1"}
    found = {i: v for ids, vectors in source.vectors(None) for i, v in zip(ids.tolist(), vectors, strict=True)}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[i], expected[i]) for i in found)
    wanted = np.array([vector_id("b1", "1", "image", -1), 12345])
    assert [ids.tolist() for ids, _ in source.vectors(wanted) if len(ids)] == [[int(wanted[0])]]


def test_two_backbones_in_one_release_are_refused(tables):
    tables.batch("aaaa", ["a1"])
    tables.batch("bbbb", ["b1"], feature_id="other")
    tables.catalog({"a1": "1", "b1": "1"})
    with pytest.raises(InputError, match="several backbones"):
        tables.source()


def test_the_job_builds_judges_enters_and_publishes(tables):
    tables.batch("aaaa", [f"a{n}" for n in range(30)])
    tables.batch("bbbb", [f"b{n}" for n in range(30)])
    tables.catalog({f"{letter}{n}": "1" for letter in "ab" for n in range(30)})
    snapshot = tables.snapshot()
    read = []
    manifest = build_from_tables(tables.settings, run_id="night", advance=read.append)
    assert (manifest.snapshot, manifest.release_id, manifest.feature_id) == (snapshot.number, RELEASE, "f")
    assert manifest.vectors == sum(read) == 120
    assert manifest.judgement.overall.at_10 == 1.0
    (row,) = tables.warehouse.read("indexes").to_pylist()
    assert (row["index_version"], row["vectors"], row["run_id"]) == (manifest.version, 120, "night")
    assert row["recall_at_10"] == row["min_shard_recall_at_10"] == 1.0
    store = index_store(tables.settings)
    publish(store, tables.settings.index)
    index = Index.open(None, tables.settings)
    (hits,) = index.search(tables.vectors["b7", "1", "garment", 0][None], 5, {"kind": "garment"})
    assert (hits[0].image_key, hits[0].kind, hits[0].product_id) == ("b7", "garment", "p-b")
    assert measure_again(tables.settings, manifest.version, seed=7).overall.at_10 == 1.0


def test_a_photo_that_changed_replaces_itself_and_a_new_batch_is_all_that_is_read(tables):
    tables.batch("aaaa", [f"a{n}" for n in range(30)])
    tables.catalog({f"a{n}": "1" for n in range(30)})
    tables.snapshot()
    first = build_from_tables(tables.settings)
    publish(index_store(tables.settings), tables.settings.index)
    tables.batch("bbbb", ["a3"], etag="2")
    tables.catalog({f"a{n}": "1" for n in range(30)} | {"a3": "2"})
    tables.snapshot()
    read = []
    second = build_from_tables(tables.settings, advance=read.append)
    assert sum(read) == 2
    assert second.built_on == first.version
    assert second.vectors == 60
    publish(index_store(tables.settings), tables.settings.index)
    index = Index.open(None, tables.settings)
    (hits,) = index.search(tables.vectors["a3", "2", "image", -1][None], 60)
    assert hits[0].image_key == "a3"
    assert len(hits) == len({(hit.image_key, hit.kind) for hit in hits}) == 60


def test_no_snapshot_and_no_vectors(tables):
    with pytest.raises(InputError, match="holds no table snapshot"):
        build_from_tables(tables.settings)
    tables.snapshot()
    assert build_from_tables(tables.settings).vectors == 0


def test_vectors_of_another_length_are_refused():
    good = pa.array([b"\0\0" * 4, b"\0\0" * 4], pa.binary())
    assert unpack_vectors(good, 4).shape == (2, 4)
    assert unpack_vectors(good.slice(1), 4).shape == (1, 4)
    for bad in ([b"\0\0" * 4, b"\0\0" * 3], [b"\0\0" * 4, None]):
        with pytest.raises(InputError, match="does not hold 4 float16 numbers"):
            unpack_vectors(pa.array(bad, pa.binary()), 4)


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(["image", "garment"]), st.integers(-1, 99))
def test_sql_and_python_agree_on_ids(duck, key, etag, kind, garment):
    if "\0" in key + etag:
        return
    from pipeline.index.source import _ID_SQL

    found = duck.execute(
        f"select {_ID_SQL} from (select ? as image_key, ? as etag, ? as kind, ?::smallint as garment_index) e",
        [key, etag, kind, garment],
    ).fetchone()
    assert found == (vector_id(key, etag, kind, garment),)


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    folder = tmp_path_factory.mktemp("duck")
    settings = load_settings(warehouse={"uri": str(folder)}, sql={"spill": str(folder / "spill")})
    with connect(open_warehouse(settings)) as con:
        yield con
