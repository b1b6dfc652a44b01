"""Lines over runs or epochs as inline SVG. Bars need no plotting library: the templates draw them.

Colors are written as placeholders and replaced by the page's CSS variables, so that one drawing serves light and dark;
text stays text, so that it takes the page's font and can be searched.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from pipeline.report.content import Figure
from pipeline.report.texts import day

INK, MUTED, RULE = "#010203", "#040506", "#070809"
STROKES = ("#0a0b0c", "#0a0b0d", "#0a0b0e", "#0a0b0f")
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
"""Lines differ in both color and dashes: neither needs the other."""
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)"} | {
    stroke: f"var(--line-{number})" for number, stroke in enumerate(STROKES, 1)
}


@dataclass(frozen=True)
class Point:
    """One run of a trend: when it was and its value; None where the run has none."""

    at: datetime
    value: float | None


@dataclass(frozen=True)
class Line:
    """One named line: x ascending, y as many."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def trend(points: Sequence[Point], words: str, *, gate: float | None = None) -> Figure | None:
    """A line over runs, oldest first, the last point marked; None where fewer than two points have a value.

    `gate` draws a horizontal dashed line. Deterministic: the same points give the same bytes.
    """
    known = [(p.at, p.value) for p in points if p.value is not None and math.isfinite(p.value)]
    line = Line("", range(len(known)), [value for _, value in known])
    return lines([line], words, ticks=run_ticks([at for at, _ in known]), gate=gate, from_zero=gate is None)


def lines(
    shown: Sequence[Line],
    words: str,
    *,
    ticks: Mapping[int, str] | None = None,
    gate: float | None = None,
    from_zero: bool = True,
) -> Figure | None:
    """Up to four lines in one drawing, named in a legend where there are several; None where none has two points.

    Args:
        shown: longer than four: the first.
        words: what it shows; two drawings of one page differ in it.
        ticks: texts on the x axis; None: numbers.
        gate: height of a dashed horizontal line.
        from_zero: whether the y axis begins at zero.
    """
    shown = [line for line in shown if len(line.x) > 1][: len(STROKES)]
    if not shown:
        return None
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": words, "font.size": 11, "text.parse_math": False}):
        canvas = Canvas(figsize=(4.8, 2.5), layout="constrained")
        canvas.patch.set_alpha(0)
        axes = canvas.add_subplot()
        _draw(axes, shown, gate, ",.1f" if from_zero else ".3f")
        _dress(axes, from_zero)
        if ticks is not None:
            axes.set_xticks(list(ticks), list(ticks.values()))
        if len(shown) > 1:
            canvas.legend(loc="outside upper left", ncols=len(shown), frameon=False, handlelength=1.8, borderpad=0)
        out = io.StringIO()
        FigureCanvasSVG(canvas).print_svg(out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Figure(Markup(_inline(out.getvalue())), words)  # noqa: S704 (matplotlib escapes its texts)


def _draw(axes: Any, shown: Sequence[Line], gate: float | None, digits: str) -> None:
    for line, color, dash in zip(shown, STROKES, DASHES, strict=False):
        dots = "o" if len(line.x) <= 40 else ""
        axes.plot(
            line.x, line.y, label=line.name, color=color, linewidth=1.8, linestyle=dash, marker=dots, markersize=3.5
        )
    for artist in axes.lines:
        artist.set_clip_on(False)
    if gate is not None:
        axes.axhline(gate, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    if len(shown) == 1:
        _mark_last(axes, shown[0], format(shown[0].y[-1], digits))


def _mark_last(axes: Any, line: Line, words: str) -> None:
    axes.plot([line.x[-1]], [line.y[-1]], color=STROKES[0], marker="o", markersize=7, clip_on=False)
    axes.annotate(words, (line.x[-1], line.y[-1]), textcoords="offset points", xytext=(0, 9), ha="center")


def _dress(axes: Any, from_zero: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.patch.set_alpha(0)
    axes.margins(x=0.04, y=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(length=0, pad=6, colors=MUTED)
    axes.tick_params(axis="x", pad=10)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    if from_zero:
        axes.set_ylim(bottom=0)
    for side in axes.spines.values():
        side.set_visible(False)


def run_ticks(times: Sequence[datetime]) -> dict[int, str]:
    """Texts under the first, the middle and the last of some runs."""
    middle = {len(times) // 2} if len(times) % 2 or len(times) > 6 else set()
    places = sorted({0, len(times) - 1} | middle) if times else []
    return dict(zip(places, labels_of([times[i] for i in places]), strict=True))


def labels_of(times: Sequence[datetime]) -> list[str]:
    """Days on an axis, 23 Nov; with the hour where two would read the same."""
    days = [day(time) for time in times]
    return days if len(set(days)) == len(days) else [f"{day(time)} {time:%H:%M}" for time in times]


def _inline(svg: str) -> str:
    """The `<svg>` element alone, in the page's colors, without what would reach beyond it: styles and unused ids."""
    body = re.sub(r"<(style|metadata).*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    return body
