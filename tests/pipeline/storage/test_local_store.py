"""What is particular to a folder as a store: order over millions of files, links, full and forbidden disks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, SettingError, TransientError
from pipeline.settings import load_settings
from pipeline.storage import ObjectMissing, ObjectTimeout, StoreDenied, StoreMissing, StoreUnavailable, open_store
from pipeline.storage.base import check_key, key_problem
from pipeline.storage.local import LocalStore

SEGMENT = st.text(st.sampled_from("ab-./0~é\U0001f457\uff5e"), min_size=1, max_size=3).filter(
    lambda segment: "/" not in segment and segment not in {".", ".."}
)
KEY = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "root", "warehouse.uri")


def without_clashes(keys: set[str]) -> list[str]:
    """Drop keys that are the folder of another one: a folder can't hold both."""
    return [key for key in keys if not any(other.startswith(key + "/") for other in keys)]


@given(keys=st.sets(KEY, max_size=12), prefix=KEY | st.just(""), after=KEY | st.just(""))
def test_listing_is_sorted_by_the_bytes_of_the_key(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], prefix: str, after: str
) -> None:
    kept = without_clashes(keys)
    store = LocalStore(tmp_path_factory.mktemp("keys"))
    for key in kept:
        path = store.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    expected = [key for key in kept if key.startswith(prefix) and key.encode() > after.encode()]
    assert [found.key for found in store.list(prefix, after)] == sorted(expected, key=str.encode)


def test_a_large_folder_is_sorted_in_runs_on_disk(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.local_walk.RUN", 10)
    names = [f"p/{number:03d}{'é' * (number % 7)}.jpg" for number in range(137)]
    for name in names:
        store.put(name, b"")
    assert [found.key for found in store.list()] == sorted(names, key=str.encode)
    assert [found.key for found in store.list(start_after=names[99])] == sorted(names, key=str.encode)[100:]


@given(key=st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "", "a", "\0", "~"])).map("/".join))
def test_no_key_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    store = LocalStore(tmp_path_factory.getbasetemp() / "inside" / "root")
    if key_problem(key):
        with pytest.raises(InputError):
            check_key(key)
        return
    path = store.local_path(key)
    assert path is not None
    assert Path(os.path.normpath(path)).is_relative_to(store.root)
    assert path != store.root


