"""Drift on the page: how far this run's photos are from those of the runs before it, and what moved."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.content import Bar, Drift, Figure, Head
from pipeline.report.figures import Line, lines, run_ticks
from pipeline.report.page import count, percent
from pipeline.report.texts import clip, plural

MEASURES_SHOWN = 40
BARS_SHOWN = 14
MOVED_SHOWN = 4
RUNS_SHOWN = 30
SCORE_BINS = 20
_KINDS = ("labels", "scores", "vectors")


def drift_of(ask: Asker) -> Drift | None:
    """What `atelier drift` found for the run; None where it was not measured.

    Args:
        ask: asks the newest tables: what was measured of a run does not depend on its snapshot.
    """
    rows = ask.rows("drift", "distances of this run", statements.DRIFT, measures=MEASURES_SHOWN)
    if not rows:
        return None
    judged = [row for row in rows if row["distance"] is not None]
    alarms = tuple(_name(row) for row in judged if row["state"] == "alarm")
    history = ask.rows("drift", "largest distance over runs", statements.DRIFT_TREND, runs=RUNS_SHOWN)
    return Drift(
        words=_words(rows, judged, alarms),
        alarms=alarms,
        bars=_bars(judged),
        moved=tuple(_moved(row) for row in _worth_showing(judged)),
        trend=_trend(history),
    )


def _name(row: Row) -> str:
    """`color: labels`; the embeddings have one measure alone."""
    subject = clip(row["subject"], 40)
    return subject if row["measure"] == "vectors" else f"{subject}: {row['measure']}"


def _words(rows: Sequence[Row], judged: Sequence[Row], alarms: Sequence[str]) -> str:
    if not judged:
        return (
            "Nothing is judged yet: there is no earlier run of this release, or one side has fewer photos than "
            "drift.min_photos."
        )
    runs = max(row["reference_runs"] for row in judged)
    photos = max(row["reference_photos"] for row in judged)
    against = f"Held against {plural(photos, 'photo')} of {plural(runs, 'run')} before"
    found = f"{len(alarms)} of {len(judged)} measures raise an alarm" if alarms else "no alarm"
    left = len(rows) - len(judged)
    return f"{against}: {found}." + (f" {left} not judged: too few photos." if left else "")


def _threshold(row: Row) -> float:
    """What the distance has to pass for an alarm: the level, or what chance alone gives."""
    return max(float(row["level"]), float(row["chance"] or 0.0))


def _bars(judged: Sequence[Row]) -> tuple[Bar, ...]:
    """Distances as shares of what raises an alarm, so that one line serves all measures."""
    shares = [float(row["distance"]) / _threshold(row) for row in judged]
    order = sorted(range(len(judged)), key=lambda i: -shares[i])[:BARS_SHOWN]
    top = max([1.6, *shares])
    return tuple(
        Bar(
            label=_name(judged[i]),
            share=shares[i] / top,
            text=f"{judged[i]['distance']:.3f} of {_threshold(judged[i]):.3f}",
            tone="bad" if judged[i]["state"] == "alarm" else "",
            mark=1 / top,
        )
        for i in order
    )


def _worth_showing(judged: Sequence[Row]) -> list[Row]:
    """What raised an alarm; else the two measures that came nearest to one."""
    told = [row for row in judged if row["moved"]]
    alarms = [row for row in told if row["state"] == "alarm"]
    return (alarms or sorted(told, key=lambda row: -row["distance"] / _threshold(row))[:2])[:MOVED_SHOWN]


def _moved(row: Row) -> Head:
    shares = [(_bin(entry["bin"], row["measure"]), entry["share"], entry["usual_share"]) for entry in row["moved"]]
    top = max(max(share, usual) for _, share, usual in shares) or 1.0
    tone = "bad" if row["state"] == "alarm" else ""
    bars = tuple(
        Bar(
            clip(label, 60),
            share / top,
            f"{percent(share)} · before {percent(usual)}",
            tone,
            swatch=row["subject"] == "color" and row["measure"] == "labels" and label != "abstained",
            mark=usual / top,
        )
        for label, share, usual in shares
    )
    return Head(_name(row), "Shares that moved most; the line is the runs before", bars)


def _bin(name: str | None, measure: str) -> str:
    """A label, or a twentieth of the scores: 0.55 to 0.60."""
    if name is None:
        return "abstained"
    if measure != "scores":
        return name
    low = int(name)
    return f"{low / SCORE_BINS:.2f} to {(low + 1) / SCORE_BINS:.2f}"


def _trend(history: Sequence[Row]) -> Figure | None:
    """The largest distance of each kind over runs, as a share of what raises an alarm."""
    order = {row["run_id"]: row["enriched_at"] for row in history}
    place = {run_id: index for index, run_id in enumerate(order)}
    found = [
        Line(
            {"vectors": "embeddings"}.get(kind, kind),
            [place[row["run_id"]] for row in history if row["measure"] == kind],
            [float(row["of_alarm"]) for row in history if row["measure"] == kind],
        )
        for kind in _KINDS
    ]
    words = f"Largest distance of each kind over {count(len(place))} runs; beyond the dashed line, 1, it is an alarm"
    return lines(found, words, ticks=run_ticks(list(order.values())), gate=1.0) if len(place) > 1 else None
