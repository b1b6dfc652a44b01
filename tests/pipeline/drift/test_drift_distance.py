"""The distances mean what they say: exact cases, agreement with scipy, and few false alarms by chance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon, pdist

from pipeline.drift.distance import discrepancy, divergence, divergence_by_chance, moved
from pipeline.drift.sketch import BANDWIDTH_SQUARED, Sketch, SketchBuilder


def unit(count: int, seed: int, middle: float = 0.0, dim: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dim)) * 0.2 + np.eye(dim)[0] + middle * np.eye(dim)[1]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sketched(vectors: np.ndarray, block: int = 1000) -> Sketch:
    builder = SketchBuilder()
    for start in range(0, len(vectors), block):
        builder.add(vectors[start : start + block])
    return builder.sketch()


def test_divergence_is_scipy_s_in_bits() -> None:
    ours, theirs = {"a": 10, "b": 30, None: 5}, {"b": 10, "a": 10, "c": 80}
    labels = ["a", "b", "c", None]
    p, q = ([found.get(label, 0) for label in labels] for found in (ours, theirs))
    assert divergence(ours, theirs) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert divergence(ours, {name: 7 * count for name, count in ours.items()}) == pytest.approx(0, abs=1e-12)
    assert divergence({"a": 1}, {"b": 1}) == pytest.approx(1)


def test_one_in_a_hundred_draws_exceeds_chance() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.5, 0.3, 0.1, 0.05, 0.05])
    above = 0
    for _ in range(2000):
        ours, theirs = (Counter(dict(enumerate(rng.multinomial(n, shares)))) for n in (300, 900))
        above += divergence(ours, theirs) > divergence_by_chance(ours, theirs, 300, 900)
    assert 0.004 < above / 2000 < 0.02


def test_sketches_add_up() -> None:
    whole, half, other = unit(900, 1), unit(900, 1)[:300], unit(900, 1)[300:]
    together = Sketch.union([sketched(half), sketched(other)])
    assert together.count == 900
    assert together.mean == pytest.approx(sketched(whole).mean)
    assert sketched(whole, 7).spread_squared == pytest.approx(sketched(whole).spread_squared)


def test_the_inner_product_of_means_is_the_mean_kernel() -> None:
    vectors = unit(200, 2)
    mean_kernel = np.exp(-(pdist(vectors) ** 2) / (2 * BANDWIDTH_SQUARED)).mean()
    sketch = sketched(vectors)
    approximated = (200 * sketch.mean @ sketch.mean - 1) / 199
    assert approximated == pytest.approx(mean_kernel, abs=0.02)


def test_discrepancy_is_small_by_chance_and_grows_with_the_shift() -> None:
    reference = sketched(unit(2000, 3))
    above, last = 0, -1.0
    for seed in range(60):
        distance, chance = discrepancy(sketched(unit(200, 10 + seed)), reference, 200, 2000)
        above += distance > chance
    assert above <= 3
    for middle in (0.0, 0.2, 0.4, 0.8):
        distance, chance = discrepancy(sketched(unit(200, 5, middle)), reference, 200, 2000)
        assert distance > last or middle == 0
        assert (distance > 2 * chance) is (middle > 0)
        last = distance


def test_photos_of_one_product_count_once() -> None:
    """Each vector ten times says no more than once: nothing may be found that chance explains."""
    reference = sketched(unit(2000, 3))
    above = 0
    for seed in range(40):
        repeated = sketched(np.repeat(unit(30, 1000 + seed), 10, axis=0))
        distance, chance = discrepancy(repeated, reference, 30, 2000)
        above += distance > chance
    assert above <= 3


def test_moved_names_the_largest_changes_first() -> None:
    assert moved({"a": 1, "b": 1}, {"a": 3, None: 1}) == [
        {"bin": "b", "share": 0.5, "usual_share": 0.0},
        {"bin": None, "share": 0.0, "usual_share": 0.25},
        {"bin": "a", "share": 0.5, "usual_share": 0.75},
    ]


def test_an_empty_sketch_is_refused() -> None:
    with pytest.raises(ValueError, match="no vector was added"):
        SketchBuilder().sketch()
