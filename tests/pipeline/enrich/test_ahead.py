"""Fetching and decoding ahead: order, bounds, faults of the store, photos that never finish decoding."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.preprocessing import Preprocessing
from pipeline.catalog import Batch, PlannedImage
from pipeline.enrich import ahead as ahead_module
from pipeline.enrich.ahead import Ahead, BatchFailedError
from pipeline.enrich.photo import Photo, Reject
from pipeline.enrich.watch import Watch
from pipeline.errors import Reason, SettingError, TransientError
from pipeline.settings import Settings, load_settings
from pipeline.storage import Fetched, ObjectMissing, ObjectStore, ObjectTimeout, StoreUnavailable, open_store

PREPROCESSING = Preprocessing(32, (127.0,) * 3, (128.0,) * 3)


class Faulty:
    """A store whose `get` first asks `before(key)`, which may raise or wait; everything else is the real one."""

    def __init__(self, store: ObjectStore, before: Callable[[str], None]) -> None:
        self.store = store
        self.before = before
        self.lock = threading.Lock()
        self.asked: list[str] = []

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = 4
    ) -> Fetched:
        with self.lock:
            self.asked.append(key)
        self.before(key)
        return self.store.get(key, max_bytes=max_bytes, timeout_s=timeout_s, attempts=attempts)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        catalog={"uri": str(tmp_path / "catalog")},
        fetch={"threads": 4, "max_bytes": 3_000},
        decode={"threads": 2, "working_side": 64, "timeout_s": 0.5},
        enrich={"model_images": 4},
    )


@pytest.fixture
def catalog(settings: Settings, make_photo: Callable[..., bytes]) -> list[PlannedImage]:
    """Thirty photos, of which a few are no photos."""
    store = open_store(settings.catalog.uri, settings)
    planned = []
    for number in range(30):
        key = f"{number:02d}.jpg"
        data = {5: b"", 9: b"<html>"}.get(number, make_photo(number % 3, 80, 60) if number % 10 else make_photo(1))
        planned.append(PlannedImage(key, store.put(key, data), len(data), None))
    return planned


def batches(planned: list[PlannedImage], size: int) -> list[Batch]:
    return [Batch(f"{at:016d}", at // size, tuple(planned[at : at + size])) for at in range(0, len(planned), size)]


def all_of(
    store: ObjectStore | Faulty, settings: Settings, planned: list[Batch]
) -> Iterator[list[Photo | Reject] | str]:
    """For each batch its photos, or the message it failed with."""
    with Ahead(store, settings, PREPROCESSING, Watch(), 1) as ahead:  # type: ignore[arg-type]
        for _, photos in ahead.batches(planned):
            try:
                yield list(photos)
            except BatchFailedError as error:
                yield str(error)


def names(photos: list[Photo | Reject] | str) -> list[str]:
    assert not isinstance(photos, str), photos
    return [photo.image.image_key for photo in photos]


def test_every_photo_comes_once_in_planned_order(settings: Settings, catalog: list[PlannedImage]) -> None:
    slow = Faulty(open_store(settings.catalog.uri, settings), lambda key: time.sleep(int(key[:2]) % 5 / 200))
    found = list(all_of(slow, settings, batches(catalog, 7)))
    assert [names(photos) for photos in found] == [
        [image.image_key for image in batch.images] for batch in batches(catalog, 7)
    ]
    rejects = {photo.image.image_key: photo.reason for photos in found for photo in photos if isinstance(photo, Reject)}
    assert {key: reason for key, reason in rejects.items() if reason != Reason.TOO_MANY_BYTES} == {
        "05.jpg": Reason.EMPTY,
        "09.jpg": Reason.NOT_AN_IMAGE,
    }


def test_no_more_is_under_way_than_a_few_passes(settings: Settings, catalog: list[PlannedImage]) -> None:
    store = Faulty(open_store(settings.catalog.uri, settings), lambda key: None)
    bound = ahead_module.PHOTOS_AHEAD + settings.fetch.threads
    many = catalog * 4  # one batch of 120 photos
    with Ahead(store, settings, PREPROCESSING, Watch(), 1) as ahead:  # type: ignore[arg-type]
        for _, photos in ahead.batches([Batch("b", 0, tuple(many))]):
            for taken, _photo in enumerate(photos, start=1):
                if taken % 20 == 0:
                    time.sleep(0.05)  # the models are slow: fetching has to stop and wait
                assert len(store.asked) <= taken + bound
    assert len(store.asked) == len(many)


def test_bytes_under_way_are_bounded(
    settings: Settings, catalog: list[PlannedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead_module, "BYTES_AHEAD", 1)
    store = Faulty(open_store(settings.catalog.uri, settings), lambda key: None)
    with Ahead(store, settings, PREPROCESSING, Watch(), 1) as ahead:  # type: ignore[arg-type]
        for _, photos in ahead.batches(batches(catalog, 30)):
            for taken, _photo in enumerate(photos, start=1):
                assert len(store.asked) <= taken + 2


def test_the_next_batch_is_fetched_while_this_one_is_worked_on(settings: Settings, catalog: list[PlannedImage]) -> None:
    store = Faulty(open_store(settings.catalog.uri, settings), lambda key: None)
    with Ahead(store, settings, PREPROCESSING, Watch(), 1) as ahead:  # type: ignore[arg-type]
        stream = ahead.batches(batches(catalog, 5))
        _, photos = next(stream)
        list(photos)
        deadline = time.monotonic() + 5
        while "09.jpg" not in store.asked and time.monotonic() < deadline:
            time.sleep(0.01)  # the first batch is "in the models"
        assert "09.jpg" in store.asked


def test_faults_of_single_photos_are_transient_rejects(settings: Settings, catalog: list[PlannedImage]) -> None:
    faults = {"02.jpg": ObjectTimeout("slow"), "03.jpg": StoreUnavailable("busy"), "04.jpg": ObjectMissing("gone")}

    def before(key: str) -> None:
        if key in faults:
            raise faults[key]

    replaced = [
        PlannedImage(one.image_key, "old", one.bytes, None) if one.image_key == "06.jpg" else one for one in catalog
    ]
    (photos,) = all_of(Faulty(open_store(settings.catalog.uri, settings), before), settings, batches(replaced, 30))
    assert not isinstance(photos, str)
    reasons = {photo.image.image_key: photo.reason for photo in photos if isinstance(photo, Reject)}
    assert reasons["02.jpg"] == Reason.FETCH_TIMEOUT
    assert reasons["03.jpg"] == Reason.FETCH_FAILED
    assert reasons["04.jpg"] == Reason.VANISHED
    assert reasons["06.jpg"] == Reason.CHANGED
    assert reasons["00.jpg"] == Reason.TOO_MANY_BYTES


def test_a_key_the_store_refuses_is_a_permanent_reject(settings: Settings, catalog: list[PlannedImage]) -> None:
    odd = PlannedImage("a//../b.jpg", "x", 10, None)
    (photos,) = all_of(open_store(settings.catalog.uri, settings), settings, [Batch("b", 0, (odd, catalog[1]))])
    assert not isinstance(photos, str)
    assert isinstance(photos[0], Reject) and photos[0].reason == Reason.UNSUPPORTED
    assert isinstance(photos[1], Photo)


def test_a_batch_with_too_many_faults_fails_and_the_others_go_on(
    settings: Settings, catalog: list[PlannedImage]
) -> None:
    def before(key: str) -> None:
        if "10" <= key < "15":
            raise StoreUnavailable("down")

    found = list(all_of(Faulty(open_store(settings.catalog.uri, settings), before), settings, batches(catalog, 10)))
    assert isinstance(found[1], str) and "enrich.max_transient_share" in found[1]
    assert len(found[0]) == len(found[2]) == 10


def test_a_catalog_that_vanishes_after_the_plan_condemns_no_photo(
    settings: Settings, catalog: list[PlannedImage]
) -> None:
    """A disk that is unmounted during the night: each key is missing, but nobody has deleted a photo."""
    shutil.rmtree(settings.catalog.uri)
    found = list(all_of(open_store(settings.catalog.uri, settings), settings, batches(catalog, 15)))
    assert all(isinstance(message, str) and "catalog.uri" in message for message in found)


def test_few_faults_never_fail_a_batch(settings: Settings, catalog: list[PlannedImage]) -> None:
    def before(key: str) -> None:
        if key == "01.jpg":
            raise ObjectTimeout("slow")

    found = list(all_of(Faulty(open_store(settings.catalog.uri, settings), before), settings, batches(catalog[1:3], 2)))
    assert len(found[0]) == 2


def test_a_dead_store_is_given_up_before_all_photos_were_tried(settings: Settings) -> None:
    planned = [PlannedImage(f"{number}.jpg", "x", 10, None) for number in range(2000)]

    def before(key: str) -> None:
        time.sleep(0.002)
        raise StoreUnavailable("down")

    store = Faulty(open_store(settings.catalog.uri, settings), before)
    (message,) = all_of(store, settings, batches(planned, 2000))
    assert isinstance(message, str)
    assert len(store.asked) < 100


def test_missing_credentials_stop_the_job(settings: Settings, catalog: list[PlannedImage]) -> None:
    def before(key: str) -> None:
        raise SettingError("no credentials")

    with pytest.raises(SettingError, match="no credentials"):
        list(all_of(Faulty(open_store(settings.catalog.uri, settings), before), settings, batches(catalog, 30)))


def test_an_unexpected_error_in_a_thread_comes_out(settings: Settings, catalog: list[PlannedImage]) -> None:
    def before(key: str) -> None:
        if key == "03.jpg":
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(all_of(Faulty(open_store(settings.catalog.uri, settings), before), settings, batches(catalog, 30)))


def _spin(stop: threading.Event, most_s: float) -> None:
    """Use CPU time outside of Python, as a decoder does that hangs."""
    until = time.thread_time() + most_s
    while time.thread_time() < until and not stop.is_set():
        hashlib.sha256(bytes(2**21)).digest()


def slow_decoder(monkeypatch: pytest.MonkeyPatch, slow: set[str], most_s: float) -> threading.Event:
    """Have `slow` photos decode until the event is set, or for `most_s` of CPU time."""
    real, stop = ahead_module.prepare, threading.Event()

    def prepare(image: PlannedImage, *rest: object) -> Photo:
        if image.image_key in slow:
            _spin(stop, most_s)
        return real(image, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead_module, "prepare", prepare)
    return stop


def test_a_photo_that_decodes_too_long_is_left_behind(
    settings: Settings, catalog: list[PlannedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = slow_decoder(monkeypatch, {"02.jpg", "03.jpg"}, 20.0)
    found = all_of(open_store(settings.catalog.uri, settings), settings, batches(catalog, 30))
    photos = next(found)
    stop.set()
    assert not isinstance(photos, str)
    reasons = {photo.image.image_key: photo.reason for photo in photos if isinstance(photo, Reject)}
    assert [key for key, reason in reasons.items() if reason == Reason.DECODE_TIMEOUT] == ["02.jpg", "03.jpg"]
    assert len(photos) == 30
    assert next(found, None) is None


def test_a_thread_that_waits_spends_no_decode_time(
    settings: Settings, catalog: list[PlannedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts CPU time: a machine that is busy with something else condemns no photo."""
    real = ahead_module.prepare

    def prepare(image: PlannedImage, *rest: object) -> Photo:
        if image.image_key == "02.jpg":
            time.sleep(1.2)
        return real(image, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead_module, "prepare", prepare)
    (photos,) = all_of(open_store(settings.catalog.uri, settings), settings, batches(catalog[1:4], 3))
    assert all(isinstance(photo, Photo) for photo in photos)


def test_decoders_that_all_hang_stop_the_job(
    settings: Settings, catalog: list[PlannedImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [one for one in catalog if int(one.image_key[:2]) % 10][:6]
    slow_decoder(monkeypatch, {one.image_key for one in small}, 1.5)
    quick = settings.model_copy(update={"decode": settings.decode.model_copy(update={"timeout_s": 0.05})})
    with pytest.raises(TransientError, match=r"decode\.timeout_s"):
        list(all_of(open_store(settings.catalog.uri, settings), quick, batches(small, 6)))
