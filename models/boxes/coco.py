"""COCO JSON: `images`, `categories`, `annotations` with `bbox` = x, y, width, height."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from models.boxes.annotations import BoxCollector, BoxSet
from models.errors import DataError


def read_coco(path: Path) -> BoxSet:
    """Read one COCO file. Crowd regions (`iscrowd` = 1) are left out without a word: they are no single garments.

    JSON has no lines of its own; a problem's line is where the annotation's id stands, its message names the id.

    Raises:
        DataError: no such file, no JSON, or one of the three lists is missing.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise DataError(f"there is no COCO file {path}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    wanted = ("images", "categories", "annotations")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in wanted):
        raise DataError(f"{path} is not a COCO file: it needs the lists {', '.join(wanted)}")
    found = BoxCollector(str(path))
    images = _images(content["images"], found)
    categories = {
        c["id"]: str(c.get("name", "")) for c in content["categories"] if isinstance(c, dict) and _is_id(c.get("id"))
    }
    start = text.find('"annotations"')
    for annotation in content["annotations"]:
        fault = _add(annotation, images, categories, found)
        if fault:
            identity = annotation.get("id") if isinstance(annotation, dict) else None
            found.fault(_line_of(text, start, identity), f"annotation {identity}: {fault}")
    return BoxSet(found.result().images, tuple(found.problems))


def _images(entries: list[Any], found: BoxCollector) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not entry.get("file_name"):
            found.fault(0, f"an image without file_name: {entry}")
            continue
        name = str(entry["file_name"])
        try:
            width, height = (int(entry.get(side) or 0) for side in ("width", "height"))
        except (TypeError, ValueError, OverflowError):
            width = height = 0  # as where it is not said: the photo itself is asked before anybody trains on it
        if not _is_id(entry.get("id")):
            found.fault(0, f"{name}: the id of an image is a number or a text, not {entry.get('id')}")
            continue
        names[entry["id"]] = name
        found.photo(name, width, height)
    return names


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _add(annotation: Any, images: dict[Any, str], categories: dict[Any, str], found: BoxCollector) -> str | None:
    """Put one annotation into `found`; returns what is wrong with it."""
    if not isinstance(annotation, dict):
        return "not an object"
    if annotation.get("iscrowd"):
        return None
    asked = [annotation.get(name) for name in ("image_id", "category_id")]
    image, category = (
        known.get(i) if _is_id(i) else None for known, i in zip((images, categories), asked, strict=True)
    )
    if image is None:
        return f"there is no image {annotation.get('image_id')}"
    if not category:
        return f"there is no category {annotation.get('category_id')}"
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return "bbox needs the four numbers x, y, width, height"
    before = len(found.problems)
    found.box(image, category, (x, y, x + width, y + height), 0)
    return found.problems.pop().message if len(found.problems) > before else None


def _line_of(text: str, start: int, identity: Any) -> int:
    """The line on which `"id": identity` stands after `start`; the line of `start` where it can't be found."""
    hit = re.compile(rf'"id"\s*:\s*{re.escape(json.dumps(identity))}(?=\s*[,}}])').search(text, max(start, 0))
    return text.count("\n", 0, hit.start() if hit else max(start, 0)) + 1
