"""From cached features to calibrated heads with their cards: plan, split, train, calibrate, test, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from models import metrics
from models.cards import Card, read_card, write_card
from models.errors import DataError
from models.heads import ABSTAIN, Head, Kind, LoadedHead, head_tensors, load_head
from models.training.calibration import abstain_threshold, fit_temperature, label_thresholds
from models.training.features import FeatureSet
from models.training.heads import Examples, HeadOptions, HeadTrainer, OnEpoch, logits_of, new_head
from models.training.log import TrainingLog
from models.training.splits import PARTS, TEST, TRAIN, VALIDATION, Split, near_duplicates
from models.training.targets import Plan, Targets, encode, plan_head

MIN_SOURCE_ROWS = 20
"""Figures of one source are only stated for at least that many test rows."""


@dataclass(frozen=True)
class Words:
    """What a card says to people: licence of the weights, the data behind them, the command that makes them again."""

    licence: str = ""
    data: str = ""
    command: str = ""


@dataclass(frozen=True)
class Request:
    """What to train.

    Args:
        heads: head -> single or multi.
        min_count: training rows a label needs.
        precision: share of right answers wanted from an abstaining head, on validation data.
        split: which products train, validate and test.
        options: how it is trained.
        start: head -> card of an existing head to refine.
        weights: head -> weight of its loss in the sum; 1 where it is not named.
        inputs: head -> names of further inputs besides the feature, such as color_histogram;
            a refined head keeps its own.
        words: for the cards.
    """

    heads: Mapping[str, Kind]
    min_count: int = 10
    precision: float = 0.9
    split: Split = field(default_factory=Split)
    options: HeadOptions = field(default_factory=HeadOptions)
    start: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: Words = field(default_factory=Words)


@dataclass(frozen=True)
class Trained:
    """What came of it: the cards' paths and figures by head, and test rows that have a twin among the training rows."""

    cards: dict[str, Path]
    figures: dict[str, dict[str, Any]]
    near_duplicates: int
    epochs: int


@dataclass(frozen=True)
class Ready:
    """Everything that training starts from: plans, labelled examples, and untrained (or taken over) heads."""

    plans: list[Plan]
    examples: Examples
    heads: dict[str, Head]


def prepare(data: FeatureSet, request: Request) -> Ready:
    """Choose labels, split, encode, and make the first heads.

    Raises:
        DataError: a head is not in the data, has one label only or too few rows.
    """
    if missing := sorted(set(request.heads) - set(data.heads)):
        raise DataError(f"the features have no labels for {missing}; they have {', '.join(data.heads)}")
    parts = request.split.parts(data.rows["product_id"])
    started = {head: _start(head, path, data) for head, path in request.start.items()}
    plans = [_plan(data, parts, head, kind, request, started.get(head)) for head, kind in request.heads.items()]
    targets = {plan.head: encode(list(data.rows[plan.head]), plan) for plan in plans}
    examples = Examples(data.features, parts, targets, data.extra)
    heads: dict[str, Head] = {}
    for plan in plans:
        start = started.get(plan.head)
        inputs = _inputs(plan.head, data, start.extra_inputs if start else request.inputs.get(plan.head, ()))
        heads[plan.head] = new_head(plan, examples, inputs, request.options.seed)
        if start:
            take_over(heads[plan.head], plan, start)
    return Ready(plans, examples, heads)


def train_heads(
    data: FeatureSet, request: Request, folder: Path, on_epoch: OnEpoch | None = None, *, resume: bool = False
) -> Trained:
    """Train, calibrate and test heads; cards and weights go to `folder`/cards, the log to `folder`/metrics.jsonl.

    Args:
        resume: go on from the folder's checkpoint.

    Raises:
        DataError: see `prepare`; or the checkpoint does not fit.
    """
    ready = prepare(data, request)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = HeadTrainer(ready.examples, ready.plans, ready.heads, request.options, folder)
    log = TrainingLog(folder, after_epoch=trainer.resume() if resume else 0)

    def logged(epoch: int, figures: dict[str, float]) -> None:
        log.add(epoch, **figures)
        if on_epoch:
            on_epoch(epoch, figures)

    trained = trainer.fit(logged)
    return write_heads(data, ready, trained, request, folder, trainer.epoch)


