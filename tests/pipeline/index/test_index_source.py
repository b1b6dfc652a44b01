"""From real tables to an index: what counts as current, and the whole way through the job."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, TransientError
from pipeline.index.gallery import Index
from pipeline.index.job import Outcome, build_from_tables, index_store, measure_again, publish_version, table_source
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
USAGE = {"head": "usage", "label": "casual", "score": 0.9}


def rows(table, records):
    """Rows of a declared table; what a record does not say is null or a filler."""
    schema = TABLES[table].arrow_schema
    filler = {field.name: None if field.nullable else DEFAULTS.get(field.type) for field in schema}
    return pa.Table.from_pylist([filler | record for record in records], schema)


class Tables:
    """A warehouse that is filled by hand."""

    def __init__(self, folder, sources):
        self.sources = sources
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
            {**of, "image_key": k, "etag": etag, "main_group": "bag", "type": "Bag", "color": "Red"}
            | {"attributes": [USAGE, {"head": "season", "label": None, "score": 0.3}]}  # the second head abstains
            for k in keys
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
        return self.sources.enter_context(table_source(self.settings, self.warehouse, self.snapshot(release)))


@pytest.fixture
def tables(tmp_path):
    with ExitStack() as sources:
        yield Tables(tmp_path, sources)


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
    assert (image["attributes"], garment["attributes"]) == (["usage=casual"], None)
    assert source.products() == 1
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
    manifest = build_from_tables(tables.settings, run_id="night", advance=read.append).manifest
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
    first = build_from_tables(tables.settings).manifest
    publish(index_store(tables.settings), tables.settings.index)
    tables.batch("bbbb", ["a3"], etag="2")
    tables.catalog({f"a{n}": "1" for n in range(30)} | {"a3": "2"})
    tables.snapshot()
    read = []
    second = build_from_tables(tables.settings, advance=read.append).manifest
    assert sum(read) == 2
    assert second.built_on == first.version
    assert second.vectors == 60
    publish(index_store(tables.settings), tables.settings.index)
    index = Index.open(None, tables.settings)
    (hits,) = index.search(tables.vectors["a3", "2", "image", -1][None], 60)
    assert hits[0].image_key == "a3"
    assert len(hits) == len({(hit.image_key, hit.kind) for hit in hits}) == 60


def job_rows(tables):
    rows = tables.warehouse.read("runs").to_pylist()
    return {(row["run_id"], row["job"]): json.loads(row["details"]) for row in rows}


def test_a_night_without_news_builds_and_publishes_nothing(tables):
    tables.batch("aaaa", ["a1", "a2"])
    tables.catalog({"a1": "1", "a2": "1"})
    tables.warehouse.snapshot(RELEASE, "one")
    first = build_from_tables(tables.settings)
    pointer = publish_version(tables.settings, first.manifest.version)
    files = {info.key: info.etag for info in index_store(tables.settings).list()}
    stored = tables.warehouse.version("indexes")
    tables.warehouse.snapshot(RELEASE, "two")  # `runs` and `indexes` have grown meanwhile
    read = []
    second = build_from_tables(tables.settings, advance=read.append)
    assert (first.reused, second.reused, second.manifest, read) == (False, True, first.manifest, [])
    assert publish_version(tables.settings, second.manifest.version) == pointer
    assert {info.key: info.etag for info in index_store(tables.settings).list()} == files
    assert tables.warehouse.version("indexes") == stored
    jobs = job_rows(tables)
    assert jobs.keys() == {("one", "index"), ("one", "publish"), ("two", "index")}
    assert (jobs["one", "index"]["reused"], jobs["two", "index"]["reused"]) == (False, True)
    assert jobs["one", "publish"] == {"version": pointer.version, "previous": None, "changed": True, "held": False}
    assert publish_version(tables.settings, None, "two") == pointer
    assert job_rows(tables)["two", "publish"]["changed"] is False
    seconds = tables.warehouse.read("runs", columns=["seconds", "release_id"]).to_pylist()
    assert all(row["seconds"] > 0 and row["release_id"] == RELEASE for row in seconds)


def test_a_version_whose_build_died_before_it_was_entered_is_entered_by_the_next(tables):
    tables.batch("aaaa", ["a1"])
    tables.catalog({"a1": "1"})
    tables.snapshot()
    version = build_from_tables(tables.settings).manifest.version
    tables.warehouse.replace_batch("indexes", version, rows("indexes", []))
    again = build_from_tables(tables.settings, run_id="again")
    assert (again.reused, again.manifest.version) == (True, version)
    assert tables.warehouse.read("indexes", columns=["run_id", "index_version"]).to_pylist() == [
        {"run_id": "again", "index_version": version}
    ]


@pytest.mark.parametrize("changed", ["embeddings", "catalog", "variants", "release"])
def test_what_the_index_reads_makes_a_new_version(tables, changed):
    tables.batch("aaaa", ["a1", "a2"])
    tables.catalog({"a1": "1", "a2": "1"})
    tables.snapshot()
    first = build_from_tables(tables.settings)
    match changed:
        case "embeddings":
            tables.batch("bbbb", ["b1"])
        case "catalog":
            tables.catalog({"a1": "1"})
        case "variants":
            tables.warehouse.replace_batch("variants", "vvvv", rows("variants", [{"batch_id": "vvvv"}]))
    tables.snapshot("release2" if changed == "release" else RELEASE)
    second = build_from_tables(tables.settings)
    assert not second.reused
    assert second.manifest.version != first.manifest.version


def test_settings_that_are_taken_back_take_the_version_back(tables):
    tables.batch("aaaa", ["a1", "a2"])
    tables.catalog({"a1": "1", "a2": "1"})
    other = tables.settings.model_copy(update={"index": tables.settings.index.model_copy(update={"held_out": 1})})
    built = []
    for settings in (tables.settings, other, tables.settings):
        tables.snapshot()
        built.append(build_from_tables(settings))
        assert publish_version(settings, built[-1].manifest.version).version == built[-1].manifest.version
    assert built[0].manifest.version != built[1].manifest.version
    assert built[2] == Outcome(built[0].manifest, reused=True)


def test_every_connection_is_closed(tables, monkeypatch):
    tables.batch("aaaa", ["a1", "a2"])
    tables.catalog({"a1": "1", "a2": "1"})
    snapshot = tables.snapshot()
    opened = []
    monkeypatch.setattr("pipeline.index.job.connect", lambda *of: opened.append(connect(*of)) or opened[-1])
    version = build_from_tables(tables.settings).manifest.version
    measure_again(tables.settings, version, seed=1)
    with pytest.raises(TransientError, match=r"vectors of snapshot 1: .*No space left"):  # noqa: SIM117
        with table_source(tables.settings, tables.warehouse, snapshot):
            raise duckdb.IOException("No space left on device")
    assert len(opened) == 3
    for con in opened:
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            con.execute("select 1")


def test_no_snapshot_and_no_vectors(tables):
    with pytest.raises(InputError, match="holds no table snapshot"):
        build_from_tables(tables.settings)
    tables.snapshot()
    assert build_from_tables(tables.settings).manifest.vectors == 0


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
