"""Every table, declared once: columns with type, unit, nullability and meaning; the key; the partitioning.

The writer refuses rows that do not fit, the views and docs/data-dictionary.md rest on these declarations.
All timestamps are UTC, microseconds. A score is a probability in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

STANDARD_HEADS = ("type", "color", "brand", "pattern", "gender")
"""Heads with columns of their own; every other head's answers are in `attributes`."""

TIMESTAMP = pa.timestamp("us", tz="UTC")
ATTRIBUTES = pa.list_(
    pa.struct([pa.field("head", pa.string()), pa.field("label", pa.string()), pa.field("score", pa.float32())])
)


@dataclass(frozen=True)
class Column:
    """One column: `unit` is empty where the type says it all."""

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    nullable: bool = False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Smallest and largest value allowed, both included, by the unit; None for no bounds."""
        return (0.0, 1.0) if self.unit in {"probability", "fraction", "0 to 1"} else None


@dataclass(frozen=True)
class Table:
    """One table: `key` is unique among the rows that count; `batched` rows carry a batch_id that replaces itself.

    `ledgered` rows count only when their batch_id is in `images`: what a killed batch left behind is not there.
    A column that is added to a table later has to be nullable: older versions are read with nulls in its place.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    batched: bool = True
    ledgered: bool = False

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns as a pyarrow schema, nullability included."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    @property
    def column(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}


def _head_columns(of: str) -> tuple[Column, ...]:
    """Label and score of every standard head for `of` (the whole image or a garment)."""
    columns: list[Column] = []
    for head in STANDARD_HEADS:
        columns += [
            Column(
                head,
                pa.string(),
                f"{head} of the {of}; null: the head abstained or is not in the release; (unknown): none of its labels",
                nullable=True,
            ),
            Column(
                f"{head}_score",
                pa.float32(),
                f"probability of the best {head}, also where the label is null",
                "probability",
                True,
            ),
        ]
    return (
        *columns,
        Column("attributes", ATTRIBUTES, f"answers of further heads for the {of}: head, label, score", nullable=True),
        Column("color_measured", pa.string(), f"named color nearest to the {of}'s foreground in CIELAB", nullable=True),
        Column(
            "color_measured_share",
            pa.float32(),
            "share of the foreground that has the measured color",
            "fraction",
            True,
        ),
        Column(
            "color_agrees",
            pa.bool_(),
            "learned and measured color name the same; null where either is null",
            nullable=True,
        ),
    )


_OF_IMAGE = (
    Column("image_key", pa.string(), "key of the photo under the catalog root"),
    Column("etag", pa.string(), "version of the photo's bytes, as the object store names it"),
    Column("release_id", pa.string(), "release whose models made this row"),
    Column("batch_id", pa.string(), "batch that wrote this row: hash of the release, the keys and the etags in it"),
)
_RUN = Column("run_id", pa.string(), "run that wrote this row")

CATALOG = Table(
    "catalog",
    "What lies in the catalog, as last listed: one row a photo.",
    ("image_key",),
    (
        Column("image_key", pa.string(), "key of the photo under the catalog root"),
        Column("etag", pa.string(), "current version of the photo's bytes"),
        Column("bytes", pa.int64(), "size of the object", "bytes"),
        Column(
            "modified_at",
            TIMESTAMP,
            "last modified, as the object store says; for people, never for planning",
            nullable=True,
        ),
        Column(
            "product_id", pa.string(), "from the feed, else from the key by catalog.product_id_pattern", nullable=True
        ),
    ),
    batched=False,
)

FEED = Table(
    "feed",
    "The shop's own words on its products, as last delivered: one row a product.",
    ("product_id",),
    (
        Column("product_id", pa.string(), "the article"),
        Column("brand", pa.string(), "brand as the shop writes it", nullable=True),
        Column("type", pa.string(), "garment type as the shop writes it", nullable=True),
        Column("color", pa.string(), "color as the shop writes it", nullable=True),
        Column("gender", pa.string(), "gender as the shop writes it", nullable=True),
        Column("title", pa.string(), "product title", nullable=True),
        Column("price", pa.float64(), "price as delivered", "the shop's currency", True),
    ),
    batched=False,
)

