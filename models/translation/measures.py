"""How good a translator is: does the structure change to that of the other kind, and does the color stay?

Nothing here is a person's judgement. The judge is a frozen classifier that has seen real photos only; it can be fooled
by texture. Every figure comes with n, and with what the untranslated sources and real pictures of the target reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torchvision.transforms import v2

from models.errors import DataError
from models.translation.distances import fid, hellinger, kid
from models.translation.pictures import PicturePair, Side, Stack
from models.translation.samples import spread_rows
from models.translation.translator import Translator

DIGITS = 4
CHUNK = 64


@dataclass(frozen=True)
class Look:
    """What a judge sees in N pictures.

    Args:
        features: float32 (N, D).
        probabilities: float32 (N, labels) of the type head.
        colors: float32 (N, C), color histograms of the foregrounds as roots of shares.
    """

    features: np.ndarray
    probabilities: np.ndarray
    colors: np.ndarray


class Judge(Protocol):
    """A frozen classifier and a measured color histogram."""

    @property
    def name(self) -> str:
        """Of the feature network and its head, for people."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the type head."""
        ...

    def look(self, pictures: np.ndarray) -> Look:
        """Look at uint8 (N, 3, S, S), RGB."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a test reads.

    Args:
        limit: pictures of each kind, at the most, spread evenly over what is there.
        source_labels: of the type head, that mean "as the source"; none: those of the pictures.
        target_labels: likewise for the target.
    """

    limit: int = 1000
    source_labels: tuple[str, ...] = ()
    target_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """Sources and references of one direction, looked at once for all translators that are compared."""

    sources: np.ndarray
    seen_sources: Look
    seen_real: Look
    source_labels: tuple[str, ...]
    target_labels: tuple[str, ...]
    held_out_real: int


def make_bench(pictures: PicturePair, source: str, judge: Judge, plan: Plan) -> Bench:
    """Everything that does not depend on the translator.

    Sources are the held-out pictures of side `source`. The reference for FID and KID are the real pictures of the other
    side, training part included, resized to what the translator gives.

    Raises:
        DataError: labels are not those of the judge, or none are known.
    """
    there, other = pictures.side(source), pictures.side("b" if source == "a" else "a")
    source_labels = _known(plan.source_labels or there.labels, judge, there)
    target_labels = _known(plan.target_labels or other.labels, judge, other)
    sources, held_out = spread_rows(there.test, plan.limit), spread_rows(other.test, plan.limit)
    room = plan.limit - len(held_out)
    real = np.concatenate([held_out, _smaller(other.train, room, pictures.size)]) if room else held_out
    looks = _look(judge, sources), _look(judge, real)
    return Bench(sources, *looks, source_labels, target_labels, len(held_out))


def measure(there: Translator, back: Translator, bench: Bench, judge: Judge) -> dict[str, Any]:
    """Figures of one direction.

    Returns:
        n, n_reference and features: what FID and KID rest on.
        color_distance: mean Hellinger distance, in [0, 1], between the CIELAB histograms of the foregrounds of source
            and variant; color_distance_chance: of a source and the variant of another one: what it is where color does
            not transfer.
        target_probability, source_probability: mean probability that the type head gives to labels of the target, or
            of the source, on the variants; target_share: how often its best answer is one of the target.
        cycle_error: mean absolute difference between source and the way back, as a share of the range.
        fid, kid, kid_spread: variants against real pictures of the target.
        untranslated: the same for the sources as they are; real: for held-out pictures of the target.
    """
    variants = there(bench.sources)
    cycle = back(variants)
    seen = _look(judge, variants)
    others = np.roll(seen.colors, len(variants) // 2, axis=0)  # neighbors may be photos of one product
    error = np.abs(cycle.astype(np.float32) - bench.sources.astype(np.float32)).mean() / 255
    numbers = {
        "n": len(variants),
        "n_reference": len(bench.seen_real.features),
        "features": judge.name,
        "color_distance": float(hellinger(bench.seen_sources.colors, seen.colors).mean()),
        "color_distance_chance": float(hellinger(bench.seen_sources.colors, others).mean()),
        "cycle_error": float(error),
        **_structure(seen, bench, judge),
        **_quality(seen, bench),
        "untranslated": {**_structure(bench.seen_sources, bench, judge), **_quality(bench.seen_sources, bench)},
        "real": _structure(_first(bench.seen_real, bench.held_out_real), bench, judge),
    }
    return _rounded(numbers)


def _structure(seen: Look, bench: Bench, judge: Judge) -> dict[str, float]:
    target = np.isin(judge.labels, bench.target_labels)
    source = np.isin(judge.labels, bench.source_labels)
    return {
        "target_probability": float(seen.probabilities[:, target].sum(axis=1).mean()),
        "source_probability": float(seen.probabilities[:, source].sum(axis=1).mean()),
        "target_share": float(target[seen.probabilities.argmax(axis=1)].mean()),
    }


def _quality(seen: Look, bench: Bench) -> dict[str, float]:
    value, spread = kid(seen.features, bench.seen_real.features)
    return {"fid": fid(seen.features, bench.seen_real.features), "kid": value, "kid_spread": spread}


def _first(look: Look, count: int) -> Look:
    return Look(look.features[:count], look.probabilities[:count], look.colors[:count])


def _look(judge: Judge, pictures: np.ndarray) -> Look:
    looks = [judge.look(pictures[begin : begin + CHUNK]) for begin in range(0, len(pictures), CHUNK)]
    return Look(
        np.concatenate([one.features for one in looks]),
        np.concatenate([one.probabilities for one in looks]),
        np.concatenate([one.colors for one in looks]),
    )


def _smaller(stack: Stack, count: int, size: int) -> np.ndarray:
    """Training pictures resized to `size`: uint8 (n, 3, size, size)."""
    pictures = torch.from_numpy(spread_rows(stack, count))
    return v2.functional.resize(pictures, [size, size], antialias=True).numpy()


def _known(labels: Sequence[str], judge: Judge, side: Side) -> tuple[str, ...]:
    found = tuple(label for label in labels if label in judge.labels)
    if not found or len(found) < len(labels):
        missing = [label for label in labels if label not in judge.labels]
        raise DataError(
            f"the labels of {side.name} ({', '.join(missing) or 'none given'}) are not those of the type head; "
            f"name some of {', '.join(judge.labels)} with --labels-a and --labels-b"
        )
    return found


def _rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    def one(value: Any) -> Any:
        if isinstance(value, dict):
            return _rounded(value)
        return round(value, DIGITS) if isinstance(value, float) else value

    return {name: one(value) for name, value in numbers.items()}
