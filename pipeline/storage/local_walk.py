"""Files under a folder in the order of their keys, without holding them all."""

# ruff: noqa: PTH113, PTH116, PTH118 - names are bytes here, because that is their order; Path knows text only
from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pipeline.storage.base import MAX_KEY_BYTES, RESERVED_PREFIX, Skipped

RUN = 200_000
"""Names sorted in memory at once; a folder with more is sorted in runs on disk."""


def walk(root: Path, prefix: str, start_after: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (key, stat) of the files under `root` whose key begins with `prefix` and sorts behind `start_after`.

    Ordered by the bytes of the whole key: a folder `a` sorts as `a/`, behind `a.jpg`. Links to folders and links out
    of the root are left out, and so are names that are not UTF-8; a warning says how many.
    """
    skipped = Skipped(str(root))
    deepest = prefix.rpartition("/")[0].encode()
    start = deepest + b"/" if deepest else b""
    yield from _folder(os.fsencode(root), start, prefix.encode(), start_after.encode(), skipped)
    skipped.report()


def _folder(
    root: bytes, start: bytes, prefix: bytes, after: bytes, skipped: Skipped
) -> Iterator[tuple[str, os.stat_result]]:
    """The files of one folder and those below it; `start` is its key with a `/` at the end, or empty."""
    folder = os.path.join(root, start) if start else root
    for name in _sorted_names(folder, skipped, root):
        key = start + name
        if name.endswith(b"/"):
            inside = key.startswith(prefix) or prefix.startswith(key)
            if inside and (key > after or after.startswith(key)):
                yield from _folder(root, key, prefix, after, skipped)
        elif len(key) > MAX_KEY_BYTES:
            skipped.add(key.decode())
        elif key > after and key.startswith(prefix):
            try:
                yield key.decode(), os.stat(os.path.join(root, key))
            except FileNotFoundError:  # deleted since its folder was read
                continue


def _sorted_names(folder: bytes, skipped: Skipped, root: bytes) -> Iterator[bytes]:
    """Names of regular files and, with a `/` behind, of folders; sorted."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):  # deleted since its parent was read, or a prefix without a match
        return
    with entries:
        names = _names(entries, skipped, os.path.realpath(root))
        first = sorted(islice(names, RUN))
        if len(first) < RUN:
            yield from first
            return
        with tempfile.TemporaryFile() as file:
            yield from heapq.merge(first, *_runs_on_disk(names, file))


def _names(entries: Iterator[os.DirEntry[bytes]], skipped: Skipped, root: bytes) -> Iterator[bytes]:
    reserved = RESERVED_PREFIX.encode()
    for entry in entries:
        if entry.name.startswith(reserved):
            continue
        if not _is_utf8(entry.name) or (entry.is_symlink() and not _links_to_file_inside(entry, root)):
            skipped.add(os.fsdecode(entry.path))
        elif entry.is_dir(follow_symlinks=False):
            yield entry.name + b"/"
        elif entry.is_file():
            yield entry.name


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _links_to_file_inside(entry: os.DirEntry[bytes], root: bytes) -> bool:
    target = os.path.realpath(entry.path)
    return os.path.isfile(target) and target.startswith(os.path.join(root, b""))


def _runs_on_disk(names: Iterator[bytes], file: BinaryIO) -> list[Iterator[bytes]]:
    """Write sorted runs of NUL-separated names to `file`, one behind the other; returns a reader of each."""
    readers = []
    while run := sorted(islice(names, RUN)):
        begin = file.tell()
        file.write(b"\0".join(run) + b"\0")
        readers.append((begin, file.tell()))
    file.flush()
    return [_read_run(file.fileno(), begin, end) for begin, end in readers]


def _read_run(file: int, begin: int, end: int) -> Iterator[bytes]:
    rest = b""
    while begin < end:
        block = os.pread(file, min(1 << 16, end - begin), begin)
        begin += len(block)
        *names, rest = (rest + block).split(b"\0")
        yield from names
