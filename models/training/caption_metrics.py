"""How good captions are: BLEU, ROUGE-L and CIDEr as pycocoevalcap computes them, and the baselines they have to beat.

CIDEr weighs n-grams by how few of the true sentences have them. Sentences written, true and copied are all split into
words by `tokenize`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from models.caption_words import tokenize

NEIGHBORS = 10
"""Closest training photos that the consensus baseline chooses among."""


def caption_figures(said: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """Corpus figures of sentences against one true sentence each: n, bleu4, rouge_l, cider, exact, distinct.

    `exact` is the share of sentences that are word for word the truth, `distinct` the share that no other one equals.
    """
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    ours = [" ".join(tokenize(sentence)) for sentence in said]
    theirs = [" ".join(tokenize(sentence)) for sentence in truth]
    results = {number: [sentence or "."] for number, sentence in enumerate(ours)}
    references = {number: [sentence] for number, sentence in enumerate(theirs)}
    bleu, _ = Bleu(4).compute_score(references, results, verbose=0)
    rouge, _ = Rouge().compute_score(references, results)
    cider, _ = Cider().compute_score(references, results)
    return {
        "n": len(ours),
        "bleu4": round(float(bleu[3]), 4),
        "rouge_l": round(float(rouge), 4),
        "cider": round(float(cider), 4),
        "exact": round(float(np.mean([a == b for a, b in zip(ours, theirs, strict=True)])), 4),
        "distinct": round(len(set(ours)) / max(1, len(ours)), 4),
    }


def nearest_rows(features: np.ndarray, train: np.ndarray, test: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """For each test row the `k` training rows with the closest features (cosine), closest first; int64 (n, k).

    Args:
        features: (N, D).
        train: row numbers to choose from; where there are fewer than `k`, all of them.
        test: row numbers to answer.
    """
    queries = _unit(features[test])
    values = np.empty((len(test), 0), np.float32)
    owners = np.empty((len(test), 0), np.int64)
    for begin in range(0, len(train), 4096):
        rows = train[begin : begin + 4096]
        values = np.concatenate([values, queries @ _unit(features[rows]).T], axis=1)
        owners = np.concatenate([owners, np.broadcast_to(rows, (len(test), len(rows)))], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        values, owners = np.take_along_axis(values, best, axis=1), np.take_along_axis(owners, best, axis=1)
    return owners


def consensus(captions: Sequence[str]) -> str:
    """The caption most like the others (Devlin et al. 2015): highest mean F1 of shared words and pairs of words.

    Args:
        captions: at least one, the closest first; it wins ties.
    """
    grams = [_grams(caption) for caption in captions]
    means = [sum(_f1(mine, theirs) for theirs in grams) for mine in grams]
    return captions[int(np.argmax(means))]


def _grams(caption: str) -> Counter[tuple[str, ...]]:
    words = tokenize(caption)
    return Counter([*((word,) for word in words), *pairwise(words)])


def _f1(one: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]]) -> float:
    return 2 * (one & other).total() / max(1, one.total() + other.total())


def _unit(features: np.ndarray) -> np.ndarray:
    rows = np.asarray(features, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
