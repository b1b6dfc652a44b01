"""Fine-tuning on a handful of tiny pictures, and augmentation that keeps what is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.backbones import build_backbone
from models.cards import read_card, write_card
from models.devices import Placement
from models.errors import CardError, DataError
from models.heads import Head
from models.preprocessing import Preprocessing
from models.release import load_release
from models.release_cards import STARTER, write_release
from models.training.augment import NOTHING, Augmentation, augment, augmentation_for
from models.training.classify import Request
from models.training.features import FeatureSet, Pictures
from models.training.finetune import Tuned, TuneOptions
from models.training.heads import HeadOptions
from models.training.splits import Split
from models.training.tuned_release import TuneRequest, features_of, tune

SIDE = 32
CPU = Placement("cpu", "fp32")
WANTED = TuneRequest(
    Request({"type": "single"}, min_count=2, split=Split(0, 0.25, 0.25), options=HeadOptions(epochs=3)),
    TuneOptions(epochs=3, batch=8, frozen=1, lr=0.01),
)


def pictures(n: int = 64) -> Pictures:
    """Upright or lying bars, noise on top."""
    rng = np.random.default_rng(0)
    made = rng.integers(0, 120, (n, 3, SIDE, SIDE), np.uint8)
    for number in range(n):
        at = int(rng.integers(4, 20))
        bar = (slice(None), slice(at, at + 7)) if number % 2 else (slice(at, at + 7), slice(None))
        made[number][:, bar[0], bar[1]] += 120
    return Pictures([made[: n // 3], made[n // 3 :]])


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    real = read_card(STARTER / "cards" / "efficientnet_lite0.toml")
    small = replace(real, name="small", preprocessing=Preprocessing(SIDE, (127.0,) * 3, (128.0,) * 3))
    return write_card(small, None, tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def data(start: Path) -> FeatureSet:
    card = read_card(start)
    features = features_of(build_backbone(card, start.parent), card, pictures(), CPU)
    rows = pd.DataFrame({"source": "a", "product_id": [f"p{n}" for n in range(64)]})
    rows["type"] = np.where(np.arange(64) % 2, "upright", "lying")
    return FeatureSet(features, rows, ("type",), card.digest(functional=True))


def test_everything_learns_and_the_cards_make_a_release(tmp_path: Path, start: Path, data: FeatureSet) -> None:
    path, made = tune(data, pictures(), start, WANTED, CPU, tmp_path)
    assert made.figures["type"]["test"]["accuracy"] >= 0.8
    before = build_backbone(read_card(start), start.parent).state_dict()
    after = build_backbone(read_card(path), path.parent).state_dict()
    stored = {name: (value.half() if value.dim() > 1 else value).float() for name, value in before.items()}
    changed = {name for name in before if not torch.allclose(stored[name], after[name].float(), atol=1e-6)}
    assert any(name.startswith("stages.2") for name in changed)
    assert any(name.startswith("neck") for name in changed)
    assert not any(name.startswith("stages.0") for name in changed)  # frozen
    assert not any("running_" in name for name in changed)

    write_release(tmp_path, {"backbone": f"cards/{path.name}", "heads": {"type": "cards/type.toml"}})
    release = load_release(tmp_path, "cpu", "fp32")
    features = release.features(torch.from_numpy(pictures().take(np.arange(64))))
    wanted = features_of(build_backbone(read_card(path), path.parent), read_card(path), pictures(), CPU)
    np.testing.assert_allclose(features, wanted, atol=5e-3, rtol=5e-3)
    said = [answer.best for answer in release.classify(features)["type"]]
    assert np.mean([a == b for a, b in zip(said, data.rows["type"], strict=True)]) > 0.8


def test_the_quick_form_computes_the_same_feature(start: Path) -> None:
    backbone = build_backbone(read_card(start), start.parent).eval()
    x = (
        torch.from_numpy(pictures(4).take(np.arange(4)))
        .float()
        .sub(127)
        .div(128)
        .contiguous(memory_format=torch.channels_last)
    )
    with torch.no_grad():
        wanted = backbone(x)
        made = Tuned(backbone, {"type": Head(backbone.dim, 2)}, 1).eval().feature(x)
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-4)


def test_a_resumed_run_ends_like_one_never_interrupted(tmp_path: Path, start: Path, data: FeatureSet) -> None:
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 1:
            raise Killed

    short = replace(WANTED, options=replace(WANTED.options, epochs=2, mix=0.3))
    whole, _ = tune(data, pictures(), start, short, CPU, tmp_path / "whole")
    with pytest.raises(Killed):
        tune(data, pictures(), start, short, CPU, tmp_path / "cut", kill)
    resumed, _ = tune(data, pictures(), start, short, CPU, tmp_path / "cut", resume=True)
    assert read_card(whole).sha256 == read_card(resumed).sha256


def test_wrong_pictures_or_features_are_refused(tmp_path: Path, start: Path, data: FeatureSet) -> None:
    with pytest.raises(CardError, match="not those"):
        tune(data, pictures(5), start, WANTED, CPU, tmp_path)
    with pytest.raises(DataError, match="not made by the backbone"):
        tune(replace(data, backbone="other"), pictures(), start, WANTED, CPU, tmp_path)
    with pytest.raises(DataError, match="nothing to resume"):
        tune(data, pictures(), start, WANTED, CPU, tmp_path, resume=True)


def test_what_may_be_changed_depends_on_what_is_learned() -> None:
    assert augmentation_for(["type"]).flip
    assert augmentation_for(["type"]).hue > 0
    assert augmentation_for(["type", "color"]).hue == 0
    assert not augmentation_for(["type", "brand"]).flip
    both = augmentation_for(["brand", "color"])
    assert not both.flip
    assert both.hue == 0


def test_a_color_augmentation_keeps_the_hue() -> None:
    red = torch.zeros(8, 3, SIDE, SIDE, dtype=torch.uint8)
    red[:, 0], red[:, 1] = 200, 40
    out = augment(red, augmentation_for(["color"]), torch.Generator().manual_seed(0))
    mean = out.mean(dim=(2, 3))
    assert (mean[:, 0] > 3 * mean[:, 1]).all()
    assert not torch.equal(out[0], out[1])


def test_without_flip_directions_stay() -> None:
    half = torch.zeros(16, 3, SIDE, SIDE, dtype=torch.uint8)
    half[..., SIDE // 2 :] = 255
    kept = augment(half, replace(NOTHING, crop=0.9), torch.Generator().manual_seed(0))
    assert (kept[..., -4:].mean(dim=(1, 2, 3)) > kept[..., :4].mean(dim=(1, 2, 3))).all()
    flipped = augment(half, replace(NOTHING, flip=True), torch.Generator().manual_seed(0))
    right = flipped[..., -4:].mean(dim=(1, 2, 3)) > flipped[..., :4].mean(dim=(1, 2, 3))
    assert 0 < int(right.sum()) < 16


def test_augmentation_repeats_with_its_seed_and_stays_in_range() -> None:
    batch = torch.from_numpy(pictures(6).take(np.arange(6)))
    first, second = (augment(batch, Augmentation(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 255
    assert torch.equal(augment(batch, NOTHING, torch.Generator()), batch.float())


def test_only_the_same_run_goes_on(tmp_path: Path, start: Path, data: FeatureSet) -> None:
    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        tune(data, pictures(), start, WANTED, CPU, tmp_path, kill)
    other = replace(WANTED, request=replace(WANTED.request, split=Split(3, 0.25, 0.25)))
    with pytest.raises(DataError, match="another training run"):
        tune(data, pictures(), start, other, CPU, tmp_path, resume=True)
    with pytest.raises(DataError, match="not finite"):  # begins anew: what an earlier run left is gone
        tune(data, pictures(), start, replace(WANTED, options=replace(WANTED.options, lr=float("nan"))), CPU, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()
