"""Learning curves of a detector."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt

from models.training.log import read_log, series

PANELS = {
    "loss": ("loss",),
    "parts of the loss": ("classification", "bbox_regression", "bbox_ctrness"),
    "learning rate": ("learning_rate",),
}


def plot_detector(folder: Path) -> Path:
    """Draw the loss, its parts and the learning rate over the steps into `folder/curves.png`.

    Raises:
        DataError: the folder is no training run.
    """
    lines = read_log(folder)
    figure, panels = plt.subplots(1, len(PANELS), figsize=(12, 3.6), layout="constrained")
    for axes, (title, names) in zip(panels, PANELS.items(), strict=True):
        for name in names:
            axes.plot(*series(lines, name), label=name.replace("_", " "))
        axes.set(xlabel="step", title=title)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize="small")
    path = folder / "curves.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
