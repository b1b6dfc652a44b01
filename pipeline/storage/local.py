"""A local folder as an object store."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputError, StaleError, TransientError
from pipeline.storage.base import (
    RESERVED_PREFIX,
    Fetched,
    ObjectInfo,
    ObjectMissing,
    ObjectTimeout,
    ObjectTooLarge,
    StoreDenied,
    StoreMissing,
    StoreUnavailable,
    check_key,
    check_prefix,
)
from pipeline.storage.local_walk import walk

CHUNK = 1 << 20
NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class LocalStore:
    """Objects as files under a root folder.

    The etag is a hash of size and modification time in nanoseconds, so that moving or copying a catalog with its
    times leaves it as it is; a put through this class always moves the time forward. Empty folders do not exist for
    it: delete removes those it leaves behind. Symbolic links are followed to files inside of the root only.
    """

    def __init__(self, root: Path, setting: str = "the storage location") -> None:
        self.root = root
        self.uri = str(root)
        self.setting = setting

    def check(self) -> None:
        """Raise unless the folder exists and can be listed."""
        if not self.root.is_dir():
            what = "is not a folder" if self.root.exists() else "does not exist"
            raise StoreMissing(f"{self.root} ({self.setting}) {what}")
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise StoreDenied(f"the folder {self.root} ({self.setting}) can't be read by this user")

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Walk the folder in key order; see `ObjectStore.list`."""
        check_prefix(prefix)
        if self.root.exists():
            with self._faults(prefix):
                for key, found in walk(self.root, prefix, start_after):
                    yield _info(key, found)

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = 4
    ) -> Fetched:
        """Read a file; one that changes meanwhile is read again. See `ObjectStore.get`."""
        deadline = time.monotonic() + timeout_s if timeout_s is not None else None
        for _ in range(attempts):
            with self._faults(key), self._open(key) as file:
                before = os.fstat(file)
                data = self._read(file, key, max_bytes, deadline)
                etag = _etag(before)
                if etag == _etag(os.fstat(file)) and len(data) == before.st_size:
                    return Fetched(data, etag)
        raise StoreUnavailable(f"{self._path(key)} kept changing while it was read")

    def head(self, key: str) -> ObjectInfo | None:
        """Size and etag of a file; None where there is none."""
        try:
            with self._faults(key), self._open(key) as file:
                return _info(key, os.fstat(file))
        except ObjectMissing:
            return None

    def put(self, key: str, data: bytes) -> str:
        """Write to a temporary file beside it, sync, rename."""
        return self._write(key, lambda file: _write_all(file, data))

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        """Like `put`, comparing the etag and renaming under one lock."""

        def compare(current: os.stat_result | None) -> None:
            if (_etag(current) if current else None) != etag:
                state = "exists already" if etag is None else "was changed by somebody else"
                raise StaleError(f"{self._path(key)} {state}")

        return self._write(key, lambda file: _write_all(file, data), compare)

    def delete(self, key: str) -> None:
        """Remove the file and the folders that it leaves empty."""
        path = self._path(key)
        with self._faults(key):
            try:
                with _locked(path.parent):
                    path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            with suppress(OSError):  # not empty (any more): somebody else's objects
                for folder in path.parents:
                    if folder == self.root:
                        break
                    folder.rmdir()

    def put_file(self, key: str, path: Path) -> str:
        """Copy a file in."""

        with path.open("rb") as source:

            def copy(target: int) -> None:
                while chunk := source.read(CHUNK):
                    _write_all(target, chunk)

            return self._write(key, copy)

    def get_file(self, key: str, path: Path) -> None:
        """Copy a file out; it appears under `path` when it is whole."""
        with self._faults(key), self._open(key) as file, whole_file(path) as out:
            while chunk := os.read(file, CHUNK):
                out.write(chunk)

    def open(self, key: str) -> BinaryIO:
        """The file itself."""
        with self._faults(key), self._open(key) as file:
            return os.fdopen(os.dup(file), "rb")

    def local_path(self, key: str) -> Path | None:
        """The file itself."""
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _open(self, key: str) -> Iterator[int]:
        """A descriptor of a regular file inside of the root; a pipe or device is never waited for."""
        path = self._path(key)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise InputError(f"{path} is a link that leads out of {self.root} ({self.setting})")
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in NO_SUCH_FILE:
                raise ObjectMissing(f"there is no file {path}") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ObjectMissing(f"{path} is not a file")
            yield file
        finally:
            os.close(file)

    def _read(self, file: int, key: str, max_bytes: int | None, deadline: float | None) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while chunk := os.read(file, CHUNK):
            chunks.append(chunk)
            total += len(chunk)
            if max_bytes is not None and total > max_bytes:
                raise ObjectTooLarge(f"{self._path(key)} has more than {max_bytes} bytes")
            if deadline is not None and time.monotonic() > deadline:
                raise ObjectTimeout(f"{self._path(key)} was not read within its time limit")
        return b"".join(chunks)

    def _write(
        self,
        key: str,
        fill: Callable[[int], None],
        compare: Callable[[os.stat_result | None], None] = lambda current: None,
    ) -> str:
        """Fill a temporary file, then rename it under the folder's lock if `compare` has nothing against it."""
        path = self._path(key)
        with self._faults(key), _temporary(path.parent) as (file, temporary):
            fill(file)
            os.fsync(file)
            with _locked(path.parent):
                current = _stat(path)
                compare(current)
                _move_time_forward(file, current)
                temporary.replace(path)
                etag = _etag(os.fstat(file))
            _sync_folder(path.parent)
            return etag

    def _faults(self, key: str) -> AbstractContextManager[None]:
        return os_faults(self.root / key, f"{self.root} ({self.setting})")