def write_heads(
    data: FeatureSet, ready: Ready, trained: Mapping[str, Head], request: Request, folder: Path, epochs: int
) -> Trained:
    """Calibrate and test trained heads and write cards, test predictions and the split."""
    save_split(data, ready.examples.parts, folder)
    cards, figures = {}, {}
    for plan in ready.plans:
        card = _card(plan, trained[plan.head], ready.examples, data, request)
        cards[plan.head] = write_card(card, head_tensors(trained[plan.head]), folder / "cards")
        figures[plan.head] = dict(card.figures)
        save_predictions(LoadedHead(card, trained[plan.head]), ready.examples, plan, folder)
    return Trained(cards, figures, near_duplicates(data.features, ready.examples.parts), epochs)


def _inputs(head: str, data: FeatureSet, names: Sequence[str]) -> dict[str, int]:
    """Names and lengths of a head's further inputs."""
    if missing := [name for name in names if name not in data.extra]:
        raise DataError(
            f"head {head!r} reads the input {missing[0]!r}, which the features lack; "
            f"they have {', '.join(data.extra) or 'none'}"
        )
    return {name: data.extra[name].shape[1] for name in names}


def _start(head: str, path: Path, data: FeatureSet) -> LoadedHead:
    card = read_card(path)
    if card.name != head:
        raise DataError(f"{path} is a head for {card.name!r}, not {head!r}")
    if card.options.get("backbone", data.backbone) != data.backbone:
        raise DataError(f"the head {path} was trained on another backbone's features; make the features again")
    return load_head(card, path.parent, "cpu", data.features.shape[1])


def _plan(
    data: FeatureSet, parts: np.ndarray, head: str, kind: Kind, request: Request, start: LoadedHead | None
) -> Plan:
    texts = data.rows[head].to_numpy()[parts == TRAIN]
    if start is None:
        plan = plan_head(head, texts, kind, request.min_count)
    else:  # the labels it knows stay where they are, new ones come behind them
        found = plan_head(head, texts, kind, request.min_count).labels
        plan = Plan(head, start.kind, start.labels + tuple(label for label in found if label not in start.labels))
    return replace(plan, weight=request.weights.get(head, 1.0))


def take_over(head: Head, plan: Plan, start: LoadedHead) -> None:
    """Begin from an existing head: its standardization, and its rows for the labels that it knows."""
    with torch.no_grad():
        head.mean.copy_(start.module.mean)
        head.std.copy_(start.module.std)
        for row, label in enumerate(plan.labels):
            if label in start.labels:
                source = start.labels.index(label)
                head.linear.weight[row] = start.module.linear.weight[source] / start.module.temperature
                head.linear.bias[row] = start.module.linear.bias[source] / start.module.temperature


def save_split(data: FeatureSet, parts: np.ndarray, folder: Path) -> None:
    """Write which product is in which part to `split.parquet`."""
    frame = pd.DataFrame({"product_id": data.rows["product_id"], "part": np.array(PARTS)[parts]})
    folder.mkdir(parents=True, exist_ok=True)
    frame.drop_duplicates().sort_values("product_id").to_parquet(folder / "split.parquet", index=False)


def _card(plan: Plan, head: Head, examples: Examples, data: FeatureSet, request: Request) -> Card:
    # float16 before calibrating and testing: the figures are those of the weights that ship
    head.linear.weight.data = head.linear.weight.data.half().float()
    targets = examples.targets[plan.head]
    rows = np.flatnonzero((examples.parts == VALIDATION) & targets.known)
    logits, allowed = logits_of(head, examples, rows), targets.allowed(rows)
    if plan.kind == "single":
        temperature = fit_temperature(logits, torch.from_numpy(allowed))
        head.temperature.fill_(temperature)
        probabilities = torch.softmax(logits / temperature, dim=1).numpy()
        said = probabilities.argmax(axis=1)
        right = allowed[np.arange(len(said)), said]
        threshold = abstain_threshold(probabilities.max(axis=1), right, request.precision)
        thresholds = {ABSTAIN: round(threshold, 4)}
    else:
        chosen = label_thresholds(torch.sigmoid(logits).numpy(), allowed)
        thresholds = {label: round(float(value), 4) for label, value in zip(plan.labels, chosen, strict=True)}
    card = Card(
        role="head",
        name=plan.head,
        architecture="linear",
        weights=f"{plan.head}.safetensors",
        labels=plan.labels,
        seed=request.options.seed,
        split=request.split.words(),
        thresholds=thresholds,
        options={
            "kind": plan.kind,
            "backbone": data.backbone,
            "precision_wanted": request.precision,
            **({"extra_inputs": head.extra_inputs} if head.extra_inputs else {}),
        },
        licence=request.words.licence,
        data=request.words.data,
        command=request.words.command,
    )
    loaded = LoadedHead(card, head)
    figures = {"train_rows": int(((examples.parts == TRAIN) & targets.known).sum())}
    return replace(card, figures={**figures, **held_out_figures(loaded, examples, targets, data)})


