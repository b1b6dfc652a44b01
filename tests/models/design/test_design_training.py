"""Designers learn, can be stopped anywhere, freeze when they should, and draw the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.cards import read_card
from models.design.designer import Words, first_stage, great_circle, read_designer
from models.design.networks import build_generator
from models.design.options import DesignOptions, from_preset
from models.design.pictures import DesignPictures, read_design_pictures
from models.design.plots import plot_balances, plot_design
from models.design.run import DesignRun, steps_left, train_designer
from models.design.trainer import DesignTraining, discriminator_loss, generator_loss
from models.devices import Placement
from models.errors import CardError, DataError
from models.gan.checkpoint import CHECKPOINT
from models.training.log import read_log

CPU = Placement("cpu", "fp32")
AUGMENT = ("color", "translation", "cutout")


class Killed(Exception):
    """The process is gone."""


def bits(training: DesignTraining) -> list[torch.Tensor]:
    """Every tensor and number of a state, in a fixed order."""
    found: list[torch.Tensor] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                walk(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                walk(one)
        elif isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, int | float):
            found.append(torch.tensor(value, dtype=torch.float64))

    walk(training.state())
    return found


def trained(pictures: DesignPictures, options: DesignOptions, folder: Path, precision: str = "fp32") -> DesignTraining:
    folder.mkdir(exist_ok=True)
    training = DesignTraining(pictures, options, Placement("cpu", precision), folder)
    training.fit(lambda: None, lambda *_: None)
    return training


@pytest.mark.parametrize(("precision", "network"), [("fp32", "dcgan"), ("bf16", "dcgan"), ("fp32", "plain")])
def test_a_killed_and_resumed_run_equals_one_that_was_not(
    shapes: DesignPictures, small: DesignOptions, tmp_path: Path, precision: str, network: str
) -> None:
    options = replace(small, augment=AUGMENT, balance="ratio", network=network)
    whole = bits(trained(shapes, options, tmp_path / "whole", precision))
    steps = []

    def kill() -> None:
        steps.append(1)
        if len(steps) == 5:
            raise Killed

    first = DesignTraining(shapes, options, Placement("cpu", precision), tmp_path)
    with pytest.raises(Killed):
        first.fit(kill, lambda *_: None, checkpoint_every=2)
    second = DesignTraining(shapes, options, Placement("cpu", precision), tmp_path)
    assert second.resume() == 1
    assert second.steps_done == 4  # the fifth step came after the last checkpoint
    second.fit(lambda: None, lambda *_: None)
    resumed = bits(second)
    assert len(whole) == len(resumed) > 40
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_losses_are_those_of_the_study() -> None:
    real, fake = torch.tensor([0.3, -1.0]), torch.tensor([0.2, 0.7])
    direct = F.binary_cross_entropy(real.sigmoid(), torch.full((2,), 0.9)) - (1 - fake.sigmoid()).log().mean()
    assert float(discriminator_loss(real, fake, 0.9)) == pytest.approx(float(direct))
    assert float(generator_loss(fake, saturating=True)) == pytest.approx(float((1 - fake.sigmoid()).log().mean()))
    assert float(generator_loss(fake, saturating=False)) == pytest.approx(float(-fake.sigmoid().log().mean()))


def test_pictures_are_in_the_range_that_the_preset_says(
    shapes: DesignPictures, small: DesignOptions, tmp_path: Path
) -> None:
    for normalized, low in ((True, -1.0), (False, 0.0)):
        training = DesignTraining(shapes, replace(small, normalized=normalized), CPU, tmp_path)
        pictures, vectors = training._real(np.arange(12))
        assert low <= float(pictures.min()) < low + 0.6
        assert float(pictures.max()) == 1
        assert vectors.sum(dim=1).tolist() == [0, *[1] * 11]  # of the first one nobody said what it is


def test_the_discriminator_is_frozen_by_the_running_means_of_the_epoch(
    shapes: DesignPictures, small: DesignOptions, tmp_path: Path
) -> None:
    training = DesignTraining(shapes, replace(small, average=0.0), CPU, tmp_path)

    def changes(step: int, discriminator: float, generator: float) -> bool:
        training.step, training.sums = step, {"discriminator_loss": discriminator, "generator_distance": generator}
        before = [parameter.clone() for parameter in training.judge.parameters()]
        training._train(np.arange(4))
        after = training.judge.parameters()
        return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))

    assert changes(0, 0.0, 0.0)  # an epoch's first step has no mean yet
    assert not changes(2, 1.3, 2.0)  # 0.65 of the generator's
    assert changes(2, 1.5, 2.0)
    assert training.sums["frozen"] == 0


def test_skipping_leaves_the_side_that_is_ahead_as_it_is(
    shapes: DesignPictures, small: DesignOptions, tmp_path: Path
) -> None:
    training = DesignTraining(shapes, replace(small, balance="skip", freeze=0.0), CPU, tmp_path)
    for accuracy, still, moves in ((1.0, "judge", "generator"), (0.2, "generator", "judge")):
        training.monitor.load_state_dict({"accuracy": accuracy, "steps": 50, "extra": 0, "waited": 0})
        networks = {"judge": training.judge, "generator": training.generator}
        before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
        training._train(np.arange(4))
        same = {
            name: all(torch.equal(one, p) for one, p in zip(before[name], network.parameters(), strict=True))
            for name, network in networks.items()
        }
        assert same == {still: True, moves: False}


def test_a_designer_learns_what_it_is_shown(shapes: DesignPictures, small: DesignOptions, tmp_path: Path) -> None:
    """After some steps its pictures are nearer to the real ones' mean than what it began with."""
    options = replace(small, epochs=5, steps_per_epoch=16, lr=2e-3, width=8, freeze=0.0, average=0.0, mirror=False)
    run = DesignRun(tmp_path, options, Words("shapes", "CC0-1.0", "shapes"), rows=2)
    torch.manual_seed(0)
    steps = []
    made = train_designer(shapes, run, CPU, lambda: steps.append(1))
    assert made["steps"] == len(steps) == 80
    lines = read_log(tmp_path)
    assert {"loss_ratio", "discriminator_accuracy", "frozen", "balance"} <= set(lines[-1])
    designer = read_designer(Path(made["card"]), CPU, batch=8)
    drawn = designer.sample(24, seed=3)
    real = shapes.pictures.mean(axis=0)
    started = build_generator("dcgan", 16, 8, 6, 2).eval()
    noise = torch.from_numpy(designer.draws(24, 3))
    first = (started(noise, torch.zeros(24, 2)).detach().numpy() + 1) * 127.5
    assert np.abs(drawn.mean(axis=0) - real).mean() < 0.75 * np.abs(first.mean(axis=0) - real).mean()
    assert drawn.std(axis=0).mean() > 1  # not one picture again and again
    assert all(Image.open(path).size == (2 * 18, 2 * 18) for path in (tmp_path / "samples").iterdir())
    assert plot_design(tmp_path).is_file()
    assert plot_balances([tmp_path], tmp_path / "both.png").is_file()
    with pytest.raises(DataError, match="already holds a run"):
        train_designer(shapes, run, CPU, lambda: None)
    longer = replace(run, options=replace(options, epochs=6))
    assert steps_left(shapes, longer, resume=True) == 16
    assert train_designer(shapes, longer, CPU, lambda: None, resume=True)["epochs"] == 6


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory, shapes: DesignPictures, small: DesignOptions) -> Path:
    folder = tmp_path_factory.mktemp("card")
    return Path(train_designer(shapes, DesignRun(folder, small, Words(), rows=2), CPU, lambda: None)["card"])


