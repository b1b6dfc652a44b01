"""Variants on a real warehouse: who gets one, the same bytes again, committed with their batch or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_translator import write_tiny_translator

from models.release import Release
from models.translation.distances import hellinger
from pipeline.catalog import Batch, PlannedImage, batch_id
from pipeline.cluster.connect import for_workers
from pipeline.enrich.generators import load_generators
from pipeline.enrich.record import record, summary
from pipeline.enrich.runner import Outcome, Runner, utc_now
from pipeline.errors import SettingError
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.images.decode import Limits, decode
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store
from pipeline.tables import Warehouse, connect, open_warehouse
from pipeline.tables.checks import run_checks

RUN = "20260731T020000Z-aaaaaa"
LABELS = ("Shirt", "Dress", "Shoes")
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_translator(tmp_path_factory.mktemp("cards"))


def rule(card: Path, *labels: str, **more: Any) -> dict[str, Any]:
    """A rule that takes what bears one of `labels`, or anything."""
    return {"translator": str(card), "where": {"type": labels or LABELS}, "target_group": "footwear"} | more


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Settings]:
    """`configure(*rules)`: settings with these rules; the warehouse is `tmp_path`/`warehouse`, or named so."""

    def made(*rules: dict[str, Any], warehouse: str = "warehouse", model_images: int = 4) -> Settings:
        return load_settings(
            catalog={"uri": str(tmp_path / "catalog")},
            warehouse={"uri": str(tmp_path / warehouse)},
            sql={"spill": str(tmp_path / "spill"), "threads": 1},
            fetch={"threads": 2},
            decode={"threads": 1, "working_side": 64},
            enrich={"model_images": model_images, "batch_images": 3, "threads": 2},
            variants={"rules": rules},
        )

    return made


@pytest.fixture
def catalog(configure: Callable[..., Settings], make_photo: Callable[..., bytes]) -> list[PlannedImage]:
    """Five files, one of which is no photo, under keys that no file system would take for one."""
    settings = configure()
    store = open_store(settings.catalog.uri, settings)
    planned = []
    for number in range(5):
        key = f"ph%20oto s/{number} #ü?.jpg"
        data = b"<html>" if number == 3 else make_photo(number, 80, 60)
        planned.append(PlannedImage(key, store.put(key, data), len(data), f"product-{number}"))
    return planned


def batch_of(planned: list[PlannedImage], release: Release) -> Batch:
    return Batch(batch_id(release.release_id, [(i.image_key, i.etag) for i in planned]), 0, tuple(planned))


def run(settings: Settings, release: Release, *batches: list[PlannedImage], run_id: str = RUN) -> Outcome:
    store = open_store(settings.catalog.uri, settings)
    runner = Runner(settings, store, open_warehouse(settings), release)
    return runner.run(run_id, [batch_of(planned, release) for planned in batches])


def variants(settings: Settings) -> Rows:
    """Rows that readers see, by photo."""
    with connect(open_warehouse(settings)) as con:
        found = con.sql("SELECT * FROM variants ORDER BY image_key, generator").to_arrow_table().to_pylist()
    return {row["image_key"]: row for row in found}


def picture(settings: Settings, row: dict[str, Any]) -> bytes:
    return open_warehouse(settings).store.get(row["variant_key"]).data


def test_a_row_says_what_was_made_of_what_by_which_generator(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    settings = configure(rule(card, min_score=0.4))
    outcome = run(settings, release, catalog)
    warehouse = open_warehouse(settings)
    (generator,) = load_generators(settings, release)
    found = variants(settings)
    assert (outcome.variants, outcome.variants_failed) == (len(found), 0)
    assert outcome.generators == {"dress_to_shoe": generator.generator_id}
    assert "variants" in outcome.steps
    garments = {(row["image_key"], row["garment_index"]): row for row in warehouse.read("garments").to_pylist()}
    expected = set()
    for row in warehouse.read("images").to_pylist():
        judged = garments[row["image_key"], 0] if row["garments"] else row
        if judged["type"] is not None and judged["type_score"] >= 0.4:
            expected.add(row["image_key"])
    assert set(found) == expected and expected
    vectors = {row["image_key"]: row for row in warehouse.read("embeddings").to_pylist() if row["kind"] == "variant"}
    assert set(vectors) == expected
    store = open_store(settings.catalog.uri, settings)
    for key, row in found.items():
        pixels = decode(store.get(key).data, Limits.of(settings)).pixels
        box = garments.get((key, 0))
        assert row["garment_index"] == (0 if box else -1)
        if box:  # photos are small enough to be read at full size: the box is in pixels of the working picture
            assert pixels.shape[1::-1] == (80, 60)
            pixels = crop(pixels, np.array([box[side] for side in ("x1", "y1", "x2", "y2")], np.float32))
        source = generator.translator.preprocessing.resize_image(pixels).numpy()
        made = generator.translator(source[None])[0].transpose(1, 2, 0)
        with Image.open(io.BytesIO(picture(settings, row))) as stored:
            assert (np.asarray(stored) == made).all()
            assert stored.text["synthetic"] == "true"  # type: ignore[attr-defined]
        assert row["color_distance"] == pytest.approx(
            hellinger(
                color_histogram(np.ascontiguousarray(source.transpose(1, 2, 0)))[None],
                color_histogram(np.ascontiguousarray(made))[None],
            )[0],
            abs=1e-6,
        )
        feature = release.features(release.preprocessing.resize_image(np.ascontiguousarray(made))[None])
        head = release.probabilities("type", feature)[0]
        assert row["target_probability"] == pytest.approx(head[LABELS.index("Shoes")], abs=1e-6)
        vector = np.frombuffer(vectors[key]["vector"], "<f2").astype(np.float32)
        assert vector == pytest.approx(feature[0] / np.linalg.norm(feature[0]), abs=2e-3)
        assert (vectors[key]["generator"], vectors[key]["garment_index"]) == ("dress_to_shoe", row["garment_index"])
        said = {
            name: row[name] for name in ("generator", "generator_id", "target", "target_group", "seed", "synthetic")
        }
        assert said == {
            "generator": "dress_to_shoe",
            "generator_id": generator.generator_id,
            "target": "shoe",
            "target_group": "footwear",
            "seed": 3,
            "synthetic": True,
        }


def test_a_variant_does_not_depend_on_its_neighbors_and_a_rerun_writes_the_same(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    together, alone = configure(rule(card)), configure(rule(card), warehouse="alone")
    run(together, release, catalog)
    run(alone, release, *([image] for image in catalog))
    assert variants(together).keys() == variants(alone).keys()
    volatile = {"batch_id", "run_id"}
    for key, row in variants(together).items():
        other = variants(alone)[key]
        assert {n: v for n, v in row.items() if n not in volatile} == {
            n: v for n, v in other.items() if n not in volatile
        }
        assert picture(together, row) == picture(alone, other)
    before = {key: (row, picture(together, row)) for key, row in variants(together).items()}
    stored = [info.key for info in open_warehouse(together).store.list("variants/")]
    run(together, release, catalog, run_id="20260731T030000Z-bbbbbb")
    assert {k: (r | {"run_id": RUN}, picture(together, r)) for k, r in variants(together).items()} == before
    assert [info.key for info in open_warehouse(together).store.list("variants/")] == stored
    with connect(open_warehouse(together)) as con:
        assert con.sql("SELECT count(*) FROM embeddings WHERE kind = 'variant'").fetchall() == [(len(before),)]


def test_only_photos_the_rule_holds_for_get_variants(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    none = configure()
    run(none, release, catalog)
    assert open_warehouse(none).version("variants") is None
    everything = configure(rule(card), warehouse="all")
    run(everything, release, catalog)
    sure = configure(rule(card, min_score=1.0), warehouse="sure")
    assert run(sure, release, catalog).variants == 0
    shirts, others = (configure(rule(card, *labels), warehouse=labels[0]) for labels in (LABELS[:1], LABELS[1:]))
    run(shirts, release, catalog)
    run(others, release, catalog)
    assert not set(variants(shirts)) & set(variants(others))
    assert set(variants(shirts)) | set(variants(others)) == set(variants(everything)) != set()


def test_two_rules_give_a_photo_two_variants_and_a_rule_that_is_gone_takes_its_rows_along(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path, tmp_path: Path
) -> None:
    bag = write_tiny_translator(tmp_path / "cards", target="bag", labels=(), seed=4)
    both = configure(rule(card), rule(bag, target_group="bag"))
    run(both, release, catalog)
    warehouse = open_warehouse(both)
    rows = warehouse.read("variants").to_pylist()
    by_target = {name: {r["image_key"] for r in rows if r["target"] == name} for name in ("shoe", "bag")}
    assert by_target["shoe"] == by_target["bag"] != set()
    assert {row["target_probability"] for row in rows if row["target"] == "bag"} == {None}  # the card names no label
    assert_checked(warehouse, release)
    run(configure(), release, catalog, run_id="20260731T030000Z-bbbbbb")
    assert variants(both) == {}
    assert {row["kind"] for row in warehouse.read("embeddings").to_pylist()} == {"image", "garment"}


def assert_checked(warehouse: Warehouse, release: Release) -> None:
    """The data checks that look at variants find nothing."""
    snapshot = warehouse.snapshot(release.release_id, RUN)
    with connect(warehouse, snapshot) as con:
        found = {result.name: result.passed for result in run_checks(con)}
    about_variants = ("unique_keys", "not_null", "rows_have_image", "scores_in_range", "known_codes", "vectors_whole")
    assert all(found[name] for name in about_variants)


def test_killed_between_variants_and_images_nothing_counts_until_it_is_done_again(
    configure: Callable[..., Settings],
    catalog: list[PlannedImage],
    release: Release,
    card: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = configure(rule(card))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "commit_images", killed)
        with pytest.raises(KeyboardInterrupt):
            run(settings, release, catalog)
    warehouse = open_warehouse(settings)
    left = warehouse.read("variants").num_rows
    assert left and variants(settings) == {}
    outcome = run(settings, release, catalog)
    assert (outcome.variants, len(variants(settings)), warehouse.read("variants").num_rows) == (left, left, left)
    assert run(settings, release, catalog).skipped == 1


def test_photos_of_another_batch_keep_the_variants_they_have_there(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    settings = configure(rule(card))
    run(settings, release, catalog[:2])
    early = variants(settings)
    outcome = run(settings, release, catalog, run_id="20260731T030000Z-bbbbbb")
    found = variants(settings)
    assert outcome.overlapped == 2
    assert {key: row for key, row in found.items() if key in early} == early
    assert outcome.variants == len(found) - len(early) > 0
    rest = batch_id(release.release_id, [(i.image_key, i.etag) for i in catalog[2:]])
    assert {row["batch_id"] for key, row in found.items() if key not in early} == {rest}
    assert open_warehouse(settings).read("variants").num_rows == len(found)


def test_photos_that_a_rerun_can_t_fetch_keep_their_variants(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    settings = configure(rule(card))
    run(settings, release, catalog)
    before = variants(settings)
    gone = next(image for image in catalog if image.image_key in before)
    open_store(settings.catalog.uri, settings).delete(gone.image_key)
    run(settings, release, catalog, run_id="20260731T030000Z-bbbbbb")
    after = variants(settings)
    assert after[gone.image_key] == before[gone.image_key]
    assert after.keys() == before.keys()


class Delicate(torch.nn.Module):
    """A generator that fails over pictures that are mostly dark."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if (
            pictures[pictures.mean(dim=(1, 2, 3)) > -0.9999].mean(dim=(1, 2, 3)) < -0.8
        ).any():  # padding is -1 throughout
            raise RuntimeError("too dark")
        return -pictures


