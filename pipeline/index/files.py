"""An index's files on this machine, checked against the manifest before they are used."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import InputError
from pipeline.index.manifest import FileEntry, Manifest
from pipeline.storage.base import ObjectMissing, ObjectStore

CHUNK = 4 << 20


def file_sha256(path: Path) -> str:
    """Hexadecimal digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def incomplete(store: ObjectStore, manifest: Manifest) -> str | None:
    """What is wrong with a version's files, by presence and size; checksums are compared by readers."""
    for entry in manifest.files:
        info = store.head(entry.key)
        if info is None:
            return f"{store.uri}/{entry.key} is missing"
        if info.size != entry.bytes:
            return f"{store.uri}/{entry.key} has {info.size} bytes instead of {entry.bytes}"
    return None


class Files:
    """Finds the file of an entry on this machine: the store's own where it is local, else a copy in the cache.

    Copies are named by checksum, so versions that share a shard share the copy. Each file is checked once.
    """

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        self._store = store
        self._cache = cache
        self._fresh: dict[str, Path] = {}
        self._checked: set[str] = set()
        self._lock = threading.Lock()

    def add(self, fresh: Mapping[str, Path]) -> None:
        """Files that were just built and hashed, by the keys they will have in the store."""
        self._fresh |= fresh
        self._checked |= fresh.keys()

    def path(self, entry: FileEntry) -> Path:
        """The file on this machine, with the size and checksum the manifest states.

        Raises:
            InputError: it is missing or was altered; the message names it.
        """
        with self._lock:
            path = self._fresh.get(entry.key) or self._store.local_path(entry.key) or self._copy(entry)
            if entry.key not in self._checked:
                self._check(entry, path)
                self._checked.add(entry.key)
        return path

    def _copy(self, entry: FileEntry) -> Path:
        path = self._cache / entry.sha256
        if not path.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            partial = self._cache / f"{entry.sha256}.{secrets.token_hex(4)}.part"
            try:
                self._store.get_file(entry.key, partial)
                self._check(entry, partial)
                partial.replace(path)
            except ObjectMissing:
                raise InputError(self._missing(entry)) from None
            finally:
                partial.unlink(missing_ok=True)
        return path

    def _check(self, entry: FileEntry, path: Path) -> None:
        if not path.is_file():
            raise InputError(self._missing(entry))
        if path.stat().st_size != entry.bytes:
            raise InputError(f"{path} has {path.stat().st_size} bytes, the manifest says {entry.bytes}: {_REMEDY}")
        if file_sha256(path) != entry.sha256:
            raise InputError(f"{path} was altered: its sha256 is not the manifest's: {_REMEDY}")

    def _missing(self, entry: FileEntry) -> str:
        return f"{self._store.uri}/{entry.key} is missing: {_REMEDY}"


_REMEDY = "go back with `atelier index rollback`, or build again"
