"""How good a head is on products held out: photo by photo, product by product, and on labels it has never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import metrics
from models.agreement import agree
from models.cards import Card, read_card
from models.errors import DataError
from models.heads import ABSTAIN, LoadedHead, load_head
from models.training.features import FeatureSet
from models.training.heads import EVAL_ROWS, Examples
from models.training.open_set import outside
from models.training.splits import TEST, Split, refuse_leaks
from models.training.targets import Plan, Targets, encode

MIN_SOURCE_ROWS = 20
"""Figures of one source are only stated for at least that many test rows."""

OPEN = "open_set"
"""Name of an open head's options in its card, and of its figures."""


def judge_head(
    path: Path, data: FeatureSet, split: Split | None, *, by_product: bool = False, plots: Path | None = None
) -> dict[str, Any]:
    """Figures of an existing head on labelled features.

    Args:
        path: of its card.
        split: test on its held-out products; None: on every row.
        by_product: also agree the photos of each product and state figures of products.
        plots: folder for the predictions that pictures are drawn from.

    Raises:
        DataError: the data have no labels for the head, none that it knows, come from another backbone, or the split
            tests on products that trained the head.
    """
    card = read_card(path)
    if card.name not in data.heads:
        raise DataError(f"the features have no labels for {card.name!r}; they have {', '.join(data.heads)}")
    if card.options.get("backbone", data.backbone) != data.backbone:
        raise DataError(f"the head {card.name!r} was trained on another backbone's features; make the features again")
    head = load_head(card, path.parent, "cpu", data.features.shape[1])
    parts = np.full(len(data), TEST, np.int8) if split is None else split.parts(data.rows["product_id"])
    if split is not None:
        refuse_leaks(list(data.rows["product_id"]), parts, path)
    targets = encode(list(data.rows[card.name]), Plan(card.name, head.kind, head.labels))
    if missing := [name for name in head.extra_inputs if name not in data.extra]:
        raise DataError(f"head {card.name!r} reads the input {missing[0]!r}, which the features lack")
    examples = Examples(data.features, parts, {card.name: targets}, data.extra)
    if not ((parts == TEST) & targets.known).any():
        raise DataError(f"no test row has a label that head {card.name!r} knows; it knows {', '.join(head.known)}")
    labelled = data.rows[card.name].notna().to_numpy()
    figures: dict[str, Any] = {"unknown_labels": int(((parts == TEST) & labelled & ~targets.known).sum())}
    figures |= held_out_figures(head, examples, targets, data)
    if by_product:
        figures["by_product"] = product_figures(head, examples, targets, data)
    if plots:
        save_predictions(head, examples, targets, data, plots)
    return figures


def held_out_figures(head: LoadedHead, examples: Examples, targets: Targets, data: FeatureSet) -> dict[str, Any]:
    """Figures on the test rows with a known label, together and source by source, and of an open head on others."""
    rows = np.flatnonzero((examples.parts == TEST) & targets.known)
    if len(rows) == 0:
        return {}
    sources = data.rows["source"].to_numpy()[rows]
    figures: dict[str, Any] = {"test": figures_of(head, examples, targets, rows)}
    if len(set(sources)) > 1:
        for source in sorted(set(sources)):
            if (sources == source).sum() >= MIN_SOURCE_ROWS:
                figures[f"test_{source}"] = figures_of(head, examples, targets, rows[sources == source])
    others = unseen_rows(head.card, data)
    if head.open_set is not None and len(others) >= MIN_SOURCE_ROWS:
        figures[OPEN] = open_figures(head, examples, targets, rows, others)
    return figures


def unseen_rows(card: Card, data: FeatureSet) -> np.ndarray:
    """Rows with a label that the head neither knows nor was calibrated on. They never trained it, whatever the part."""
    labels = outside(list(data.rows[card.name]), Plan(card.name, "single", card.labels))
    calibrated = set(dict(card.options.get(OPEN, {})).get("calibrated_on", ()))
    return np.flatnonzero([label is not None and label not in calibrated for label in labels])


def figures_of(head: LoadedHead, examples: Examples, targets: Targets, rows: np.ndarray) -> dict[str, float]:
    """Figures of a head on these rows."""
    return _figures(head, probabilities_of(head, examples, rows), targets.allowed(rows))


def _figures(head: LoadedHead, probabilities: np.ndarray, allowed: np.ndarray) -> dict[str, float]:
    if head.kind == "single":
        return metrics.single_figures(probabilities, allowed, head.card.thresholds.get(ABSTAIN, 0.0))
    return metrics.multi_figures(probabilities, allowed, thresholds_of(head))


def thresholds_of(head: LoadedHead) -> np.ndarray:
    """Threshold of each label of a multi-label head (C,)."""
    return np.array([head.card.thresholds.get(label, 0.5) for label in head.labels])


@torch.inference_mode()
def probabilities_of(head: LoadedHead, examples: Examples, rows: np.ndarray) -> np.ndarray:
    """Calibrated probabilities float32 (n, labels), as the head gives them in a release."""
    pieces = [rows[begin : begin + EVAL_ROWS] for begin in range(0, max(1, len(rows)), EVAL_ROWS)]
    return torch.cat([head.probabilities(examples.inputs(piece, head.module)) for piece in pieces]).numpy()


