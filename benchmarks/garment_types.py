"""Type of a garment's crop against type of the whole picture, on photos where somebody wears several garments.

    python benchmarks/garment_types.py --worn DEMO --street FOLDER --retail FOLDER [--release FOLDER] [--limit 300]

DEMO is a catalog of `atelier detect render` (a seed nothing was trained on): its worn photos, the product's own box.
`--street` holds boxes.csv; only photos that `atelier detect train --held-out 0.2` leaves out are read. `--retail` holds
labels.csv (file, type, masterCategory): apparel photos in which the detector finds two or more garments, that is a
model wearing the product; these photos have no boxes, so the garment asked is the main one by the pipeline's rule.

A garment-level answer is the type of the crop of the detection (at production thresholds) that overlaps the true box
by half or more; where there is none, the answer counts as wrong. A whole-picture answer is the same for every garment
of a photo, as it is without a detector. Answers are the most likely label, abstentions not applied. Prints one JSON
line: shares with 95 % intervals (Wilson), and the difference with its 95 % interval by bootstrap over photos.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torchvision.ops import box_iou

from models.boxes.groups import WORDS
from models.boxes.photos import photo_size, read_photo
from models.detector import LoadedDetector
from models.release import Release, load_release
from models.training.detection_data import held_out, load_sources, parse_source
from models.training.detection_metrics import share_interval
from pipeline.enrich.garments import order
from pipeline.images.color import color_histogram
from pipeline.images.crops import crop
from pipeline.releases import release_folder
from pipeline.settings import load_settings

MAX_SIDE = 640
SAME = {
    "pants": ("Trousers", "Jeans"),
    "leggings": ("Trousers",),
    "shoes": ("Sneakers", "Heels", "Boots", "Sandals"),
    "pumps": ("Heels",),
    "hat": ("Hat", "Cap"),
    "bag": ("Handbag", "Backpack"),
    "purse": ("Handbag",),
    "blouse": ("Shirt", "Top"),
    "top": ("Top", "T-Shirt", "Undershirt", "Shirt"),
    "t-shirt": ("T-Shirt",),
    "sweatshirt": ("Hoodie", "Sweater"),
    "jumper": ("Sweater",),
    "cardigan": ("Sweater",),
    "jacket": ("Jacket", "Coat"),
    "tshirt": ("T-Shirt", "Polo", "Longsleeve"),
    "track pants": ("Trousers",),
    "casual shoes": ("Sneakers",),
    "sports shoes": ("Sneakers",),
}
"""Types that count as right for a word; a word that is a type stands for itself."""


@dataclass(frozen=True)
class Asked:
    """Garments of one photo: boxes float32 (n, 4), each with the types that are right; the main one's number."""

    path: Path
    boxes: np.ndarray
    right: tuple[frozenset[str], ...]
    main: int


def right_types(word: str, types: Sequence[str], *, group_only: bool) -> frozenset[str]:
    """Types that are right for a word of a data set; empty: the head has none."""
    word = word.lower().strip()
    if group_only:
        return frozenset(one for one in types if WORDS.get(one.lower()) == WORDS.get(word, "none"))
    names = (
        SAME.get(word) or SAME.get(word.removesuffix("s")) or (word, word.removesuffix("s"), word.removesuffix("es"))
    )
    wanted = {name.lower() for name in names}
    return frozenset(one for one in types if one.lower() in wanted)


def worn(demo: Path, types: Sequence[str]) -> list[Asked]:
    """Worn photos of a rendered catalog with all their garments."""
    scenes = {row["image_key"]: row["scene"] for row in pq.read_table(demo / "truth/images.parquet").to_pylist()}
    by_photo: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(demo / "truth/boxes.parquet").to_pylist():
        if scenes[row["image_key"]] == "worn":
            by_photo.setdefault(row["image_key"], []).append(row)
    return [
        Asked(
            demo / key,
            np.array([[row[edge] for edge in ("x1", "y1", "x2", "y2")] for row in rows], np.float32),
            tuple(right_types(row["type"], types, group_only=False) for row in rows),
            next((number for number, row in enumerate(rows) if row["is_main"]), 0),
        )
        for key, rows in by_photo.items()
    ]


def street(folder: Path, types: Sequence[str], *, group_only: bool) -> list[Asked]:
    """Held-out street photos with those garments that the head has a type for; the largest is the main one."""
    source = parse_source(f"{folder}/boxes.csv")
    names = {word: word for word in WORDS}
    found = load_sources([source], tuple(names), names)
    words = list(names)
    asked = []
    for photo in found.photos:
        if not held_out(photo, 0.2):
            continue
        right = [right_types(words[label], types, group_only=group_only) for label in photo.classes]
        keep = [number for number, one in enumerate(right) if one]
        if keep:
            boxes = photo.boxes[keep]
            largest = int(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax())
            asked.append(Asked(photo.path, boxes, tuple(right[number] for number in keep), largest))
    return asked


