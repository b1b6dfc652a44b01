"""What a run's photos looked like: counts of labels and scores by head, a sketch of the embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np

from pipeline.drift.sketch import METHOD, Sketch, SketchBuilder
from pipeline.index.source import unpack_vectors
from pipeline.tables.faults import asked

EMBEDDING = "embedding"
SCORE_BINS = 20
LABELS, SCORES, VECTORS = "labels", "scores", "vectors"
_METHODS = {LABELS: "answers by label", SCORES: f"answers by score, {SCORE_BINS} bins"}
_FEW_BATCHES = 2_000
"""Up to so many batches are named in the scan of the vectors, so that other batches' files are not read."""

_OF_RUN = """
CREATE OR REPLACE TEMP TABLE of_run AS
SELECT image_key, batch_id, release_id, feature_id, coalesce(product_id, image_key) AS product, enriched_at
FROM images
WHERE run_id = ?
"""
_ANSWERS = """
CREATE OR REPLACE TEMP TABLE answers_of_run AS
WITH asked AS (
    SELECT
        image_key,
        coalesce(product_id, image_key) AS product,
        unnest(
            [
                {'head': 'type', 'label': type, 'score': type_score},
                {'head': 'color', 'label': color, 'score': color_score},
                {'head': 'brand', 'label': brand, 'score': brand_score},
                {'head': 'pattern', 'label': pattern, 'score': pattern_score},
                {'head': 'gender', 'label': gender, 'score': gender_score}
            ] || coalesce(attributes, [])
        ) AS answer
    FROM images
    WHERE run_id = ?
)
SELECT image_key, product, answer.head AS head, answer.label AS label, answer.score AS score
FROM asked
WHERE answer.label IS NOT NULL OR answer.score IS NOT NULL
"""
_COUNTS = """
WITH counted AS (
    SELECT head, {bin} AS bin, count(*) AS answers FROM answers_of_run WHERE {condition} GROUP BY ALL
), sizes AS (
    SELECT head, count(DISTINCT image_key) AS photos, count(DISTINCT product) AS products
    FROM answers_of_run WHERE {condition} GROUP BY head
)
SELECT head, any_value(photos), any_value(products), list({{'bin': bin, 'answers': answers}} ORDER BY bin)
FROM counted JOIN sizes USING (head)
GROUP BY head
ORDER BY head
"""
_BINS = {
    LABELS: ("label", "true"),
    SCORES: (f"printf('%02d', least(floor(score * {SCORE_BINS}), {SCORE_BINS - 1})::INTEGER)", "score IS NOT NULL"),
}


@dataclass(frozen=True)
class Stats:
    """One measure of one subject over one run: `counts` of labels or scores, or the `sketch` of its vectors."""

    run_id: str
    release_id: str
    subject: str
    measure: str
    method: str
    photos: int
    products: int
    enriched_at: datetime
    counts: dict[str | None, int] | None = None
    sketch: Sketch | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it can be compared with: the same subject, measure and method."""
        return self.subject, self.measure, self.method

    def row(self, batch_id: str) -> dict[str, Any]:
        """Its row of `drift_stats`."""
        counts = None if self.counts is None else [{"bin": b, "answers": n} for b, n in self.counts.items()]
        names = ("run_id", "release_id", "subject", "measure", "photos", "products", "method", "enriched_at")
        return {
            "batch_id": batch_id,
            **{name: getattr(self, name) for name in names},
            "counts": counts,
            "moments": None if self.sketch is None else self.sketch.mean.astype("<f4").tobytes(),
            "spread_squared": None if self.sketch is None else self.sketch.spread_squared,
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Stats:
        """Read a row of `drift_stats`."""
        counts, sketch = row["counts"], None
        if row["moments"] is not None:
            mean = np.frombuffer(row["moments"], "<f4").astype(np.float64)
            sketch = Sketch(row["photos"], mean, row["spread_squared"])
        names = ("run_id", "release_id", "subject", "measure", "method", "photos", "products", "enriched_at")
        return cls(
            **{name: row[name] for name in names},
            counts=None if counts is None else {found["bin"]: found["answers"] for found in counts},
            sketch=sketch,
        )


def stats_of_run(con: duckdb.DuckDBPyConnection, run_id: str, sample: int) -> list[Stats]:
    """Measure the photos that a run enriched, from a connection of `connect`; [] where it enriched none.

    Labels and scores are counted over all photos; vectors are read for about `sample` photos, chosen by a hash of
    their keys, and only from files of the run's own batches.
    """
    with asked(f"the photos of run {run_id} can't be measured"):
        con.execute(_OF_RUN, [run_id])
        one = con.execute("SELECT count(*), max(release_id), max(feature_id), min(enriched_at) FROM of_run").fetchone()
        if one is None or not one[0]:
            return []
        photos, release_id, feature_id, enriched_at = one
        con.execute(_ANSWERS, [run_id])
        found = [
            Stats(run_id, release_id, head, measure, _METHODS[measure], count, products, enriched_at, _counts(bins))
            for measure, (value, condition) in _BINS.items()
            for head, count, products, bins in con.execute(_COUNTS.format(bin=value, condition=condition)).fetchall()
        ]
        sketch, products = _sketch(con, -(-photos // sample))
    if sketch is None:
        return found
    method = f"{METHOD} of {feature_id}"
    vectors = Stats(run_id, release_id, EMBEDDING, VECTORS, method, sketch.count, products, enriched_at, sketch=sketch)
    return [*found, vectors]


def _counts(bins: list[dict[str, Any]]) -> dict[str | None, int]:
    return {found["bin"]: found["answers"] for found in bins}


def _sketch(con: duckdb.DuckDBPyConnection, one_of: int) -> tuple[Sketch | None, int]:
    """The sketch of the whole-image vectors of every `one_of`-th photo, and how many products they show."""
    chosen = f"SELECT * FROM of_run WHERE md5_number_lower(image_key) % {one_of} = 0"
    products = con.execute(f"SELECT count(DISTINCT product) FROM ({chosen})").fetchone()
    batches = [row[0] for row in con.execute("SELECT DISTINCT batch_id FROM of_run ORDER BY 1").fetchall()]
    named = ""
    if len(batches) <= _FEW_BATCHES:
        named = "AND batch_id IN ({})".format(", ".join("'" + batch.replace("'", "''") + "'" for batch in batches))
    query = con.sql(
        f"WITH chosen AS ({chosen}) SELECT dim, vector FROM stored.embeddings SEMI JOIN chosen "
        f"USING (image_key, batch_id, release_id) WHERE kind = 'image' {named}"
    )
    builder = SketchBuilder()
    for batch in query.to_arrow_reader(8_192):
        if batch.num_rows:
            builder.add(unpack_vectors(batch.column("vector"), batch.column("dim")[0].as_py()))
    return (builder.sketch(), products[0] if products else 0) if builder.count else (None, 0)
