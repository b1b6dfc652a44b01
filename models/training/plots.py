"""Pictures of a training run, drawn from its log and its test predictions: PNG files in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no window, also where there is a screen

import matplotlib.pyplot as plt
import numpy as np

from models import metrics
from models.training.log import read_log, series

MAX_CLASSES_NAMED = 60


def plot_run(folder: Path) -> list[Path]:
    """Draw learning curves and, for each head with test predictions, its confusion matrix and reliability diagram.

    Raises:
        DataError: the folder is no training run.
    """
    return [plot_curves(folder), *plot_predictions(folder)]


def plot_predictions(folder: Path, head: str = "*") -> list[Path]:
    """Draw the confusion matrix and the reliability diagram of each head with saved test predictions in `folder`.

    Args:
        head: only of this one.
    """
    pictures = []
    for path in sorted((folder / "predictions").glob(f"{head}.npz")):
        with np.load(path) as saved:
            probabilities = saved["probabilities"].astype(np.float32)
            allowed, labels = saved["allowed"], [str(label) for label in saved["labels"]]
            thresholds = saved["thresholds"] if "kind" in saved and str(saved["kind"]) == "multi" else None
        confused, reliable = (folder / f"{picture}_{path.stem}.png" for picture in ("confusion", "reliability"))
        if thresholds is None:
            pictures.append(plot_confusion(probabilities, allowed, labels, confused))
            score = probabilities.max(axis=1)
            right = allowed[np.arange(len(score)), probabilities.argmax(axis=1)]
        else:
            pictures.append(plot_labels_said(probabilities >= thresholds, allowed, labels, confused))
            score, right = probabilities.ravel(), allowed.ravel()
        pictures.append(plot_reliability(score, right, path.stem, reliable))
    return pictures


def plot_curves(folder: Path) -> Path:
    """Losses on the left, accuracies on the right, over epochs; a head has one color, training is dashed.

    The training loss is the sum over the heads; the validation loss is stated for each.
    """
    lines = read_log(folder)
    names = sorted({name for line in lines for name in line if name != "epoch"})
    heads = sorted({name.rpartition("/")[0] for name in names})
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name in names:
        axes = left if name.endswith("loss") else right
        style = {"color": f"C{heads.index(name.rpartition('/')[0])}", "linestyle": "--" if "train" in name else "-"}
        axes.plot(*series(lines, name), marker=".", label=name, **style)
    for axes, title in ((left, "loss"), (right, "accuracy")):
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    return _saved(figure, folder / "curves.png")


def plot_confusion(probabilities: np.ndarray, allowed: np.ndarray, labels: list[str], path: Path) -> Path:
    """Confusion matrix in shares of the true label; rows are the truth, sorted by name, with their counts."""
    truth, said = metrics.truth_of(probabilities, allowed), probabilities.argmax(axis=1)
    matrix = metrics.confusion(truth, said, len(labels))
    there = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    matrix = matrix[np.ix_(there, there)]
    right = metrics.top_k(probabilities, allowed, 1)
    title = f"{path.stem}: accuracy {right:.3f}, n = {len(truth)}, in percent"
    return _matrix(matrix, matrix.sum(axis=1), [labels[i] for i in there], title, path)


def plot_labels_said(said: np.ndarray, allowed: np.ndarray, labels: list[str], path: Path) -> Path:
    """Of a multi-label head: of the rows with the label of a line, the share that was given the label of each column.

    Labels that go together in truth are said together: only what the diagonal lacks was certainly missed.

    Args:
        said: bool (N, C).
        allowed: bool (N, C).
    """
    there = np.flatnonzero(allowed.any(axis=0) | said.any(axis=0))
    matrix = allowed[:, there].T.astype(np.int64) @ said[:, there].astype(np.int64)
    title = f"{path.stem}: samples F1 {metrics.samples_f1(said, allowed):.3f}, n = {len(said)}, in percent"
    return _matrix(matrix, allowed[:, there].sum(axis=0), [labels[i] for i in there], title, path)


def _matrix(matrix: np.ndarray, counts: np.ndarray, names: list[str], title: str, path: Path) -> Path:
    """Draw counts (C, C) as shares of each line's count (C,)."""
    shares = matrix / np.maximum(counts[:, None], 1)
    side = float(np.clip(0.32 * len(names) + 2, 5, 16))
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    if len(names) <= MAX_CLASSES_NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axes.set_yticks(range(len(names)), [f"{n} ({c})" for n, c in zip(names, counts, strict=True)], fontsize=8)
    if len(names) <= MAX_CLASSES_NAMED // 2:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                color = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.0%}"[:-1], ha="center", va="center", fontsize=6, color=color)
    axes.set(xlabel="said", ylabel="truth")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, shrink=0.6)
    return _saved(figure, path)


def plot_reliability(score: np.ndarray, right: np.ndarray, name: str, path: Path) -> Path:
    """Accuracy over confidence, and how often each confidence occurs.

    Args:
        score: (N,) of the answers; of a multi-label head, of every label of every row.
        right: bool (N,), whether they apply.
    """
    mean, accuracy, count = metrics.reliability(score, right)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(4.5, 5.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    top.plot([0, 1], [0, 1], color="grey", linestyle=":")
    top.plot(mean, accuracy, marker="o")
    top.set(ylabel="share right", title=f"{name}: calibration error {metrics.calibration_error(score, right):.3f}")
    bottom.bar(mean, count, width=0.05)
    bottom.set(xlabel="probability of the answer", ylabel="answers", xlim=(0, 1))
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
