"""From what the Delta library and DuckDB raise to errors that say who acts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipeline.errors import AtelierError, InputError, SettingError, StaleError, TransientError

# The library puts the cause into its message only, as text of Rust's error kinds, of errno, or of the S3 answer.
_FULL = ("StorageFull", "No space left", "QuotaExceeded", "quota exceeded", "FileTooLarge")
_DENIED = (
    "PermissionDenied",
    "Permission denied",
    "ReadOnlyFilesystem",
    "Read-only file system",
    "NotADirectory",
    "Could not create local directory",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "Unauthorized",
    "403 Forbidden",
    "lacked the necessary privileges",
    "CredentialsNotLoaded",
    "NoSuchBucket",
)
# What DuckDB's IOException says where the statement names a file that can't be used, whenever it is run.
_UNUSABLE = (
    "No files found",
    "No such file",
    "Permission denied",
    "Read-only file system",
    "Is a directory",
    "Not a directory",
    "does not exist",
    "already exists",
)
_UNANSWERED = "Generic S3 error"  # also of answers that were cut, which come as a plain DeltaError
_STREAM_FAILED = "failed: IOError"
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|↳")


@contextmanager
def translated(table: str, uri: str) -> Iterator[None]:
    """Run a block that uses the Delta library or DuckDB on one table; what it raises comes out as `pipeline.errors`.

    Raises:
        StaleError: a commit lost against others, or the table appeared meanwhile.
        SettingError: `warehouse.uri` can't be written or read with these rights.
        TransientError: disk or memory is full, or the storage does not answer.
        InputError: a file of the table is missing or broken.
    """
    try:
        yield
    except AtelierError:
        raise
    except CommitFailedError as error:
        raise StaleError(f"table {table}: another writer committed first ({_words(error)})") from error
    except (DeltaError, OSError) as error:
        raise _named(table, uri, error) from error
    except duckdb.Error as error:
        what = f"table {table} at {uri}"
        raise out_of_reach(what, error) or InputError(f"{what}: {_words(error)}") from error


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Run a block that asks DuckDB something; `what` is named in the errors that come out.

    Raises:
        TransientError: memory, disk or connection gave out; see `out_of_reach`.
        InputError: the statement is wrong, or the data it reads, or a file that it names is missing.
    """
    try:
        yield
    except duckdb.Error as error:
        raise out_of_reach(what, error) or InputError(f"{what}: {error}") from error


def out_of_reach(what: str, error: duckdb.Error) -> TransientError | None:
    """What to raise where memory, disk or connection gave out; None where the statement or its data are at fault."""
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return TransientError(f"{what}: raise sql.memory_gib, or make room at sql.spill, where the rest goes: {text}")
    if means_full(error):
        return TransientError(f"{what}: no space left; make room at sql.spill, or in the folder named here: {text}")
    failed = isinstance(error, duckdb.IOException) and not any(sign in text for sign in _UNUSABLE)
    streamed = isinstance(error, duckdb.InvalidInputException) and _STREAM_FAILED in text
    if failed or streamed or isinstance(error, duckdb.ConnectionException):
        return TransientError(f"{what}: {text}")
    return None


def means_full(error: duckdb.Error) -> bool:
    """Whether a disk is full: the statement's own words, which other kinds of errors quote, don't count."""
    return isinstance(error, duckdb.IOException | duckdb.FatalException) and any(sign in str(error) for sign in _FULL)


def means_absent(error: TableNotFoundError) -> bool:
    """Whether the table was simply never created; the library raises the same class where it may not look."""
    text = str(error)
    return "NotFound" in text or "No files in log segment" in text or "Not a Delta table" in text


def _named(table: str, uri: str, error: Exception) -> AtelierError:
    text = str(error)
    if any(sign in text for sign in _FULL):
        return TransientError(f"table {table}: no space left at warehouse.uri ({uri}); nothing was committed")
    if any(sign in text for sign in _DENIED):
        return SettingError(f"table {table}: warehouse.uri ({uri}) can't be used: {_words(error)}")
    if isinstance(error, FileNotFoundError):
        return InputError(f"table {table} at {uri}: a file of it is missing: {_words(error)}")
    if isinstance(error, OSError) or _UNANSWERED in text:
        return TransientError(f"table {table}: warehouse.uri ({uri}) does not answer: {_words(error)}")
    return InputError(f"table {table} at {uri}: {_words(error)}")


def _words(error: Exception) -> str:
    return " ".join(_DECORATION.sub("", str(error)).split())[:300]
