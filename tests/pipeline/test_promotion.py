"""A release goes live only if it reads held-out products better, in one swap that can be taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from models.cards import Card, read_card, write_card
from models.heads import Head, head_tensors
from models.release_cards import STARTER, read_release, write_release
from models.training.features import FeatureSet, FeatureWriter, join_features, read_features
from models.training.splits import Split
from pipeline import releases
from pipeline.cli import app, register
from pipeline.errors import GateError, InputError, SettingError, StaleError
from pipeline.promotion import compare_releases, refuse_unless_better
from pipeline.settings import load_settings, settings
from pipeline.storage import open_store

DIM, LABELS, PRODUCTS = 8, ("coat", "dress", "shirt"), 300
CENTERS = 2.0 * np.random.default_rng(1).normal(size=(len(LABELS), DIM))
BACKBONE = STARTER / "cards" / "efficientnet_lite0.toml"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos a product: garments of three types around three centers, and a color that nothing shows."""
    rng = np.random.default_rng(0)
    code = np.repeat(rng.integers(len(LABELS), size=PRODUCTS), 2)
    rows = pd.DataFrame({"file": [f"{n}.jpg" for n in range(len(code))]})
    rows["product_id"] = [f"p{n // 2}" for n in range(len(code))]
    rows["type"] = np.array(LABELS, object)[code]
    rows["color"] = rng.choice(np.array(["red", "blue"], object), len(code))
    folder = tmp_path_factory.mktemp("features")
    writer = FeatureWriter(folder, {"features": DIM}, len(rows))
    writer.add({"features": CENTERS[code] + rng.normal(size=(len(code), DIM))}, rows)
    digest = read_card(BACKBONE).digest(functional=True)
    writer.close({"source": "shop", "heads": ["type", "color"], "backbone": digest})
    return folder


@pytest.fixture(scope="module")
def data(features: Path) -> FeatureSet:
    return join_features([read_features(features)])


def release(folder: Path, heads: Mapping[str, float]) -> Path:
    """A release whose head `type` knows the centers up to so much noise; other heads guess."""
    cards = folder / "cards"
    write_card(read_card(BACKBONE), None, cards)
    made = {}
    for name, noise in heads.items():
        labels = LABELS if name == "type" else ("blue", "red")
        module = Head(DIM, len(labels))
        centers = torch.zeros(len(labels), DIM)
        if name == "type":
            shift = np.random.default_rng(2).normal(size=CENTERS.shape)
            centers = torch.tensor(CENTERS + noise * shift, dtype=torch.float32)
        with torch.no_grad():
            module.linear.weight.copy_(centers)
            module.linear.bias.copy_(-(centers**2).sum(dim=1) / 2 + (0 if name == "type" else noise))
        card = Card("head", name, "linear", "", labels=labels, thresholds={"abstain": 0.0}, options={"kind": "single"})
        made[name] = f"cards/{write_card(card, head_tensors(module), cards).name}"
    write_release(folder, {"backbone": f"cards/{BACKBONE.name}", "heads": made})
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("good"), {"type": 0.0})


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(tmp_path_factory.mktemp("poor"), {"type": 3.0})


def test_better_and_worse_are_told_apart_on_the_same_products(good: Path, poor: Path, data: FeatureSet) -> None:
    (one,) = compare_releases(good, poor, data, Split())
    assert (one.head, one.verdict) == ("type", "better")
    assert one.photos == 2 * one.products
    assert one.products == (Split().parts(data.rows["product_id"]) == 2).sum() / 2
    assert 0 < one.low <= round(one.candidate - one.current, 4) <= one.high
    refuse_unless_better([one])
    (other,) = compare_releases(poor, good, data, Split())
    assert other.verdict == "worse"
    assert (other.low, other.high) == (-one.high, -one.low)
    with pytest.raises(GateError, match=r"type \(worse"):
        refuse_unless_better([other])


