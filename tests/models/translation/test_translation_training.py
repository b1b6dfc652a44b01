"""Training: it learns, it can be stopped anywhere, and it says what it needs before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cards import read_card
from models.devices import Placement
from models.errors import DataError, DeviceError
from models.gan.checkpoint import CHECKPOINT
from models.training.log import read_log
from models.translation.memory import available, check_memory, estimate
from models.translation.options import TranslateOptions
from models.translation.pictures import PicturePair, load_size, read_pictures
from models.translation.plots import plot_run
from models.translation.run import TranslatorRun, card_of_side, cards_of, steps_left, train_translator
from models.translation.trainer import TranslatorTraining
from models.translation.translator import Words, load_both

ROOT = Path(__file__).parents[3]
CPU = Placement("cpu", "fp32")
WritePictures = Callable[..., Path]
SWITCHES = {"augment": ("color", "translation", "cutout"), "cycle_noise": 0.1, "color": 2.0, "balance": "skip"}


class Killed(Exception):
    """The process is gone."""


def bits(training: TranslatorTraining) -> list[torch.Tensor]:
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


def finished(
    pair: PicturePair, options: TranslateOptions, folder: Path, placement: Placement = CPU
) -> list[torch.Tensor]:
    folder.mkdir()
    training = TranslatorTraining(pair, options, placement, folder)
    training.fit(lambda _: None, lambda *_: None)
    return bits(training)


@pytest.fixture(scope="module")
def whole(striped: Path, tiny: TranslateOptions, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """The state after a run that nothing disturbed, by precision."""
    folder, pair = tmp_path_factory.mktemp("whole"), read_pictures([striped])
    return {
        one: finished(pair, replace(tiny, **SWITCHES), folder / one, Placement("cpu", one)) for one in ("fp32", "bf16")
    }


@pytest.mark.parametrize(
    ("precision", "killed_at", "resumed_at"), [("fp32", 3, 2), ("fp32", 4, 3), ("fp32", 6, 4), ("bf16", 6, 4)]
)
def test_a_killed_and_resumed_run_equals_one_that_was_not(
    pair: PicturePair,
    tiny: TranslateOptions,
    tmp_path: Path,
    whole: dict,
    precision: str,
    killed_at: int,
    resumed_at: int,
) -> None:
    """Killed in the middle of epochs and at the end of one, after steps that no checkpoint knows: the same bits."""
    options, placement = replace(tiny, **SWITCHES), Placement("cpu", precision)

    def kill(step: int) -> None:
        if step == killed_at:
            raise Killed

    first = TranslatorTraining(pair, options, placement, tmp_path)
    with pytest.raises(Killed):
        first.fit(kill, lambda *_: None, checkpoint_every=2)
    second = TranslatorTraining(pair, options, placement, tmp_path)
    second.resume()
    assert second.steps_done == resumed_at
    second.fit(lambda _: None, lambda *_: None)
    resumed = bits(second)
    assert len(whole[precision]) == len(resumed) > 100
    assert all(torch.equal(one, other) for one, other in zip(whole[precision], resumed, strict=True))


def test_other_seeds_and_switches_give_other_weights(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    short = replace(tiny, epochs=0, steps_per_epoch=1)
    made = [
        torch.cat([one.flatten().double() for one in finished(pair, options, tmp_path / str(number)) if one.ndim == 4])
        for number, options in enumerate((short, short, replace(short, seed=1), replace(short, loss="bce")))
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert not torch.equal(made[0], made[3])


def test_a_discriminator_that_is_always_right_waits(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    """Neither its weights nor Adam's memory of them move while it waits; the other one learns on."""
    training = TranslatorTraining(pair, replace(tiny, balance="skip", steps_per_epoch=1), CPU, tmp_path)
    training.monitors["a"].accuracy, training.monitors["a"].steps = 1.0, 1000
    before = {name: parameters_of(network) for name, network in training.networks.items().items()}
    training.fit(lambda _: None, lambda *_: None)
    after = {name: parameters_of(network) for name, network in training.networks.items().items()}
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert training.steps_done == 2
    assert same == {"real_a"}


