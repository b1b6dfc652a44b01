"""The naive head next to multi-task heads, on the same features, split, batches and epochs.

Two ways to learn many attributes at once (the iFashion project of Google's AI winter camp, on iMaterialist 2018):

- naive: the labels of all heads joined into one layer, one binary cross entropy over everything. It does not know
  that a photo has one type only, nor that nobody was asked for its color: where a row has no label for a head, all
  of the head's labels count as "no".
- multi-task: a softmax for each single-label head, binary cross entropy for the others, losses summed, rows without
  a label for a head left out of its loss.

Both are trained by `HeadTrainer`: the same seed gives them the same rows in the same batches. Both get the weight
decay and the epoch with the least validation loss: the naive layer one for all of its labels, a head its own. Both get
the learning rate with the best samples F1 on validation, of the same few: the naive layer needs a higher one, because
its loss is a mean over all labels and it has to learn first how rare they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import metrics
from models.errors import DataError
from models.heads import Head
from models.training.calibration import label_thresholds
from models.training.checkpoints import CHECKPOINT, forget
from models.training.classify import Ready, Request, prepare
from models.training.features import FeatureSet
from models.training.heads import Examples, HeadOptions, HeadTrainer, OnEpoch, logits_of, new_head
from models.training.log import TrainingLog
from models.training.splits import TEST, VALIDATION, SavedSplit
from models.training.targets import MISSING, Plan, Targets

NAIVE, NAIVE_ARGMAX, MULTI_TASK = METHODS = ("naive", "naive_argmax", "multi_task")
"""`naive_argmax` is the naive layer told afterwards that a single-label head has one answer: same weights, and for
such a head its most probable label instead of thresholds. It parts what the losses do from what the decision does."""

TOGETHER = "together"
"""Figures over the labels of all heads joined."""

FIGURES = ("samples_f1", "micro_f1", "macro_f1")
AS_NEGATIVE = "samples_f1_missing_negative"
"""Samples F1 as the original measured it: where nobody said anything of a head, every answer of it is wrong."""

GRID = np.linspace(0.02, 0.98, 49)
"""Thresholds tried for all labels alike."""


@dataclass(frozen=True)
class Joined:
    """The labels of several heads side by side: head h has the columns `slices[h]` of C in all."""

    plans: Sequence[Plan]
    targets: Mapping[str, Targets]

    @property
    def slices(self) -> list[slice]:
        """Columns of each head."""
        ends = np.cumsum([len(plan.labels) for plan in self.plans]).tolist()
        return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]

    def plan(self) -> Plan:
        """All labels as one multi-label head, each named with its head."""
        return Plan(NAIVE, "multi", tuple(f"{plan.head}: {label}" for plan in self.plans for label in plan.labels))

    def encode(self) -> Targets:
        """Targets of the naive layer: a head without a label is all "no"; a row without any label is `MISSING`.

        Takes a row of C booleans for each combination of labels that occurs, at the most N of them.
        """
        codes = np.stack([self.targets[plan.head].codes for plan in self.plans], axis=1)
        distinct, place = np.unique(codes, axis=0, return_inverse=True)
        sets = [
            self.targets[plan.head].sets[code] & (code != MISSING)[:, None]
            for plan, code in zip(self.plans, distinct.T, strict=True)
        ]
        labelled = (codes != MISSING).any(axis=1)
        return Targets(np.where(labelled, place.reshape(-1), MISSING).astype(np.int32), np.concatenate(sets, axis=1))

    def known(self, rows: np.ndarray) -> np.ndarray:
        """bool (n, H): which of these rows have a label for which head."""
        return np.stack([self.targets[plan.head].known[rows] for plan in self.plans], axis=1)

    def asked(self, rows: np.ndarray) -> np.ndarray:
        """bool (n, C): the columns of the heads that a row has a label for."""
        return np.repeat(self.known(rows), [len(plan.labels) for plan in self.plans], axis=1)

    def truth(self, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """bool (n, C): the right labels; of several that a single-label head may give, the most probable (n, C)."""
        columns = []
        for plan, at in zip(self.plans, self.slices, strict=True):
            allowed = self.targets[plan.head].allowed(rows)
            if plan.kind == "single":
                best = metrics.truth_of(probabilities[:, at], allowed)
                allowed = allowed & (np.arange(allowed.shape[1]) == best[:, None])
            columns.append(allowed)
        return np.concatenate(columns, axis=1)

    def thresholded(self, *, argmax: bool) -> np.ndarray:
        """bool (C,): columns decided by a threshold; with `argmax`, those of single-label heads are not."""
        return np.concatenate([np.full(len(p.labels), p.kind == "multi" or not argmax) for p in self.plans])


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Args:
        figures: method -> head or `together` -> figure -> one value a repeat.
        test_rows: rows tested on, one number a repeat.
        labels: columns C of each repeat.
        rates: method -> learning rate that validation picked, one a repeat.
    """

    figures: dict[str, dict[str, dict[str, list[float]]]]
    test_rows: list[int]
    labels: list[int]
    rates: dict[str, list[float]]

    def summary(self) -> dict[str, Any]:
        """Mean and spread (standard deviation) over the repeats, and the difference repeat by repeat."""
        methods = {
            method: {scope: {name: _spread(values) for name, values in of.items()} for scope, of in scopes.items()}
            for method, scopes in self.figures.items()
        }
        gain: dict[str, Any] = {}
        for name in (*FIGURES, AS_NEGATIVE):
            pairs = zip(self.figures[MULTI_TASK][TOGETHER][name], self.figures[NAIVE][TOGETHER][name], strict=True)
            differences = [ours - theirs for ours, theirs in pairs]
            gain[name] = {**_spread(differences), "better_in": sum(d > 0 for d in differences)}
        repeats = len(self.test_rows)
        return {
            "repeats": repeats,
            "test_rows": self.test_rows,
            "labels": self.labels,
            "learning_rates": self.rates,
            "methods": methods,
            "multi_task_minus_naive": gain,
        }


