"""The search index on the page: which version, whether it is live, recall by shard, the trend over versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.report.asking import Row
from pipeline.report.content import Bar, Figure, IndexFacts
from pipeline.report.figures import Point, trend
from pipeline.report.page import count, seconds
from pipeline.report.texts import clip, plural
from pipeline.settings import Settings
from pipeline.storage import open_store

if TYPE_CHECKING:
    from pipeline.index.manifest import Manifest

SHARDS_SHOWN = 40


def index_facts(settings: Settings, run_id: str, history: Sequence[Row]) -> IndexFacts | None:
    """What the page says of the index; None where none was ever built or published.

    Args:
        settings: for the index root and its gates.
        run_id: the run; a version that it built comes before the one that is live.
        history: rows of `indexes` up to this run, newest first.
    """
    own = next((row for row in history if row["run_id"] == run_id), None)
    live, problem = _live_version(settings)
    version = own["index_version"] if own else live or (history[0]["index_version"] if history else None)
    if version is None:
        return None
    manifest, unread = _manifest(settings, version)
    row = own or next((row for row in history if row["index_version"] == version), None)
    recall = manifest.judgement.overall.at_10 if manifest and manifest.judgement else (row or {}).get("recall_at_10")
    words = " ".join(
        part for part in (_state(version, live, own is not None), _size(manifest, row), unread, problem) if part
    )
    return IndexFacts(
        version=version,
        live=version == live,
        recall=recall,
        words=words,
        gate=settings.index.min_shard_recall if _bars(manifest, settings) else None,
        bars=_bars(manifest, settings),
        trend=_trend(history, settings.index.min_recall),
    )


def _live_version(settings: Settings) -> tuple[str | None, str]:
    """The published version, None where there is none; and what is wrong with the pointer, for the page to say."""
    from pipeline.index.gallery import index_uri, read_pointer

    try:
        pointer, _ = read_pointer(open_store(index_uri(settings), settings))
    except InputError as error:
        return None, f"What is live is not known: {error}."
    return (pointer.version if pointer else None), ""


def _manifest(settings: Settings, version: str) -> tuple[Manifest | None, str]:
    """A version's manifest, None where it can't be read (`atelier index gc` removes old ones); and why, in words."""
    from pipeline.index.gallery import index_uri, load_manifest

    try:
        return load_manifest(open_store(index_uri(settings), settings), version), ""
    except InputError as error:
        return None, f"Its manifest can't be read, so that recall by shard is not known: {error}."


def _state(version: str, live: str | None, built_here: bool) -> str:
    made = "was built by this run" if built_here else "was built by an earlier run"
    if version == live:
        return f"Version {version} {made} and is live."
    if live is None:
        return f"Version {version} {made}; nothing is published yet."
    return f"Version {version} {made} but is not live: searches use {live}."


def _size(manifest: Manifest | None, row: Row | None) -> str:
    if manifest is None:
        return f"{count(row['vectors'])} vectors in {count(row['shards'])} shards." if row else ""
    shards, took = plural(len(manifest.shards), "shard"), seconds(manifest.build_seconds)
    text = f"{count(manifest.vectors)} vectors in {shards}, built in {took}"
    judged = manifest.judgement
    if judged is None:
        return f"{text}; it was never judged."
    text += f"; recall@10 {judged.overall.at_10:.3f} on {count(judged.overall.queries)} held-out queries"
    p95 = judged.latency_ms.get("p95")
    return f"{text}, 95 of 100 answered within {p95:.1f} ms." if p95 is not None else f"{text}."


def _bars(manifest: Manifest | None, settings: Settings) -> tuple[Bar, ...]:
    """Recall@10 by shard, worst first, then by filter."""
    if manifest is None or manifest.judgement is None:
        return ()
    gate = settings.index.min_shard_recall
    rows = {entry.name: entry.live for entry in manifest.shards}
    bars = [
        Bar(
            label=clip(name, 60),
            share=min(max(recall.at_10, 0.0), 1.0),
            text=f"{recall.at_10:.3f} · {count(rows[name])} vectors" if name in rows else f"{recall.at_10:.3f}",
            tone="bad" if recall.at_10 < gate else "",
            mark=gate,
        )
        for name, recall in sorted(manifest.judgement.shards.items(), key=lambda item: (item[1].at_10, item[0]))
    ]
    return tuple(bars[:SHARDS_SHOWN])


def _trend(history: Sequence[Row], gate: float) -> Figure | None:
    points = [Point(row["built_at"], row["recall_at_10"]) for row in reversed(history)]
    known = [point.value for point in points if point.value is not None]
    if len(known) < 2:
        return None
    words = f"Recall@10 of the last {len(known)} index versions: {known[-1]:.3f} in the latest, the gate is {gate:g}"
    return trend(points, words, gate=gate)
