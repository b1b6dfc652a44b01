"""A small real release, and photos clean and dirty, for tests of everything that enriches."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.backbones import build_backbone
from models.caption_decoders import GruDecoder
from models.cards import Card, read_card, write_card
from models.detections import GROUPS
from models.detector_network import FROZEN, GarmentDetector
from models.heads import Head, head_tensors
from models.preprocessing import Preprocessing
from models.release_cards import STARTER, write_release
from pipeline.errors import Reason
from pipeline.images.color import HISTOGRAM_LENGTH

DIM = 1280
COLORS = ("Black", "White", "Blue", "Red", "Green")
WORDS = ("<pad>", "<s>", "</s>", "<unk>", "a", "blue", "red", "shirt", "dress", "with", "stripes")


def write_tiny_release(folder: Path, size: int = 64) -> Path:
    """Write a release folder as `atelier release create` makes them; the same numbers every time.

    The pretrained backbone, a detector and a captioner that nobody trained, heads at random.

    Args:
        size: pixels the backbone reads; it was trained for 224, fewer are quicker.
    """
    cards = folder / "cards"
    backbone = read_card(STARTER / "cards" / "efficientnet_lite0.toml")
    assert backbone.preprocessing
    write_card(replace(backbone, preprocessing=replace(backbone.preprocessing, size=size)), None, cards)
    name = "efficientnet_lite0.toml"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        heads = {
            "type": _head(cards, "type", ("Shirt", "Dress", "Shoes"), {}),
            "color": _head(cards, "color", COLORS, {"color_histogram": HISTOGRAM_LENGTH}),
            "style": _head(cards, "style", ("casual", "formal", "sport"), {}, kind="multi"),
        }
        detector, captioner = _detector(cards, name), _captioner(cards)
    write_release(folder, {"backbone": f"cards/{name}", "detector": detector, "captioner": captioner, "heads": heads})
    return folder


def _head(cards: Path, name: str, labels: tuple[str, ...], extra: dict[str, int], kind: str = "single") -> str:
    module = Head(DIM + sum(extra.values()), len(labels), extra)
    options = {"kind": kind} | ({"extra_inputs": extra} if extra else {})
    thresholds = {"abstain": 0.4} if kind == "single" else dict.fromkeys(labels, 0.5)
    card = Card("head", name, "linear", "", labels=labels, thresholds=thresholds, options=options)
    return f"cards/{write_card(card, head_tensors(module), cards).name}"


def _detector(cards: Path, backbone: str) -> str:
    network = GarmentDetector(build_backbone(read_card(cards / backbone), cards), len(GROUPS), 16, 1)
    torch.nn.init.normal_(network.head.classification_head.cls_logits.weight, std=0.3)
    tensors = {name: value for name, value in network.state_dict().items() if not name.startswith(FROZEN)}
    card = Card(
        "detector",
        "detector",
        "fcos",
        "",
        labels=GROUPS,
        preprocessing=Preprocessing(160, (127.0,) * 3, (128.0,) * 3, "letterbox"),
        thresholds=dict.fromkeys(GROUPS, 0.68),
        options={"backbone": backbone, "channels": 16, "convs": 1, "nms_iou": 0.5, "max_garments": 4},
    )
    return f"cards/{write_card(card, tensors, cards).name}"


def _captioner(cards: Path) -> str:
    module = GruDecoder(DIM, len(WORDS))
    card = Card("captioner", "captioner", "gru", "", labels=WORDS, options={"beam": 2, "max_words": 5})
    return f"cards/{write_card(card, module.state_dict(), cards).name}"


def photo_bytes(seed: int, width: int = 150, height: int = 200, kind: str = "JPEG") -> bytes:
    """A picture with a garment-like patch on a background, encoded."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), rng.integers(150, 255, 3), np.uint8)
    top, left = rng.integers(10, 60, 2)
    pixels[top : top + 110, left : left + 80] = rng.integers(0, 255, 3)
    noise = rng.integers(0, 25, pixels.shape, dtype=np.uint8)
    return encoded(Image.fromarray(np.minimum(pixels, 230) + noise), kind)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def dirty_files() -> dict[str, tuple[bytes, Reason | None]]:
    """Key -> bytes and the reason they are rejected for; None: odd, but readable."""
    clean = photo_bytes(77)
    image = Image.open(io.BytesIO(clean)).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 8
    damaged = bytearray(clean)
    damaged[len(damaged) // 2 : len(damaged) // 2 + 2000] = b"\xff\x01" * 1000
    sixteen = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return {
        "dirty-empty.jpg": (b"", Reason.EMPTY),
        "dirty-html.jpg": (b"<html><body>404 Not Found</body></html>", Reason.NOT_AN_IMAGE),
        "dirty-truncated.jpg": (clean[: len(clean) // 2], Reason.TRUNCATED),
        "dirty-header-only.jpg": (clean[:100], Reason.TRUNCATED),
        "dirty-corrupt.jpg": (bytes(damaged), Reason.CORRUPT),
        "dirty-bomb.png": (_bomb(), Reason.TOO_MANY_PIXELS),
        "dirty-huge.bmp": (encoded(image.resize((700, 700)), "BMP"), Reason.TOO_MANY_BYTES),
        "dirty-tiny.png": (encoded(image.resize((8, 8)), "PNG"), Reason.TOO_SMALL),
        "dirty-heic.jpg": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", Reason.UNSUPPORTED),
        "dirty-cmyk.jpg": (encoded(image.convert("CMYK"), "JPEG"), None),
        "dirty-sixteen-bit.png": (encoded(sixteen, "PNG"), None),
        "dirty-palette.png": (encoded(image.convert("P"), "PNG"), None),
        "dirty-transparent.png": (encoded(image.convert("RGBA"), "PNG"), None),
        "dirty-rotated.jpg": (encoded(image, "JPEG", exif=turned), None),
        "dirty-animated.gif": (
            encoded(image, "GIF", save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)]),
            None,
        ),
        "dirty-strip.png": (encoded(image.resize((3000, 20)), "PNG"), None),
        "dirty-black.png": (encoded(Image.new("RGB", (90, 90)), "PNG"), None),
    }


def _bomb() -> bytes:
    """A PNG of a hundred bytes that claims 10 billion pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
