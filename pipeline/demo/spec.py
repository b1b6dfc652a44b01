"""What a product is: type, colors, pattern, brand, cut. Everything its photos have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.demo.cuts import Cut, cut_of
from pipeline.demo.material import Material
from pipeline.demo.patterns import texture
from pipeline.demo.vocabulary import BRANDS, COLORS, TYPE_GROUPS, TYPES

RGB = tuple[float, float, float]

PATTERN_ODDS: Final[dict[str, dict[str, float]]] = {
    "T-Shirt": {"Solid": 4, "Striped": 2, "Printed": 4, "Dotted": 0.6, "Floral": 0.5},
    "Shirt": {"Solid": 3, "Striped": 3, "Checked": 4, "Dotted": 0.6, "Floral": 0.8},
    "Sweater": {"Solid": 5, "Striped": 3, "Checked": 0.6, "Printed": 0.4},
    "Hoodie": {"Solid": 5, "Printed": 3, "Striped": 0.5},
    "Jacket": {"Solid": 8, "Checked": 1, "Printed": 0.7},
    "Coat": {"Solid": 6, "Checked": 2},
    "Dress": {"Solid": 4, "Floral": 4, "Striped": 1.5, "Dotted": 2, "Checked": 1, "Printed": 1},
    "Skirt": {"Solid": 4, "Floral": 2, "Striped": 1, "Dotted": 1, "Checked": 2.5},
    "Trousers": {"Solid": 8, "Checked": 1, "Striped": 1, "Printed": 0.5},
    "Shorts": {"Solid": 6, "Checked": 1.5, "Floral": 0.8, "Printed": 0.8, "Striped": 0.6},
    "Handbag": {"Solid": 8, "Printed": 0.6, "Checked": 0.6},
    "Backpack": {"Solid": 6, "Printed": 1.5, "Floral": 0.4},
    "Cap": {"Solid": 6, "Printed": 0.8, "Checked": 0.3},
    "Hat": {"Solid": 6, "Striped": 1.5},
}
"""How often a type comes in which pattern; types not named are always solid."""

CLOTHS: Final[dict[str, tuple[str, ...]]] = {
    "T-Shirt": ("cotton",),
    "Shirt": ("cotton", "linen", "cotton"),
    "Sweater": ("wool", "knit"),
    "Hoodie": ("fleece",),
    "Coat": ("wool",),
    "Dress": ("cotton", "viscose", "silk"),
    "Skirt": ("cotton", "viscose", "wool"),
    "Jeans": ("denim",),
    "Trousers": ("cotton", "wool"),
    "Shorts": ("cotton",),
    "Sneakers": ("canvas", "leather", "mesh"),
    "Heels": ("leather", "suede", "patent"),
    "Boots": ("leather", "suede", "leather"),
    "Sandals": ("leather", "rubber"),
    "Handbag": ("leather", "leather", "canvas"),
    "Backpack": ("nylon", "canvas"),
    "Cap": ("cotton",),
    "Hat": ("wool",),
    "Sunglasses": ("plastic",),
    "Watch": ("steel",),
}

STUFFS: Final[dict[str, dict[str, float]]] = {
    "cotton": {"folds": 0.42, "wave": 22, "grain": 1.6, "puff": 0.7, "edge": 2.6},
    "linen": {"folds": 0.55, "wave": 16, "grain": 3.5, "puff": 0.7, "edge": 2.4},
    "viscose": {"folds": 0.5, "wave": 24, "grain": 1.0, "gloss": 0.05, "puff": 0.6, "edge": 2.4},
    "silk": {"folds": 0.55, "wave": 26, "grain": 0.5, "gloss": 0.3, "puff": 0.6, "edge": 2.4},
    "wool": {"folds": 0.42, "wave": 30, "grain": 4.5, "puff": 1.6},
    "knit": {"folds": 0.4, "wave": 28, "grain": 4.0, "rib": 0.035, "rib_step": 0.75, "puff": 1.6},
    "fleece": {"folds": 0.65, "wave": 27, "grain": 2.6, "puff": 2.0},
    "denim": {"folds": 0.45, "wave": 18, "grain": 3.5, "worn_out": 8.0, "puff": 0.9, "edge": 2.8},
    "nylon": {"folds": 0.5, "wave": 15, "grain": 1.0, "gloss": 0.22, "puff": 1.0, "edge": 3.0},
    "leather": {"folds": 0.12, "wave": 9, "grain": 1.8, "gloss": 0.5, "edge": 3.0},
    "suede": {"folds": 0.1, "wave": 9, "grain": 5.0, "edge": 3.0},
    "patent": {"folds": 0.05, "wave": 12, "grain": 0.3, "gloss": 1.0, "edge": 3.0},
    "canvas": {"folds": 0.12, "wave": 9, "grain": 3.5, "edge": 3.0},
    "mesh": {"folds": 0.05, "wave": 9, "grain": 6.0, "edge": 3.0},
    "rubber": {"folds": 0.0, "grain": 1.0, "gloss": 0.15, "edge": 1.5},
    "plastic": {"folds": 0.0, "grain": 0.4, "gloss": 0.9, "edge": 0.4, "puff": 0.3},
    "steel": {"folds": 0.0, "grain": 0.8, "gloss": 0.9, "edge": 0.4, "puff": 0.3},
}


@dataclass(frozen=True)
class ProductSpec:
    """One product of the demo shop. Colors are RGB 0-255: ground, second and accent."""

    product_id: str
    type: str
    color: str
    pattern: str
    brand: str
    gender: str
    cloth: str
    rgb: RGB
    rgb2: RGB
    rgb3: RGB
    seed: int
    cut: Cut

    @property
    def group(self) -> str:
        """Detector class."""
        return TYPE_GROUPS[self.type]

    def size(self, name: str) -> float:
        """A number of the cut."""
        return float(self.cut[name])

    def word(self, name: str) -> str:
        """A word of the cut."""
        return str(self.cut.get(name, ""))

    def material(self, scale: float, pattern_size: float = 1.0) -> Material:
        """The main cloth, with its pattern drawn for `scale` pixels a centimeter."""
        pattern = "Denim" if self.cloth == "denim" else self.pattern
        if self.pattern == "Printed" and self.type in ("T-Shirt", "Hoodie", "Sweater"):
            pattern = "Solid"
        tile = texture(pattern, (self.rgb, self.rgb2, self.rgb3), scale, pattern_size, self.seed)
        return Material(self.rgb, tile, **STUFFS[self.cloth])


def random_spec(rng: np.random.Generator, product_id: str, **fixed: str) -> ProductSpec:
    """A random product; `fixed` may give type, color, pattern, brand or gender."""
    garment = fixed.get("type") or TYPES[int(rng.integers(len(TYPES)))]
    gender = fixed.get("gender") or _gender(garment, rng)
    cut = cut_of(garment, gender, rng)
    cloth = _cloth(garment, cut, rng)
    pattern = fixed.get("pattern") or _pattern(garment, cloth, rng)
    color = fixed.get("color") or _color(garment, cloth, rng)
    rgb = shade_of(color, rng)
    rgb2, rgb3 = _companions(rgb, pattern, rng)
    brand = fixed.get("brand") or BRANDS[int(rng.integers(len(BRANDS)))]
    seed = int(rng.integers(2**31))
    return ProductSpec(product_id, garment, color, pattern, brand, gender, cloth, rgb, rgb2, rgb3, seed, cut)


def shade_of(color: str, rng: np.random.Generator) -> RGB:
    """A shade that people would call `color`."""
    anchors = COLORS[color]
    base = np.array(anchors[int(rng.integers(len(anchors)))], dtype=np.float64)
    spread = 4.0 if color in ("Black", "White", "Navy Blue") else 9.0
    moved = base * rng.normal(1, 0.035) + rng.normal(0, spread * 0.4, 3)
    if color in ("Black", "White", "Grey"):
        moved = moved.mean() + (moved - moved.mean()) * 0.35
    r, g, b = np.clip(moved, 8, 250)
    return float(r), float(g), float(b)


def _gender(garment: str, rng: np.random.Generator) -> str:
    if garment in ("Dress", "Skirt", "Heels", "Handbag"):
        return "Women"
    if garment in ("Backpack", "Cap", "Hat"):
        return "Unisex"
    return "Men" if rng.random() < 0.5 else "Women"


def _cloth(garment: str, cut: Cut, rng: np.random.Generator) -> str:
    styles = {
        "puffer": "nylon",
        "biker": "leather",
        "denim": "denim",
        "blazer": "wool",
        "track": "nylon",
        "bomber": "nylon",
        "parka": "cotton",
        "trench": "cotton",
        "bucket": "cotton",
        "jogger": "fleece",
        "sport": "nylon",
    }
    style = str(cut.get("style", ""))
    if garment in ("Jacket", "Coat", "Hat", "Trousers", "Shorts") and style in styles:
        return styles[style]
    choices = CLOTHS[garment]
    return choices[int(rng.integers(len(choices)))]


def _pattern(garment: str, cloth: str, rng: np.random.Generator) -> str:
    if cloth in ("denim", "leather", "suede", "patent") and garment != "Handbag":
        return "Solid"
    odds = PATTERN_ODDS.get(garment, {"Solid": 1.0})
    weights = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(odds), p=weights / weights.sum()))]


def _color(garment: str, cloth: str, rng: np.random.Generator) -> str:
    if cloth == "denim":
        return str(rng.choice(["Blue", "Navy Blue", "Black", "Grey", "White"], p=[0.5, 0.22, 0.16, 0.09, 0.03]))
    if garment in ("Boots", "Handbag", "Sandals") and rng.random() < 0.4:
        return str(rng.choice(["Black", "Brown", "Beige"]))
    if garment in ("Watch", "Sunglasses") and rng.random() < 0.6:
        return str(rng.choice(["Black", "Brown", "White", "Blue"]))
    names = list(COLORS)
    return names[int(rng.integers(len(names)))]


def _companions(rgb: RGB, pattern: str, rng: np.random.Generator) -> tuple[RGB, RGB]:
    """Second color and accent that stand out from the ground; the ground stays the color one would name."""
    ground = np.asarray(rgb)
    light = float(ground @ (0.3, 0.59, 0.11))
    names = list(COLORS)
    neutral = (240.0, 238.0, 232.0) if light < 140 else (34.0, 38.0, 56.0)
    tonal = np.clip(ground * (0.55 if light > 90 else 1.0) + (0 if light > 90 else 60), 0, 255)
    options = [np.asarray(neutral), tonal, np.asarray(shade_of(names[int(rng.integers(len(names)))], rng))]
    far = [c for c in options if np.abs(c - ground).sum() > 110] or [np.asarray(neutral)]
    second = np.asarray(neutral) if rng.random() < 0.45 else far[int(rng.integers(len(far)))]
    third = np.asarray(shade_of(names[int(rng.integers(len(names)))], rng))
    return tuple(map(float, second)), tuple(map(float, third))  # type: ignore[return-value]