def compare_heads(
    data: FeatureSet,
    request: Request,
    folder: Path,
    rates: Sequence[float],
    repeats: int = 3,
    on_epoch: Callable[[str, int, dict[str, float]], None] | None = None,
    *,
    resume: bool = False,
) -> Comparison:
    """Train both, `repeats` times, and test them on the held-out products.

    Repeat i has the seed and the split's seed of the request plus i, the same for both: the spread is that of other
    first weights, other batches and other products. Logs go to `folder`/repeat_i/naive/lr_x and multi_task/lr_x.

    Args:
        rates: learning rates to try, in place of that of the request's options; validation picks.
        on_epoch: told the training's name, the epoch and its figures.
        resume: go on from the checkpoints that are in the folder; what is finished is only tested again.

    Raises:
        DataError: see `prepare`; fewer than two heads; the request asks for what the naive head has no place for,
            or for a saved split; or a checkpoint does not fit.
    """
    if len(request.heads) < 2:
        raise DataError("to compare with one layer over the labels of all heads, name at least two heads")
    if request.start or request.inputs:
        raise DataError("a comparison trains on the features alone and from the start")
    if isinstance(request.split, SavedSplit):
        raise DataError("every repeat of a comparison has a split of its own: give a rule, not a saved split")
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    made = Comparison(results, [], [], {NAIVE: [], MULTI_TASK: []})
    for number in range(repeats):
        options = replace(request.options, seed=request.options.seed + number)
        split = replace(request.split, seed=request.split.seed + number)
        ready = prepare(data, replace(request, options=options, split=split))
        joined = Joined(ready.plans, ready.examples.targets)
        trained: dict[str, Decide] = {}
        for method, train in ((NAIVE, _train_naive), (MULTI_TASK, _train_multi_task)):
            runs = []
            for rate in rates:
                name = f"repeat_{number}/{method}/lr_{rate:g}"
                told = partial(on_epoch, name) if on_epoch else None
                decide = train(ready, joined, _Run(replace(options, lr=rate), folder / name, told, resume))
                runs.append((validated(decide, ready.examples, joined, argmax=method != NAIVE)[1], rate, decide))
            _, best, trained[method] = max(runs, key=lambda run: run[0])
            made.rates[method].append(best)
        made.labels.append(len(joined.plan().labels))
        made.test_rows.append(len(_rows(ready.examples, joined, TEST)))
        for method in METHODS:
            decide = trained[MULTI_TASK if method == MULTI_TASK else NAIVE]
            for scope, figures in judge(decide, ready.examples, joined, argmax=method != NAIVE).items():
                for figure, value in figures.items():
                    results.setdefault(method, {}).setdefault(scope, {}).setdefault(figure, []).append(value)
    return made


Decide = Callable[[Examples, np.ndarray], np.ndarray]
"""Probabilities float32 (n, C) of rows."""


@dataclass(frozen=True)
class _Run:
    """One training: how, where, whom to tell, and whether to go on from its checkpoint where there is one."""

    options: HeadOptions
    folder: Path
    on_epoch: OnEpoch | None
    resume: bool

    def fit(self, examples: Examples, plans: list[Plan], start: Mapping[str, Head]) -> dict[str, Head]:
        self.folder.mkdir(parents=True, exist_ok=True)
        trainer = HeadTrainer(examples, plans, start, self.options, self.folder)
        if not self.resume:
            forget(self.folder)
        done = trainer.resume() if (self.folder / CHECKPOINT).is_file() else 0
        log = TrainingLog(self.folder, after_epoch=done)

        def logged(epoch: int, numbers: dict[str, float]) -> None:
            log.add(epoch, **numbers)
            if self.on_epoch:
                self.on_epoch(epoch, numbers)

        return trainer.fit(logged)


