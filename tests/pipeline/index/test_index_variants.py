"""A dress, the shoe made of it, the real shoes nearest to that: on the command line, as a picture, in the report."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import DIM, RELEASE, RUN, Photo, image_rows, list_catalog, new_warehouse, rows_of
from PIL import Image
from typer.testing import CliRunner

from pipeline import settings as settings_module
from pipeline.cli import app, register
from pipeline.errors import InputError, SettingError
from pipeline.index.gallery import Index
from pipeline.index.job import build_from_tables, publish_version
from pipeline.report.write import write_report
from pipeline.storage import open_store
from pipeline.tables import Warehouse, runs

KINDS = {"d": "full-body", "s": "footwear"}
VARIANT = "variants/dress_to_shoe-0/ab/cd.png"
BLUE = (10, 20, 240)
Atelier = Callable[..., dict[str, Any]]


def encoded(color: tuple[int, int, int], kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 80), color).save(stream, kind)
    return stream.getvalue()


def unit(vector: np.ndarray) -> bytes:
    return (vector / np.linalg.norm(vector)).astype("<f2").tobytes()


@pytest.fixture
def shop(tmp_path: Path) -> Warehouse:
    """Ten dresses and ten shoes with an index; a shoe was made of dress d3, and shoe s7 is like it."""
    warehouse = new_warehouse(
        tmp_path,
        catalog={"uri": str(tmp_path / "catalog")},
        index={"cache": str(tmp_path / "cache"), "threads": 1, "held_out": 10},
    )
    settings, random = warehouse.settings, np.random.default_rng(0)
    store = open_store(settings.catalog.uri, settings)
    photos, vectors = [], {}
    for product in [f"{letter}{number}" for letter in KINDS for number in range(10)]:
        key = f"{product}_1.png"
        etag = store.put(key, encoded((int(random.integers(150)), 200, 60), "PNG"))
        columns = {"main_group": KINDS[product[0]], "type": "Dress" if product[0] == "d" else "Boots"}
        photos.append(Photo(key, etag, product, columns=columns))
        vectors[product] = random.normal(size=DIM)
    warehouse.store.put(VARIANT, encoded(BLUE, "PNG"))
    of = {photo.product_id: {"image_key": photo.image_key, "etag": photo.etag} for photo in photos}
    common = {"release_id": RELEASE, "batch_id": "b1", "feature_id": "f1", "dim": DIM, "norm": 1.0}
    rows = [of[p] | common | {"kind": "image", "garment_index": -1, "vector": unit(v)} for p, v in vectors.items()]
    made = {"generator": "dress_to_shoe", "garment_index": 0}
    near = vectors["s7"] + 0.1 * random.normal(size=DIM)
    rows.append(of["d3"] | common | made | {"kind": "variant", "vector": unit(near)})
    said = {"target_group": "footwear", "target": "shoe", "variant_key": VARIANT, "target_probability": 0.75}
    variant = of["d3"] | {"release_id": RELEASE, "batch_id": "b1", "run_id": RUN} | made | said
    warehouse.replace_batch("embeddings", "b1", rows_of("embeddings", rows))
    warehouse.replace_batch("variants", "b1", rows_of("variants", [variant]))
    warehouse.commit_images("b1", RELEASE, image_rows(photos, "b1"))
    list_catalog(warehouse, photos)
    runs.record(warehouse, "enrich", RUN, {}, release_id=RELEASE, seconds=1.0)
    warehouse.snapshot(RELEASE, RUN)
    publish_version(settings, build_from_tables(settings).manifest.version)
    return warehouse


@pytest.fixture
def atelier(shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Atelier]:
    """Run a command on the shop; returns its JSON line."""
    if not app.registered_groups:
        register()
    for section, name in (("catalog", "uri"), ("warehouse", "uri"), ("index", "cache"), ("sql", "spill")):
        value = getattr(getattr(shop.settings, section), name)
        monkeypatch.setenv(f"ATELIER_{section}__{name}".upper(), value)
    settings_module.settings.cache_clear()

    def run(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        (line,) = done.stdout.strip().splitlines()
        return dict(json.loads(line))

    yield run
    settings_module.settings.cache_clear()


def products(hits: list[dict[str, Any]]) -> list[str]:
    return [hit["product_id"] for hit in hits]


@pytest.mark.parametrize("target", ["shoe", "footwear", "Shoe"])
def test_a_variant_recommends_the_real_products_nearest_to_it(atelier: Atelier, tmp_path: Path, target: str) -> None:
    sheet = tmp_path / "out.png"
    found = atelier("recommend", "--product", "d3", "--via-variant", target, "-k", "3", "--sheet", str(sheet))
    assert list(found["look"]) == ["footwear"]
    hits = found["look"]["footwear"]["hits"]
    assert products(hits)[0] == "s7" and len(hits) == 3
    assert {hit["group"] for hit in hits} == {"footwear"}
    (variant,) = found["variants"]
    assert (variant["variant_key"], variant["target"], variant["synthetic"]) == (VARIANT, "shoe", True)
    with Image.open(sheet) as drawn:
        second = np.asarray(drawn.convert("RGB"))[12:212, 224:424]  # after the source comes its variant
    assert (second[100, 100] == BLUE).all()


def test_variants_are_not_in_the_gallery_and_ask_for_the_look_of_their_group(atelier: Atelier, shop: Warehouse) -> None:
    index = Index.open(None, shop.settings)
    assert len(index) == 20
    assert set(index.rows.known_values("kind")) == {"image"}
    found = atelier("recommend", "--product", "d3", "-k", "2")
    assert found["look"]["footwear"]["by"] == "variant" and products(found["look"]["footwear"]["hits"])[0] == "s7"
    assert atelier("recommend", "--product", "d1", "-k", "2")["look"]["footwear"]["by"] == "photo"


def test_a_product_without_such_a_variant_says_what_there_is(atelier: Atelier) -> None:
    with pytest.raises(InputError, match=r"no variant 'bag'; it has shoe \(footwear, dress_to_shoe\)"):
        atelier("recommend", "--product", "d3", "--via-variant", "bag")
    with pytest.raises(InputError, match=r"no variants were made of the product 'd1'.*variants\.rules says"):
        atelier("recommend", "--product", "d1", "--via-variant", "shoe")
    with pytest.raises(SettingError, match="--via-variant takes neither"):
        atelier("recommend", "--product", "d3", "--via-variant", "shoe", "--where", "type=Boots")


def test_the_report_shows_source_variant_and_real_products(shop: Warehouse) -> None:
    written = write_report(shop.settings, RUN)
    assert written.local
    page = written.local.read_text(encoding="utf-8")
    look = page[page.index("Generated variants") :]
    assert 'alt="Generated from this photo as footwear, dress_to_shoe 0.75"' in look
    assert look.count('alt="Real product') == 3
    assert look.index('alt="Real product s7 Boots') < look.index('alt="Real product', look.index("s7 Boots"))


def test_the_report_says_why_there_are_no_real_products_beside_variants(shop: Warehouse) -> None:
    for key in [info.key for info in shop.store.list("index/") if "shards" in info.key or "ids" in info.key]:
        shop.store.delete(key)
    for path in Path(shop.settings.index.cache).rglob("*"):
        if path.is_file():
            path.unlink()
    written = write_report(shop.settings, RUN)
    assert written.local
    page = written.local.read_text(encoding="utf-8")
    assert "Generated variants" in page and "Real product " not in page
    assert "Real products like them could not be found" in page