def open_figures(
    head: LoadedHead, examples: Examples, targets: Targets, known: np.ndarray, unknown: np.ndarray
) -> dict[str, float]:
    """What the answer `(unknown)` does, beside the same head without it ("closed").

    Args:
        known: test rows with a known label.
        unknown: rows with labels that the head has never seen.

    Returns:
        Counts; area under the ROC of known against unknown; shares of the unknown rows answered with a (wrong) known
        label, without and with the open set, and without it at a threshold that answers as many of the known rows;
        share of unknown and known rows answered `(unknown)`; of the known rows the share answered with a known label.
    """
    closed_at = float(dict(head.card.options[OPEN])["closed_abstain"])
    threshold = head.card.thresholds.get(ABSTAIN, 0.0)
    of_known, of_unknown = (probabilities_of(head, examples, rows) for rows in (known, unknown))
    closed_known, closed_unknown = (p[:, :-1].max(axis=1) / (1 - p[:, -1]).clip(1e-6) for p in (of_known, of_unknown))
    gives_known, gives_unknown = (_gives(p, threshold) for p in (of_known, of_unknown))
    last = len(head.labels) - 1
    answered = (gives_known >= 0) & (gives_known < last)
    alike = np.quantile(closed_known, 1 - answered.mean(), method="higher") if answered.any() else np.inf
    right = targets.allowed(known)[np.arange(len(known)), gives_known]
    figures = {
        "known_rows": len(known),
        "unknown_rows": len(unknown),
        "auroc": metrics.auroc(of_known[:, -1], of_unknown[:, -1]),
        "auroc_closed": metrics.auroc(1 - closed_known, 1 - closed_unknown),
        "unknown_given_a_label": ((gives_unknown >= 0) & (gives_unknown < last)).mean(),
        "unknown_given_a_label_closed": (closed_unknown >= closed_at).mean(),
        "unknown_given_a_label_closed_at_same_coverage": (closed_unknown >= alike).mean(),
        "unknown_said_unknown": (gives_unknown == last).mean(),
        "known_said_unknown": (gives_known == last).mean(),
        "known_answered": answered.mean(),
        "known_answered_closed": (closed_known >= closed_at).mean(),
        "known_precision": right[answered].mean() if answered.any() else 0.0,
    }
    return {name: value if isinstance(value, int) else round(float(value), 4) for name, value in figures.items()}


def _gives(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Place of the answer, int (N,); -1 where the head abstains."""
    return np.where(probabilities.max(axis=1) >= threshold, probabilities.argmax(axis=1), -1)


def product_figures(head: LoadedHead, examples: Examples, targets: Targets, data: FeatureSet) -> dict[str, Any]:
    """Figures of single photos against those of products, on held-out products of several photos.

    Whole photos where there are any (a crop may show another garment than the product); products whose photos bear
    different labels are left out and counted.

    Raises:
        DataError: no product has several photos.
    """
    use = (examples.parts == TEST) & targets.known
    if "x1" in data.rows and (whole := use & data.rows["x1"].isna().to_numpy()).any():
        use = whole
    rows = np.flatnonzero(use)
    _, place, photos = np.unique(data.rows["product_id"].to_numpy()[rows], return_inverse=True, return_counts=True)
    codes = targets.codes[rows]
    least, most = np.full(len(photos), np.iinfo(np.int32).max), np.full(len(photos), -1)
    np.minimum.at(least, place, codes)
    np.maximum.at(most, place, codes)
    several, mixed = photos > 1, (photos > 1) & (least != most)
    kept = (several & ~mixed)[place]
    if not kept.any():
        raise DataError(f"no held-out product has several photos labelled alike for head {head.card.name!r}")
    probabilities = probabilities_of(head, examples, rows[kept])
    agreed = agree(probabilities, place[kept], head.kind)
    single = _figures(head, probabilities, targets.allowed(rows[kept]))
    together = _figures(head, agreed.probabilities, targets.sets[least[agreed.products]])
    return {"photos": single, "products": together, "labelled_differently": int(mixed.sum())}


def save_predictions(head: LoadedHead, examples: Examples, targets: Targets, data: FeatureSet, folder: Path) -> None:
    """Write what the head says of the test rows to `predictions/<head>.npz`, for plots and comparisons.

    For an open head the rows with labels it has never seen come behind them, their truth being `(unknown)`.
    """
    rows = np.flatnonzero((examples.parts == TEST) & targets.known)
    allowed = targets.allowed(rows)
    if head.open_set is not None:
        others = unseen_rows(head.card, data)
        rows = np.concatenate([rows, others])
        allowed = np.concatenate(
            [allowed, np.tile(np.arange(allowed.shape[1]) == allowed.shape[1] - 1, (len(others), 1))]
        )
    if len(rows):
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "predictions" / f"{head.card.name}.npz",
            rows=rows,
            probabilities=probabilities_of(head, examples, rows).astype(np.float16),
            allowed=allowed,
            labels=np.array(head.labels),
            kind=np.array(head.kind),
            thresholds=thresholds_of(head),
        )
