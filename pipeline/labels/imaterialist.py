"""Labels in the form of iMaterialist Challenge (Fashion) 2018: numbered labels of numbered images, in one JSON file.

    {"images": [{"imageId": "1", "url": "https://..."}],
     "annotations": [{"imageId": "1", "labelId": ["95", "66"]}]}

A label map says what the numbers mean: which task (a head) and which label. The photos are files that somebody has
downloaded already, named by their imageId; the addresses are not used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.errors import InputError
from pipeline.labels.catalog import NAMED, read_bytes, read_table
from pipeline.labels.json_files import parse_json
from pipeline.settings import Settings

LABEL = "label"
"""The one head there is without a label map: all label numbers of an image."""

IMAGE_NAME = "{id}.jpg"

LabelMap = Mapping[str, tuple[str, str]]
"""labelId -> (task, label)."""


def read_imaterialist(
    uri: str, label_map: LabelMap | None, image_name: str, settings: Settings
) -> tuple[pd.DataFrame, list[str]]:
    """A table with `file`, `product_id` (the imageId: the format knows no products) and a column a task; and notes.

    Several labels of one task are joined with `|`. Annotations of images that the file does not list, and labels that
    the map does not have, are left out and noted.

    Raises:
        InputError: not such a file; the message says which entry is wrong.
    """
    found = parse_json(read_bytes(uri, settings), uri)
    if not isinstance(found, dict) or not isinstance(found.get("annotations"), list):
        raise InputError(
            f'{uri} is no iMaterialist file: it has no list "annotations" (files of test images have none)'
        )
    listed = _listed(found, uri)
    strangers: list[str] = []
    unmapped: Counter[str] = Counter()
    rows = []
    for image, labels in _annotations(found["annotations"], uri):
        if listed is not None and image not in listed:
            strangers.append(image)
            continue
        texts: dict[str, list[str]] = {}
        for label in labels:
            if label_map is None:
                texts.setdefault(LABEL, []).append(label)
            elif label in label_map:
                task, word = label_map[label]
                texts.setdefault(task, []).append(word)
            else:
                unmapped[label] += 1
        joined = {task: "|".join(sorted(set(words))) for task, words in texts.items()}
        rows.append({"file": name_image(image_name, image), "product_id": image, **joined})
    if not rows:
        raise InputError(f"{uri} has no annotation of an image that it lists")
    notes = []
    if strangers:
        notes.append(f"{len(strangers)} annotations left out, {uri} lists no such image: {_some(strangers)}")
    if unmapped:
        times = [f"{label} ({count} times)" for label, count in unmapped.most_common()]
        notes.append(f"{len(unmapped)} labels left out, the label map has no such number: {_some(times)}")
    tasks = sorted({task for task, _ in label_map.values()}) if label_map else [LABEL]
    return pd.DataFrame(rows, columns=["file", "product_id", *tasks]), notes


def _listed(found: Mapping[str, Any], uri: str) -> set[str] | None:
    """Numbers of the images that the file lists; None where it lists none."""
    images = found.get("images")
    if images is None:
        return None
    if not isinstance(images, list):
        raise InputError(f'{uri}: "images" is no list')
    for number, image in enumerate(images):
        if not isinstance(image, dict) or not isinstance(image.get("imageId"), str | int):
            raise InputError(f"{uri}: images[{number}] has no imageId")
    return {str(image["imageId"]) for image in images}


def _annotations(annotations: list[Any], uri: str) -> Iterator[tuple[str, list[str]]]:
    for number, one in enumerate(annotations):
        if not isinstance(one, dict) or not isinstance(one.get("imageId"), str | int):
            raise InputError(f"{uri}: annotations[{number}] has no imageId")
        labels = one.get("labelId")
        if not isinstance(labels, list) or not all(isinstance(label, str | int) for label in labels):
            raise InputError(f"{uri}: annotations[{number}], image {one['imageId']}: labelId is no list of numbers")
        yield str(one["imageId"]), [str(label) for label in labels]


def read_label_map(uri: str, settings: Settings) -> dict[str, tuple[str, str]]:
    """Which task and label a number means.

    A CSV with labelId, taskName (or task) and labelName (or label), or a JSON object
    `{"95": {"task": "category", "label": "Dress"}}`.

    Raises:
        InputError: neither, a number twice, or a name that holds `|`.
    """
    if uri.endswith(".json"):
        entries = _json_map(uri, settings)
    else:
        table = read_table(uri, settings).astype(str)
        columns = [_column(table, names, uri) for names in (("labelId",), ("taskName", "task"), ("labelName", "label"))]
        entries = list(table[columns].itertuples(index=False, name=None))
    mapped: dict[str, tuple[str, str]] = {}
    for number, task, label in entries:
        if number in mapped:
            raise InputError(f"the label map {uri} has the labelId {number} twice")
        if "|" in label:
            raise InputError(f"the label map {uri} names a label {label!r}; | is what separates labels")
        mapped[number] = (task.strip(), label.strip())
    return mapped


def _json_map(uri: str, settings: Settings) -> list[tuple[str, str, str]]:
    found = parse_json(read_bytes(uri, settings), uri)
    if not isinstance(found, dict):
        raise InputError(f'the label map {uri} has to be {{"95": {{"task": "category", "label": "Dress"}}, ...}}')
    entries = []
    for number, one in found.items():
        if not isinstance(one, dict) or not {"task", "label"} <= set(one):
            raise InputError(f"the label map {uri} has no task and label for the labelId {number}")
        entries.append((str(number), str(one["task"]), str(one["label"])))
    return entries


def _column(table: pd.DataFrame, names: tuple[str, ...], uri: str) -> str:
    for name in names:
        if name in table.columns:
            return name
    raise InputError(f"the label map {uri} has no column {' or '.join(names)}; there are: {', '.join(table.columns)}")


def name_image(pattern: str, number: str) -> str:
    """The photo's key: `{id}` in the pattern is its number, `{id:06}` the number with six digits.

    Raises:
        InputError: the pattern has neither.
    """
    name, found = re.subn(r"\{id(?::0?(\d{1,2}))?\}", lambda hit: number.zfill(int(hit[1] or 0)), pattern)
    if not found:
        raise InputError(f"--image-name has to hold {{id}} or {{id:06}}, such as {IMAGE_NAME}, not {pattern!r}")
    return name


def _some(words: list[str]) -> str:
    return ", ".join(words[:NAMED]) + (", ..." if len(words) > NAMED else "")
