"""The demo shop's words: garment types and their detector groups, colors, patterns, invented brands, genders."""

from __future__ import annotations

from typing import Final

GROUPS: Final = ("upper-body", "lower-body", "full-body", "footwear", "bag", "headwear", "accessory")
"""Detector classes."""

TYPE_GROUPS: Final[dict[str, str]] = {
    "T-Shirt": "upper-body",
    "Shirt": "upper-body",
    "Sweater": "upper-body",
    "Hoodie": "upper-body",
    "Jacket": "upper-body",
    "Coat": "upper-body",
    "Dress": "full-body",
    "Skirt": "lower-body",
    "Jeans": "lower-body",
    "Trousers": "lower-body",
    "Shorts": "lower-body",
    "Sneakers": "footwear",
    "Heels": "footwear",
    "Boots": "footwear",
    "Sandals": "footwear",
    "Handbag": "bag",
    "Backpack": "bag",
    "Cap": "headwear",
    "Hat": "headwear",
    "Sunglasses": "accessory",
    "Watch": "accessory",
}
"""Every garment type with its detector group."""

TYPES: Final = tuple(TYPE_GROUPS)

COLORS: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "Black": ((30, 30, 32), (22, 22, 26), (40, 38, 38)),
    "White": ((244, 243, 240), (238, 238, 238), (248, 247, 243)),
    "Grey": ((128, 130, 132), (160, 162, 164), (96, 98, 102), (178, 178, 176)),
    "Blue": ((44, 92, 178), (72, 132, 204), (34, 76, 152), (120, 166, 218), (30, 110, 190)),
    "Navy Blue": ((28, 36, 72), (22, 30, 60), (36, 44, 84)),
    "Red": ((190, 30, 40), (160, 22, 34), (214, 44, 46)),
    "Green": ((42, 122, 66), (92, 140, 66), (24, 92, 62), (120, 170, 72), (84, 96, 54)),
    "Yellow": ((240, 206, 56), (250, 222, 96), (228, 184, 36)),
    "Pink": ((232, 122, 162), (244, 178, 196), (222, 64, 132)),
    "Purple": ((104, 54, 132), (142, 96, 172), (84, 34, 94)),
    "Brown": ((104, 68, 44), (132, 88, 58), (78, 50, 36)),
    "Beige": ((214, 194, 160), (200, 180, 150), (228, 214, 190)),
    "Orange": ((234, 118, 40), (244, 146, 60), (214, 92, 32)),
}
"""Color names with anchor shades (sRGB); a product's shade is an anchor moved a little."""

PATTERNS: Final = ("Solid", "Striped", "Checked", "Dotted", "Floral", "Printed")

GENDERS: Final = ("Men", "Women", "Unisex")

BRANDS: Final = (
    "Norvik",
    "Alder & Finch",
    "Solenne",
    "Tessaro",
    "Kitefox",
    "Brunwick",
    "Umbra Lane",
    "Pacer9",
    "Marzipan",
    "Ostrava",
)
"""Invented brands; `pipeline.demo.marks` draws their marks."""

SCENES: Final = ("packshot", "flatlay", "worn")