IMAGES = Table(
    "images",
    "The ledger: one row a photo version and release, written last in a batch. What is here is done.",
    ("image_key", "etag", "release_id"),
    (
        *_OF_IMAGE,
        _RUN,
        Column("feature_id", pa.string(), "backbone, detector and preprocessing that made the stored features"),
        Column("product_id", pa.string(), "product the photo shows", nullable=True),
        Column("bytes", pa.int64(), "size of the object", "bytes"),
        Column("format", pa.string(), "image format as decoded: jpeg, png, webp, ..."),
        Column("width", pa.int32(), "width after turning upright", "pixels"),
        Column("height", pa.int32(), "height after turning upright", "pixels"),
        Column("sha256", pa.string(), "digest of the bytes, hexadecimal"),
        Column("phash", pa.string(), "64-bit perceptual hash (DCT), 16 hexadecimal digits"),
        *_head_columns("whole image"),
        Column("caption", pa.string(), "sentence written by the captioner", nullable=True),
        Column(
            "caption_score", pa.float32(), "geometric mean of the caption's word probabilities", "probability", True
        ),
        Column("garments", pa.int16(), "garments found in the photo; 0 marks a photo without any"),
        Column("main_group", pa.string(), "class of the main garment", nullable=True),
        Column("fetch_ms", pa.float32(), "time to fetch the bytes", "milliseconds"),
        Column("decode_ms", pa.float32(), "time to decode", "milliseconds"),
        Column("model_ms", pa.float32(), "this photo's share of the time in the models", "milliseconds"),
        Column("enriched_at", TIMESTAMP, "when the batch was computed"),
    ),
    partition_by=("release_id",),
)

GARMENTS = Table(
    "garments",
    "One row a detected garment of an image.",
    ("image_key", "etag", "release_id", "garment_index"),
    (
        *_OF_IMAGE,
        _RUN,
        Column("garment_index", pa.int16(), "0 is the main garment"),
        Column(
            "group",
            pa.string(),
            "detector class: upper-body, lower-body, full-body, footwear, bag, headwear, accessory",
        ),
        Column("score", pa.float32(), "confidence of the detection", "probability"),
        Column("x1", pa.float32(), "left edge in the upright photo", "pixels"),
        Column("y1", pa.float32(), "top edge in the upright photo", "pixels"),
        Column("x2", pa.float32(), "right edge in the upright photo", "pixels"),
        Column("y2", pa.float32(), "bottom edge in the upright photo", "pixels"),
        Column("is_main", pa.bool_(), "whether it is the garment the photo is about"),
        *_head_columns("garment"),
    ),
    partition_by=("release_id",),
    ledgered=True,
)

EMBEDDINGS = Table(
    "embeddings",
    "One row a vector: of a whole image, of a garment or of a generated image. feature = vector * norm.",
    ("image_key", "etag", "release_id", "kind", "garment_index", "generator"),
    (
        *_OF_IMAGE,
        Column("kind", pa.string(), "image, garment or variant"),
        Column("garment_index", pa.int16(), "garment of the image; -1 for the whole image"),
        Column("feature_id", pa.string(), "backbone, detector and preprocessing that made the vector"),
        Column("dim", pa.int32(), "length of the vector"),
        Column("norm", pa.float32(), "length of the feature before normalization"),
        Column("vector", pa.binary(), "L2-normalized feature, little-endian float16, dim numbers"),
        Column("generator", pa.string(), "of a variant: as in `variants`; null for what a photo shows", nullable=True),
    ),
    partition_by=("release_id",),
    ledgered=True,
)

