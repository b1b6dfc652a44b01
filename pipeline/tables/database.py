"""DuckDB connections within the limits of `sql.*`, and room on disk for what they and their callers spill."""

from __future__ import annotations

import atexit
import errno
import fcntl
import functools
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from pipeline.errors import SettingError, TransientError
from pipeline.settings import SqlSettings

OWNER = "owner.lock"
"""In every process's folder; locked while the process lives, so that what killed ones leave can be told."""

BEING_MADE_S = 60
"""A younger folder may not be locked yet."""

UNLOCKED_S = 24 * 3600
"""A spill folder without a lock file (of earlier versions) counts as left behind after a day."""

_PREFIX = "atelier-"
_UNLOCKED = re.compile("[0-9a-f]{16}")


def open_database(sql: SqlSettings, file: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB database that keeps to `sql`, in UTC; no extension is ever looked for on the network.

    Args:
        sql: memory, threads, and where the rest spills to, in a folder that no other process shares.
        file: where it lies; None: in memory. Either way close it, or use it as a context manager.

    Raises:
        SettingError: `sql.spill` can't be used.
        TransientError: it is full.
    """
    configuration: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{sql.memory_gib}GiB",
        "temp_directory": str(_folder(sql) / secrets.token_hex(8)),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,  # a table's name must never fall back to a Python variable
    }
    if sql.threads:
        configuration["threads"] = sql.threads
    con = duckdb.connect(":memory:" if file is None else str(file), config=configuration)
    con.execute("SET TimeZone = 'UTC'")
    return con


@contextmanager
def scratch(sql: SqlSettings) -> Iterator[Path]:
    """An empty folder below `sql.spill`, gone at the end; for errors see `open_database`."""
    with tempfile.TemporaryDirectory(dir=_folder(sql)) as folder:
        yield Path(folder)


def _folder(sql: SqlSettings) -> Path:
    """This process's folder below `sql.spill`."""
    try:
        folder = _own_folder(Path(sql.spill).absolute(), os.getpid())
        folder.mkdir(parents=True, exist_ok=True)  # somebody may have emptied the cache
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientError(f"no space left at sql.spill ({sql.spill})") from error
        raise SettingError(f"sql.spill is {sql.spill!r}, which can't be made a folder: {error}") from error
    return folder


@functools.cache
def _own_folder(root: Path, process: int) -> Path:
    """Make a folder for a process below `root` that goes when it ends; remove what killed ones left."""
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    lock = os.open(folder / OWNER, os.O_CREAT | os.O_RDWR, 0o600)  # open as long as the process lives
    with suppress(OSError):  # a file system without locks: nobody else gets this one either, so nothing is swept
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a child that was forked off
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove folders of processes that are gone. `root` may hold other things: they are left alone."""
    for folder in root.iterdir():
        try:
            age = time.time() - folder.stat().st_mtime
            if folder.name.startswith(_PREFIX) and age > BEING_MADE_S:
                _remove_unowned(folder)
            elif _UNLOCKED.fullmatch(folder.name) and age > UNLOCKED_S and _only_spilled(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process sweeps too, or the folder is another user's
            continue


def _remove_unowned(folder: Path) -> None:
    lock = os.open(folder / OWNER, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the owner lives, also in another container
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _only_spilled(folder: Path) -> bool:
    return all(file.name.startswith("duckdb_temp") for file in folder.iterdir())
