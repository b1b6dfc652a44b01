"""Trends over runs as inline SVG. Bars need no plotting library: the templates draw them.

Colors are written as placeholders and replaced by the page's CSS variables, so that one drawing serves light and dark;
text stays text, so that it takes the page's font and can be searched.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from pipeline.report.content import Figure
from pipeline.report.texts import day

INK, MUTED, RULE, ACCENT = "#010203", "#040506", "#070809", "#0a0b0c"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", ACCENT: "var(--accent)"}


@dataclass(frozen=True)
class Point:
    """One run of a trend: when it was and its value; None where the run has none."""

    at: datetime
    value: float | None


def trend(points: Sequence[Point], words: str, *, gate: float | None = None) -> Figure | None:
    """A line over runs, oldest first, the last point marked; None where fewer than two points have a value.

    `gate` draws a horizontal dashed line. Deterministic: the same points give the same bytes.
    """
    known = [p for p in points if p.value is not None and math.isfinite(p.value)]
    if len(known) < 2:
        return None
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": words, "font.size": 11, "text.parse_math": False}):
        canvas = Canvas(figsize=(4.8, 2.5), layout="constrained")
        canvas.patch.set_alpha(0)
        axes = canvas.add_subplot()
        _draw(axes, known, gate)
        out = io.StringIO()
        FigureCanvasSVG(canvas).print_svg(out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Figure(Markup(_inline(out.getvalue())), words)  # noqa: S704 (matplotlib escapes its texts)


def _draw(axes: Any, known: Sequence[Point], gate: float | None) -> None:
    x = range(len(known))
    values = [float(p.value or 0) for p in known]
    axes.patch.set_alpha(0)
    axes.plot(x, values, color=ACCENT, linewidth=1.8, marker="o", markersize=3.5, clip_on=False)
    axes.plot([x[-1]], [values[-1]], color=ACCENT, marker="o", markersize=7, clip_on=False)
    last = f"{values[-1]:.3f}" if gate is not None else f"{values[-1]:,.1f}"
    axes.annotate(last, (x[-1], values[-1]), textcoords="offset points", xytext=(0, 9), ha="center")
    if gate is not None:
        axes.axhline(gate, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    else:
        axes.set_ylim(bottom=0)
    axes.margins(x=0.04, y=0.2)
    shown = sorted({0, len(known) // 2, len(known) - 1})
    axes.set_xticks(shown, labels_of([known[i].at for i in shown]))
    axes.yaxis.set_major_locator(_locator())
    axes.tick_params(length=0, pad=6, colors=MUTED)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def labels_of(times: Sequence[datetime]) -> list[str]:
    """Days on an axis, 23 Nov; with the hour where two would read the same."""
    days = [day(time) for time in times]
    return days if len(set(days)) == len(days) else [f"{day(time)} {time:%H:%M}" for time in times]


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _inline(svg: str) -> str:
    """The `<svg>` element alone, in the page's colors, without what would reach beyond it: styles and unused ids."""
    body = re.sub(r"<(style|metadata).*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    return body
