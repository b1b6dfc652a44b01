"""Cards: a photo's thumbnail with its boxes drawn, beside everything that was read from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.report import statements
from pipeline.report.asking import Asker, Row
from pipeline.report.content import Answer, Box, Card, GarmentLine, Product, Variant
from pipeline.report.page import score
from pipeline.report.products import Recommender
from pipeline.report.texts import clip
from pipeline.report.thumbnails import Thumbnail, Thumbnails, Wanted

HEADS = ("type", "brand", "pattern", "gender")
"""Heads listed on a card in this order; color has a place of its own beside the measured one."""
FURTHER_ANSWERS = 6
GARMENTS_SHOWN = 8
VARIANTS_A_PHOTO = 2
VARIANTS_SHOWN = 60
LABEL_LENGTH, TEXT_LENGTH, KEY_LENGTH = 60, 160, 120


def load_cards(ask: Asker, section: str, keys: Sequence[str], thumbnails: Thumbnails) -> dict[str, Card]:
    """Cards by image key, for those of `keys` that are enriched."""
    wanted = sorted(set(keys))
    rows = {row["image_key"]: row for row in ask.rows(section, "photos shown", statements.PHOTOS, keys=wanted)}
    garments: dict[str, list[Row]] = {}
    for row in ask.rows(section, "garments of the photos shown", statements.GARMENTS, keys=wanted):
        garments.setdefault(row["image_key"], []).append(row)
    order = [key for key in dict.fromkeys(keys) if key in rows]
    made = thumbnails.make([Wanted(key, rows[key]["etag"]) for key in order])
    variants = _variants(ask, section, wanted, thumbnails)
    return {
        key: _card(rows[key], garments.get(key, []), variants.get(key, ()), thumb)
        for key, thumb in zip(order, made, strict=True)
    }


def _variants(ask: Asker, section: str, keys: Sequence[str], thumbnails: Thumbnails) -> dict[str, tuple[Variant, ...]]:
    """Generated pictures by the key of the photo that they were made of, the most convincing first."""
    limits = {"variants": VARIANTS_A_PHOTO, "pictures": VARIANTS_SHOWN}
    rows = ask.rows(section, "variants of the photos shown", statements.VARIANTS, keys=keys, **limits)
    made = thumbnails.make([Wanted(row["variant_key"], None) for row in rows])
    found: dict[str, tuple[Variant, ...]] = {}
    for row, thumbnail in zip(rows, made, strict=True):
        photo = replace(thumbnail.photo, key=clip(thumbnail.photo.key, KEY_LENGTH))
        found[row["image_key"]] = (*found.get(row["image_key"], ()), Variant(photo, _variant_words(row)))
    return found


def with_products(
    ask: Asker, section: str, cards: Sequence[Card], keys: Sequence[str], thumbnails: Thumbnails, shop: Recommender
) -> tuple[tuple[Card, ...], str]:
    """Cards with the real products nearest to their first variant, and a sentence where there are none to be had.

    Args:
        cards: with variants.
        keys: their image keys, unclipped, in the same order.
    """
    if not keys:
        return tuple(cards), ""
    rows = ask.rows(section, "vectors of their variants", statements.VARIANT_VECTORS, keys=sorted(keys))
    found, problem = shop.nearest(rows)
    shown = sorted({one.image_key for nearest in found.values() for one in nearest})
    known = ask.rows(section, "photos of the real products", statements.ETAGS, keys=shown) if shown else []
    etags = {row["image_key"]: row["etag"] for row in known}
    made = dict(zip(etags, thumbnails.make([Wanted(key, etag) for key, etag in etags.items()]), strict=True))
    variant_of = {row["image_key"]: row["variant_key"] for row in rows}
    products = {
        key: tuple(
            Product(replace(made[one.image_key].photo, key=clip(one.image_key, KEY_LENGTH)), one.words)
            for one in found.get(variant_of.get(key, ""), ())
            if one.image_key in made
        )
        for key in keys
    }
    return tuple(replace(card, products=products[key]) for card, key in zip(cards, keys, strict=True)), problem


def _variant_words(row: Row) -> str:
    """What it was turned into, by which generator, and how sure the type head is of that."""
    words = f"as {clip(row['target_group'], LABEL_LENGTH)}, {clip(row['generator'], LABEL_LENGTH)}"
    return words if row["target_probability"] is None else f"{words} {score(row['target_probability'])}"


def pick(cards: Mapping[str, Card], keys: Sequence[str], why: Mapping[str, str] | None = None) -> tuple[Card, ...]:
    """The cards of `keys`, in their order; `why` gives the reason by key."""
    reasons = why or {}
    return tuple(replace(cards[key], why=reasons.get(key, "")) for key in keys if key in cards)


def _card(row: Row, garments: Sequence[Row], variants: tuple[Variant, ...], thumbnail: Thumbnail) -> Card:
    shown = garments[:GARMENTS_SHOWN]
    photo = thumbnail.photo
    if photo.source:
        photo = replace(photo, boxes=tuple(_box(n, g, thumbnail) for n, g in enumerate(shown, 1)))
    return Card(
        photo=replace(photo, key=clip(photo.key, KEY_LENGTH)),
        caption=clip(row["caption"], TEXT_LENGTH) or None,
        caption_score=row["caption_score"],
        answers=_answers(row),
        garments=tuple(_garment(n, g) for n, g in enumerate(shown, 1)),
        color_label=_label(row["color"]),
        color_score=row["color_score"],
        color_measured=_label(row["color_measured"]),
        color_measured_share=row["color_measured_share"],
        color_agrees=row["color_agrees"],
        title=clip(row["feed_title"], TEXT_LENGTH) or None,
        variants=variants,
    )


def _answers(row: Row) -> tuple[Answer, ...]:
    """Every head that answered or abstained; heads that the release does not have are left out."""
    own = [Answer(head, _label(row[head]), row[f"{head}_score"]) for head in HEADS if row[f"{head}_score"] is not None]
    further = (row["attributes"] or [])[:FURTHER_ANSWERS]
    return (*own, *(Answer(clip(a["head"], LABEL_LENGTH), _label(a["label"]), a["score"]) for a in further))


def _label(label: str | None) -> str | None:
    return clip(label, LABEL_LENGTH) or None


def _box(number: int, garment: Row, thumbnail: Thumbnail) -> Box:
    """A garment's box on the thumbnail, cut at its edges."""
    width, height = thumbnail.photo.width, thumbnail.photo.height
    x1, x2 = (min(max(garment[name] * thumbnail.scale, 0), width) for name in ("x1", "x2"))
    y1, y2 = (min(max(garment[name] * thumbnail.scale, 0), height) for name in ("y1", "y2"))
    return Box(number, x1, y1, max(x2 - x1, 0), max(y2 - y1, 0), garment["is_main"])


def _garment(number: int, row: Row) -> GarmentLine:
    return GarmentLine(
        number, clip(row["group"], LABEL_LENGTH), row["score"], _label(row["type"]), row["type_score"], row["is_main"]
    )