VARIANTS = Table(
    "variants",
    "One row a generated image; synthetic is always true.",
    ("image_key", "etag", "release_id", "generator", "garment_index"),
    (
        *_OF_IMAGE,
        _RUN,
        Column("garment_index", pa.int16(), "garment of the source image; -1 for the whole image"),
        Column("generator", pa.string(), "name of the generator's model card"),
        Column("target_group", pa.string(), "group of garments that it was turned into"),
        Column("seed", pa.int64(), "seed that the generator was trained with; it draws nothing itself", nullable=True),
        Column("variant_key", pa.string(), "key of the generated picture under the warehouse root"),
        Column(
            "target_probability",
            pa.float32(),
            "type head's probability that it shows the target; null where the card names none of the head's labels",
            "probability",
            True,
        ),
        Column(
            "color_distance",
            pa.float32(),
            "distance between the color histograms of source and variant",
            "0 to 1",
            True,
        ),
        Column("synthetic", pa.bool_(), "always true"),
        Column("target", pa.string(), "what the generator's card calls its target: shoe", nullable=True),
        Column("generator_id", pa.string(), "digest of the generator's card and weights", nullable=True),
    ),
    partition_by=("release_id",),
    ledgered=True,
)

QUARANTINE = Table(
    "quarantine",
    "Events: one row each time a photo version could not be enriched or was re-admitted; the newest of a photo "
    "version counts, whether or not its batch is in `images` (a batch of rejects alone leaves nothing there).",
    ("image_key", "etag", "batch_id"),
    (
        *_OF_IMAGE,
        _RUN,
        Column("reason", pa.string(), "stable code, see Reason; `readmitted` ends the quarantine"),
        Column("message", pa.string(), "what happened, for a person"),
        Column("permanent", pa.bool_(), "stays out until re-admitted or replaced by other bytes"),
        Column("attempts", pa.int32(), "failed attempts since it was first seen or last re-admitted"),
        Column("next_retry_at", TIMESTAMP, "pending again from then on; null where permanent", nullable=True),
        Column("happened_at", TIMESTAMP, "when"),
    ),
)

RUNS = Table(
    "runs",
    "One row an execution of a job.",
    ("batch_id",),
    (
        Column("batch_id", pa.string(), "hash of run, job and part: a retried task replaces its own row"),
        _RUN,
        Column("job", pa.string(), "plan, enrich, check, index, publish, report, ..."),
        Column("part", pa.int32(), "part of the job, from 0"),
        Column("release_id", pa.string(), "release it ran for", nullable=True),
        Column("started_at", TIMESTAMP, "start"),
        Column("seconds", pa.float64(), "wall time", "seconds"),
        Column("images", pa.int64(), "images enriched", "images"),
        Column("rejects", pa.int64(), "images sent to quarantine", "images"),
        Column("images_per_s", pa.float64(), "images a second of wall time", "1/s", True),
        Column("device", pa.string(), "device and precision of the models", nullable=True),
        Column("details", pa.string(), "JSON: counts and durations of the job's steps"),
    ),
)

INDEXES = Table(
    "indexes",
    "One row an index version that was built, with what it was judged by.",
    ("batch_id",),
    (
        Column("batch_id", pa.string(), "the index version: a rebuild replaces its own row"),
        _RUN,
        Column("index_version", pa.string(), "name of the version folder"),
        Column("snapshot", pa.int64(), "table snapshot it was built from"),
        Column("release_id", pa.string(), "release whose embeddings it holds"),
        Column("vectors", pa.int64(), "vectors in it"),
        Column("shards", pa.int32(), "shards"),
        Column("bytes", pa.int64(), "size of the shard files", "bytes"),
        Column("recall_at_10", pa.float64(), "on held-out queries against exact search", "fraction", True),
        Column("min_shard_recall_at_10", pa.float64(), "the worst shard", "fraction", True),
        Column("build_seconds", pa.float64(), "wall time of the build", "seconds"),
        Column("built_at", TIMESTAMP, "when"),
    ),
)

