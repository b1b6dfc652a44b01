"""Which photos are shown: a sample of what the run enriched, and those a person should look at."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.content import Card, Look
from pipeline.report.page import score
from pipeline.report.photos import LABEL_LENGTH, load_cards, pick, with_products
from pipeline.report.products import Recommender
from pipeline.report.texts import clip, plural
from pipeline.report.thumbnails import Thumbnails
from pipeline.settings import ReportSettings


def gallery_and_looks(
    ask: Asker, thumbnails: Thumbnails, scope: str | None, limits: ReportSettings, shop: Recommender
) -> tuple[tuple[Card, ...], tuple[Look, ...]]:
    """The gallery and the lists of photos to look at, of this run's photos, or of all where it enriched none.

    `shop` finds the real products that are shown beside variants.
    """
    sample = ask.rows("gallery", "the sample", statements.SAMPLE, scope=scope, photos=limits.gallery_photos)
    each = limits.look_photos
    varied = ask.rows("look", "photos with variants", statements.VARIED, photos=each)
    lowest = ask.rows("look", "lowest confidence", statements.LOWEST, scope=scope, photos=each)
    labels = ask.rows("look", "feed against photo", statements.LABEL_CONFLICTS, scope=scope, answers=4 * each)
    colors = ask.rows("look", "learned against measured color", statements.COLOR_CONFLICTS, scope=scope, photos=each)
    unsure = {row["image_key"]: f"best type at {score(row['type_score'])}" for row in lowest}
    sampled, disputed = [row["image_key"] for row in sample], _conflicts(labels, each)
    off_color, with_variants = ([row["image_key"] for row in rows] for rows in (colors, varied))
    keys = [*sampled, *unsure, *disputed, *off_color, *with_variants]
    cards = load_cards(ask, "gallery", keys, thumbnails)
    varied_keys = [key for key in with_variants if key in cards]
    variants, problem = with_products(ask, "look", pick(cards, varied_keys), varied_keys, thumbnails, shop)
    looks = (
        Look(
            "Lowest confidence",
            "The photos whose best type has the lowest score.",
            None,
            pick(cards, list(unsure), unsure),
        ),
        Look(
            "Feed and photo disagree",
            "The shop's feed says one thing, the photo, with some confidence, another.",
            labels[0]["total"] if labels else None,
            pick(cards, list(disputed), disputed),
            "FROM label_conflicts ORDER BY feed_label_known DESC, score DESC",
        ),
        Look(
            "Colors disagree",
            "The learned color is not the color measured on the garment.",
            colors[0]["total"] if colors else None,
            pick(cards, off_color),
            "FROM color_conflicts ORDER BY color_score DESC",
        ),
        Look(
            "Generated variants",
            "Pictures made from photos, each beside its source, and the real products nearest to the first of them. "
            f"Variants are synthetic and only help searching. {problem}".strip(),
            None,
            variants,
        ),
    )
    return pick(cards, sampled), tuple(look for look in looks if look.cards)


def _conflicts(rows: Sequence[Row], photos: int) -> dict[str, str]:
    """On which heads feed and photo disagree, for the first `photos` photos of `rows`."""
    said: dict[str, list[str]] = {}
    for row in rows:
        feed, label = clip(row["feed_label"], LABEL_LENGTH), clip(row["label"], LABEL_LENGTH)
        words = f"{row['head']}: the feed says {feed}, the photo {label} ({score(row['score'])})"
        said.setdefault(row["image_key"], []).append(words)
    return {key: "; ".join(said[key]) for key in list(said)[:photos]}


def gallery_words(shown: int, enriched: Row, scope: str | None) -> str:
    if not shown:
        return "A sample of enriched photos."
    if scope is None:
        return f"This run enriched nothing, so these are {shown} of all {plural(enriched['photos'], 'enriched photo')}."
    return f"{shown} of the {plural(enriched['in_this_run'], 'photo')} that this run enriched, drawn by a fixed seed."