def retail(folder: Path, types: Sequence[str], limit: int) -> list[Asked]:
    """Apparel photos of a labelled catalog, spread evenly over it, without boxes."""
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["masterCategory"] == "Apparel"]
    asked = []
    for row in rows:
        right = right_types(row["type"], types, group_only=False)
        if right:
            asked.append(Asked(folder / row["file"], np.zeros((0, 4), np.float32), (right,), 0))
    return [asked[number * len(asked) // limit] for number in range(min(limit, len(asked)))]


class Reader:
    """Types of pictures and of garments in them, by a release."""

    def __init__(self, release: Release, head: str) -> None:
        self.release = release
        self.head = head
        self.types = release.heads[head].labels

    def types_of(self, pictures: Sequence[np.ndarray]) -> list[str]:
        """The most likely type of each picture, uint8 (h, w, 3)."""
        if not pictures:
            return []
        ready = torch.stack([self.release.preprocessing.resize_image(picture) for picture in pictures])
        measured = {"color_histogram": np.stack([color_histogram(picture) for picture in pictures])}
        said = self.release.probabilities(self.head, self.release.features(ready), measured).argmax(axis=1)
        return [self.types[int(number)] for number in said]

    def judged(self, asked: Asked) -> dict[str, list[bool]] | None:
        """Whether each garment asked was right by the whole picture, by the crop found, by the crop of the true box.

        None: a photo without boxes in which no model is seen.
        """
        pixels = read_photo(asked.path, MAX_SIDE)
        (found,) = self.release.detect([pixels])
        if not len(asked.boxes):
            if len(set(found.groups)) < 2:
                return None
            main = order(found, pixels.shape[1], pixels.shape[0], 8)[0]
            whole, part = self.types_of([pixels, crop(pixels, found.boxes[main])])
            return {"whole": [whole in asked.right[0]], "garment": [part in asked.right[0]]}
        boxes = asked.boxes * np.float32(_scale(asked.path, pixels))
        overlap = box_iou(torch.from_numpy(boxes), torch.from_numpy(found.boxes)).numpy()
        best = [int(row.argmax()) if row.size and row.max() >= 0.5 else None for row in overlap]
        said = self.types_of(
            [pixels, *(crop(pixels, box) for box in found.boxes), *(crop(pixels, box) for box in boxes)]
        )
        parts, exact = said[1 : 1 + len(found.boxes)], said[1 + len(found.boxes) :]
        return {
            "whole": [said[0] in right for right in asked.right],
            "garment": [at is not None and parts[at] in right for at, right in zip(best, asked.right, strict=True)],
            "true_box": [one in right for one, right in zip(exact, asked.right, strict=True)],
        }


def _scale(path: Path, pixels: np.ndarray) -> float:
    return pixels.shape[1] / photo_size(path)[0]


def compared(photos: Sequence[dict[str, list[bool]]]) -> dict[str, Any]:
    """Shares, their intervals, and the difference garment minus whole with its interval by bootstrap over photos."""
    count = sum(len(one["whole"]) for one in photos)
    result: dict[str, Any] = {"photos": len(photos), "garments": count}
    for way in ("whole", "garment", "true_box"):
        if way in photos[0]:
            right = sum(sum(one[way]) for one in photos)
            low, high = share_interval(right, count)
            result[way] = {"share": round(right / count, 3), "low": round(low, 3), "high": round(high, 3)}
    sums = np.array([(sum(one["garment"]) - sum(one["whole"]), len(one["whole"])) for one in photos], float)
    drawn = sums[np.random.default_rng(0).integers(len(sums), size=(2000, len(sums)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    result["difference"] = {
        "share": round(float(sums[:, 0].sum() / sums[:, 1].sum()), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
    }
    return result


def both(reader: Reader, name: str, asked: Iterable[Asked]) -> dict[str, dict[str, Any]]:
    """The comparison over the main garment of each photo and over all garments."""
    asked = list(asked)
    judged = [(one, said) for one in asked if (said := reader.judged(one)) is not None]
    every = [said for _, said in judged]
    if not every:
        return {}
    result = {f"{name}, main garment": compared([{w: [v[a.main]] for w, v in said.items()} for a, said in judged])}
    if any(len(said["whole"]) > 1 for said in every):
        result[f"{name}, every garment"] = compared(every)
    return result


def main() -> None:
    """Compare on what was named and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worn", type=Path, help="catalog of `atelier detect render`")
    parser.add_argument("--street", type=Path, help="folder with boxes.csv")
    parser.add_argument("--retail", type=Path, help="folder with labels.csv")
    parser.add_argument("--release", type=Path, help="default: the settings'")
    parser.add_argument("--head", default="type", help="the release's head that says the type")
    parser.add_argument("--limit", type=int, default=300, help="retail photos looked at")
    chosen = parser.parse_args()
    settings = load_settings(**({"release": {"uri": str(chosen.release.resolve())}} if chosen.release else {}))
    # photos come one by one: nothing is filled up to a full pass
    release = load_release(release_folder(settings), settings.enrich.device, settings.enrich.precision, batch_images=1)
    if isinstance(release._detector, LoadedDetector):
        release._detector.batch_images = 1
    reader = Reader(release, chosen.head)
    found: dict[str, Any] = {}
    if chosen.worn:
        found |= both(reader, "rendered worn photos", worn(chosen.worn, reader.types))
    if chosen.street:
        found |= both(reader, "street, type", street(chosen.street, reader.types, group_only=False))
        found |= both(reader, "street, group of the type", street(chosen.street, reader.types, group_only=True))
    if chosen.retail:
        found |= both(reader, "retail photos with models", retail(chosen.retail, reader.types, chosen.limit))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
