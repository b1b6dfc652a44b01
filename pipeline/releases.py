"""Where the release lies that the settings name: the one that ships, a local folder, or a copy of one in S3.

A folder (or prefix) of releases may be named too, when its pointer `CURRENT.json` says which of them is live:

<root>/CURRENT.json                replaced by compare-and-swap: promotion and the way back
<root>/<release_id>/release.toml   releases; they never change
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.release_cards import FILE, STARTER, read_release
from pipeline.errors import InputError, SettingError, StaleError
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, ObjectStore
from pipeline.storage.opening import open_store

POINTER_KEY = "CURRENT.json"


@dataclass(frozen=True)
class LiveRelease:
    """The pointer: `release` is `starter`, a name under the root, or a place of its own; `previous` the one before."""

    release: str
    release_id: str
    previous: dict[str, str] | None
    sequence: int
    promoted_at: str
    figures: list[dict[str, Any]]


def read_live(store: ObjectStore) -> tuple[LiveRelease | None, str | None]:
    """The pointer of a folder of releases and its etag; (None, None) where nothing was promoted yet.

    Raises:
        InputError: the pointer is damaged.
    """
    try:
        fetched = store.get(POINTER_KEY)
    except ObjectMissing:
        return None, None
    try:
        return LiveRelease(**json.loads(fetched.data)), fetched.etag
    except (ValueError, TypeError) as error:
        raise InputError(f"{store.uri}/{POINTER_KEY} is damaged: {error}") from None


def promote(store: ObjectStore, candidate: Path, over: tuple[str, str], figures: list[dict[str, Any]]) -> LiveRelease:
    """Copy a release under the root and make it the live one; the copy is whole before the pointer moves.

    Args:
        store: of the root.
        candidate: local folder.
        over: where the release it was compared with lies, and its release_id.
        figures: of the comparison, kept in the pointer.

    Raises:
        StaleError: another release is live by now than the one it was compared with.
    """
    live, etag = read_live(store)
    made = read_release(candidate)
    if live is not None and live.release_id == made.release_id:
        return live
    if live is not None and live.release_id != over[1]:
        raise StaleError(f"{store.uri}: release {live.release_id} is live, and the comparison was with {over[1]}")
    files = sorted((path for path in candidate.rglob("*") if path.is_file()), key=lambda path: path.name == FILE)
    for path in files:  # release.toml last: a copy without it is none
        store.put_file(f"{made.release_id}/{path.relative_to(candidate).as_posix()}", path)
    previous = {"release": live.release if live else over[0], "release_id": over[1]}
    return _point(store, live, etag, (made.release_id, made.release_id), previous, figures)


def go_back(store: ObjectStore) -> LiveRelease:
    """Make the release live again that was before.

    Raises:
        InputError: there was none.
        StaleError: somebody else moved the pointer meanwhile.
    """
    live, etag = read_live(store)
    if live is None or live.previous is None:
        raise InputError(f"{store.uri} has no release before the live one to go back to")
    back = (live.previous["release"], live.previous["release_id"])
    return _point(store, live, etag, back, {"release": live.release, "release_id": live.release_id}, [])


def _point(
    store: ObjectStore,
    live: LiveRelease | None,
    etag: str | None,
    to: tuple[str, str],
    previous: dict[str, str],
    figures: list[dict[str, Any]],
) -> LiveRelease:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = LiveRelease(*to, previous, live.sequence + 1 if live else 1, now, figures)
    store.put_if(POINTER_KEY, json.dumps(asdict(new), indent=1).encode(), etag=etag)
    return new


def release_folder(settings: Settings, uri: str | None = None) -> Path:
    """The local folder of a release; one in S3 is fetched first, once for each state it has.

    Args:
        uri: `starter`, a folder or s3://bucket/prefix; default: the setting release.uri.

    Raises:
        SettingError: there is no release, or release.cache can't be written to; the message names what was asked for.
    """
    named = uri or settings.release.uri
    if named != "starter" and not named.startswith("s3://") and (Path(named) / FILE).is_file():
        return Path(named)
    if named != "starter" and (named.startswith("s3://") or (Path(named) / POINTER_KEY).is_file()):
        live, _ = read_live(open_store(named, settings))
        if live is not None:
            inside = "/" not in live.release and live.release != "starter"
            named = f"{named.rstrip('/')}/{live.release}" if inside else live.release
    if named == "starter":
        return STARTER
    if named.startswith("s3://"):
        return _fetched(named, settings)
    folder = Path(named)
    if not (folder / FILE).is_file():
        raise SettingError(
            f"release.uri is {named!r}, but there is no {folder / FILE}; `atelier release create` makes one"
        )
    return folder


def _fetched(uri: str, settings: Settings) -> Path:
    """The copy in release.cache, one folder a state of the release."""
    import hashlib

    store = open_store(uri, settings)
    objects = list(store.list())
    if not any(info.key == FILE for info in objects):
        raise SettingError(f"release.uri is {uri!r}, but there is no {FILE} under it")
    state = hashlib.sha256("\n".join(f"{info.key} {info.etag}" for info in objects).encode()).hexdigest()[:16]
    cache = Path(settings.release.cache)
    final = cache / state
    if (final / FILE).is_file():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{state}-", dir=cache))
    except OSError as error:
        raise SettingError(f"release.cache ({cache}) can't be written to: {error.strerror}") from None
    try:
        for info in objects:
            (partial / info.key).parent.mkdir(parents=True, exist_ok=True)
            store.get_file(info.key, partial / info.key)
        partial.rename(final)
    except FileExistsError:  # another process was faster with the same files
        shutil.rmtree(partial)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not (final / FILE).is_file():
            raise
    return final
