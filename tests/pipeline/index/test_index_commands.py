"""The commands as a person types them: one JSON line on stdout, exit codes, messages."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline import settings as settings_module
from pipeline.cli import app, register
from pipeline.cli.search_commands import parse_where
from pipeline.errors import GateError, InputError, SettingError, StaleError
from pipeline.index.matrix import MatrixSource
from pipeline.tables import open_warehouse


@pytest.fixture(scope="module", autouse=True)
def commands():
    if not app.registered_groups:
        register()


@pytest.fixture
def atelier(shop, monkeypatch):
    """Run a command on the shop's warehouse; returns its JSON line."""
    monkeypatch.setenv("ATELIER_WAREHOUSE__URI", str(shop.folder))
    monkeypatch.setenv("ATELIER_CATALOG__URI", str(shop.folder / "photos"))
    monkeypatch.setenv("ATELIER_INDEX__CACHE", str(shop.folder / "cache"))
    monkeypatch.setenv("ATELIER_INDEX__KEEP_VERSIONS", "1")
    monkeypatch.setenv("ATELIER_SQL__SPILL", str(shop.folder / "spill"))
    settings_module.settings.cache_clear()

    def run(*words):
        done = CliRunner().invoke(app, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        (line,) = done.stdout.strip().splitlines()
        return json.loads(line)

    yield run
    settings_module.settings.cache_clear()


@pytest.fixture
def stocked(shop, gallery):
    """Two versions, and photos for some of the keys."""
    attributes = {**gallery.attributes, "type": [kind.upper() for kind in gallery.attributes["type"]]}
    first = shop.build(gallery.source)
    second = shop.build(MatrixSource(gallery.vectors, attributes, snapshot=2), base=first.version)
    (shop.folder / "photos").mkdir()
    for number in range(0, 600, 3):
        Image.new("RGB", (40, 50), (number % 255, 90, 120)).save(shop.folder / "photos" / f"{number:09d}", "PNG")
    return first.version, second.version


def test_publish_list_rollback_and_gc(atelier, stocked):
    first, second = stocked
    assert atelier("index", "evaluate", first)["passed"] is True
    assert atelier("index", "publish", first)["version"] == first
    assert atelier("index", "publish")["version"] == second
    with pytest.raises(StaleError):
        atelier("index", "publish", first)
    listed = atelier("index", "list")
    assert (listed["live"], [one["version"] for one in listed["versions"]]) == (second, [first, second])
    assert listed["versions"][0]["vectors"] == 600
    assert atelier("index", "rollback")["version"] == first
    assert atelier("index", "gc", "--dry-run") == {"dry_run": True, "versions": [], "files": 0, "bytes": 0}
    with pytest.raises(InputError, match="no index version nope"):
        atelier("index", "rollback", "nope")


def test_a_night_after_a_rollback_publishes_nothing_and_does_not_fail(atelier, stocked):
    first, second = stocked
    atelier("index", "publish", first)
    atelier("index", "publish", second)
    assert atelier("index", "rollback")["held"] is True
    tonight = atelier("index", "publish", second)
    assert (tonight["version"], tonight["held"]) == (first, True)
    assert atelier("index", "list")["held"] is True
    assert atelier("index", "release-hold")["held"] is False
    assert atelier("index", "publish", second)["version"] == second
    assert atelier("index", "rollback", "--no-hold")["held"] is False


def test_evaluate_fails_below_the_gate(atelier, shop, gallery):
    manifest = shop.build(gallery.source)
    low = manifest.judgement.overall.model_copy(update={"at_10": 0.5})
    judgement = manifest.judgement.model_copy(update={"overall": low})
    shop.store.put(manifest.key, manifest.model_copy(update={"judgement": judgement}).to_json())
    with pytest.raises(GateError, match=r"overall 0\.500 is below index\.min_recall 0\.95"):
        atelier("index", "evaluate")


def test_search_by_key_with_filters_and_a_sheet(atelier, stocked, gallery, shop):
    atelier("index", "publish")
    sheet = shop.folder / "sheet.png"
    found = atelier(
        *("search", "--image-key", "000000003", "--where", "type=DRESS,color=Red", "-k", "5", "--sheet", str(sheet))
    )
    assert len(found["hits"]) == 5
    assert {(hit["type"], hit["color"]) for hit in found["hits"]} == {("DRESS", "Red")}
    assert "000000003" not in [hit["image_key"] for hit in found["hits"]]
    assert len({hit["product_id"] for hit in found["hits"]}) == 5
    with Image.open(sheet) as picture:
        assert np.asarray(picture).std() > 10
    photos = atelier("search", "--image-key", "000000003", "-k", "600", "--all-photos")["hits"]
    assert len(photos) == 599


def test_search_refuses_what_makes_no_sense(atelier, stocked, tmp_path):
    with pytest.raises(InputError, match="no index is published"):
        atelier("search", "--image-key", "000000003")
    atelier("index", "publish")
    for words, kind, message in [
        ([], SettingError, "one of them"),
        (["--image-key", "a", "--image", "b"], SettingError, "one of them"),
        (["--image-key", "nope"], InputError, "does not hold the photo 'nope'"),
        (["--image", str(tmp_path / "no.jpg")], InputError, r"no\.jpg is not a file"),
        (["--image-key", "000000003", "--where", "size=3"], InputError, "can't be filtered by 'size'"),
    ]:
        with pytest.raises(kind, match=message):
            atelier("search", *words)


def test_recommend_prints_similar_products_and_the_look(atelier, stocked, shop):
    atelier("index", "publish")
    found = atelier("recommend", "--product", "p7", "-k", "3", "--no-look", "--sheet", str(shop.folder / "look.png"))
    assert len(found["similar"]) == 3
    assert "p7" not in [hit["product_id"] for hit in found["similar"]]
    assert found["look"] == {}
    assert (shop.folder / "look.png").stat().st_size > 1_000
    with pytest.raises(InputError, match="does not hold the product 'p999'"):
        atelier("recommend", "--product", "p999", "--no-look")


@pytest.mark.parametrize(
    ("text", "filters"),
    [(None, {}), ("", {}), ("type=Dress", {"type": "Dress"}), (" a = b , c=d ", {"a": "b", "c": "d"})],
)
def test_where_is_parsed(text, filters):
    assert parse_where(text) == filters


@pytest.mark.parametrize("text", ["type", "type=", "=Dress", "type=Dress,color"])
def test_where_that_is_no_filter_is_refused(text):
    with pytest.raises(SettingError, match="is not name=value"):
        parse_where(text)


def test_the_retrieval_study_writes_curves_and_figures(atelier, tmp_path):
    random = np.random.default_rng(0)
    kinds = random.integers(0, 4, 300)
    for name, spread in (("sharp", 0.1), ("blurred", 2.0)):
        rows = pd.DataFrame({"file": [f"{n}.jpg" for n in range(300)], "type": [f"t{kind}" for kind in kinds]})
        rows["product_id"] = rows["file"]
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "features.npy", np.eye(8)[kinds] + spread * random.normal(size=(300, 8)))
        rows.to_parquet(tmp_path / name / "rows.parquet")
        (tmp_path / name / "meta.json").write_text(json.dumps({"heads": ["type"], "backbone": "b"}))
    out = tmp_path / "study"
    folders = [str(tmp_path / name) for name in ("sharp", "blurred")]
    found = atelier("retrieval-eval", *folders, "--queries", "50", "--probes", "1,3", "--out", str(out))
    by_name = {(row["extractor"], row["method"]): row for row in found["curves"]}
    assert by_name["sharp", "brute force"]["precision@10"] > 0.95 > by_name["blurred", "brute force"]["precision@10"]
    assert json.loads((out / "figures.json").read_text())["curves"] == found["curves"]
    assert (out / "curves.png").stat().st_size > 10_000
    unseen = atelier("retrieval-eval", folders[0], "--queries", "20", "--held-out", "0.2", "--out", str(out))
    assert (unseen["queries"], unseen["gallery"]) == (20, 280)
    with pytest.raises(InputError, match="too few for 200 queries"):
        atelier("retrieval-eval", folders[0], "--queries", "200", "--held-out", "0.2")
    with pytest.raises(SettingError, match="is not a list of numbers"):
        atelier("retrieval-eval", folders[0], "--probes", "many")
    with pytest.raises(InputError, match="there is no label column 'brand'"):
        atelier("retrieval-eval", folders[0], "--head", "brand")


def test_build_without_tables_says_so(atelier):
    with pytest.raises(InputError, match="holds no table snapshot"):
        atelier("index", "build")


def test_build_says_whether_it_reused_and_both_jobs_are_entered_in_runs(atelier, shop):
    warehouse = open_warehouse(shop.settings)
    warehouse.snapshot("release1", "night")
    built = atelier("index", "build")
    again = atelier("index", "build", "--run-id", "second")
    assert (built["reused"], again["reused"], again["version"]) == (False, True, built["version"])
    for words in ([], ["--run-id", "second"]):
        assert atelier("index", "publish", built["version"], *words)["sequence"] == 1
    rows = warehouse.read("runs", columns=["run_id", "job"]).to_pylist()
    entered = [("night", "index"), ("night", "publish"), ("second", "index"), ("second", "publish")]
    assert sorted((row["run_id"], row["job"]) for row in rows) == entered
