"""Photos with boxes to train and test a detector on: where they come from, how they are split, their pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.boxes.annotations import BoxedImage, BoxProblem, BoxSet
from models.boxes.coco import read_coco
from models.boxes.deepfashion import read_deepfashion
from models.boxes.groups import grouped
from models.boxes.photos import checked_against, photo_size, read_photo
from models.boxes.plain import read_csv_boxes, read_truth
from models.boxes.voc import read_voc
from models.errors import DataError

FORMATS = "a demo catalog's folder, boxes.csv, COCO .json, a folder of Pascal-VOC .xml, DeepFashion list_landmarks*.txt"


@dataclass(frozen=True)
class Photo:
    """A photo on disk with its garments.

    Args:
        path: of the photo.
        boxes: float32 (n, 4), pixels of the upright photo.
        classes: int64 (n,), positions in the detector's groups.
        width: of the upright photo, pixels.
        height: likewise.
        owner: decides the side of the split, in every source alike.
        weight: how often it is drawn in training, relative to others.
    """

    path: Path
    boxes: np.ndarray
    classes: np.ndarray
    width: int
    height: int
    owner: str
    weight: float = 1.0


@dataclass(frozen=True)
class Source:
    """An annotation file (or folder) with the folder of its photos."""

    annotations: Path
    photos: Path
    weight: float = 1.0


@dataclass(frozen=True)
class Photos:
    """Photos of one or more sources, what was left out, and words that belong to no group."""

    photos: tuple[Photo, ...]
    problems: tuple[BoxProblem, ...] = ()
    unknown: Counter[str] = field(default_factory=Counter)


def parse_source(text: str) -> Source:
    """Read `ANNOTATIONS[,photos=FOLDER][,weight=NUMBER]`; the photos lie beside the annotations by default.

    Raises:
        DataError: unknown words, or nothing there.
    """
    name, *rest = text.split(",")
    options = dict(part.partition("=")[::2] for part in rest)
    if unknown := sorted(set(options) - {"photos", "weight"}):
        raise DataError(f"{text!r}: unknown {unknown}; a source is ANNOTATIONS[,photos=FOLDER][,weight=NUMBER]")
    path = Path(name)
    if not path.exists():
        raise DataError(f"there is no source of boxes {path}; it can be {FORMATS}")
    default = path if path.is_dir() else path.parent
    try:
        weight = float(options.get("weight", 1))
    except ValueError:
        raise DataError(f"{text!r}: weight must be a number") from None
    return Source(path, Path(options.get("photos", default)), weight)


def _is_demo(path: Path) -> bool:
    return (path / "truth" / "boxes.parquet").is_file()


def read_boxes(path: Path, photos: Path) -> BoxSet:
    """Read annotations of any format; which one is seen from the name.

    Raises:
        DataError: no format fits, or the reader's own errors.
    """
    if _is_demo(path):
        return read_truth(path / "truth" / "boxes.parquet")
    if path.name == "boxes.parquet":
        return read_truth(path)
    if path.is_dir() or path.suffix == ".xml":
        return read_voc(path)
    readers: dict[str, Callable[[Path], BoxSet]] = {".csv": read_csv_boxes, ".json": read_coco}
    if path.suffix == ".txt":
        return read_deepfashion(path, size_in(photos))
    if path.suffix not in readers:
        raise DataError(f"{path} is no known kind of boxes; known are {FORMATS}")
    return readers[path.suffix](path)


def size_in(photos: Path) -> Callable[[str], tuple[int, int]]:
    """Width and height of a photo by its name; (0, 0) where it can't be read."""

    def size(name: str) -> tuple[int, int]:
        try:
            return photo_size(photos / name)
        except DataError:
            return 0, 0

    return size


def load_sources(sources: Sequence[Source], groups: Sequence[str], words: Mapping[str, str]) -> Photos:
    """Read every source, check each box against its photo, and turn words into classes.

    Raises:
        DataError: a source can't be read, or no photo is left.
    """
    photos: list[Photo] = []
    problems: list[BoxProblem] = []
    unknown: Counter[str] = Counter()
    for source in sources:
        checked = checked_against(read_boxes(source.annotations, source.photos), source.photos, str(source.annotations))
        images, strange = grouped(checked.images, {word: group for word, group in words.items() if group in groups})
        photos += [_photo(image, source, groups) for image in images]
        problems += checked.problems
        unknown += strange
    if not photos:
        raise DataError(f"no photo is left of {', '.join(str(source.annotations) for source in sources)}")
    return Photos(tuple(photos), tuple(problems), unknown)


def _photo(image: BoxedImage, source: Source, groups: Sequence[str]) -> Photo:
    classes = np.array([list(groups).index(label) for label in image.labels], np.int64)
    path = source.photos / image.image
    return Photo(path, image.boxes, classes, image.width, image.height, image.owner or image.image, source.weight)


def held_out(photo: Photo, share: float) -> bool:
    """Whether a photo is kept out of training: by a hash of its owner, so the same on every machine and run."""
    return owner_held_out(photo.owner, share)


def owner_held_out(owner: str, share: float) -> bool:
    """Whether all photos of an owner (a product, a person, a photo's own name) are kept out of training."""
    digest = hashlib.sha256(owner.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def repeat_factors(photos: Sequence[Photo], share: float) -> np.ndarray:
    """How often to draw each photo so that rare classes are seen, float64 (n,) (Gupta, Dollar and Girshick 2019).

    A class in a smaller share f of the photos than `share` asks for sqrt(share / f); a photo gets its rarest class's.
    """
    count: Counter[int] = Counter(int(label) for photo in photos for label in set(photo.classes.tolist()))
    wanted = {label: max(1.0, (share * len(photos) / seen) ** 0.5) for label, seen in count.items()}
    return np.array([max((wanted[int(label)] for label in photo.classes), default=1.0) for photo in photos])


class PhotoReader:
    """Reads photos, reduced to `max_side`, and keeps the first ones in memory.

    Args:
        max_side: longer side of what is returned, pixels; smaller photos stay as they are.
        cache_mib: memory for decoded photos.
    """

    def __init__(self, max_side: int, cache_mib: int = 1024) -> None:
        self.max_side = max_side
        self._left = cache_mib * 2**20
        self._kept: dict[Path, np.ndarray] = {}

    def read(self, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 (H, W, 3) and the boxes in them, float32 (n, 4)."""
        pixels = self._kept.get(photo.path)
        if pixels is None:
            pixels = read_photo(photo.path, self.max_side)
            self._keep(photo.path, pixels)
        scale = np.array([pixels.shape[1] / photo.width, pixels.shape[0] / photo.height] * 2, np.float32)
        return pixels, photo.boxes * scale

    def _keep(self, path: Path, pixels: np.ndarray) -> None:
        """Photos are drawn at random, so those that are in stay in: replacing them would gain nothing."""
        if pixels.nbytes <= self._left:
            self._left -= pixels.nbytes
            self._kept[path] = pixels
