"""Turn a page's content into HTML: one file, no network, no scripts, everything from data escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.report.content import Card, Page, RunLine
from pipeline.report.swatches import swatch_class, swatch_style

DASH = "–"


def count(value: float | None) -> str:
    """A whole number with thin separators: 1,234,567; a dash for None."""
    return DASH if value is None else f"{value:,.0f}"


def score(value: float | None) -> str:
    """A probability with two decimals; a dash for None."""
    return DASH if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A fraction as a percentage that never rounds something to all or nothing: 99.6 %, <0.1 %."""
    if value is None:
        return DASH
    if 0 < value < 0.001:
        return "<0.1 %"
    if 0.99 < value < 1:
        return f"{min(100 * value, 99.9):.1f} %"
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def seconds(value: float | None) -> str:
    """A duration as people say it: 340 ms, 8.2 s, 3 min 05 s, 2 h 14 min."""
    if value is None:
        return DASH
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def moment(value: datetime | None) -> str:
    """A UTC time to the minute: 23 November 2026, 02:00 UTC."""
    if value is None:
        return DASH
    utc = value.astimezone(UTC) if value.tzinfo else value
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


def alt_text(card: Card) -> str:
    """What a thumbnail shows, for those who don't see it."""
    said = card.caption or card.photo.key
    boxes = [f"{g.group} {g.score:.2f}" for g in card.garments]
    return f"{said}; garments: {', '.join(boxes)}" if boxes else f"{said}; no garment found"


def with_code(text: str) -> Markup:
    """A sentence in which `commands` stand between backticks, as HTML; everything in it is escaped."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece) for number, piece in enumerate(pieces)
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (count, score, percent, seconds, alt_text, swatch_class, swatch_style, with_code)
    environment.filters.update({function.__name__: function for function in filters})
    return environment


def _style(environment: Environment) -> Markup:
    """The style sheet, as it is: it is a file of this package and holds nothing from data."""
    assert environment.loader is not None  # noqa: S101 (set above)
    return Markup(environment.loader.get_source(environment, "style.css")[0])  # noqa: S704 (ours)


def render_page(page: Page) -> bytes:
    """The report as UTF-8 HTML."""
    environment = _environment()
    html = environment.get_template("report.html.j2").render(page=page, style=_style(environment))
    return html.encode("utf-8", errors="replace")


def render_index(runs: Sequence[RunLine], made_at: str) -> bytes:
    """The list of runs as UTF-8 HTML; `runs` newest first."""
    environment = _environment()
    html = environment.get_template("index.html.j2").render(runs=runs, made_at=made_at, style=_style(environment))
    return html.encode("utf-8", errors="replace")
