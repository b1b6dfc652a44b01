"""The training log: what is written is what is read, plotted, and shown by TensorBoard, also after a resume."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.training.log import EVENTS, TrainingLog, read_log, series
from models.training.plots import plot_curves


def shown(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows of a folder: name -> epoch -> value."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in events.Tags()["scalars"]}


def written(folder: Path, name: str) -> dict[int, float]:
    epochs, values = series(read_log(folder), name)
    return dict(zip(epochs, values, strict=True))


def test_events_are_the_numbers_of_the_log(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    for epoch in (1, 2, 3):
        log.add(epoch, train_loss=1 / epoch, **{"type/validation_accuracy": epoch / 4})
    assert shown(tmp_path) == {
        "train_loss": pytest.approx(written(tmp_path, "train_loss")),
        "type/validation_accuracy": pytest.approx(written(tmp_path, "type/validation_accuracy")),
    }
    assert written(tmp_path, "train_loss") == {1: 1.0, 2: 0.5, 3: 1 / 3}


def test_a_resumed_run_shows_each_epoch_once(tmp_path: Path) -> None:
    first = TrainingLog(tmp_path)
    for epoch in (1, 2, 3):
        first.add(epoch, train_loss=float(epoch))
    resumed = TrainingLog(tmp_path, after_epoch=2)  # the checkpoint of epoch 3 was never finished
    resumed.add(3, train_loss=30.0)
    assert written(tmp_path, "train_loss") == shown(tmp_path)["train_loss"] == {1: 1.0, 2: 2.0, 3: 30.0}
    assert len(list(tmp_path.glob(EVENTS))) == 1


def test_a_new_run_in_the_same_folder_forgets_the_old(tmp_path: Path) -> None:
    TrainingLog(tmp_path).add(1, train_loss=5.0, old=1.0)
    TrainingLog(tmp_path).add(1, train_loss=4.0)
    assert shown(tmp_path) == {"train_loss": {1: 4.0}}


def test_what_is_no_number_stays_out_of_the_events(tmp_path: Path) -> None:
    TrainingLog(tmp_path).add(1, train_loss=float("nan"), epochs_left=3, note="slow")
    assert shown(tmp_path) == {"epochs_left": {1: 3.0}}
    assert read_log(tmp_path)[0]["note"] == "slow"


def test_a_plot_shows_the_numbers_of_the_log(tmp_path: Path) -> None:
    """The same numbers give the same picture, one other number another."""
    pictures = {}
    for name, last in (("a", 0.5), ("again", 0.5), ("other", 0.6)):
        log = TrainingLog(tmp_path / name)
        log.add(1, train_loss=1.0, **{"type/validation_accuracy": 0.8})
        log.add(2, train_loss=last, **{"type/validation_accuracy": 0.9})
        pictures[name] = plot_curves(tmp_path / name).read_bytes()
    assert pictures["a"].startswith(b"\x89PNG")
    assert pictures["a"] == pictures["again"]
    assert pictures["a"] != pictures["other"]
