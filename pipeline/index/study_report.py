"""The retrieval study as a picture of curves and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from pipeline.index.study import Curve, Study

STYLES = ("-", "--", "-.", ":")
AT = (1, 10, 100, 1000)


def draw_curves(study: Study, path: Path) -> None:
    """Precision, recall and F1 over k, and precision over recall; a color a method, a line style an extractor."""
    methods = list(dict.fromkeys(curve.method for curve in study.curves))
    extractors = list(dict.fromkeys(curve.extractor for curve in study.curves))
    colors = plt.get_cmap("viridis")
    figure, axes = plt.subplots(2, 2, figsize=(13, 9), constrained_layout=True)
    for curve in study.curves:
        place = methods.index(curve.method) / max(1, len(methods) - 1) * 0.92
        style: dict[str, Any] = {
            "color": colors(place),
            "linestyle": STYLES[extractors.index(curve.extractor) % len(STYLES)],
        }
        wide = curve.method == methods[0]  # what looks at everything lies under those that come near it
        style |= {"linewidth": 4.5, "alpha": 0.3} if wide else {"linewidth": 1.8}
        label = curve.method if len(extractors) == 1 else f"{curve.extractor}: {curve.method}"
        for axis, values in zip(axes.flat, (curve.precision, curve.recall, curve.f1), strict=False):
            axis.plot(curve.ks, values, label=label, **style)
        axes[1, 1].plot(curve.recall, curve.precision, **style)
    for axis, name in zip(axes.flat, ("precision at k", "recall at k", "F1 at k"), strict=False):
        axis.set(xscale="log", xlabel="k", ylabel=name, ylim=(0, None))
    axes[1, 1].set(xlabel="recall at k", ylabel="precision at k", xlim=(0, None), ylim=(0, None))
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(fontsize=8, frameon=False)
    asked = study.queries - study.without
    figure.suptitle(f"Retrieval by shared labels: {asked} queries, {study.gallery:,} items, {study.labels} labels")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(study: Study) -> list[dict[str, Any]]:
    """One row a curve: figures at 1, 10, 100, 1000 (as far as they were asked for), share scanned, time a query."""
    return [_row(curve) for curve in study.curves]


def _row(curve: Curve) -> dict[str, Any]:
    row: dict[str, Any] = {"extractor": curve.extractor, "method": curve.method}
    for k in AT:
        if k in curve.ks:
            at = curve.ks.index(k)
            row |= {f"precision@{k}": round(float(curve.precision[at]), 4)}
            row |= {f"recall@{k}": round(float(curve.recall[at]), 4), f"f1@{k}": round(float(curve.f1[at]), 4)}
    best = int(curve.f1.argmax())
    row |= {"best_f1": round(float(curve.f1[best]), 4), "best_f1_k": curve.ks[best]}
    return row | {"scanned": round(curve.scanned, 4), "query_ms": round(curve.query_ms, 3)}
