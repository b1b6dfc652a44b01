"""Curves of designers' trainings: losses, their ratio, the balance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt

from models.gan.balance import Band
from models.training.log import read_log, series

FREEZING = 0.7
"""The ratio of losses below which exp4 freezes the discriminator."""


def plot_design(run: Path) -> Path:
    """Draw losses, ratio, accuracy and what was done about the balance over epochs; returns the PNG file.

    Raises:
        DataError: the folder is no training run.
    """
    lines = read_log(run)
    figure, panels = plt.subplots(1, 4, figsize=(18, 4), layout="constrained")
    _curves(panels[0], lines, ("discriminator_loss", "generator_distance"), "losses: D, and -log D(G(z))")
    _curves(panels[1], lines, ("loss_ratio",), "ratio of the losses, D / G")
    panels[1].axhline(FREEZING, color="gray", linestyle=":")
    _curves(panels[2], lines, ("discriminator_accuracy",), "discriminator: accuracy (shaded: balanced)")
    _shade(panels[2])
    _curves(panels[3], lines, ("frozen", "discriminator_steps", "generator_steps"), "frozen share, steps a step")
    path = run / "curves.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def plot_balances(runs: Sequence[Path], path: Path) -> Path:
    """The ratio and the accuracy of several runs, a curve each."""
    figure, panels = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for run in runs:
        lines = read_log(run)
        for axes, name in zip(panels, ("loss_ratio", "discriminator_accuracy"), strict=True):
            axes.plot(*series(lines, name), marker=".", label=run.resolve().name)
    for axes, title in zip(panels, ("ratio of the losses, D / G", "discriminator: accuracy"), strict=True):
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
    panels[0].axhline(FREEZING, color="gray", linestyle=":")
    _shade(panels[1])
    panels[1].legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _shade(axes: Any) -> None:
    axes.axhspan(Band().low, Band().high, color="tab:green", alpha=0.12)
    axes.set_ylim(0, 1.02)


def _curves(axes: Any, lines: Sequence[dict[str, Any]], names: Sequence[str], title: str) -> None:
    for name in names:
        axes.plot(*series(lines, name), marker=".", label=name.replace("_", " "))
    axes.set(xlabel="epoch", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