def test_a_seed_draws_the_same_whatever_comes_with_it(card: Path) -> None:
    designer = read_designer(card, CPU, batch=4)
    made = designer.sample(10, seed=1)
    assert made.shape == (10, 3, 16, 16)
    assert np.array_equal(designer.sample(3, seed=1), made[:3])
    assert np.array_equal(designer(designer.draws(10, 1)[7:], designer.usual(10, 1)[7:]), made[7:])
    assert not np.array_equal(designer.sample(10, seed=2), made)
    assert not np.array_equal(designer.sample(4, 1, {"type": "bar"}), designer.sample(4, 1, {"type": "disc"}))
    with pytest.raises(DataError, match="no type=hat; it knows type=bar, type=disc"):
        designer.sample(1, 0, {"type": "hat"})
    with pytest.raises(DataError, match=r"noise is \(N, 6\)"):
        designer(np.zeros((2, 5), np.float32), np.zeros((2, 2), np.float32))


def test_usual_attributes_are_those_of_the_training_pictures(card: Path) -> None:
    designer = read_designer(card, CPU)
    shares = designer.usual(4000, 0).mean(axis=0)
    assert shares == pytest.approx([5 / 12, 6 / 12], abs=0.03)  # the 12th picture has no label


def test_ways_lead_along_a_sphere(card: Path) -> None:
    rng = np.random.default_rng(0)
    begin, end = rng.standard_normal(100), rng.standard_normal(100)
    way = great_circle(begin / np.linalg.norm(begin), end / np.linalg.norm(end), 9)
    assert np.linalg.norm(way, axis=1) == pytest.approx(np.ones(9), abs=1e-5)
    assert np.diff(np.linalg.norm(np.diff(way, axis=0), axis=1)) == pytest.approx(np.zeros(7), abs=1e-5)
    designer = read_designer(card, CPU)
    ways = designer.interpolate(2, 5, seed=4)
    assert ways.shape == (2, 5, 3, 16, 16)
    ends = designer(designer.draws(4, 4), np.repeat(designer.usual(2, 4), 2, axis=0))
    assert np.array_equal(ways[:, 0], ends[::2])
    assert np.abs(ways[:, -1].astype(int) - ends[1::2]).max() <= 1  # sines are rounded
    assert np.allclose(great_circle(begin, begin, 3), begin, atol=1e-5)