def save_predictions(head: LoadedHead, examples: Examples, plan: Plan, folder: Path) -> None:
    """Write what the head says of the test rows to `predictions/<head>.npz`, for plots and comparisons."""
    targets = examples.targets[plan.head]
    rows = np.flatnonzero((examples.parts == TEST) & targets.known)
    if len(rows):
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "predictions" / f"{plan.head}.npz",
            rows=rows,
            probabilities=probabilities_of(head, examples, rows).astype(np.float16),
            allowed=targets.allowed(rows),
            labels=np.array(plan.labels),
        )


def judge_head(path: Path, data: FeatureSet, split: Split | None) -> dict[str, Any]:
    """Figures of an existing head on labelled features.

    Args:
        split: test on its held-out products; None: on every row.

    Raises:
        DataError: the data have no labels for the head, none that it knows, or come from another backbone.
    """
    card = read_card(path)
    if card.name not in data.heads:
        raise DataError(f"the features have no labels for {card.name!r}; they have {', '.join(data.heads)}")
    if card.options.get("backbone", data.backbone) != data.backbone:
        raise DataError(f"the head {card.name!r} was trained on another backbone's features; make the features again")
    head = load_head(card, path.parent, "cpu", data.features.shape[1])
    plan = Plan(card.name, head.kind, card.labels)
    targets = encode(list(data.rows[card.name]), plan)
    parts = np.full(len(data), TEST, np.int8) if split is None else split.parts(data.rows["product_id"])
    examples = Examples(data.features, parts, {card.name: targets}, data.extra)
    if not ((parts == TEST) & targets.known).any():
        raise DataError(f"no test row has a label that head {card.name!r} knows; it knows {', '.join(card.labels)}")
    labelled = data.rows[card.name].notna().to_numpy()
    unknown = int(((parts == TEST) & labelled & ~targets.known).sum())
    return {"unknown_labels": unknown, **held_out_figures(head, examples, targets, data)}


def held_out_figures(head: LoadedHead, examples: Examples, targets: Targets, data: FeatureSet) -> dict[str, Any]:
    """Figures on the test rows, all together and, where there are several, source by source."""
    rows = np.flatnonzero((examples.parts == TEST) & targets.known)
    if len(rows) == 0:
        return {}
    sources = data.rows["source"].to_numpy()[rows]
    figures: dict[str, Any] = {"test": figures_of(head, examples, targets, rows)}
    if len(set(sources)) > 1:
        for source in sorted(set(sources)):
            if (sources == source).sum() >= MIN_SOURCE_ROWS:
                figures[f"test_{source}"] = figures_of(head, examples, targets, rows[sources == source])
    return figures


def figures_of(head: LoadedHead, examples: Examples, targets: Targets, rows: np.ndarray) -> dict[str, float]:
    """Figures of a head on these rows."""
    probabilities = probabilities_of(head, examples, rows)
    allowed = targets.allowed(rows)
    if head.kind == "single":
        return metrics.single_figures(probabilities, allowed, head.card.thresholds.get(ABSTAIN, 0.0))
    thresholds = np.array([head.card.thresholds.get(label, 0.5) for label in head.labels])
    return metrics.multi_figures(probabilities, allowed, thresholds)


def probabilities_of(head: LoadedHead, examples: Examples, rows: np.ndarray) -> np.ndarray:
    """Calibrated probabilities float32 (n, C)."""
    logits = logits_of(head.module, examples, rows)
    return (torch.softmax(logits, dim=1) if head.kind == "single" else torch.sigmoid(logits)).numpy()
