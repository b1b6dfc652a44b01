"""What an index version says of itself (`manifest.json`) and what is live (`CURRENT.json`)."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError
from pipeline.index.choose import Codec, Ranker

FORMAT = 2
POINTER_KEY = "CURRENT.json"


class Record(BaseModel):
    """A frozen JSON document that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """The document, indented for people."""
        return self.model_dump_json(indent=1).encode()


class FileEntry(Record):
    """One file of an index; `key` is relative to the index root and may lie in an older version's folder."""

    key: str
    bytes: int
    sha256: str


class Recall(Record):
    """Share of the true k nearest that were found, averaged over `queries` held-out queries."""

    queries: int
    at_1: float
    at_10: float
    at_100: float


class Judgement(Record):
    """How an index did on held-out queries against exact search over the table's vectors."""

    overall: Recall
    shards: dict[str, Recall] = Field(description="queries of a shard searched in that shard alone")
    filtered: dict[str, Recall] = Field(description="where= the query's own value of the column")
    latency_ms: dict[str, float] = Field(description="p50, p95, p99 of single queries over all shards, one thread")
    seconds: float
    drawn_for: str = Field("", description="version for which the queries were drawn and answered by brute force")
    added_since: int = Field(0, description="vectors that were added since; they answered, but asked nothing")


class SegmentEntry(Record):
    """One index file of a shard, and the file of the finer codes by which candidates are ranked again."""

    rows: int
    file: FileEntry
    ranker: FileEntry | None = None

    @property
    def files(self) -> list[FileEntry]:
        """Its files."""
        return [self.file] if self.ranker is None else [self.file, self.ranker]


class ShardEntry(Record):
    """One shard: its segments hold `rows` vectors, which are the rows `first` to `first + rows` of ids.parquet."""

    name: str
    group: str
    index_type: str
    codec: Codec
    lists: int
    ranker: Ranker
    probes: int
    candidates: int = Field(description="vectors a wanted result that are ranked again, where they are")
    rows: int
    live: int
    first: int
    trained_rows: int
    tuned_to: float
    segments: tuple[SegmentEntry, ...]

    @property
    def files(self) -> list[FileEntry]:
        """Files of all segments."""
        return [file for segment in self.segments for file in segment.files]

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.bytes for file in self.files)


class Manifest(Record):
    """Everything about one index version; written last, so a folder without it is no version."""

    format: int = FORMAT
    version: str
    inputs: str = Field(description="hash of what it was built from: two builds of the same have the same")
    snapshot: int
    table_versions: dict[str, int | None]
    release_id: str
    feature_id: str
    dim: int
    metric: str = "inner_product"
    kinds: tuple[str, ...]
    vectors: int = Field(description="vectors that can be found")
    products: int
    bytes: int
    ids: FileEntry
    shards: tuple[ShardEntry, ...]
    judgement: Judgement | None
    truth: FileEntry | None = Field(None, description="the queries and their true neighbors, for the next version")
    built_on: str | None = Field(None, description="version whose unchanged shard files are used")
    device: str = "cpu"
    notes: tuple[str, ...] = ()
    memory_bytes: int = Field(description="what the build said it would take at its peak, before it started")
    build_seconds: float
    built_at: datetime

    @property
    def key(self) -> str:
        """Where this document lies, under the index root."""
        return manifest_key(self.version)

    @property
    def files(self) -> list[FileEntry]:
        """Every file this version rests on, those of older versions included."""
        files = [self.ids] + ([self.truth] if self.truth else [])
        return files + [file for shard in self.shards for file in shard.files]


class Pointer(Record):
    """`CURRENT.json`: the version that is live. `sequence` grows by one with every change.

    While it is `held`, no publish changes it: somebody went back for a reason that the next build can't know.
    """

    version: str
    manifest_sha256: str
    sequence: int
    previous: str | None
    snapshot: int
    published_at: datetime
    held: bool = False


def manifest_key(version: str) -> str:
    """Key of a version's manifest under the index root."""
    return f"versions/{version}/manifest.json"


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: it is not one, or of a later format; the message names `where`.
    """
    try:
        found = json.loads(data).get("format") if data else None
    except (ValueError, AttributeError):
        found = None
    if isinstance(found, int) and found != FORMAT:
        raise InputError(
            f"{where} has format {found}, this program reads {FORMAT}: "
            + ("update Atelier" if found > FORMAT else "build it again")
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{where} is not an index manifest: {error.errors()[0]['msg']}") from None


def sha256_of(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()