CHECK_RESULTS = Table(
    "check_results",
    "One row a data check of a run: what `atelier check` found, the newest time it was asked.",
    ("batch_id", "name"),
    (
        Column("batch_id", pa.string(), "hash of run and job: checking a run again replaces its rows"),
        Column("run_id", pa.string(), "run whose snapshot was checked"),
        Column("snapshot", pa.int64(), "number of the snapshot that was checked"),
        Column("name", pa.string(), "the check: a file of sql/checks"),
        Column("severity", pa.string(), "blocking or warning"),
        Column("passed", pa.bool_(), "whether it found no offending row"),
        Column("rows", pa.int64(), "offending rows", "rows"),
        Column("examples", pa.string(), "JSON: up to five of them"),
        Column("seconds", pa.float64(), "wall time", "seconds"),
        Column("checked_at", TIMESTAMP, "when"),
    ),
)

_DRIFT = (
    Column("batch_id", pa.string(), "hash of run and job: measuring a run again replaces its rows"),
    _RUN,
    Column("release_id", pa.string(), "release that read the photos; runs of other releases are not compared"),
    Column("subject", pa.string(), "a head, or `embedding`"),
    Column("measure", pa.string(), "labels, scores or vectors"),
    Column("photos", pa.int64(), "photos of the run that were measured", "photos"),
    Column("products", pa.int64(), "products they show; a photo of none counts as one", "products"),
)
COUNTS = pa.list_(pa.struct([pa.field("bin", pa.string()), pa.field("answers", pa.int64())]))
MOVED = pa.list_(
    pa.struct([pa.field("bin", pa.string()), pa.field("share", pa.float64()), pa.field("usual_share", pa.float64())])
)

DRIFT_STATS = Table(
    "drift_stats",
    "What a run's photos looked like, as counts and moments that add up: drift compares these, never photos again.",
    ("batch_id", "subject", "measure"),
    (
        *_DRIFT,
        Column("method", pa.string(), "how the numbers were made; only equal ones are compared"),
        Column(
            "counts",
            COUNTS,
            "answers by label (null: abstained) or by score, in twentieths from 00; null for vectors",
            nullable=True,
        ),
        Column("moments", pa.binary(), "mean random Fourier feature, little-endian float32; vectors only", "", True),
        Column(
            "spread_squared",
            pa.float64(),
            "sum of the squared elements of the features' covariance; vectors only",
            "",
            True,
        ),
        Column("enriched_at", TIMESTAMP, "when the first of the photos was enriched: what came before is reference"),
    ),
)

DRIFT_RESULTS = Table(
    "drift_results",
    "How far each run's photos are from those of the runs before it: one row a run, subject and measure.",
    ("batch_id", "subject", "measure"),
    (
        *_DRIFT,
        Column("reference_runs", pa.int32(), "runs before it that it was compared with", "runs"),
        Column("reference_photos", pa.int64(), "their photos", "photos"),
        Column(
            "distance",
            pa.float64(),
            "labels, scores: Jensen-Shannon divergence; vectors: squared MMD as a share of the reference's spread; "
            "null where there are too few photos (drift.min_photos) or no earlier run",
            "bits; share",
            True,
        ),
        Column("chance", pa.float64(), "distance that about one run in a hundred shows by chance", "as distance", True),
        Column("level", pa.float64(), "alarm level in the settings", "as distance"),
        Column("alarm", pa.bool_(), "whether distance is above level and above chance"),
        Column("moved", MOVED, "up to five bins whose share moved most; null for vectors", nullable=True),
        Column("measured_at", TIMESTAMP, "when"),
    ),
)

_ALL = (
    *(CATALOG, FEED, IMAGES, GARMENTS, EMBEDDINGS, VARIANTS, QUARANTINE, RUNS, INDEXES),
    *(CHECK_RESULTS, DRIFT_STATS, DRIFT_RESULTS),
)
TABLES: dict[str, Table] = {table.name: table for table in _ALL}
