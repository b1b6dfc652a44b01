"""One contract, two stores: every test here runs against a local folder and against a real S3-protocol server."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import InputError, StaleError
from pipeline.settings import load_settings
from pipeline.storage import ObjectMissing, ObjectStore, ObjectTooLarge, open_store
from pipeline.storage.probe import VERDICT, ensure_conditional_put, probe_conditional_put

TRICKY_KEYS = (
    "a-b.jpg",
    "a.jpg",
    "a/b.jpg",
    "a/b/c.jpg",
    "a0.jpg",
    "space and +&%=?#.jpg",
    "z\uff5e.jpg",
    "z\U0001f457.jpg",
    "ünïcödé/写真 1.jpg",
)
"""In their order by UTF-8 bytes; the two with z are in the other order by UTF-16."""


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    uri = str(tmp_path / "root") if request.param == "folder" else request.getfixturevalue("s3_uri") + "/some/root"
    return open_store(uri, load_settings())


def keys(store: ObjectStore, prefix: str = "", start_after: str = "") -> list[str]:
    return [found.key for found in store.list(prefix, start_after)]


def test_put_then_get_returns_bytes_and_their_etag(store: ObjectStore) -> None:
    data = secrets.token_bytes(300_000)
    etag = store.put("a/b.bin", data)
    fetched = store.get("a/b.bin")
    assert fetched.data == data
    assert fetched.etag == etag


def test_empty_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert store.get("empty", max_bytes=10, timeout_s=5).data == b""
    assert [found.size for found in store.list()] == [0]


def test_listing_and_head_agree_with_put(store: ObjectStore) -> None:
    etag = store.put("a/b.bin", b"12345")
    (found,) = store.list()
    assert (found.key, found.size, found.etag) == ("a/b.bin", 5, etag)
    assert found.modified.tzinfo is UTC
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)
    head = store.head("a/b.bin")
    assert head is not None
    assert (head.key, head.size, head.etag) == (found.key, found.size, found.etag)


def test_nothing_there(store: ObjectStore) -> None:
    assert keys(store) == []
    assert store.head("no/such") is None
    store.delete("no/such")
    with pytest.raises(ObjectMissing, match="no/such"):
        store.get("no/such")
    store.put("file", b"x")
    assert store.head("file/below") is None
    with pytest.raises(ObjectMissing):
        store.get("file/below")


def test_every_put_changes_the_etag(store: ObjectStore) -> None:
    etags = {store.put("k", f"{number}".encode()) for number in range(10)}
    assert len(etags) == 10


def test_replaced_object_is_read_whole(store: ObjectStore) -> None:
    """A reader never sees a mixture of two versions, nor a part of one."""
    versions = [bytes([number]) * 200_000 for number in range(8)]
    store.put("k", versions[0])
    stop = threading.Event()

    def write() -> None:
        for data in itertools.cycle(versions):
            store.put("k", data)
            if stop.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        seen = [store.get("k").data for _ in range(40)]
        stop.set()
        writer.result()
    assert set(seen) <= set(versions)


def test_listing_holds_every_key_once(store: ObjectStore) -> None:
    for key in reversed(TRICKY_KEYS):
        store.put(key, b"x")
    assert sorted(keys(store), key=str.encode) == list(TRICKY_KEYS)
    for key in keys(store):
        assert store.get(key).data == b"x"


@pytest.mark.parametrize("prefix", ["a", "a/", "a/b", "a/b/", "a.", "nothing", "ünïcödé/写", "a/b.jpg", "a/b.jpg/"])
def test_prefix_is_any_beginning_of_a_key(store: ObjectStore, prefix: str) -> None:
    for key in TRICKY_KEYS:
        store.put(key, b"x")
    assert sorted(keys(store, prefix), key=str.encode) == [key for key in TRICKY_KEYS if key.startswith(prefix)]


def test_listing_of_one_folder_is_ordered_and_may_start_anywhere(store: ObjectStore) -> None:
    names = ["p/%", "p/-", "p/0", "p/a", "p/aa", "p/b", "p/\uff5e", "p/\U0001f457"]
    for key in reversed(names):
        store.put(key, b"")
    for start in range(len(names)):
        assert keys(store, "p/", names[start]) == names[start + 1 :]


def test_listing_of_several_pages(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages end inside of folders, between them, and between a file and a folder of like names."""
    monkeypatch.setattr("pipeline.storage.s3.PAGE", 7)
    names = [f"{a}{b}{c}.jpg" for a in ("p", "p/q", "p/q/r") for b in ("", "-", "/") for c in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), names))
    assert sorted(keys(store)) == sorted(names)
    assert sorted(keys(store, "p/q")) == sorted(name for name in names if name.startswith("p/q"))
    assert keys(store, "p/q/r/", "p/q/r/2.jpg") == [f"p/q/r/{c}.jpg" for c in range(3, 8)]
    assert next(iter(store.list())).key in names


