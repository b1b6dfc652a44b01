"""From the words of a data source to the garment groups the detector knows."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from models.boxes.annotations import BoxedImage
from models.detections import GROUPS
from models.errors import DataError

_WORDS = {
    "upper-body": "blouse shirt coat sweater t-shirt tshirt blazer jacket vest top sweatshirt cape jumper cardigan "
    "hoodie bra polo longsleeve outwear undershirt bodysuit tee tank tunic parka kurta kurtas tops shirts tshirts "
    "jackets sweaters sweatshirts blouses henley jersey poncho anorak waistcoat coats suit",
    "lower-body": "pants skirt jeans shorts leggings trousers chinos joggers sweatpants culottes capris skirts",
    "full-body": "dress romper jumpsuit dresses gown kimono robe onesie dungarees overall overalls body",
    "footwear": "shoes shoe sandals boots heels loafers pumps sneakers flats wedges footwear boot sandal",
    "bag": "bag purse wallet handbag backpack clutch bags handbags backpacks",
    "headwear": "hat cap beanie headwear caps hats",
    "accessory": "sunglasses accessories accessory belt scarf bracelet necklace watch gloves tie glasses ring "
    "earrings watches belts ties",
}
WORDS: dict[str, str] = {word: group for group, words in _WORDS.items() for word in words.split()}
"""Words, in lower case, of public data sets with their group; groups stand for themselves."""
WORDS |= {group: group for group in GROUPS}


def read_words(path: Path) -> dict[str, str]:
    """A shop's own words: a TOML file of `word = "group"` lines.

    Raises:
        DataError: no such file, or not such lines.
    """
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"there is no file of label groups {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    if not all(isinstance(group, str) for group in words.values()):
        raise DataError(f'{path} needs lines such as blouse = "upper-body"')
    return {word.lower(): group for word, group in words.items()}


def grouped(images: Iterable[BoxedImage], words: Mapping[str, str]) -> tuple[list[BoxedImage], Counter[str]]:
    """The same photos with groups in place of words; boxes with other words are left out and counted."""
    found: list[BoxedImage] = []
    unknown: Counter[str] = Counter()
    for image in images:
        groups = [words.get(label.lower().strip()) for label in image.labels]
        unknown.update(label for label, group in zip(image.labels, groups, strict=True) if group is None)
        keep = [i for i, group in enumerate(groups) if group is not None]
        found.append(image.with_boxes(keep, image.boxes[keep], [group for group in groups if group]))
    return found, unknown