def test_a_photo_whose_variant_fails_leaves_its_neighbors_theirs(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    settings = configure(rule(card))
    store, stream = open_store(settings.catalog.uri, settings), io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 6, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    dark = PlannedImage("a dark one.png", store.put("a dark one.png", stream.getvalue()), len(stream.getvalue()), None)
    runner = Runner(settings, store, open_warehouse(settings), release)
    (generator,) = runner.generators
    generator.translator._network = Delicate()
    wanted = replace(generator, rule=generator.rule.model_copy(update={"where": {}}))  # whatever the heads say
    runner.generators = (wanted,)
    outcome = runner.run(RUN, [batch_of([dark, *catalog], release)])
    assert (outcome.images, outcome.variants, outcome.variants_failed) == (5, 4, 1)
    assert dark.image_key not in variants(settings)
    assert dark.image_key in open_warehouse(settings).read("images").column("image_key").to_pylist()


def test_the_run_is_recorded_with_its_generators(
    configure: Callable[..., Settings], catalog: list[PlannedImage], release: Release, card: Path
) -> None:
    settings = configure(rule(card))
    warehouse = open_warehouse(settings)
    first = run(settings, release, catalog[:3])
    record(warehouse, first, release, run_id=RUN, part=0, started_at=utc_now())
    second = run(settings, release, catalog[:3], catalog[3:])
    record(warehouse, second, release, run_id=RUN, part=0, started_at=utc_now())
    details = json.loads(warehouse.read("runs").to_pylist()[0]["details"])
    assert details["variants"] == len(variants(settings)) == first.variants + second.variants
    assert (details["variants_failed"], details["generators"]) == (0, first.generators)
    assert summary(second, release, run_id=RUN, part=0)["generators"] == first.generators


def test_passes_fill_up_across_photos_and_hold_no_more_than_one_a_rule(
    configure: Callable[..., Settings],
    catalog: list[PlannedImage],
    release: Release,
    card: Path,
    make_photo: Callable[..., bytes],
) -> None:
    settings = configure(rule(card))
    sizes: list[int] = []
    runner = Runner(settings, open_store(settings.catalog.uri, settings), open_warehouse(settings), release)
    (generator,) = runner.generators
    runner.generators = (replace(generator, rule=generator.rule.model_copy(update={"where": {}})),)
    network = generator.translator._network
    network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    photo = make_photo(7, 80, 60)
    etag = open_store(settings.catalog.uri, settings).put("more.jpg", photo)
    more = replace(catalog[0], image_key="more.jpg", etag=etag, bytes=len(photo))
    assert runner.run(RUN, [batch_of([*catalog, more], release)]).variants == 5
    assert sizes == [4, 4]  # five pictures in passes of four


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"translator": "nowhere/dress_to_shoe.toml"}, r"variants\.rules\.0\.translator is 'nowhere.*no model card"),
        ({"target_group": "shoes"}, r"variants\.rules\.0\.target_group is 'shoes'; groups are"),
        ({"where": {"type": ["Dres"]}}, r"variants\.rules\.0\.where: the head 'type' has no label Dres; it has Shirt"),
        ({"where": {"brand": ["Dress"]}}, r"variants\.rules\.0\.where: the release has no head 'brand'"),
    ],
)
def test_a_rule_that_can_t_be_followed_is_named_before_anything_is_read(
    configure: Callable[..., Settings], release: Release, card: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        run(configure(rule(card) | change), release)


def test_cards_that_are_no_translators_altered_or_named_twice_are_refused(
    configure: Callable[..., Settings], release: Release, release_folder: Path, card: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=r"rules\.0\.translator is .*'type' is a head, not a translator"):
        run(configure(rule(release_folder / "cards" / "type.toml")), release)
    altered = write_tiny_translator(tmp_path / "altered")
    altered.with_suffix(".safetensors").write_bytes(b"altered")
    with pytest.raises(SettingError, match=r"rules\.0\.translator is .*are not what the card says"):
        run(configure(rule(altered)), release)
    with pytest.raises(SettingError, match=r"rules\.1\.translator: a rule before has a generator 'dress_to_shoe'"):
        run(configure(rule(card, "Dress"), rule(card, "Shirt")), release)
    with pytest.raises(SettingError, match=r"variants\.rules\.0\.where"):
        configure(rule(card) | {"where": {}})


def test_workers_are_sent_the_full_path_of_a_card(
    configure: Callable[..., Settings], card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(card.parent)
    sent = for_workers(configure(rule(Path(card.name)), rule(card) | {"translator": "s3://b/c.toml"}))
    assert [one.translator for one in sent.variants.rules] == [str(card.resolve()), "s3://b/c.toml"]


@pytest.mark.integration
def test_a_card_in_s3_is_copied_with_its_weights_once_a_state(
    configure: Callable[..., Settings], release: Release, card: Path, tmp_path: Path, s3_uri: str
) -> None:
    local = configure(rule(card))
    settings = load_settings(
        release={"cache": str(tmp_path / "cache")},
        variants={"rules": [rule(card) | {"translator": f"{s3_uri}/cards/{card.name}"}]},
    )
    with pytest.raises(SettingError, match=r"variants\.rules\.0\.translator is 's3://.*dress_to_shoe\.toml'"):
        load_generators(settings, release)
    store = open_store(f"{s3_uri}/cards", settings)
    for path in (card.with_suffix(".safetensors"), card):
        store.put(path.name, path.read_bytes())
    (there,), (here,) = load_generators(settings, release), load_generators(local, release)
    assert there.generator_id == here.generator_id
    store.delete(card.with_suffix(".safetensors").name)
    assert load_generators(settings, release)[0].generator_id == here.generator_id
