"""How good captions are: BLEU, ROUGE-L and CIDEr as pycocoevalcap computes them, and the baseline they have to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.captioner import tokenize


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


def nearest_captions(features: np.ndarray, train: np.ndarray, test: np.ndarray, captions: Sequence[str]) -> list[str]:
    """For each test row the caption of the training row with the closest feature (cosine).

    Args:
        features: (N, D).
        train: row numbers to copy from.
        test: row numbers to answer.
        captions: N sentences.
    """
    queries = _unit(features[test])
    best = np.full(len(test), -2.0, np.float32)
    owner = np.zeros(len(test), np.int64)
    for begin in range(0, len(train), 4096):
        rows = train[begin : begin + 4096]
        cosine = queries @ _unit(features[rows]).T
        nearest = cosine.argmax(axis=1)
        value = cosine[np.arange(len(test)), nearest]
        owner = np.where(value > best, rows[nearest], owner)
        best = np.maximum(best, value)
    return [captions[int(row)] for row in owner]


def _unit(features: np.ndarray) -> np.ndarray:
    rows = np.asarray(features, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