def test_a_second_stage_is_trained_on_the_first(
    card: Path, small: DesignOptions, tmp_path: Path, write_designs: Callable[..., Path]
) -> None:
    large = read_design_pictures(write_designs(tmp_path / "large", size=32))
    network, first = first_stage(card)
    options = replace(small, network="refine", size=32, epochs=1, balance="skip")
    made = train_designer(
        large, DesignRun(tmp_path, options, Words("two"), rows=2), CPU, lambda: None, first=(network, first)
    )
    assert made["last"]["keep_loss"] > 0
    designer = read_designer(Path(made["card"]), CPU, batch=4)
    drawn = designer.sample(5, seed=0)
    assert drawn.shape == (5, 3, 32, 32)
    assert read_card(Path(made["card"])).options["first"]["sha256"] == first.sha256
    stored = designer._network.first.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())
    with pytest.raises(CardError, match="can't be a first stage"):
        first_stage(Path(made["card"]))
    other = read_design_pictures(tmp_path / "large", by=[])
    with pytest.raises(DataError, match="choose the same ones with --by"):
        train_designer(other, DesignRun(tmp_path / "r", options, Words()), CPU, lambda: None, first=(network, first))
    with pytest.raises(DataError, match="give --noise as many"):
        run = DesignRun(tmp_path / "r", replace(options, noise=7), Words())
        train_designer(large, run, CPU, lambda: None, first=(network, first))
    with pytest.raises(DataError, match="--first"):
        DesignTraining(large, options, CPU, tmp_path)


def test_resuming_names_what_differs(shapes: DesignPictures, small: DesignOptions, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to resume"):
        DesignTraining(shapes, small, CPU, tmp_path).resume()
    DesignTraining(shapes, small, CPU, tmp_path).save()
    with pytest.raises(DataError, match=r"started with freeze = 0\.7, not 0\.5"):
        DesignTraining(shapes, replace(small, freeze=0.5), CPU, tmp_path).resume()
    with pytest.raises(DataError, match="other pictures or attributes"):
        DesignTraining(replace(shapes, digest="other"), small, CPU, tmp_path).resume()
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(DataError, match="is damaged"):
        DesignTraining(shapes, small, CPU, tmp_path).resume()
    with pytest.raises(DataError, match="size 16, not 32"):
        DesignTraining(shapes, replace(small, size=32), CPU, tmp_path)


def test_pictures_are_padded_with_white_and_keep_their_labels(shapes: DesignPictures, tmp_path: Path) -> None:
    assert len(shapes) == 12  # the place that was never filled is gone
    assert (shapes.pictures[:, :, 0] == 255).all()  # pictures twice as wide as high
    assert shapes.pictures[:, :, 7:9].min() < 180
    assert shapes.attributes.names == ("type=bar", "type=disc")
    assert shapes.combinations() == [([1], 6), ([0], 5), ([], 1)]
    with pytest.raises(DataError, match="no finished pictures"):
        read_design_pictures(tmp_path)


def test_cards_refuse_what_they_are_not(card: Path) -> None:
    from models.design.designer import load_designer

    good = read_card(card)
    assert (good.role, good.architecture, good.labels) == ("designer", "dcgan", ("type=bar", "type=disc"))
    with pytest.raises(CardError, match="is a head"):
        load_designer(replace(good, role="head"), card.parent, CPU)
    with pytest.raises(CardError, match="lacks"):
        load_designer(replace(good, options={}), card.parent, CPU)
    with pytest.raises(CardError, match="does not fit"):
        load_designer(replace(good, options={**good.options, "width": 8}), card.parent, CPU)


def test_unnormalized_pictures_are_drawn_in_their_own_range(
    shapes: DesignPictures, small: DesignOptions, tmp_path: Path
) -> None:
    options = from_preset("exp1", size=16, width=4, noise=6, batch=4, epochs=1)
    made = train_designer(shapes, DesignRun(tmp_path, options, Words(), rows=2), CPU, lambda: None)
    designer = read_designer(Path(made["card"]), CPU)
    raw = designer._network(torch.from_numpy(designer.draws(4, 0)), torch.from_numpy(designer.usual(4, 0)))
    assert np.array_equal(designer.sample(4, 0), (raw * 255).round().clamp(0, 255).to(torch.uint8).numpy())