def test_size_limit(store: ObjectStore) -> None:
    store.put("k", b"x" * 100_000)
    assert len(store.get("k", max_bytes=100_000).data) == 100_000
    with pytest.raises(ObjectTooLarge, match="k has"):
        store.get("k", max_bytes=99_999)
    with pytest.raises(ObjectTooLarge):
        store.get("k", max_bytes=0)
    assert len(store.get("k").data) == 100_000, "the connection is still good after a read that was cut off"


def test_delete_removes_one_object(store: ObjectStore) -> None:
    store.put("a/b/c", b"x")
    store.put("a/b/d", b"x")
    store.delete("a/b/c")
    assert keys(store) == ["a/b/d"]
    store.delete("a/b/d")
    assert keys(store) == []
    store.put("a", b"a key may use the name that was a folder before")
    assert keys(store) == ["a"]


def test_put_if_absent(store: ObjectStore) -> None:
    etag = store.put_if("k", b"1", etag=None)
    assert store.get("k").etag == etag
    with pytest.raises(StaleError, match="k exists already"):
        store.put_if("k", b"2", etag=None)
    assert store.get("k").data == b"1"


def test_put_if_unchanged(store: ObjectStore) -> None:
    first = store.put("k", b"1")
    second = store.put_if("k", b"2", etag=first)
    with pytest.raises(StaleError, match="k was changed"):
        store.put_if("k", b"3", etag=first)
    assert store.get("k") == store.get("k").__class__(b"2", second)
    store.delete("k")
    with pytest.raises(StaleError):
        store.put_if("k", b"4", etag=second)
    assert store.head("k") is None


def test_conditional_puts_count_like_one_after_the_other(store: ObjectStore) -> None:
    """Four writers add one each time, again when overtaken: none is lost."""
    store.put("n", b"0")

    def add_one(_: int) -> None:
        while True:
            current = store.get("n")
            try:
                store.put_if("n", str(int(current.data) + 1).encode(), etag=current.etag)
            except StaleError:
                continue
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(16)))
    assert store.get("n").data == b"16"


def test_probe_accepts_this_store_and_remembers(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.probe.WRITERS", 3)  # the test server makes losers wait for seconds
    probe_conditional_put(store)
    assert keys(store) == []
    ensure_conditional_put(store, "http://endpoint")
    assert keys(store) == [VERDICT]
    before = store.head(VERDICT)
    ensure_conditional_put(store, "http://endpoint")
    assert store.head(VERDICT) == before


def test_files(store: ObjectStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "below" / "target.bin"
    source.write_bytes(secrets.token_bytes(9 * 2**20 + 17))
    etag = store.put_file("big/file.bin", source)
    head = store.head("big/file.bin")
    assert head is not None
    assert head.etag == etag
    store.get_file("big/file.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["target.bin"]
    with pytest.raises(ObjectMissing):
        store.get_file("big/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    path = store.local_path("big/file.bin")
    assert path is None or path.read_bytes() == source.read_bytes()


def test_parts_of_a_large_object(store: ObjectStore) -> None:
    data = secrets.token_bytes(3_000_000)
    store.put("k", data)
    with store.open("k") as file:
        assert file.read(10) == data[:10]
        file.seek(-20, 2)
        assert file.read() == data[-20:]
        assert file.read() == b""
        file.seek(1_000_000)
        assert file.read(1_500_000) == data[1_000_000:2_500_000]
        assert file.tell() == 2_500_000
        file.seek(5)
        assert file.read() == data[5:]
    with pytest.raises(ObjectMissing):
        store.open("none")


BAD_KEYS = ("", "/", "/etc/passwd", "a/", "a//b", "..", "../x", "a/../../x", "./a", "a/.", "a\0b", "\ud800", "x" * 1025)
OPERATIONS: dict[str, Callable[[ObjectStore, str], object]] = {
    "get": lambda store, key: store.get(key),
    "head": lambda store, key: store.head(key),
    "open": lambda store, key: store.open(key),
    "put": lambda store, key: store.put(key, b""),
    "put_if": lambda store, key: store.put_if(key, b"", etag=None),
    "delete": lambda store, key: store.delete(key),
    "local_path": lambda store, key: store.local_path(key),
    "get_file": lambda store, key: store.get_file(key, Path("/nonexistent/target")),
    "put_file": lambda store, key: store.put_file(key, Path(__file__)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_keys_that_are_not_let_in(store: ObjectStore, operation: str) -> None:
    for key in BAD_KEYS:
        with pytest.raises(InputError, match="can't be used"):
            OPERATIONS[operation](store, key)
    with pytest.raises(InputError, match="can't be used"):
        keys(store, "../")