def _train_naive(ready: Ready, joined: Joined, run: _Run) -> Decide:
    plan = joined.plan()
    examples = replace(ready.examples, targets={NAIVE: joined.encode()})
    head = run.fit(examples, [plan], {NAIVE: new_head(plan, examples, {}, run.options.seed)})[NAIVE]
    return lambda of, rows: torch.sigmoid(logits_of(head, of, rows)).numpy()


def _train_multi_task(ready: Ready, joined: Joined, run: _Run) -> Decide:
    heads = run.fit(ready.examples, list(joined.plans), ready.heads)

    def probabilities(plan: Plan, head: Head, examples: Examples, rows: np.ndarray) -> torch.Tensor:
        logits = logits_of(head, examples, rows)
        return torch.softmax(logits, dim=1) if plan.kind == "single" else torch.sigmoid(logits)

    return lambda of, rows: torch.cat([probabilities(p, heads[p.head], of, rows) for p in joined.plans], dim=1).numpy()


def _rows(examples: Examples, joined: Joined, part: int) -> np.ndarray:
    """Rows of a part with a label for any head."""
    rows = np.flatnonzero(examples.parts == part)
    return rows[joined.known(rows).any(axis=1)]


def validated(decide: Decide, examples: Examples, joined: Joined, *, argmax: bool) -> tuple[np.ndarray, float]:
    """Thresholds tuned on the validation rows (see `tune`), and samples F1 with them there."""
    rows = _rows(examples, joined, VALIDATION)
    probabilities = decide(examples, rows)
    free = joined.thresholded(argmax=argmax)
    truth, asked = joined.truth(rows, probabilities), joined.asked(rows)
    thresholds = tune(probabilities[:, free], truth[:, free], asked[:, free])
    return thresholds, metrics.samples_f1(decided(probabilities, joined, thresholds, free) & asked, truth)


def judge(decide: Decide, examples: Examples, joined: Joined, *, argmax: bool) -> dict[str, dict[str, float]]:
    """Figures on the test rows, head by head and together; thresholds come from the validation rows.

    Only heads that a row has a label for are asked, except in `AS_NEGATIVE`.

    Raises:
        DataError: no test row has a label.
    """
    test = _rows(examples, joined, TEST)
    if len(test) == 0:
        raise DataError("no test product has a label; hold more products out")
    thresholds, _ = validated(decide, examples, joined, argmax=argmax)
    probabilities = decide(examples, test)
    said = decided(probabilities, joined, thresholds, joined.thresholded(argmax=argmax))
    truth, asked = joined.truth(test, probabilities), joined.asked(test)
    figures = {TOGETHER: _figures(said & asked, truth)}
    figures[TOGETHER][AS_NEGATIVE] = round(metrics.samples_f1(said, truth), 4)
    for plan, at, known in zip(joined.plans, joined.slices, joined.known(test).T, strict=True):
        if known.any():
            figures[plan.head] = _figures(said[known, at], truth[known, at])
    return figures


def tune(probabilities: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Thresholds float (C,) for samples F1: one for every label by its own F1, or one for all, whichever does better.

    Args:
        probabilities: (n, C) of validation rows.
        truth: bool (n, C).
        asked: bool (n, C): where a row has a label for the head.
    """
    columns = range(probabilities.shape[1])
    own = np.array([label_thresholds(probabilities[r, c : c + 1], truth[r, c : c + 1])[0] for c, r in _asked(asked)])
    if len(columns) == 0 or len(truth) == 0:
        return own
    tried = [own, *(np.full(len(columns), value) for value in GRID)]
    return max(tried, key=lambda values: metrics.samples_f1((probabilities >= values) & asked, truth))


def _asked(asked: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Each column with the rows that it is asked of."""
    return [(column, np.flatnonzero(rows)) for column, rows in enumerate(asked.T)]


def decided(probabilities: np.ndarray, joined: Joined, thresholds: np.ndarray, free: np.ndarray) -> np.ndarray:
    """bool (n, C): what is said. Columns in `free` (C,) by threshold, the others by the best label of their head."""
    said = np.zeros(probabilities.shape, bool)
    said[:, free] = probabilities[:, free] >= thresholds
    for at in joined.slices:
        if not free[at].any():
            said[:, at] = np.arange(at.stop - at.start) == probabilities[:, at].argmax(axis=1)[:, None]
    return said


def _figures(said: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    all_figures = metrics.multi_figures(said.astype(np.float32), truth, np.full(said.shape[1], 0.5))
    return {name: all_figures[name] for name in FIGURES}


def _spread(values: Sequence[float]) -> dict[str, float]:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 4), "spread": round(spread, 4)}
