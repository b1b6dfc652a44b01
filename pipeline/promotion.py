"""Whether one release reads better than another: head by head, on the same held-out products, beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from models.cards import Card
from models.heads import load_head
from models.release_cards import read_release
from models.training.features import FeatureSet
from models.training.heads import Examples
from models.training.judge import probabilities_of, thresholds_of
from models.training.splits import TEST, Split, refuse_leaks
from models.training.targets import Plan, encode
from pipeline.errors import GateError, InputError

DRAWS = 2000
CONFIDENCE = 0.95

Verdict = Literal["better", "worse", "no difference", "new", "gone"]


@dataclass(frozen=True)
class HeadComparison:
    """One head of both releases on the same photos.

    Args:
        head: its name.
        verdict: better or worse only where the whole interval is on one side of 0.
        photos: photos compared: held out, with a label that one of the two knows.
        products: products they show.
        candidate: mean score in [0, 1]: share of right best answers; multi-label: F1 of a photo's labels.
        current: the same.
        low: of candidate - current, lower end of the 95 % interval of a bootstrap over products.
        high: upper end.
    """

    head: str
    verdict: Verdict
    photos: int
    products: int
    candidate: float
    current: float
    low: float
    high: float


def compare_releases(candidate: Path, current: Path, data: FeatureSet, split: Split) -> list[HeadComparison]:
    """Compare the heads of two releases that the features have labels for; a head of the current one that the candidate
    lacks is "gone", one it has in addition is "new".

    Args:
        candidate: folder of a release.
        current: folder of another.
        data: labelled features of the backbone that both stand on.
        split: whose test products judge.

    Raises:
        InputError: a release stands on another backbone than made the features, or they label none of its heads.
        DataError: the split tests on products that trained a head.
    """
    ours, theirs = read_release(candidate), read_release(current)
    for release in (ours, theirs):
        if release.backbone[0].digest(functional=True) != data.backbone:
            raise InputError(
                f"{release.folder}: its backbone {release.backbone[0].name} did not make these features; make features "
                "with `atelier features --release`, and compare releases of one backbone"
            )
    compared = []
    for name in sorted({*ours.heads, *theirs.heads} & set(data.heads)):
        pair = (ours.heads.get(name), theirs.heads.get(name))
        scores = [None if head is None else _scores(head[0], head[1], data, split) for head in pair]
        compared.append(_compare(name, scores, data))
    if not any(one.verdict not in {"gone"} for one in compared):
        raise InputError(f"the features label no head of {candidate}; they have {', '.join(data.heads)}")
    return compared


def refuse_unless_better(compared: Sequence[HeadComparison]) -> None:
    """Let a candidate pass that is better in a head, or has a new one, and is worse in none and lacks none.

    Raises:
        GateError: it is not so; the message says why.
    """
    bad = [one for one in compared if one.verdict in {"worse", "gone"}]
    if bad:
        words = ", ".join(f"{one.head} ({one.verdict}: {one.candidate:.3f} for {one.current:.3f})" for one in bad)
        raise GateError(f"not promoted: {words}")
    if not any(one.verdict in {"better", "new"} for one in compared):
        raise GateError("not promoted: no head is better beyond what another choice of products would show by chance")


def _scores(card: Card, folder: Path, data: FeatureSet, split: Split) -> np.ndarray:
    """Score of each held-out labelled row in [0, 1], float (N,); NaN where there is none to give.

    A label that the head does not know scores 0: knowing more labels is worth something.
    """
    head = load_head(card, folder, "cpu", data.features.shape[1])
    parts = split.parts(data.rows["product_id"])
    refuse_leaks(list(data.rows["product_id"]), parts, folder / f"{card.name}.toml")
    targets = encode(list(data.rows[card.name]), Plan(card.name, head.kind, head.labels))
    judged = (parts == TEST) & data.rows[card.name].notna().to_numpy()
    scores = np.where(judged, 0.0, np.nan)
    rows = np.flatnonzero(judged & targets.known)
    if len(rows) == 0:
        return scores
    probabilities = probabilities_of(head, Examples(data.features, parts, {card.name: targets}, data.extra), rows)
    allowed = targets.allowed(rows)
    if head.kind == "single":
        scores[rows] = allowed[np.arange(len(rows)), probabilities.argmax(axis=1)]
    else:
        said = probabilities >= thresholds_of(head)
        scores[rows] = 2 * (said & allowed).sum(axis=1) / np.maximum(said.sum(axis=1) + allowed.sum(axis=1), 1)
    return scores


def _compare(name: str, scores: Sequence[np.ndarray | None], data: FeatureSet) -> HeadComparison:
    """Mean scores and the interval of their difference; photos of a product are drawn together, as they are alike."""
    ours, theirs = scores
    labelled = next(one for one in scores if one is not None)
    rows = np.flatnonzero(~np.isnan(labelled))
    products, place = np.unique(data.rows["product_id"].to_numpy()[rows], return_inverse=True)
    mean_ours, mean_theirs = (float(one[rows].mean()) if one is not None and len(rows) else 0.0 for one in scores)
    verdict: Verdict = "gone" if ours is None else "new" if theirs is None else "no difference"
    low = high = 0.0
    if ours is not None and theirs is not None and len(rows):
        gains = np.bincount(place, weights=ours[rows] - theirs[rows])
        low, high = _interval(gains, np.bincount(place))
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference"
    return HeadComparison(name, verdict, len(rows), len(products), mean_ours, mean_theirs, low, high)


def _interval(gains: np.ndarray, photos: np.ndarray) -> tuple[float, float]:
    """Interval of sum(gains) / sum(photos) under another draw of products (cluster bootstrap, percentiles)."""
    rng = np.random.default_rng(0)
    ratios = np.empty(DRAWS)
    for draw in range(DRAWS):
        weights = np.bincount(rng.integers(len(gains), size=len(gains)), minlength=len(gains))
        ratios[draw] = (weights @ gains) / (weights @ photos)
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(ratios, [outside, 100 - outside])
    return round(float(low), 4), round(float(high), 4)
