"""What a color's name looks like: the small discs beside color labels. Names are the shop's, so the list is broad."""

from __future__ import annotations

MANY_COLORS = frozenset({"multi", "multicolor", "multicolored", "multicolour"})

HEX: dict[str, str] = {
    "beige": "#d9c7a3",
    "black": "#161616",
    "blue": "#2c62c4",
    "bronze": "#8c6239",
    "brown": "#6f4423",
    "burgundy": "#6d1a36",
    "charcoal": "#3b3f45",
    "coffee brown": "#4b3222",
    "copper": "#b06a3b",
    "coral": "#f27a63",
    "cream": "#f5ecd0",
    "fluorescent green": "#6cf02c",
    "gold": "#c9a227",
    "gray": "#8a8d91",
    "green": "#2e8b45",
    "grey": "#8a8d91",
    "grey melange": "#a7a9ac",
    "khaki": "#a39a6b",
    "lavender": "#b9a5de",
    "light blue": "#93bfe8",
    "lime": "#a4d233",
    "lime green": "#7fd12c",
    "magenta": "#c2187e",
    "maroon": "#701c2b",
    "mauve": "#b284a8",
    "metallic": "#9aa0a6",
    "mint": "#a5dcc0",
    "mushroom brown": "#a08875",
    "mustard": "#d3a21c",
    "navy": "#1b2a4e",
    "navy blue": "#1b2a4e",
    "nude": "#e0b89c",
    "off white": "#f3efe4",
    "olive": "#6f7133",
    "orange": "#ee7f22",
    "peach": "#f9c4a4",
    "pink": "#ee8fb0",
    "purple": "#6c3d96",
    "red": "#c4222b",
    "rose": "#d95a76",
    "rust": "#a5451f",
    "sea green": "#2f9e83",
    "silver": "#c3c7cb",
    "skin": "#e6bfa2",
    "steel": "#71797e",
    "tan": "#c49a6c",
    "taupe": "#8b7d6e",
    "teal": "#137e7e",
    "turquoise": "#35bdb4",
    "turquoise blue": "#2fb2cf",
    "violet": "#7a4fb5",
    "white": "#fdfdfc",
    "yellow": "#f2ce2e",
}


def swatch_style(name: str) -> str:
    """CSS for the disc of a color's name; empty where the name is not known. Never holds anything from `name`."""
    known = HEX.get(name.strip().lower())
    return f"background:{known}" if known else ""


def swatch_class(name: str) -> str:
    """`many` for multicolored, `none` (hatched) for unknown names, else empty."""
    plain = name.strip().lower()
    if plain in MANY_COLORS:
        return "many"
    return "" if plain in HEX else "none"
