"""From cached features to calibrated heads with their cards: plan, split, train, calibrate, test, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from models.cards import Card, read_card, write_card
from models.errors import DataError
from models.heads import ABSTAIN, HIDDEN, LINEAR, MLP, Head, Kind, LoadedHead, head_tensors, load_head
from models.open_set import UNKNOWN, OpenSet
from models.training.calibration import abstain_threshold, fit_temperature, label_thresholds
from models.training.checkpoints import forget
from models.training.features import FeatureSet
from models.training.heads import Examples, HeadOptions, HeadTrainer, OnEpoch, logits_of, new_head
from models.training.judge import OPEN, held_out_figures, probabilities_of, save_predictions
from models.training.log import TrainingLog
from models.training.near_duplicates import Twins, find_twins, write_twins
from models.training.open_set import OpenRequest, as_expected, calibration_rows, fit_open_set, leave_out, outside
from models.training.splits import PARTS, SPLIT_FILE, TRAIN, VALIDATION, Split, refuse_leaks
from models.training.targets import Plan, Targets, count_labels, encode, frequent, plan_head


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
        split: which products train, validate and test: a rule, or a split that an earlier run saved.
        options: how it is trained.
        start: head -> card of an existing head to refine.
        weights: head -> weight of its loss in the sum; 1 where it is not named.
        inputs: head -> names of further inputs besides the feature, such as color_histogram;
            a refined head keeps its own.
        hidden: head -> width of its hidden layer, for heads that have one; a refined head keeps its own.
        words: for the cards.
        open_set: heads that may answer `(unknown)`, and what is left out for that.
    """

    heads: Mapping[str, Kind]
    min_count: int = 10
    precision: float = 0.9
    split: Split = field(default_factory=Split)
    options: HeadOptions = field(default_factory=HeadOptions)
    start: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hidden: Mapping[str, int] = field(default_factory=dict)
    words: Words = field(default_factory=Words)
    open_set: OpenRequest = field(default_factory=OpenRequest)


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Args:
        cards: their paths by head.
        figures: by head.
        near_duplicates: test rows that are the same picture as a training row.
        epochs: trained.
        twins: held-out rows with a training row that looks alike; the pairs are in `near_duplicates.csv`.
    """

    cards: dict[str, Path]
    figures: dict[str, dict[str, Any]]
    near_duplicates: int
    epochs: int
    twins: Twins


@dataclass(frozen=True)
class Ready:
    """Everything that training starts from: plans, labelled examples, and untrained (or taken over) heads."""

    plans: list[Plan]
    examples: Examples
    heads: dict[str, Head]


def prepare(data: FeatureSet, request: Request) -> Ready:
    """Choose labels, split, encode, and make the first heads.

    Raises:
        DataError: a head is not in the data, has one label only or too few rows; an option names a head that is not
            trained; products that are held out trained the head to begin from.
    """
    if missing := sorted(set(request.heads) - set(data.heads)):
        raise DataError(f"the features have no labels for {missing}; they have {', '.join(data.heads)}")
    _check_names(request)
    parts = request.split.parts(data.rows["product_id"])
    for path in request.start.values():
        refuse_leaks(list(data.rows["product_id"]), parts, path)
    started = {head: _start(head, path, data) for head, path in request.start.items()}
    plans = [_plan(data, parts, head, kind, request, started.get(head)) for head, kind in request.heads.items()]
    targets = {plan.head: encode(list(data.rows[plan.head]), plan) for plan in plans}
    examples = Examples(data.features, parts, targets, data.extra, data.backbone)
    heads: dict[str, Head] = {}
    for plan in plans:
        start = started.get(plan.head)
        inputs = _inputs(plan.head, data, start.extra_inputs if start else request.inputs.get(plan.head, ()))
        hidden = start.module.width if start else request.hidden.get(plan.head, 0)
        heads[plan.head] = new_head(plan, examples, inputs, request.options.seed, hidden)
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
    if not resume:
        forget(folder)
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
    parts = ready.examples.parts
    save_split(data, parts, folder)
    twins = find_twins(data.features, parts)
    write_twins(twins, data.rows, parts, folder)
    cards, figures = {}, {}
    for plan in ready.plans:
        made = calibrated(plan, trained[plan.head], ready.examples, data, request)
        targets = encode(list(data.rows[plan.head]), replace(plan, labels=made.labels)) if made.open_set else None
        targets = targets or ready.examples.targets[plan.head]
        found = {
            "train_rows": int(((parts == TRAIN) & targets.known).sum()),
            "near_duplicates": twins.figures(),
            **held_out_figures(made, ready.examples, targets, data),
        }
        tensors = head_tensors(made.module, made.open_set)
        cards[plan.head] = write_card(replace(made.card, figures=found), tensors, folder / "cards")
        figures[plan.head] = found
        save_predictions(made, ready.examples, targets, data, folder)
    return Trained(cards, figures, twins.same, epochs, twins)


def _check_names(request: Request) -> None:
    """Every option that speaks of a head speaks of one that is trained."""
    options = {
        "--from": request.start,
        "--weight": request.weights,
        "--extra-input": request.inputs,
        "--hidden": request.hidden,
    }
    for option, names in {**options, "--open": request.open_set.heads}.items():
        if strange := sorted(set(names) - set(request.heads)):
            raise DataError(
                f"{option} is for {strange[0]!r}, which is not trained here; heads: {', '.join(request.heads)}"
            )
    if several := [head for head in request.open_set.heads if request.heads[head] == "multi"]:
        raise DataError(f"head {several[0]!r} may give several labels or none, so it needs no answer {UNKNOWN}")


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
    texts: Sequence[str | None] = list(data.rows[head].to_numpy()[parts == TRAIN])
    if head in request.open_set.heads:
        texts = leave_out(texts, request.open_set)
    if start is None:
        plan = plan_head(head, texts, kind, request.min_count)
    else:  # the labels it knows stay where they are, new ones come behind them
        found = frequent(count_labels(texts, start.kind), request.min_count)
        plan = Plan(head, start.kind, start.known + tuple(label for label in found if label not in start.known))
    return replace(plan, weight=request.weights.get(head, 1.0))


def take_over(head: Head, plan: Plan, start: LoadedHead) -> None:
    """Begin from an existing head: standardization, hidden layer, and its rows for the labels that it knows."""
    if head.hidden is not None and start.module.hidden is not None:
        head.hidden.load_state_dict(start.module.hidden.state_dict())
    with torch.no_grad():
        head.mean.copy_(start.module.mean)
        head.std.copy_(start.module.std)
        for row, label in enumerate(plan.labels):
            if label in start.known:
                source = start.known.index(label)
                head.linear.weight[row] = start.module.linear.weight[source] / start.module.temperature
                head.linear.bias[row] = start.module.linear.bias[source] / start.module.temperature


def save_split(data: FeatureSet, parts: np.ndarray, folder: Path) -> None:
    """Write which product is in which part to `split.parquet`."""
    frame = pd.DataFrame({"product_id": data.rows["product_id"], "part": np.array(PARTS)[parts]})
    folder.mkdir(parents=True, exist_ok=True)
    frame.drop_duplicates().sort_values("product_id").to_parquet(folder / SPLIT_FILE, index=False)


def calibrated(plan: Plan, head: Head, examples: Examples, data: FeatureSet, request: Request) -> LoadedHead:
    """A trained head with temperature, thresholds and, where asked for, its open set; its card has no figures yet."""
    # float16 before calibrating and testing: the figures are those of the weights that ship
    for layer in (head.linear, head.hidden):
        if layer is not None:
            layer.weight.data = layer.weight.data.half().float()
    targets = examples.targets[plan.head]
    rows = np.flatnonzero((examples.parts == VALIDATION) & targets.known)
    logits, allowed = logits_of(head, examples, rows), targets.allowed(rows)
    options: dict[str, Any] = {"kind": plan.kind, "backbone": data.backbone}
    temperature = fit_temperature(logits, torch.from_numpy(allowed), plan.kind)
    head.temperature.fill_(temperature)
    if plan.kind == "single":
        thresholds = _abstain(torch.softmax(logits / temperature, dim=1).numpy(), allowed, request.precision)
        options["precision_wanted"] = request.precision
    else:
        chosen = label_thresholds(torch.sigmoid(logits / temperature).numpy(), allowed)
        thresholds = {label: round(float(value), 4) for label, value in zip(plan.labels, chosen, strict=True)}
    if head.extra_inputs:
        options["extra_inputs"] = head.extra_inputs
    if head.width:
        options[HIDDEN] = head.width
    card = Card(
        role="head",
        name=plan.head,
        architecture=MLP if head.width else LINEAR,
        weights=f"{plan.head}.safetensors",
        labels=plan.labels,
        seed=request.options.seed,
        split=request.split.words(),
        thresholds=thresholds,
        options=options,
        licence=request.words.licence,
        data=request.words.data,
        command=request.words.command,
    )
    if plan.head in request.open_set.heads:
        return _opened(LoadedHead(card, head), examples, targets, data, request)
    return LoadedHead(card, head)


def _abstain(probabilities: np.ndarray, allowed: np.ndarray, precision: float) -> dict[str, float]:
    """The threshold of a single-label head, from probabilities and labels (N, C) of rows it was not trained on."""
    said = probabilities.argmax(axis=1)
    right = allowed[np.arange(len(said)), said]
    return {ABSTAIN: round(abstain_threshold(probabilities.max(axis=1), right, precision), 4)}


def _opened(closed: LoadedHead, examples: Examples, targets: Targets, data: FeatureSet, request: Request) -> LoadedHead:
    """The head with the further answer `(unknown)`: its threshold holds for known and unknown labels together."""
    card, wanted = closed.card, request.open_set
    known = np.flatnonzero((examples.parts == VALIDATION) & targets.known)
    labels = outside(list(data.rows[card.name]), Plan(card.name, "single", card.labels))
    unknown = calibration_rows(labels, examples.parts, wanted, card.name)
    open_set: OpenSet = fit_open_set(closed.module, examples, targets, known, unknown, wanted.expected)
    options = {
        "closed_abstain": card.thresholds[ABSTAIN],
        "left_out": wanted.leave_out,
        "expected": wanted.expected,
        "calibrated_on": sorted(set(labels[unknown])),
    }
    opened = LoadedHead(
        replace(card, labels=(*card.labels, UNKNOWN), options={**card.options, OPEN: options}), closed.module, open_set
    )
    mixed = np.concatenate([known, as_expected(unknown, len(known), wanted.expected)])
    probabilities = probabilities_of(opened, examples, mixed)
    allowed = np.zeros(probabilities.shape, bool)
    allowed[: len(known), :-1] = targets.allowed(known)
    allowed[len(known) :, -1] = True
    thresholds = _abstain(probabilities, allowed, request.precision)
    return LoadedHead(replace(opened.card, thresholds=thresholds), closed.module, open_set)
