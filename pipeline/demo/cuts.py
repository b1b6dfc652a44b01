"""How products of a type differ: their cut, as named numbers (centimeters, shares of 1) and words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Cut = dict[str, float | str]
Draw = np.random.Generator


def cut_of(garment: str, gender: str, rng: Draw) -> Cut:
    """A random cut of a garment type of `vocabulary.TYPES`."""
    return _CUTS[garment](gender, rng)


def _pick(rng: Draw, *choices: str) -> str:
    return choices[int(rng.integers(len(choices)))]


def _tshirt(gender: str, rng: Draw) -> Cut:
    neck = (
        _pick(rng, "round", "round", "round", "v", "polo")
        if gender != "Women"
        else _pick(rng, "round", "round", "v", "scoop", "polo")
    )
    return {
        "neck": neck,
        "sleeve": rng.uniform(0.3, 0.46),
        "length": rng.uniform(62, 72),
        "ease": rng.uniform(1, 4),
        "contrast": float(rng.random() < 0.2),
        "pocket": float(rng.random() < 0.15),
        "raglan": float(rng.random() < 0.12),
    }


def _shirt(gender: str, rng: Draw) -> Cut:
    return {
        "neck": "open" if rng.random() < 0.6 else "collar",
        "sleeve": float(rng.choice([0.4, 0.97, 0.97, 0.97])),
        "length": rng.uniform(68, 78),
        "ease": rng.uniform(0, 3),
        "pocket": float(rng.integers(0, 3)),
        "tail": rng.uniform(3, 9),
        "contrast": float(rng.random() < 0.12),
        "rolled": float(rng.random() < 0.2),
    }


def _sweater(gender: str, rng: Draw) -> Cut:
    return {
        "neck": _pick(rng, "round", "round", "v", "turtle"),
        "sleeve": rng.uniform(0.92, 1.02),
        "length": rng.uniform(60, 70),
        "ease": rng.uniform(2, 6),
        "rib": rng.uniform(4, 8),
        "cardigan": float(rng.random() < 0.2),
        "cable": float(rng.random() < 0.25),
        "contrast": float(rng.random() < 0.2),
    }


def _hoodie(gender: str, rng: Draw) -> Cut:
    return {
        "neck": "hood",
        "sleeve": rng.uniform(0.95, 1.02),
        "length": rng.uniform(62, 70),
        "ease": rng.uniform(3, 7),
        "rib": rng.uniform(5, 8),
        "zip": float(rng.random() < 0.4),
        "contrast": float(rng.random() < 0.2),
    }


def _jacket(gender: str, rng: Draw) -> Cut:
    style = _pick(rng, "bomber", "puffer", "puffer", "biker", "denim", "blazer", "track")
    length = {"blazer": 74.0, "biker": 58.0, "bomber": 63.0, "denim": 60.0}.get(style, 66.0)
    return {
        "neck": style,
        "style": style,
        "sleeve": rng.uniform(0.96, 1.03),
        "length": length * rng.uniform(0.97, 1.05),
        "ease": rng.uniform(3, 7),
        "rib": rng.uniform(5, 7),
        "contrast": float(rng.random() < 0.25),
        "hood": float(style in ("puffer", "track") and rng.random() < 0.35),
    }


def _coat(gender: str, rng: Draw) -> Cut:
    style = _pick(rng, "single", "double", "trench", "parka")
    return {
        "neck": "lapel" if style != "parka" else "parka",
        "style": style,
        "sleeve": rng.uniform(0.97, 1.04),
        "length": rng.uniform(88, 112),
        "ease": rng.uniform(3, 6),
        "flare": rng.uniform(1, 7),
        "belt": float(style == "trench" or rng.random() < 0.2),
        "hood": float(style == "parka"),
    }


def _dress(gender: str, rng: Draw) -> Cut:
    style = _pick(rng, "a-line", "a-line", "sheath", "skater", "maxi", "shirt", "slip", "wrap")
    sleeve = {
        "slip": 0.0,
        "sheath": float(rng.choice([0.0, 0.0, 0.35])),
        "shirt": float(rng.choice([0.4, 0.97])),
        "maxi": float(rng.choice([0.0, 0.0, 0.35])),
    }
    length = {
        "maxi": rng.uniform(122, 134),
        "skater": rng.uniform(80, 90),
        "slip": rng.uniform(85, 110),
        "sheath": rng.uniform(88, 100),
    }.get(style, rng.uniform(84, 112))
    flare = {
        "sheath": rng.uniform(-2, 1),
        "slip": rng.uniform(3, 8),
        "skater": rng.uniform(16, 24),
        "maxi": rng.uniform(12, 22),
    }.get(style, rng.uniform(10, 20))
    return {
        "neck": "strap"
        if style == "slip"
        else "collar"
        if style == "shirt"
        else "v"
        if style == "wrap"
        else _pick(rng, "scoop", "v", "boat", "scoop"),
        "style": style,
        "sleeve": sleeve.get(style, float(rng.choice([0.0, 0.25, 0.4, 0.65, 0.97]))),
        "length": length,
        "flare": flare,
        "waist": rng.uniform(34, 42),
        "belt": float(rng.random() < 0.35),
        "tiers": float(style in ("maxi", "a-line") and rng.random() < 0.3),
        "ease": 0.0,
    }


def _skirt(gender: str, rng: Draw) -> Cut:
    style = _pick(rng, "a-line", "pleated", "pencil", "mini", "maxi", "skater")
    length = {
        "mini": rng.uniform(36, 42),
        "maxi": rng.uniform(85, 96),
        "pencil": rng.uniform(56, 66),
        "skater": rng.uniform(38, 46),
    }.get(style, rng.uniform(48, 66))
    flare = {
        "mini": rng.uniform(1, 6),
        "pencil": rng.uniform(-4, -1),
        "skater": rng.uniform(16, 24),
        "maxi": rng.uniform(10, 22),
        "pleated": rng.uniform(10, 20),
    }.get(style, rng.uniform(8, 15))
    return {
        "style": style,
        "length": length,
        "flare": flare,
        "band": rng.uniform(3, 5),
        "buttons": float(rng.random() < 0.25),
        "tiers": float(style in ("maxi", "skater") and rng.random() < 0.35),
    }


def _jeans(gender: str, rng: Draw) -> Cut:
    fit = _pick(rng, "skinny", "straight", "straight", "bootcut", "wide")
    return {
        "style": fit,
        "hem": {"skinny": 7.5, "straight": 10.0, "bootcut": 11.6, "wide": 14.5}[fit] * rng.uniform(0.95, 1.06),
        "knee": {"skinny": 9.2, "straight": 10.7, "bootcut": 10.4, "wide": 13.5}[fit],
        "length": rng.uniform(135, 142),
        "turn_up": float(rng.random() < 0.2),
        "fade": rng.uniform(0.2, 1.0),
        "holes": float(rng.random() < 0.2),
    }


def _trousers(gender: str, rng: Draw) -> Cut:
    fit = _pick(rng, "chino", "tailored", "jogger", "wide", "cargo")
    return {
        "style": fit,
        "hem": {"chino": 8.9, "tailored": 10.0, "jogger": 8.0, "wide": 17.0, "cargo": 11.5}[fit]
        * rng.uniform(0.95, 1.06),
        "knee": {"chino": 10.4, "tailored": 10.8, "jogger": 12.3, "wide": 15.0, "cargo": 13.0}[fit],
        "length": rng.uniform(134, 142),
        "turn_up": float(fit == "chino" and rng.random() < 0.3),
        "side": float(fit == "jogger" and rng.random() < 0.6),
    }


def _shorts(gender: str, rng: Draw) -> Cut:
    style = (
        _pick(rng, "chino", "sport", "denim", "cargo")
        if gender != "Women"
        else _pick(rng, "chino", "sport", "denim", "hot")
    )
    length = (
        rng.uniform(78, 84) if style == "hot" or (gender == "Women" and rng.random() < 0.5) else rng.uniform(88, 101)
    )
    return {
        "style": style,
        "hem": rng.uniform(12.8, 14.4) if gender == "Women" else rng.uniform(13.6, 15.6),
        "knee": 14.5,
        "length": length,
        "turn_up": float(style in ("chino", "denim") and rng.random() < 0.4),
        "side": float(style == "sport" and rng.random() < 0.7),
        "fade": 0.5,
    }


def _sneakers(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "low", "runner", "high", "low"),
        "sole": rng.uniform(2.2, 4.2),
        "toe": rng.uniform(0, 1),
        "stripe": float(rng.integers(0, 4)),
        "cap": float(rng.random() < 0.4),
    }


def _heels(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "pump", "slingback", "strap", "peep"),
        "heel": rng.uniform(5.5, 11),
        "width": rng.uniform(0.5, 1.6),
        "toe": rng.uniform(0, 1),
        "platform": float(rng.random() < 0.3) * rng.uniform(0.8, 2),
    }


def _boots(gender: str, rng: Draw) -> Cut:
    style = (
        _pick(rng, "chelsea", "lace", "tall", "ankle") if gender == "Women" else _pick(rng, "chelsea", "lace", "lace")
    )
    return {
        "style": style,
        "shaft": {"tall": rng.uniform(30, 38), "lace": rng.uniform(14, 20)}.get(style, rng.uniform(11, 15)),
        "heel": rng.uniform(2.2, 7.0) if style in ("ankle", "tall") else rng.uniform(2.2, 3.2),
        "sole": rng.uniform(1.0, 2.4),
        "toe": rng.uniform(0, 1),
    }


def _sandals(gender: str, rng: Draw) -> Cut:
    style = (
        _pick(rng, "slide", "sport", "thong", "strappy")
        if gender == "Women"
        else _pick(rng, "slide", "sport", "thong", "sport")
    )
    return {
        "style": style,
        "sole": rng.uniform(1.6, 3.0),
        "wedge": rng.uniform(1.0, 4.0) if gender == "Women" and rng.random() < 0.4 else 0.0,
        "straps": float(rng.integers(2, 4)),
    }


def _handbag(gender: str, rng: Draw) -> Cut:
    style = _pick(rng, "tote", "satchel", "shoulder", "bowling", "hobo")
    return {
        "style": style,
        "width": rng.uniform(26, 38),
        "height": rng.uniform(19, 28),
        "taper": rng.uniform(-3, 4),
        "handle": rng.uniform(9, 18),
        "flap": float(style in ("satchel", "shoulder")),
        "pocket": float(rng.random() < 0.35),
        "metal": rng.uniform(0, 1),
    }


def _backpack(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "daypack", "rolltop", "school", "flap"),
        "width": rng.uniform(28, 34),
        "height": rng.uniform(40, 48),
        "pocket": rng.uniform(0.36, 0.48),
        "contrast": float(rng.random() < 0.4),
        "stripes": float(rng.random() < 0.3),
    }


def _cap(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "baseball", "baseball", "trucker"),
        "peak": rng.uniform(7.5, 10),
        "crown": rng.uniform(11.5, 14),
        "contrast": float(rng.random() < 0.3),
        "view": rng.uniform(0, 1),
    }


def _hat(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "beanie", "fedora", "bucket", "beanie"),
        "crown": rng.uniform(12, 15),
        "brim": rng.uniform(5, 9),
        "pompom": float(rng.random() < 0.35),
        "cuff": rng.uniform(5, 8),
    }


def _sunglasses(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "wayfarer", "aviator", "round", "cat-eye", "sport"),
        "lens": rng.uniform(2.5, 3.0),
        "high": rng.uniform(0.72, 0.95),
        "tint": rng.uniform(0, 1),
        "view": rng.uniform(0, 1),
    }


def _watch(gender: str, rng: Draw) -> Cut:
    return {
        "style": _pick(rng, "leather", "metal", "sport", "metal"),
        "case": rng.uniform(1.8, 2.4),
        "dials": float(rng.integers(0, 4)),
        "dial": rng.uniform(0, 1),
        "square": float(rng.random() < 0.15),
        "hour": rng.uniform(0, 12),
    }


_CUTS: dict[str, Callable[[str, Draw], Cut]] = {
    "T-Shirt": _tshirt,
    "Shirt": _shirt,
    "Sweater": _sweater,
    "Hoodie": _hoodie,
    "Jacket": _jacket,
    "Coat": _coat,
    "Dress": _dress,
    "Skirt": _skirt,
    "Jeans": _jeans,
    "Trousers": _trousers,
    "Shorts": _shorts,
    "Sneakers": _sneakers,
    "Heels": _heels,
    "Boots": _boots,
    "Sandals": _sandals,
    "Handbag": _handbag,
    "Backpack": _backpack,
    "Cap": _cap,
    "Hat": _hat,
    "Sunglasses": _sunglasses,
    "Watch": _watch,
}
