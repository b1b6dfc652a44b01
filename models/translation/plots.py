"""Pictures of translations: curves of a run, and the same photos through several generators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt
import numpy as np

from models.errors import DataError
from models.gan.balance import Band
from models.training.log import read_log, series
from models.translation.samples import grid

TESTS = "tests.json"
"""Figures of `atelier translate test` in a run's folder: epoch -> direction -> figures."""

MEASURES = ("target_probability", "color_distance", "cycle_error", "kid")


def read_tests(run: Path) -> dict[str, dict[str, Any]]:
    """Figures by epoch (0: the final cards) and direction; empty where nothing was tested.

    Raises:
        DataError: the file is damaged.
    """
    path = run / TESTS
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path} can't be read; delete it and test again: {error}") from None


def plot_run(run: Path) -> list[Path]:
    """Draw losses, balance and, where there are any, test figures over epochs; returns the PNG files.

    Raises:
        DataError: the folder is no training run.
    """
    lines = read_log(run)
    names = sorted({name for line in lines for name in line if name.endswith("_loss")})
    judged = [name for name in names if name.startswith("discriminator")]
    figure, panels = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
    _curves(panels[0], lines, [name for name in names if name not in judged], "generators: weighted losses")
    _curves(panels[1], lines, judged, "discriminators: losses")
    accuracies = [f"discriminator_{letter}_accuracy" for letter in "ab"]
    _curves(panels[2], lines, accuracies, "discriminators: accuracy (shaded: balanced)")
    panels[2].axhspan(Band().low, Band().high, color="tab:green", alpha=0.12)
    panels[2].set_ylim(0, 1.02)
    pictures = [_saved(figure, run / "curves.png")]
    tests = read_tests(run)
    if tests:
        pictures.append(_plot_tests(tests, max(line["epoch"] for line in lines), run / "tests.png"))
    return pictures


def _curves(axes: Any, lines: Sequence[dict[str, Any]], names: Sequence[str], title: str) -> None:
    for name in names:
        label = name.removesuffix("_loss").removeprefix("discriminator_").removesuffix("_accuracy")
        axes.plot(*series(lines, name), marker=".", label=label.replace("_", " "))
    axes.set(xlabel="epoch", title=title)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")


def _plot_tests(tests: dict[str, dict[str, Any]], last: int, path: Path) -> Path:
    figure, panels = plt.subplots(1, len(MEASURES), figsize=(4 * len(MEASURES), 3.6), layout="constrained")
    for axes, name in zip(panels, MEASURES, strict=True):
        for direction in sorted({direction for made in tests.values() for direction in made}):
            points = sorted((int(e) or last, made[direction][name]) for e, made in tests.items() if direction in made)
            drawn = axes.plot(*zip(*points, strict=True), marker="o", label=direction.replace("_", " "))
            reference = next(iter(tests.values()))[direction].get("real", {}).get(name)
            if reference is not None:
                axes.axhline(reference, color=drawn[0].get_color(), linestyle=":", alpha=0.6)
        axes.set(xlabel="epoch", title=name.replace("_", " "))
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    return _saved(figure, path)


def plot_comparison(sources: np.ndarray, variants: dict[str, np.ndarray], title: str, path: Path) -> Path:
    """The same sources through several translators, a column each.

    Args:
        sources: uint8 (N, 3, S, S).
        variants: name -> uint8 (N, 3, S, S).
    """
    columns = {"source": sources, **variants}
    picture = grid(list(columns.values()), group=1)
    height, width = picture.shape[:2]
    figure, axes = plt.subplots(figsize=(width / 90, height / 90 + 0.8), layout="constrained")
    axes.imshow(picture)
    axes.set_xticks((np.arange(len(columns)) + 0.5) * width / len(columns), list(columns), fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.set_xlabel(title, fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
