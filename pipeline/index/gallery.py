"""The search library: open what is published, ask for the nearest products.

index = Index.open("s3://bucket/warehouse/index", settings())
hits = index.search(vectors, 20, where={"type": "Dress"}, by_product=True)
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.index import shards as faiss_shards
from pipeline.index.choose import Choice
from pipeline.index.files import Files
from pipeline.index.manifest import (
    POINTER_KEY,
    FileEntry,
    Manifest,
    Pointer,
    SegmentEntry,
    ShardEntry,
    manifest_key,
    parse_manifest,
    sha256_of,
)
from pipeline.index.rows import Rows
from pipeline.index.searching import Segment, Shard, best, fit_width
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.storage.base import ObjectMissing, ObjectStore

Where = Mapping[str, str | Sequence[str]]
MASKS_KEPT = 8
PRODUCT_PHOTOS = 4
"""Hits asked for a wanted product at first; more where that is not enough."""


@dataclass(frozen=True)
class Hit:
    """One result: `score` is the cosine with the query, -1 to 1; `attributes` has no key for what is unknown."""

    image_key: str
    product_id: str | None
    score: float
    attributes: dict[str, str]
    kind: str
    garment_index: int
    row: int


class Index:
    """An open index version: immutable, safe for several threads, undisturbed by later publishes."""

    def __init__(self, manifest: Manifest, files: Files, threads: int = 0) -> None:
        """Open a version; shards are mapped, and their checksums compared, when they are first searched.

        Raises:
            InputError: ids.parquet is missing, altered, or does not hold the rows the manifest counts.
        """
        faiss_shards.use_threads(threads)
        self.manifest = manifest
        self._files = files
        self.rows = Rows(files.path(manifest.ids), manifest)
        self._open: dict[str, Shard] = {}
        self._lock = threading.Lock()
        self._mask = lru_cache(MASKS_KEPT)(self.rows.mask)

    @classmethod
    def open(cls, uri: str | None, settings: Settings, version: str | None = None) -> Index:
        """Open the published index.

        Args:
            uri: the index root (`<warehouse.uri>/index`, which None stands for).
            settings: for `s3.*`, `index.cache` and `index.threads`.
            version: another version than the published one.

        Raises:
            InputError: nothing is published there, or what is there does not fit its checksums.
        """
        store = open_store(uri or index_uri(settings), settings)
        files = Files(store, Path(settings.index.cache))
        manifest = load_manifest(store, version) if version else live_manifest(store)
        return cls(manifest, files, settings.index.threads)

    def __len__(self) -> int:
        """Vectors that can be found."""
        return self.manifest.vectors

    def search(
        self,
        vectors: np.ndarray,
        k: int,
        where: Where | None = None,
        *,
        groups: Sequence[str] | None = None,
        by_product: bool = False,
        feature_id: str | None = None,
        exclude: Sequence[np.ndarray] | None = None,
    ) -> list[list[Hit]]:
        """The k nearest for each query, best first; fewer where there are no more.

        Args:
            vectors: (n, dim) float32 or float16; L2-normalized here.
            k: results a query, at least 1.
            where: attribute -> value, or values of which one is enough; all have to hold.
            groups: look into the shards of these groups first, into the others only for what is missing to k.
            by_product: at most one result a product, its best.
            feature_id: what made the vectors (`Release.feature_id`); refused unless the gallery's is the same.
            exclude: for each query, gallery rows (int64) that are not results.

        Raises:
            InputError: wrong dimension, NaN or infinity, another backbone, an unknown attribute.
        """
        queries = self._checked(vectors, k, feature_id)
        excluded = list(exclude) if exclude is not None else [np.empty(0, np.int64)] * len(queries)
        first = self._shards_of(groups) if groups is not None else None
        found = self._distinct(queries, k, where, first, by_product, excluded)
        if first is not None:
            short = [i for i, (rows, _) in enumerate(found) if len(rows) < k]
            rest = [entry.name for entry in self.manifest.shards if entry.name not in first]
            more = self._distinct(queries[short], k, where, rest, by_product, [excluded[i] for i in short])
            for i, (rows, scores) in zip(short, more, strict=True):
                joined = np.concatenate([found[i][0], rows]), np.concatenate([found[i][1], scores])
                found[i] = self._cut(*joined, k, by_product, excluded[i])
        return [self._hits(rows, scores) for rows, scores in found]

    def search_rows(
        self, queries: np.ndarray, k: int, where: Where | None = None, shards: Sequence[str] | None = None
    ) -> np.ndarray:
        """Gallery rows int64 (n, k) of the nearest, -1 where there are no more; queries as `search` takes them."""
        return self._nearest(self._checked(queries, k, None), k, where, shards)[0]

    def search_scored(
        self,
        queries: np.ndarray,
        k: int,
        where: Where | None = None,
        shards: Sequence[str] | None = None,
        *,
        among: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 (n, k) and rows as `search_rows` gives them.

        Args:
            queries: as `search` takes them.
            k: results a query.
            where: as `search` takes it.
            shards: names of shards to look into; None: all.
            among: bool, a gallery row each: what a search without it would find among these, looking at as many lists.
        """
        rows, scores = self._nearest(self._checked(queries, k, None), k, where, shards, among)
        return scores, rows

    def vectors_of(self, rows: np.ndarray) -> np.ndarray:
        """float32 (n, dim), L2-normalized, of gallery rows: as stored, from 8-bit codes where nothing better is."""
        out = np.empty((len(rows), self.manifest.dim), np.float32)
        codes = self.rows.shard_codes()[rows]
        for number, entry in enumerate(self.manifest.shards):
            at = np.flatnonzero(codes == number)
            if len(at):
                out[at] = self._shard(entry).vectors_of(rows[at] - entry.first)
        return _normalized(out)

    def _checked(self, vectors: np.ndarray, k: int, feature_id: str | None) -> np.ndarray:
        """Queries as contiguous, normalized float32; see `search` for what is refused."""
        vectors = np.asarray(vectors)
        if k < 1:
            raise InputError(f"k is {k}, it has to be at least 1")
        if feature_id is not None and self.manifest.feature_id not in ("", feature_id):
            raise InputError(
                f"these vectors come from {feature_id}, index {self.manifest.version} holds vectors of "
                f"{self.manifest.feature_id}: they can't be compared"
            )
        if vectors.ndim != 2 or (self.manifest.dim and vectors.shape[1] != self.manifest.dim):
            raise InputError(
                f"queries have the shape {vectors.shape}, index {self.manifest.version} takes (n, {self.manifest.dim})"
            )
        if not np.isfinite(vectors).all():
            raise InputError("a query vector holds NaN or infinity")
        if len(vectors) and not np.linalg.norm(vectors.astype(np.float32), axis=1).all():
            raise InputError("a query vector is all zeros")
        return _normalized(vectors)

    def _shards_of(self, groups: Sequence[str]) -> list[str]:
        return [entry.name for entry in self.manifest.shards if entry.group in groups]

    def _distinct(
        self,
        queries: np.ndarray,
        k: int,
        where: Where | None,
        shards: Sequence[str] | None,
        by_product: bool,
        excluded: list[np.ndarray],
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows and scores of each query after exclusion and de-duplication; asks for more until k are left."""
        results: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
        pending = np.arange(len(queries))
        ask = k * (PRODUCT_PHOTOS if by_product else 1) + max((len(rows) for rows in excluded), default=0)
        while len(pending):
            rows, scores = self._nearest(queries[pending], min(ask, max(1, self.manifest.vectors)), where, shards)
            exhausted = rows[:, -1] < 0 if ask < self.manifest.vectors else np.ones(len(pending), bool)
            for at, query in enumerate(pending.tolist()):
                real = rows[at] >= 0
                results[query] = self._cut(rows[at][real], scores[at][real], k, by_product, excluded[query])
            short = np.array([len(results[query][0]) < k for query in pending.tolist()])
            pending = pending[short & ~exhausted]
            ask *= 4
        return results

    def _cut(
        self, rows: np.ndarray, scores: np.ndarray, k: int, by_product: bool, excluded: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if len(excluded):
            kept = ~np.isin(rows, excluded)
            rows, scores = rows[kept], scores[kept]
        if by_product:
            first = np.sort(np.unique(self.rows.product_codes()[rows], return_index=True)[1])
            rows, scores = rows[first], scores[first]
        return rows[:k], scores[:k]

    def _nearest(
        self,
        queries: np.ndarray,
        k: int,
        where: Where | None,
        shards: Sequence[str] | None,
        among: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows int64 (n, k) and scores float32 (n, k) over the shards that hold anything to find."""
        mask = self._mask(_frozen(where)) if where or self.rows.any_dead else None
        rows, scores = [np.empty((len(queries), 0), np.int64)], [np.empty((len(queries), 0), np.float32)]
        for entry in self.manifest.shards if len(queries) else ():
            if (shards is not None and entry.name not in shards) or not entry.live:
                continue
            keep = None if mask is None else mask[entry.first : entry.first + entry.rows]
            if keep is not None and keep.all():
                keep = None
            if keep is not None and not keep.any():
                continue
            if among is None:
                found_scores, found = self._shard(entry).search(queries, k, keep)
            else:
                wanted = among[entry.first : entry.first + entry.rows]
                if not wanted.any():
                    continue
                probes = self._shard(entry).probes_for(entry.rows if keep is None else int(keep.sum()), k)
                kept = wanted if keep is None else wanted & keep
                found_scores, found = self._shard(entry).look(queries, k, kept, probes)
            rows.append(np.where(found < 0, -1, found + entry.first))
            scores.append(found_scores)
        all_rows, all_scores = np.concatenate(rows, axis=1), np.concatenate(scores, axis=1)
        all_scores, all_rows = best(all_scores, all_rows, k)
        return fit_width(all_rows, all_scores, k)

    def _shard(self, entry: ShardEntry) -> Shard:
        """The open shard; checked and mapped the first time."""
        shard = self._open.get(entry.name)
        if shard is None:
            with self._lock:
                shard = self._open.get(entry.name) or self._open_shard(entry)
                self._open[entry.name] = shard
        return shard

    def _open_shard(self, entry: ShardEntry) -> Shard:
        segments = tuple(self._open_segment(segment) for segment in entry.segments)
        return Shard(segments, Choice(entry.codec, entry.lists, entry.ranker), entry.probes, entry.candidates)

    def _open_segment(self, entry: SegmentEntry) -> Segment:
        index = self._open_file(entry.file, entry.rows)
        return Segment(index) if entry.ranker is None else Segment(index, self._open_file(entry.ranker, entry.rows))

    def _open_file(self, entry: FileEntry, rows: int) -> Any:
        path, dim = self._files.path(entry), self.manifest.dim
        index = faiss_shards.read(path, mapped=True)
        if index.ntotal != rows or index.d != dim:
            raise InputError(
                f"{path} holds {index.ntotal} vectors of {index.d} numbers, the manifest says {rows} of {dim}"
            )
        return index

    def _hits(self, rows: np.ndarray, scores: np.ndarray) -> list[Hit]:
        hits = []
        for row, score, record in zip(rows.tolist(), scores.tolist(), self.rows.records(rows), strict=True):
            key, product = record.pop("image_key"), record.pop("product_id")
            kind, garment = record.pop("kind"), record.pop("garment_index")
            attributes = {name: value for name, value in record.items() if value is not None}
            hits.append(Hit(key, product, min(1.0, float(score)), attributes, kind, garment, row))
        return hits


def _normalized(vectors: np.ndarray) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _frozen(where: Where | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`where` as something that can be a key."""
    return tuple(
        sorted((name, (value,) if isinstance(value, str) else tuple(value)) for name, value in (where or {}).items())
    )


def index_uri(settings: Settings) -> str:
    """Where this warehouse's index lies."""
    return f"{settings.warehouse.uri.rstrip('/')}/index"


def load_manifest(store: ObjectStore, version: str) -> Manifest:
    """The manifest of a version.

    Raises:
        InputError: there is no such (finished) version.
    """
    try:
        data = store.get(manifest_key(version)).data
    except ObjectMissing:
        raise InputError(f"{store.uri} has no index version {version}: see `atelier index list`") from None
    return parse_manifest(data, f"{store.uri}/{manifest_key(version)}")


def read_pointer(store: ObjectStore) -> tuple[Pointer | None, str | None]:
    """What is live, and the etag to replace it by; (None, None) before the first publish."""
    try:
        fetched = store.get(POINTER_KEY)
    except ObjectMissing:
        return None, None
    try:
        return Pointer.model_validate_json(fetched.data), fetched.etag
    except ValueError:
        raise InputError(f"{store.uri}/{POINTER_KEY} is not an index pointer") from None


def live_manifest(store: ObjectStore) -> Manifest:
    """The manifest of what is live, with the checksum the pointer states.

    Raises:
        InputError: nothing is published, or the manifest was altered.
    """
    pointer, _ = read_pointer(store)
    if pointer is None:
        raise InputError(f"no index is published under {store.uri}: run `atelier index build` and `publish`")
    key = manifest_key(pointer.version)
    data = store.get(key).data
    if sha256_of(data) != pointer.manifest_sha256:
        raise InputError(f"{store.uri}/{key} was altered: its sha256 is not the one that was published")
    return parse_manifest(data, f"{store.uri}/{key}")
