"""The picture of a comparison of naive and multi-task heads."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt
import numpy as np

from models.training.naive import METHODS, TOGETHER, Comparison

NAMES = {"naive": "naive", "naive_argmax": "naive, one answer a head", "multi_task": "multi-task"}
COLORS = {"naive": "#b0b0b0", "naive_argmax": "#7a9cc6", "multi_task": "#1f4e8c"}
PANELS = {"samples_f1": "samples F1", "macro_f1": "macro F1"}


def plot_comparison(made: Comparison, path: Path) -> Path:
    """Bars of samples F1 and macro F1, all heads together and head by head; whiskers are the spread over repeats."""
    methods = made.summary()["methods"]
    scopes = [TOGETHER, *(scope for scope in methods[METHODS[0]] if scope != TOGETHER)]
    figure, panels = plt.subplots(2, 1, figsize=(max(7.0, 1.5 * len(scopes)), 7), sharex=True, layout="constrained")
    place, width = np.arange(len(scopes)), 0.8 / len(METHODS)
    for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
        for number, method in enumerate(METHODS):
            figures = [methods[method][scope][name] for scope in scopes]
            bars = axes.bar(
                place + (number - (len(METHODS) - 1) / 2) * width,
                [one["mean"] for one in figures],
                width,
                yerr=[one["spread"] for one in figures],
                color=COLORS[method],
                label=NAMES[method],
                capsize=2,
            )
            axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=2)
        axes.set(ylabel=title, ylim=(0, 1.08))
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].legend(fontsize="small", ncols=len(METHODS), loc="lower right")
    panels[0].set_title(f"held-out products, {len(made.test_rows)} repeats, about {made.test_rows[0]} pictures each")
    panels[1].set_xticks(place, scopes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
