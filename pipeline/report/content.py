"""What a report page shows: plain frozen values between the queries and the templates.

Nothing here is HTML except `Figure.svg`, which `pipeline.report.figures` makes; every other string is data and is
escaped by the templates.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

TAG = 15.0
"""Side of the square that holds a box's number, pixels of the thumbnail."""


@dataclass(frozen=True)
class Query:
    """A statement that was run, as an analyst can run it again: values are written out."""

    name: str
    sql: str


@dataclass(frozen=True)
class Headline:
    """One large number; `tone` is "", good, warn or bad."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart. `share` is the drawn length as a fraction of the chart's width, 0 to 1."""

    label: str
    share: float
    text: str
    tone: str = ""
    indent: bool = False
    swatch: bool = False
    mark: float | None = None


@dataclass(frozen=True)
class Figure:
    """A drawing as inline SVG and the same in words, for those who can't see it."""

    svg: Markup
    words: str


@dataclass(frozen=True)
class Box:
    """A garment drawn on a thumbnail: left, top, width, height in pixels of the thumbnail."""

    number: int
    x: float
    y: float
    width: float
    height: float
    main: bool

    @property
    def tag(self) -> tuple[float, float]:
        """Where its number goes: inside the corner, above the box where that is too small to share."""
        small = self.height < 2 * TAG or self.width < 1.5 * TAG
        return max(self.x, 0.0), max(self.y - TAG if small else self.y, 0.0)


@dataclass(frozen=True)
class Photo:
    """A thumbnail as a JPEG data URI, or why there is none."""

    key: str
    source: str | None = None
    width: int = 0
    height: int = 0
    missing: str = ""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What one head said: `label` is None where it abstained; the score is kept."""

    head: str
    label: str | None
    score: float | None


@dataclass(frozen=True)
class GarmentLine:
    """One detected garment in words, numbered like its box."""

    number: int
    group: str
    score: float
    type: str | None
    type_score: float | None
    main: bool


@dataclass(frozen=True)
class Variant:
    """A generated picture of a photo, and in words what made it and how near it came."""

    photo: Photo
    words: str


@dataclass(frozen=True)
class Product:
    """A real product by one of its photos, and in words which one it is and how near."""

    photo: Photo
    words: str


@dataclass(frozen=True)
class Card:
    """One photo with what was read from it.

    `products` are the real ones nearest to its first variant; `why` says why it is shown, where it is no plain sample.
    """

    photo: Photo
    caption: str | None
    caption_score: float | None
    answers: tuple[Answer, ...]
    garments: tuple[GarmentLine, ...]
    color_label: str | None
    color_score: float | None
    color_measured: str | None
    color_measured_share: float | None
    color_agrees: bool | None
    title: str | None = None
    variants: tuple[Variant, ...] = ()
    products: tuple[Product, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Reject:
    """One photo in quarantine."""

    photo: Photo
    message: str
    note: str


@dataclass(frozen=True)
class Reason:
    """All photos in quarantine for one reason, with a few examples."""

    code: str
    count: int
    in_this_run: int
    permanent: bool
    examples: tuple[Reject, ...]


@dataclass(frozen=True)
class Head:
    """How one head's answers are distributed."""

    name: str
    words: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Look:
    """A list of photos that a person should look at, under its own heading; `query` selects all of them."""

    title: str
    words: str
    total: int | None
    cards: tuple[Card, ...]
    query: str = ""


@dataclass(frozen=True)
class Coverage:
    """Where the listed photos stand; the three parts add up to `listed`."""

    listed: int
    enriched: int
    quarantined: int
    pending: int


@dataclass(frozen=True)
class IndexFacts:
    """The index and how well it searches; `bars` are recall@10 by shard, `gate` is what each needs."""

    version: str
    live: bool
    recall: float | None
    words: str
    gate: float | None
    bars: tuple[Bar, ...]
    trend: Figure | None


@dataclass(frozen=True)
class Check:
    """What one data check found; `state` is passed, warning or blocking, `examples` are offending rows in words.

    `query` is the check itself, for one that found rows.
    """

    name: str
    state: str
    purpose: str
    rows: int
    examples: tuple[str, ...]
    query: Query | None = None


@dataclass(frozen=True)
class Drift:
    """How far this run is from the runs before it: `bars` by subject, what `moved`, the `trend` over runs."""

    words: str
    alarms: tuple[str, ...]
    bars: tuple[Bar, ...]
    moved: tuple[Head, ...]
    trend: Figure | None


@dataclass(frozen=True)
class Model:
    """One model of the release: `figures` on held-out data, `curves` of its training where a log lies beside it."""

    name: str
    words: str
    figures: tuple[tuple[str, str], ...]
    curves: tuple[Figure, ...]


@dataclass(frozen=True)
class Models:
    """The release's models; `new` if this run is the first that it read photos in."""

    words: str
    new: bool
    models: tuple[Model, ...]


@dataclass(frozen=True)
class Step:
    """Something to do next: why, and the commands that do it; `tone` is bad (must), warn (should) or "" (may)."""

    title: str
    words: str
    commands: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """What every section has beside its own content: the statements behind it and what is missing."""

    queries: tuple[Query, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Page:
    """One report."""

    run_id: str
    title: str
    summary: str
    alert: str
    made_at: str
    steps: tuple[Step, ...]
    coverage: Coverage
    headlines: tuple[Headline, ...]
    facts: tuple[tuple[str, str], ...]
    time_bars: tuple[Bar, ...]
    time_note: str
    rate_trend: Figure | None
    reasons: tuple[Reason, ...]
    gallery: tuple[Card, ...]
    gallery_words: str
    looks: tuple[Look, ...]
    heads: tuple[Head, ...]
    drift: Drift | None
    index: IndexFacts | None
    models: Models | None
    checks: tuple[Check, ...]
    sections: dict[str, Section]
    snapshot: int | None


@dataclass(frozen=True)
class RunLine:
    """One run on the index page; `href` is relative to the reports folder."""

    run_id: str
    href: str
    when: str
    images: str
    rejects: str
    rate: str
    recall: str
    checks: str
    tone: str
    release_id: str
