"""Titles and captions of the demo shop."""

from __future__ import annotations

from pipeline.demo.spec import ProductSpec

SLEEVED = ("T-Shirt", "Shirt", "Sweater", "Hoodie", "Jacket", "Coat", "Dress")
PAIRS = ("Jeans", "Trousers", "Shorts", "Sneakers", "Heels", "Boots", "Sandals", "Sunglasses")
NECKS = {
    "v": "v-neck",
    "round": "round neck",
    "scoop": "scoop neck",
    "polo": "polo collar",
    "turtle": "turtleneck",
    "boat": "boat neck",
}


def title_of(spec: ProductSpec) -> str:
    """The product's title in the feed: brand first."""
    pattern = "" if spec.pattern == "Solid" else spec.pattern
    return " ".join(part for part in (spec.brand, spec.gender, spec.color, pattern, spec.type) if part)


def caption_of(spec: ProductSpec) -> str:
    """A sentence on what is to be seen: "red striped cotton t-shirt with short sleeves"."""
    pattern = "" if spec.pattern == "Solid" else spec.pattern.lower()
    cloth = "" if spec.cloth == "denim" and spec.type == "Jeans" else spec.cloth
    style = _style(spec)
    words = [spec.color.lower(), pattern, cloth, style, spec.type.lower()]
    sentence = " ".join(word for word in words if word)
    return f"{sentence} with {detail}" if (detail := _detail(spec)) else sentence


def _style(spec: ProductSpec) -> str:
    """The cut's name where people would use it."""
    named = {
        "Jacket",
        "Coat",
        "Dress",
        "Skirt",
        "Jeans",
        "Trousers",
        "Handbag",
        "Hat",
        "Sunglasses",
        "Boots",
        "Sandals",
    }
    style = spec.word("style")
    return style if spec.type in named and style not in ("straight", "single", "lace", "flap", spec.cloth) else ""


def _detail(spec: ProductSpec) -> str:
    """Sleeves, neckline, height: what one would add."""
    parts = []
    if spec.type in SLEEVED and spec.type not in ("Jacket", "Coat"):
        parts.append(_sleeves(spec.size("sleeve")))
        if (neck := NECKS.get(spec.word("neck"))) is not None:
            parts.append(neck)
    if spec.type == "Heels":
        parts.append("high heel" if spec.size("heel") > 8 else "low heel")
    if spec.cut.get("belt"):
        parts.append("belt")
    if spec.cut.get("hood") or spec.type == "Hoodie":
        parts.append("hood")
    return " and ".join(parts[:2])


def _sleeves(reach: float) -> str:
    if reach == 0:
        return "no sleeves"
    return "short sleeves" if reach < 0.55 else "long sleeves"