def test_what_chance_may_show_is_no_reason(good: Path, data: FeatureSet, tmp_path: Path) -> None:
    (one,) = compare_releases(release(tmp_path / "again", {"type": 0.01}), good, data, Split())
    assert one.verdict == "no difference"
    with pytest.raises(GateError, match="by chance"):
        refuse_unless_better([one])


def test_a_head_that_is_gone_is_refused_and_a_new_one_is_a_reason(good: Path, data: FeatureSet, tmp_path: Path) -> None:
    both = release(tmp_path / "both", {"type": 0.0, "color": 0.0})
    color, kind = compare_releases(both, good, data, Split())
    assert (color.verdict, kind.verdict) == ("new", "no difference")
    refuse_unless_better([color, kind])
    with pytest.raises(GateError, match=r"color \(gone"):
        refuse_unless_better(compare_releases(good, both, data, Split()))


def test_features_of_another_backbone_are_refused(good: Path, poor: Path, data: FeatureSet) -> None:
    other = FeatureSet(data.features, data.rows, data.heads, "another", data.extra)
    with pytest.raises(InputError, match="atelier features --release"):
        compare_releases(good, poor, other, Split())


def test_the_pointer_moves_forth_and_back(good: Path, poor: Path, tmp_path: Path) -> None:
    store, ids = open_store(str(tmp_path), load_settings()), [read_release(one).release_id for one in (poor, good)]
    first = releases.promote(store, poor, ("starter", "000000000000"), [])
    assert (first.release, first.sequence) == (ids[0], 1)
    given = load_settings(release={"uri": str(tmp_path)})
    assert read_release(releases.release_folder(given)).release_id == ids[0]
    second = releases.promote(store, good, (str(tmp_path), ids[0]), [{"head": "type"}])
    assert read_release(releases.release_folder(given)).release_id == ids[1]
    assert releases.promote(store, good, (str(tmp_path), ids[0]), []) == second, "a retry changes nothing"
    with pytest.raises(StaleError, match="the comparison was with"):
        releases.promote(store, poor, ("starter", "000000000000"), [])
    assert releases.go_back(store).release_id == ids[0]
    assert read_release(releases.release_folder(given)).release_id == ids[0]
    assert releases.go_back(store).release_id == ids[1]


def test_before_the_first_promotion_there_is_no_way_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no release before"):
        releases.go_back(open_store(str(tmp_path), load_settings()))


def test_a_copy_without_its_list_of_models_is_no_release(poor: Path, tmp_path: Path) -> None:
    """As a promotion leaves it that was killed while it copied: the pointer still names what was live."""
    store = open_store(str(tmp_path), load_settings())
    live = releases.promote(store, poor, ("starter", "000000000000"), [])
    shutil.copytree(poor / "cards", tmp_path / "ffffffffffff" / "cards")
    assert releases.read_live(store)[0] == live


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`release.uri` names an empty folder of releases."""
    root = tmp_path / "releases"
    root.mkdir()
    monkeypatch.setenv("ATELIER_RELEASE__URI", str(root))
    settings.cache_clear()
    yield root
    settings.cache_clear()


def test_the_command_says_what_it_saw(configured: Path, good: Path, poor: Path, features: Path) -> None:
    register()

    def run(*arguments: object) -> dict:
        result = CliRunner().invoke(app, ["release", *map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])

    common = ("--features", features)
    said = run("promote", good, "--over", poor, *common, "--dry-run")
    assert (said["promoted"], said["heads"][0]["verdict"]) == (False, "better")
    assert list(configured.iterdir()) == []
    assert run("promote", good, "--over", poor, *common)["release"] == f"{configured}/{read_release(good).release_id}"
    with pytest.raises(GateError):
        run("promote", poor, *common)
    assert run("rollback")["release"] == str(poor)
    assert run("promote", good, *common)["sequence"] == 3


def test_one_release_is_no_folder_of_releases(good: Path, poor: Path, features: Path) -> None:
    register()
    command = ["release", "promote", str(good), "--features", str(features), "--in", str(poor)]
    with pytest.raises(SettingError, match="folder of releases"):
        CliRunner().invoke(app, command, catch_exceptions=False)
