"""Pascal-VOC XML: one file a photo. Pixels count from 1 there and the last one belongs to the box."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from models.boxes.annotations import BoxCollector, BoxedImage, BoxSet
from models.errors import DataError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path) -> BoxSet:
    """Read one XML file, or every `*.xml` of a folder in the order of their names.

    A file that is no XML or names no photo is one problem; so is an object without four numbers.

    Raises:
        DataError: there is no such file or folder, or no XML file in it.
    """
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError(f"there is no Pascal-VOC file {path}{'/*.xml' if path.is_dir() else ''}")
    sets = [_read_file(file) for file in files]
    return BoxSet(tuple(i for s in sets for i in s.images), tuple(p for s in sets for p in s.problems))


def _read_file(file: Path) -> BoxSet:
    found = BoxCollector(str(file))
    reader = _VocParser()
    try:
        reader.parse(file.read_bytes())
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: encodings that expat doesn't know
        found.fault(getattr(error, "lineno", 0), f"not a Pascal-VOC file: {error}")
        return found.result()
    image = reader.texts.get("filename", "").strip()
    if not image:
        found.fault(1, "no <filename>: which photo is meant?")
        return found.result()
    try:
        width, height = (int(float(reader.texts.get(f"size/{name}", 0))) for name in ("width", "height"))
    except (ValueError, OverflowError):
        width = height = 0
    found.photo(image, width, height)
    for line, fields in reader.objects:
        try:
            x1, y1, x2, y2 = (float(fields[f"bndbox/{name}"]) for name in CORNERS)
        except (KeyError, ValueError):
            found.fault(line, f"{image}: an object needs {', '.join(CORNERS)} as numbers")
            continue
        found.box(image, fields.get("name", "").strip(), (x1 - 1, y1 - 1, x2, y2), line)
    return found.result()


class _VocParser:
    """Walks the elements and keeps their texts with the lines of the objects.

    Document types (the way to make XML grow without bound, or read other files) are refused.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.objects: list[tuple[int, dict[str, str]]] = []
        self._path: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def parse(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def _start(self, name: str, attributes: dict[str, Any]) -> None:
        self._path.append(name)
        if self._path[1:] == ["object"]:
            self.objects.append((self._parser.CurrentLineNumber, {}))

    def _end(self, name: str) -> None:
        self._path.pop()

    def _text(self, data: str) -> None:
        inner = self._path[1:]
        in_object = inner[:1] == ["object"] and bool(self.objects)
        texts, key = (self.objects[-1][1], "/".join(inner[1:])) if in_object else (self.texts, "/".join(inner))
        texts[key] = texts.get(key, "") + data  # in pieces: an entity such as &amp; is one of its own

    def _doctype(self, *_: Any) -> None:
        error = expat.ExpatError("a document type is not allowed")
        error.lineno = self._parser.CurrentLineNumber
        raise error


def write_voc(images: Iterable[BoxedImage], folder: Path) -> int:
    """Write one XML file a photo, named like it (`a/b.jpg` becomes `a_b.xml`); returns how many.

    Of photos whose files would have one name (`a.jpg`, `a.png`) the later ones get a number: `a-2.xml`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    taken: set[str] = set()
    for image in images:
        plain = name = str(Path(image.image).with_suffix("")).replace("/", "_")
        number = 1
        while name in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name)
        (folder / f"{name}.xml").write_text(_as_xml(image), encoding="utf-8")
        count += 1
    return count


def _as_xml(image: BoxedImage) -> str:
    lines = ["<annotation>", f"  <filename>{escape(image.image)}</filename>"]
    lines.append(f"  <size><width>{image.width}</width><height>{image.height}</height><depth>3</depth></size>")
    for label, (x1, y1, x2, y2) in zip(image.labels, image.boxes.tolist(), strict=True):
        corners = zip(CORNERS, (x1 + 1, y1 + 1, x2, y2), strict=True)
        box = "".join(f"<{name}>{value:g}</{name}>" for name, value in corners)
        lines.append(f"  <object><name>{escape(label)}</name><bndbox>{box}</bndbox></object>")
    return "\n".join([*lines, "</annotation>", ""])
