"""Learning curves of captioners."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt

from models.caption_decoders import DECODERS
from models.training.log import FILE, read_log, series
from models.training.plots import plot_run

PANELS = ("train_loss", "validation_loss", "validation_word_accuracy")


def plot_captioner(folder: Path) -> list[Path]:
    """Draw the curves of a run or, where several decoders were trained, of each and of all in `decoders.png`.

    Raises:
        DataError: the folder is no training run.
    """
    runs = [folder / name for name in DECODERS if (folder / name / FILE).is_file()]
    if not runs:
        return plot_run(folder)
    figure, panels = plt.subplots(1, len(PANELS), figsize=(4 * len(PANELS), 3.6), layout="constrained")
    for axes, name in zip(panels, PANELS, strict=True):
        for run in runs:
            axes.plot(*series(read_log(run), name), marker=".", label=run.name)
        axes.set(xlabel="epoch", title=name.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    path = folder / "decoders.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return [path, *(picture for run in runs for picture in plot_run(run))]
