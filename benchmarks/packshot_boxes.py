"""Is the main garment of a packshot found? On photos of single products before white, where the truth can be seen.

    python benchmarks/packshot_boxes.py --retail FOLDER [--card detector.toml] [--limit 600]

FOLDER holds labels.csv (file, subCategory). Shoes, sandals, bags, headwear, watches, eyewear and belts stand alone on
white there (clothes are mostly worn by models): the true box is the bounding box of everything that is not white, both
shoes of a pair together. A photo counts as right where some detection at production thresholds overlaps that box by
half or more. Prints one JSON line: shares of photos, with a 95 % interval (Wilson), and by kind of product.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou

from models.boxes.photos import read_photo
from models.cards import read_card
from models.detector import LoadedDetector, load_detector
from models.devices import capabilities, choose
from models.training.detection_metrics import share_interval

KINDS = {
    "Shoes": "footwear",
    "Sandal": "footwear",
    "Flip Flops": "footwear",
    "Bags": "bag",
    "Headwear": "headwear",
    "Watches": "accessory",
    "Eyewear": "accessory",
    "Belts": "accessory",
}
WHITE = 240
"""A pixel with a channel below it belongs to the product; rows and columns with a single one are JPEG noise."""
STARTER_CARD = Path(__file__).parents[1] / "models" / "starter" / "cards" / "detector.toml"


def product_box(pixels: np.ndarray) -> np.ndarray | None:
    """Bounding box float32 (4,) of what is not white in uint8 (h, w, 3); None: nothing, or no white ground."""
    dark = np.asarray((pixels < WHITE).any(axis=2))
    rows, columns = (np.flatnonzero(dark.sum(axis=axis) > 1) for axis in (1, 0))
    edge = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    if not len(rows) or not len(columns) or edge.mean() > 0.2:
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def judged(detector: LoadedDetector, folder: Path, limit: int) -> dict[str, Any]:
    """Counts over up to `limit` photos, spread evenly over the folder's."""
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        rows = sorted((row["file"], row["subCategory"]) for row in csv.DictReader(lines) if row["subCategory"] in KINDS)
    rows = [rows[number * len(rows) // limit] for number in range(min(limit, len(rows)))]
    asked: Counter[str] = Counter()
    boxed: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for begin in range(0, len(rows), detector.batch_images):
        piece = rows[begin : begin + detector.batch_images]
        pictures = [read_photo(folder / file) for file, _ in piece]
        for picture, found, (_, kind) in zip(pictures, detector.detect(pictures), piece, strict=True):
            truth = product_box(picture)
            if truth is None:
                continue
            overlap = box_iou(torch.from_numpy(found.boxes), torch.from_numpy(truth[None])).numpy()[:, 0]
            right = [group for group, share in zip(found.groups, overlap, strict=True) if share >= 0.5]
            asked[kind] += 1
            boxed[kind] += bool(right)
            named[kind] += KINDS[kind] in right
    count, hits = asked.total(), boxed.total()
    low, high = share_interval(hits, count)
    return {
        "photos": count,
        "main_box": round(hits / count, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "main_box_and_group": round(named.total() / count, 4),
        "kinds": {kind: {"photos": asked[kind], "box": boxed[kind], "group": named[kind]} for kind in sorted(asked)},
    }


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retail", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--card", type=Path, default=STARTER_CARD, help="default: the starter's detector")
    parser.add_argument("--limit", type=int, default=600)
    chosen = parser.parse_args()
    placement = choose("auto", "auto", capabilities())
    detector = load_detector(read_card(chosen.card), chosen.card.parent, placement.device, placement.precision)
    print(json.dumps(judged(detector, chosen.retail, chosen.limit)))


if __name__ == "__main__":
    main()
