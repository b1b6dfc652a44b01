"""The contract of an object store, its faults, and which keys are let in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from pipeline.errors import InputError, SettingError, TransientError

log = logging.getLogger("atelier")

MAX_KEY_BYTES = 1024
"""The longest key S3 takes; a local folder takes no longer one, so that data can move between them."""

RESERVED_PREFIX = ".atelier-"
"""Names that the local store uses for files it has not finished writing; no key may use them."""


class ObjectMissing(InputError):
    """There is no object under that key."""


class ObjectTooLarge(InputError):
    """The object is larger than the caller wants to read; reading stopped at the limit."""


class ObjectTimeout(TransientError):
    """The object did not arrive within the time limit, retries included."""


class StoreUnavailable(TransientError):
    """The store (or this one object) could not be reached or was too busy, also after all retries."""


class StoreDenied(SettingError):
    """No credentials, wrong ones, or ones without the right to do this."""


class StoreMissing(SettingError):
    """The bucket or folder that a setting names does not exist."""


@dataclass(frozen=True)
class ObjectInfo:
    """One object of a listing: size in bytes, modified in UTC; the etag changes whenever the bytes do."""

    key: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Fetched:
    """An object's bytes and the etag of exactly these bytes."""

    data: bytes
    etag: str


class ObjectStore(Protocol):
    """Objects under a root. Keys are relative to it, `/` between their segments, and never leave it.

    Every method may raise `StoreDenied` and `StoreMissing` (both `SettingError`: the message names the setting),
    `StoreUnavailable` (`TransientError`, after retries with exponential backoff and full jitter) and `InputError`
    for a key that is not allowed (see `check_key`). Stores may be used by several threads at once.
    """

    uri: str
    """The root: an absolute path or s3://bucket/prefix, without a slash at the end."""

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key begins with `prefix` and sorts behind `start_after`, lazily.

        Ordered by the bytes of the key in UTF-8, as S3 has it. Some S3-protocol servers (SeaweedFS) go folder by
        folder instead: rely on the order, and on `start_after`, only among the objects of one folder. `prefix` need
        not end at a `/`. A local folder that does not exist yet lists as empty (it is made by the first put); use
        `check` where it has to exist.
        """
        ...

    def check(self) -> None:
        """Raise `StoreMissing` or `StoreDenied` unless the root exists and can be listed."""
        ...

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = 4
    ) -> Fetched:
        """Read one object with one request (more only where a try failed).

        Args:
            key: the object.
            max_bytes: raise `ObjectTooLarge` instead of reading more than this.
            timeout_s: time limit in seconds over all tries and the waits between them. No try starts after it; one
                that hangs is given up when the store's read timeout (never longer than `timeout_s`) has passed.
            attempts: tries, at the most.

        Raises:
            ObjectMissing: no such object.
            ObjectTooLarge: more than `max_bytes`.
            ObjectTimeout: `timeout_s` passed.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """What a listing would say of `key`; None where there is no such object."""
        ...

    def put(self, key: str, data: bytes) -> str:
        """Write an object so that readers see the old bytes or the new, never a part; returns the etag."""
        ...

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        """Write only if the object's current etag is `etag` (None: only if there is no object); returns the new etag.

        Of several writers that start from the same state exactly one succeeds.

        Raises:
            StaleError: the object is not in that state (any more).
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Upload a file of any size, streamed and atomic; returns the etag."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Download an object of any size to `path`, streamed; `path` appears when it is whole."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable file to read parts of a large object; each part read is one request. Close it.

        An object that is replaced while it is open raises `StoreUnavailable` (S3) or goes on as it was (local).
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """The object's own file where the store is a local folder (for memory mapping; read only), else None."""
        ...


class Skipped:
    """Counts what a listing has to leave out, so that nothing is left out in silence."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._count = 0
        self._example = ""

    def add(self, key: str) -> None:
        """Count one object or file."""
        self._count += 1
        self._example = self._example or key

    def report(self) -> None:
        """Warn of them with one example, once the listing is through."""
        if self._count:
            why = "links to folders or out of the root, names that are not UTF-8, `..` or `//` in the key"
            log.warning("%s: %d entries left out (%s), such as %r", self._uri, self._count, why, self._example)


def check_key(key: str) -> str:
    """Return `key` if it may name an object, whoever it came from.

    Allowed are 1 to 1024 bytes of UTF-8 in segments parted by `/`, none of them empty, `.` or `..`, and no NUL.

    Raises:
        InputError: it may not; the message says why.
    """
    problem = key_problem(key)
    if problem:
        raise InputError(f"the key {key[:200]!r} can't be used: {problem}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may begin with it: like `check_key`, but it may be empty or end with `/`."""
    if prefix:
        check_key(prefix + "x")
    return prefix


def key_problem(key: str) -> str:
    """Why `key` is not allowed, in words; empty where it is."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    segments = key.split("/")
    if not 0 < length <= MAX_KEY_BYTES:
        return f"it has {length} bytes; allowed are 1 to {MAX_KEY_BYTES}"
    if "\0" in key:
        return "it holds a NUL character"
    if any(segment in {"", ".", ".."} for segment in segments):
        return "it is absolute or has an empty, `.` or `..` segment"
    if any(segment.startswith(RESERVED_PREFIX) for segment in segments):
        return f"names that begin with {RESERVED_PREFIX} are reserved"
    return ""
