"""Thumbnails: bounded, upright, honest about what can't be shown."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Reason
from pipeline.report.thumbnails import LONG_SIDE, MAX_BYTES, Thumbnails, Wanted
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "catalog"), Settings())


def make(store, data: bytes, reason: Reason | None = None, **options):
    etag = store.put("a.jpg", data)
    return Thumbnails(store, store, load_settings(report=options)).make([Wanted("a.jpg", etag, reason)])[0]


def pixels(thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.photo.source.split(",")[1])))


@pytest.mark.parametrize("size", [(900, 1200), (1200, 900), (320, 320), (40, 30), (2000, 60)])
def test_a_thumbnail_is_small_and_its_scale_takes_boxes_there(store, size):
    thumbnail = make(store, encoded(noise(*size)))
    shown = pixels(thumbnail)
    assert shown.size == (thumbnail.photo.width, thumbnail.photo.height)
    assert max(shown.size) <= LONG_SIDE
    assert len(base64.b64decode(thumbnail.photo.source.split(",")[1])) <= MAX_BYTES
    assert size[0] * thumbnail.scale == pytest.approx(shown.width)


def test_a_turned_photo_is_upright(store):
    image = noise(600, 300)
    exif = Image.Exif()
    exif[0x0112] = 6
    thumbnail = make(store, encoded(image, exif=exif))
    assert thumbnail.photo.height > thumbnail.photo.width
    assert 300 * thumbnail.scale == pytest.approx(thumbnail.photo.width)


def test_bytes_of_a_page_are_bounded_and_what_is_left_out_says_so(store):
    etags = {f"{n}.jpg": store.put(f"{n}.jpg", encoded(noise(400, 400))) for n in range(6)}
    one = len(make(store, encoded(noise(400, 400))).photo.source)
    made = Thumbnails(store, store, load_settings(report={"thumbnail_bytes": 3 * one + 10})).make(
        [Wanted(*item) for item in etags.items()]
    )
    assert [bool(t.photo.source) for t in made] == [True] * 3 + [False] * 3
    assert "too large" in made[-1].photo.missing
    assert [t.photo.key for t in made] == list(etags)


def test_a_truncated_photo_shows_what_is_left(store):
    data = encoded(noise(800, 600))
    thumbnail = make(store, data[: len(data) * 2 // 3], Reason.TRUNCATED)
    assert max(pixels(thumbnail).size) == LONG_SIDE
    assert "truncated" in make(store, data[: len(data) * 2 // 3]).photo.missing


@pytest.mark.parametrize("reason", [Reason.TOO_MANY_PIXELS, Reason.TOO_MANY_BYTES, Reason.DECODE_TIMEOUT, Reason.EMPTY])
def test_bombs_are_not_even_fetched(store, reason):
    thumbnail = make(store, encoded(noise(20, 20)), reason)
    assert thumbnail.photo.source is None
    assert thumbnail.photo.missing


def test_a_tiny_photo_that_was_refused_can_be_looked_at(store):
    assert pixels(make(store, encoded(noise(8, 6), "PNG"), Reason.TOO_SMALL)).size == (8, 6)


@pytest.mark.parametrize("data", [b"<!doctype html>", b"", b"\xff\xd8\xff\xe0 nonsense", b"\xff\xd8\xff\xd9"])
@pytest.mark.parametrize("reason", [None, Reason.CORRUPT])
def test_garbage_gives_a_sentence(store, data, reason):
    thumbnail = make(store, data, reason)
    assert thumbnail.photo.source is None
    assert "can't be rendered" in thumbnail.photo.missing


def test_a_photo_that_is_gone_or_other_gives_a_sentence(store):
    etag = store.put("a.jpg", encoded(noise(20, 20)))
    store.put("a.jpg", encoded(noise(30, 30)))
    made = Thumbnails(store, store, Settings()).make(
        [Wanted("a.jpg", etag), Wanted("b.jpg", "x"), Wanted("../c.jpg", "x")]
    )
    assert "changed" in made[0].photo.missing
    assert "no longer" in made[1].photo.missing
    assert "InputError" in made[2].photo.missing


def test_generated_pictures_come_from_the_warehouse_and_have_no_version(store, tmp_path):
    warehouse = open_store(str(tmp_path / "warehouse"), Settings())
    warehouse.put("variants/a.jpg", encoded(noise(30, 20)))
    made = Thumbnails(store, warehouse, Settings()).make(
        [Wanted("variants/a.jpg", None), Wanted("variants/b.jpg", None)]
    )
    assert pixels(made[0]).size == (30, 20)
    assert made[1].photo.missing == "no longer in the warehouse"