@contextmanager
def os_faults(path: Path, root: str) -> Iterator[None]:
    """Turn what the operating system says about `path` into errors that name `root`, the folder with its setting."""
    try:
        yield
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise InputError(f"{path}: a key can't be both a file and the folder of other keys") from error
    except FileNotFoundError as error:
        raise StoreUnavailable(f"{path} vanished") from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise TransientError(f"no space left in {root}") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise _denied(path, root) from error
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}:
            raise InputError(f"{path}: {error.strerror}") from error
        raise StoreUnavailable(f"{path}: {error.strerror}") from error


def _denied(path: Path, root: str) -> Exception:
    """One unreadable file is that file's fault; an unwritable or unreadable folder is the setting's."""
    if path.is_file() and not os.access(path, os.R_OK):
        return StoreUnavailable(f"the file {path} can't be read by this user")
    return StoreDenied(f"the folder {root} can't be read or written by this user, at {path}")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that appears under `path` when the block ends well, and leaves nothing where it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{RESERVED_PREFIX}{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as out:
            yield out
        temporary.replace(path)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise TransientError(f"no space left in {path.parent}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(found.st_mtime_ns / 1e9, UTC)
    return ObjectInfo(key, _etag(found), found.st_size, modified)


def _etag(found: os.stat_result) -> str:
    """32 hexadecimal digits over size and modification time.

    Not the inode: network and user-space file systems number a file anew at every mount, which would make the whole
    catalog look changed.
    """
    return hashlib.blake2b(f"{found.st_size}:{found.st_mtime_ns}".encode(), digest_size=16).hexdigest()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _move_time_forward(file: int, current: os.stat_result | None) -> None:
    """Two writes within one tick of the file system's clock would else share an etag."""
    now = os.fstat(file)
    if current and now.st_mtime_ns <= current.st_mtime_ns:
        os.utime(file, ns=(now.st_atime_ns, current.st_mtime_ns + 1))


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[int, Path]]:
    """An open, uniquely named file in `folder`, which is made first; gone at the end unless it was renamed."""
    file = -1
    while file < 0:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{RESERVED_PREFIX}{secrets.token_hex(8)}.tmp"
        with suppress(FileNotFoundError):  # a delete elsewhere removed the folder, which was empty still
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        yield file, path
    finally:
        os.close(file)
        path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock against threads and processes; it goes with the process that held it.

    The folder itself is locked, which leaves nothing behind; where that is not possible (NFS), a file in it.
    """
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            os.close(file)
            file = os.open(folder / f"{RESERVED_PREFIX}lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