def test_links(store: LocalStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Links to files inside are photos; what leads out of the root, or in circles, is left out and counted."""
    store.put("a/real.jpg", b"photo")
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    (store.root / "inside.jpg").symlink_to("a/real.jpg")
    (store.root / "outside.jpg").symlink_to(tmp_path / "outside.jpg")
    (store.root / "broken.jpg").symlink_to("nothing")
    (store.root / "folder").symlink_to(tmp_path)
    (store.root / "circle").symlink_to("circle")
    (store.root / "a" / "up").symlink_to("..")
    assert [found.key for found in store.list()] == ["a/real.jpg", "inside.jpg"]
    assert "5 entries left out" in caplog.text
    assert store.get("inside.jpg").data == b"photo"
    for key in ("outside.jpg", "folder/outside.jpg"):
        with pytest.raises(InputError, match="leads out of"):
            store.get(key)
    for key in ("broken.jpg", "circle"):
        with pytest.raises((ObjectMissing, InputError)):
            store.get(key)


def test_names_that_are_not_text_and_things_that_are_not_files(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.jpg", b"x")
    (store.root / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    os.mkfifo(store.root / "pipe.jpg")
    (store.root / "empty-folder").mkdir()
    assert [found.key for found in store.list()] == ["a.jpg"]
    assert "1 entries left out" in caplog.text
    with pytest.raises(ObjectMissing, match="not a file"):
        store.get("pipe.jpg")
    with pytest.raises(ObjectMissing):
        store.get("empty-folder")


def test_etag_follows_content_and_survives_a_move(store: LocalStore, tmp_path: Path) -> None:
    first = store.put("k", b"1")
    moved = tmp_path / "elsewhere"
    store.root.rename(moved)
    assert LocalStore(moved).get("k").etag == first
    (moved / "k").write_bytes(b"22")
    assert LocalStore(moved).get("k").etag != first


def test_no_leftovers_and_no_half_files(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("k", b"old")
    write = os.write

    def full_disk(file: int, data: bytes) -> int:
        write(file, bytes(data)[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(TransientError, match=r"no space left in .*root \(warehouse.uri\)"):
        store.put("k", b"new")
    monkeypatch.undo()
    assert [path.name for path in store.root.iterdir()] == ["k"]
    assert store.get("k").data == b"old"


def test_disk_really_full(tmp_path: Path) -> None:
    """On a file system of 64 KiB, in a mount namespace of its own."""
    script = f"""
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from pipeline.errors import TransientError
from pipeline.storage.local import LocalStore
store = LocalStore(Path({str(tmp_path)!r}) / "root", "warehouse.uri")
try:
    store.put("k", b"x" * 1_000_000)
except TransientError as error:
    print(error, [found.key for found in store.list()])
"""
    mount = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine does not let tests mount a file system: {done.stderr.strip()}")
    assert done.stdout.strip() == f"no space left in {tmp_path}/root (warehouse.uri) []", done.stderr


def test_a_name_can_not_be_file_and_folder(store: LocalStore) -> None:
    store.put("a/b", b"x")
    with pytest.raises(InputError, match="both a file and the folder"):
        store.put("a", b"x")
    with pytest.raises(InputError, match="both a file and the folder"):
        store.put("a/b/c", b"x")
    assert [found.key for found in store.list()] == ["a/b"]


def test_unusable_folders_are_named(tmp_path: Path) -> None:
    missing = LocalStore(tmp_path / "missing", "catalog.uri")
    with pytest.raises(StoreMissing, match=r"missing \(catalog.uri\) does not exist"):
        missing.check()
    (tmp_path / "file").touch()
    with pytest.raises(StoreMissing, match="is not a folder"):
        LocalStore(tmp_path / "file").check()
    with pytest.raises(SettingError, match=r"/sys/.*warehouse.uri.*can't be read or written"):
        LocalStore(Path("/sys/atelier"), "warehouse.uri").put("k", b"x")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of an ordinary user's, and this process being one, also where tests run as root."""
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        nobody = 65534
        os.chown(folder, nobody, nobody)
        os.setresuid(nobody, nobody, 0)
        try:
            yield Path(folder)
        finally:
            os.setresuid(0, 0, 0)


def test_forbidden_files_and_folders(unprivileged: Path) -> None:
    store = LocalStore(unprivileged / "root", "warehouse.uri")
    store.put("closed/k", b"x")
    (store.root / "closed" / "k").chmod(0)
    with pytest.raises(StoreUnavailable, match="closed/k can't be read"):
        store.get("closed/k")
    (store.root / "closed").chmod(0o500)
    with pytest.raises(StoreDenied, match=r"warehouse.uri.*can't be read or written"):
        store.put("closed/k2", b"x")
    (store.root / "closed").chmod(0)
    with pytest.raises(StoreDenied, match=r"warehouse.uri.*can't be read or written"):
        list(store.list())
    store.root.chmod(0)
    with pytest.raises(StoreDenied, match=r"root \(warehouse.uri\) can't be read"):
        store.check()
    store.root.chmod(0o700)
    (store.root / "closed").chmod(0o700)


def test_time_limit(store: LocalStore) -> None:
    store.put("k", b"x" * 3_000_000)
    with pytest.raises(ObjectTimeout, match="time limit"):
        store.get("k", timeout_s=0)


def test_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert open_store("var/warehouse", settings).uri == str(tmp_path / "var/warehouse")
    assert open_store(f"file://{tmp_path}/x", settings).uri == str(tmp_path / "x")
    for uri in ("gs://bucket/x", "", "s3://"):
        with pytest.raises(SettingError, match="s3://bucket/prefix"):
            open_store(uri, settings)