def parameters_of(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


def test_noise_on_the_way_back_changes_the_cycle_only(
    pair: PicturePair, tiny: TranslateOptions, tmp_path: Path
) -> None:
    found = []
    for number, noise in enumerate((0.0, 0.5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        options = replace(tiny, cycle_noise=noise, epochs=1, decay_epochs=0, steps_per_epoch=1)
        training = TranslatorTraining(pair, options, CPU, folder)
        losses: dict[str, float] = {}
        training.fit(lambda _: None, lambda _, means, into=losses: into.update(means))
        found.append(losses)
    still, noisy = found
    changed = {name for name in still if still[name] != noisy[name]}
    assert {"cycle_a_loss", "cycle_b_loss"} <= changed
    assert not any(name.startswith(("fool", "identity")) for name in changed)


def test_resuming_names_what_differs(
    pair: PicturePair, tiny: TranslateOptions, tmp_path: Path, write_pictures: WritePictures
) -> None:
    options = replace(tiny, epochs=0, steps_per_epoch=1)
    with pytest.raises(DataError, match="nothing to resume"):
        TranslatorTraining(pair, options, CPU, tmp_path).resume()
    training = TranslatorTraining(pair, options, CPU, tmp_path)
    training.save()
    with pytest.raises(DataError, match=r"started with lr = 0\.0002, not 0\.1"):
        TranslatorTraining(pair, replace(options, lr=0.1), CPU, tmp_path).resume()
    longer = TranslatorTraining(pair, replace(options, epochs=4), CPU, tmp_path)
    assert longer.resume() == 0
    write_pictures(tmp_path / "other", seed=1)
    with pytest.raises(DataError, match="other pictures"):
        other = replace(read_pictures([tmp_path / "other"]), digest="another")
        TranslatorTraining(other, options, CPU, tmp_path).resume()


def test_every_picture_is_seen_once_an_epoch(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    training = TranslatorTraining(pair, replace(tiny, steps_per_epoch=0), CPU, tmp_path)
    assert training.steps_per_epoch == 3
    rows = training._rows_of_epoch()
    assert sorted(rows["a"].ravel().tolist()) == list(range(6))
    assert set(rows["b"].ravel().tolist()) == set(range(5))


def test_pictures_are_cut_at_random_and_mirrored(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    training = TranslatorTraining(pair, tiny, CPU, tmp_path)
    assert pair.a.train.arrays[0].shape == (6, 3, load_size(32), load_size(32))
    made = training._batch(pair.a.train, np.zeros(64, np.int64))
    assert made.shape == (64, 3, 32, 32)
    assert made.min() >= -1
    assert made.max() <= 1
    room = load_size(32) - 32 + 1
    assert len({one.numpy().tobytes() for one in made}) == 2 * room  # stripes that stand look alike at any height


def test_a_run_learns_and_writes_what_it_promises(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    options = replace(tiny, generator="resnet_6blocks", epochs=2, steps_per_epoch=12, lr=1e-3, average=0.0)
    run = TranslatorRun(tmp_path, options, Words(licence="CC0-1.0", data="stripes"), card_every=2, samples=2)
    steps = []
    made = train_translator(pair, run, CPU, lambda: steps.append(1), lambda *_: None)
    assert len(steps) == made["steps"] == 36
    lines = read_log(tmp_path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["cycle_a_loss"] < lines[0]["cycle_a_loss"]
    assert lines[-1]["balance_a"] in {"balanced", "discriminator_ahead", "discriminator_behind"}

    page = (tmp_path / "samples.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert "http" not in page
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [f"epoch-000{n}.png" for n in (1, 2, 3)]
    assert set(cards_of(tmp_path)) == {0, 2}
    assert all(path.is_file() for path in plot_run(tmp_path))

    card = card_of_side(tmp_path / "cards", "b")
    assert card.name == "lying_to_upright.toml"
    assert read_card(card).options["to_labels"] == ["Dress"]
    there, back = load_both(card, CPU, batch=4)
    assert (there.source, back.source) == ("lying", "upright")
    with pytest.raises(DataError, match="already holds a run"):
        train_translator(pair, run, CPU, lambda: None, lambda *_: None)


def test_a_resumed_run_drops_what_lies_behind_its_checkpoint(
    pair: PicturePair, tiny: TranslateOptions, tmp_path: Path
) -> None:
    run = TranslatorRun(tmp_path, replace(tiny, average=0.0), Words(), samples=1)

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train_translator(pair, run, CPU, lambda: None, kill)
    assert len(read_log(tmp_path)) == 2  # the second epoch's checkpoint was never written
    assert [steps_left(pair, run, resume=resume) for resume in (False, True)] == [6, 3]
    made = train_translator(pair, run, CPU, lambda: None, lambda *_: None, resume=True)
    assert made["epochs"] == 2
    assert [line["epoch"] for line in read_log(tmp_path)] == [1, 2]
    assert (tmp_path / "samples.html").read_text().count('id="epoch-') == 2


def test_a_torn_checkpoint_never_replaces_a_good_one(pair: PicturePair, tiny: TranslateOptions, tmp_path: Path) -> None:
    training = TranslatorTraining(pair, tiny, CPU, tmp_path)
    training.save()
    (tmp_path / f"{CHECKPOINT}.partial").write_bytes(b"torn")
    assert TranslatorTraining(pair, tiny, CPU, tmp_path).resume() == 0
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(DataError, match="is damaged"):
        TranslatorTraining(pair, tiny, CPU, tmp_path).resume()


def test_a_run_on_larger_pictures_starts_from_one_on_smaller(
    pair: PicturePair, tiny: TranslateOptions, tmp_path: Path, write_pictures: WritePictures
) -> None:
    small = TranslatorTraining(pair, tiny, CPU, tmp_path)
    small.save()
    larger = read_pictures([write_pictures(tmp_path / "larger", size=48)])
    training = TranslatorTraining(larger, replace(tiny, size=48, seed=9), CPU, tmp_path)
    training.start_from(tmp_path)
    for name, network in small.networks.items().items():
        mine = training.networks.items()[name].state_dict()
        assert all(torch.equal(value, mine[key]) for key, value in network.state_dict().items())
    assert torch.equal(training.generators()[0].last[1].weight, small.networks.a_to_b.last[1].weight)
    with pytest.raises(DataError, match=r"has other networks .*width 4"):
        TranslatorTraining(pair, replace(tiny, width=6), CPU, tmp_path).start_from(tmp_path)
    with pytest.raises(DataError, match="nothing to resume"):
        training.start_from(tmp_path / "none")


def test_memory_grows_with_what_is_asked_for() -> None:
    base = TranslateOptions(size=64, width=16)
    need = estimate(base, CPU)
    more = {"size": 128, "batch": 4, "width": 32}
    assert all(estimate(replace(base, **{name: value}), CPU).total > need.total for name, value in more.items())
    assert estimate(replace(base, checkpointing=True), CPU).activations < 0.6 * need.activations
    assert estimate(base, Placement("cpu", "bf16")).activations < 0.6 * need.activations


MEASURE = """
import resource, sys, torch
from pathlib import Path
from models.devices import Placement
from models.translation.memory import estimate
from models.translation.options import TranslateOptions
from models.translation.pictures import read_pictures
from models.translation.trainer import TranslatorTraining

torch.set_num_threads(1)
pictures, folder, precision = read_pictures([Path(sys.argv[1])]), Path(sys.argv[2]), sys.argv[3]
options = TranslateOptions(size=128, width=24, discriminator_width=24, batch=2, pool=2, steps_per_epoch=1,
                           epochs=1, decay_epochs=0, average=0.9)
placement = Placement("cpu", precision)
need = estimate(options, placement).total  # brings in what PyTorch loads late, which no training can be spared
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
TranslatorTraining(pictures, options, placement, folder).fit(lambda _: None, lambda *_: None)
# not getrusage: there a program begins with the peak of the one that started it, here a process full of tests
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(need / (int(peak.split()[1]) * 1024 - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_estimate_is_near_the_measured_peak(precision: str, tmp_path: Path, write_pictures: WritePictures) -> None:
    """Between 0.9 and 1.8 times what was measured: refusals are neither rash nor late."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not tell how much memory a process uses")
    pictures = write_pictures(tmp_path / "pictures", size=128)
    command = [sys.executable, "-c", MEASURE, str(pictures), str(tmp_path), precision]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert 0.9 < float(done.stdout) < 1.8


def test_too_little_memory_is_refused_with_what_to_change() -> None:
    options = TranslateOptions(size=128, batch=4, width=16)
    with pytest.raises(DeviceError) as refused:
        check_memory(options, CPU, 2**20)
    for words in ("--batch 1", "--checkpointing", "--size 64", "--width 8", "--generator", "GiB"):
        assert words in str(refused.value)
    assert check_memory(options, CPU, 2**50) == check_memory(options, CPU, None)
    assert (available("cpu") or 1) > 0


def test_pictures_of_another_size_are_refused(pair: PicturePair, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="size 32, not 64"):
        TranslatorTraining(pair, TranslateOptions(size=64), CPU, tmp_path)


def test_several_folders_are_one(striped: Path, tmp_path: Path, write_pictures: WritePictures) -> None:
    other = write_pictures(tmp_path / "more", seed=5)
    joined, one = read_pictures([striped, other]), read_pictures([striped])
    assert len(joined.a.train) == 12
    assert np.array_equal(joined.a.train.rows(np.array([7]))[0], read_pictures([other]).a.train.rows(np.array([1]))[0])
    assert np.concatenate(list(joined.b.test.chunks(4))).shape == (6, 3, 32, 32)
    assert joined.digest != one.digest
    meta = json.loads((striped / "meta.json").read_text())
    assert meta["counts"] == {"a_train": 6, "a_test": 3, "b_train": 5, "b_test": 3}
    with pytest.raises(DataError, match="no finished pictures"):
        read_pictures([tmp_path])
    larger = write_pictures(tmp_path / "larger", size=48)
    with pytest.raises(DataError, match=r"different sizes: \[32, 48\]"):
        read_pictures([striped, larger])
