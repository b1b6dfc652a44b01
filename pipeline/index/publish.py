"""What is live: one pointer, replaced by compare-and-swap; going back; removing what nobody needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.errors import GateError, InputError, StaleError
from pipeline.index.files import incomplete
from pipeline.index.gallery import load_manifest, read_pointer
from pipeline.index.judge import gate
from pipeline.index.manifest import POINTER_KEY, Manifest, Pointer, manifest_key, sha256_of
from pipeline.settings import IndexSettings
from pipeline.storage.base import ObjectMissing, ObjectStore

UNFINISHED_FOR = timedelta(days=1)
"""A version folder without a manifest is somebody's build until its files are this old."""
_VERSION = re.compile(r"versions/(\d{8}-[0-9a-f]{12})/manifest\.json")


def versions(store: ObjectStore) -> list[str]:
    """Finished versions, oldest snapshot first; of one snapshot in the order they were built."""
    found = []
    for info in store.list("versions/"):
        match = _VERSION.fullmatch(info.key)
        if match:
            found.append((match[1][:8], info.modified, match[1]))
    return [version for _, _, version in sorted(found)]


def snapshots_needed(store: ObjectStore) -> set[int]:
    """Numbers of the snapshots that finished versions were made from."""
    return {int(version[:8]) for version in versions(store)}


def newest(store: ObjectStore) -> str:
    """The version built last from the newest snapshot.

    Raises:
        InputError: there is none.
    """
    found = versions(store)
    if not found:
        raise InputError(f"{store.uri} holds no index version: run `atelier index build`")
    return found[-1]


def publish(store: ObjectStore, settings: IndexSettings, version: str | None = None) -> Pointer:
    """Make a version live (the newest, if none is named), if it passes the gate and is not older than what is live.

    Publishing what is live already changes nothing. Nor does publishing while what is live is held by a rollback: the
    pointer comes back as it is, `held`, until `release_hold`.

    Raises:
        GateError: its recall is too low, or it lacks too many of the live version's vectors.
        InputError: there is no such version, or a file of it is missing.
        StaleError: what is live comes from newer tables, or somebody published meanwhile.
    """
    manifest = load_manifest(store, version or newest(store))
    gate(manifest, settings)
    pointer, etag = read_pointer(store)
    if pointer is not None and (pointer.held or pointer.version == manifest.version):
        return pointer
    if pointer is not None:
        live = _live(store, pointer, manifest)
        if live is not None:
            _refuse_older(manifest, live)
            _refuse_shrinking(manifest, live, settings.max_shrink)
    return _swap(store, manifest, pointer, etag)


def _live(store: ObjectStore, pointer: Pointer, manifest: Manifest) -> Manifest | None:
    """The live version, None if its manifest can't be read (of an earlier format) and `manifest` is not older.

    Raises:
        InputError: it can't be read, and `manifest` is of an older snapshot.
    """
    try:
        return load_manifest(store, pointer.version)
    except InputError:
        if manifest.snapshot < pointer.snapshot:
            raise
        return None


def _refuse_older(manifest: Manifest, live: Manifest) -> None:
    """The number of a snapshot alone says little: a version serves later snapshots of the same tables, too.

    Raises:
        StaleError: the live version has read a newer version of a table.
    """
    behind = [
        table
        for table in manifest.table_versions.keys() & live.table_versions.keys()
        if (manifest.table_versions[table] or 0) < (live.table_versions[table] or 0)
    ]
    if behind and live.snapshot > manifest.snapshot:
        raise StaleError(
            f"index {manifest.version} is of snapshot {manifest.snapshot}, live is {live.version} of snapshot "
            f"{live.snapshot}: to go back, use `atelier index rollback {manifest.version}`"
        )


def _refuse_shrinking(manifest: Manifest, live: Manifest, max_shrink: float) -> None:
    """A gallery that suddenly lost most of its photos is a release that has read only some of them, or a wrong catalog.

    Raises:
        GateError: more than `max_shrink` of the live version's number of vectors are missing.
    """
    if manifest.vectors < (1 - max_shrink) * live.vectors:
        raise GateError(
            f"index {manifest.version} holds {manifest.vectors} vectors, the live one {live.vectors}: it would lose "
            f"more than index.max_shrink = {max_shrink:g} of them; enrich the rest first, or raise the setting if it "
            "is meant"
        )


def rollback(store: ObjectStore, version: str | None = None, *, hold: bool = True) -> Pointer:
    """Make an earlier version live: the one named, else the one that was live before.

    Args:
        store: the index root.
        version: to go back to; what is live already may be named to hold it.
        hold: no publish replaces it until `release_hold`; else the next one does.

    Raises:
        InputError: nothing is published, nothing was live before, or the version is incomplete.
        StaleError: somebody published meanwhile.
    """
    pointer, etag = read_pointer(store)
    if pointer is None:
        raise InputError(f"no index is published under {store.uri}: there is nothing to go back from")
    version = version or pointer.previous
    if version is None:
        raise InputError(f"index {pointer.version} is the first that was published: there is nothing to go back to")
    manifest = load_manifest(store, version)
    if version == pointer.version:
        return _replace(store, pointer.model_copy(update={"held": hold}), pointer, etag)
    return _swap(store, manifest, pointer, etag, held=hold)


def release_hold(store: ObjectStore) -> Pointer:
    """Let the next publish replace what is live again; changes nothing where nothing is held.

    Raises:
        InputError: nothing is published.
        StaleError: somebody published meanwhile.
    """
    pointer, etag = read_pointer(store)
    if pointer is None:
        raise InputError(f"no index is published under {store.uri}: there is no hold to release")
    return _replace(store, pointer.model_copy(update={"held": False}), pointer, etag)


def _swap(
    store: ObjectStore, manifest: Manifest, pointer: Pointer | None, etag: str | None, *, held: bool = False
) -> Pointer:
    problem = incomplete(store, manifest)
    if problem:
        raise InputError(f"index {manifest.version} can't go live: {problem}; build it again")
    new = Pointer(
        version=manifest.version,
        manifest_sha256=sha256_of(store.get(manifest.key).data),
        sequence=0,
        previous=pointer.version if pointer else None,
        snapshot=manifest.snapshot,
        published_at=datetime.now(UTC),
        held=held,
    )
    return _replace(store, new, pointer, etag)


def _replace(store: ObjectStore, new: Pointer, pointer: Pointer | None, etag: str | None) -> Pointer:
    """Put `new` in the place of the pointer that was read with `etag`, under the next number."""
    if new == pointer:
        return pointer
    new = new.model_copy(update={"sequence": pointer.sequence + 1 if pointer else 1})
    try:
        store.put_if(POINTER_KEY, new.to_json(), etag=etag)
    except StaleError:
        raise StaleError(f"somebody else published while index {new.version} was about to be") from None
    return new


@dataclass(frozen=True)
class Garbage:
    """What gc removes (or would remove): versions, keys of files, and their bytes."""

    versions: tuple[str, ...]
    keys: tuple[str, ...]
    bytes: int


def collect_garbage(store: ObjectStore, keep_versions: int, *, dry_run: bool = False) -> Garbage:
    """Remove versions beyond the newest `keep_versions` that are neither live nor what a rollback goes back to.

    Files of a removed version stay as long as a version that is kept uses them. Of a version the manifest goes
    first, so that one half removed is no version.
    """
    pointer, _ = read_pointer(store)
    everything = versions(store)
    kept = set(everything[-keep_versions:]) if keep_versions else set()
    if pointer is not None:
        kept |= {version for version in (pointer.version, pointer.previous) if version in everything}
    gone = [version for version in everything if version not in kept]
    used = _used(store, kept)
    now = datetime.now(UTC)
    doomed: dict[str, int] = {}
    for info in store.list("versions/"):
        version = info.key.split("/")[1]
        unfinished = version not in everything and now - info.modified > UNFINISHED_FOR
        if info.key not in used and (version in gone or unfinished):
            doomed[info.key] = info.size
    keys = sorted(doomed, key=lambda key: (not key.endswith("/manifest.json"), key))
    if not dry_run:
        for key in keys:
            store.delete(key)
    return Garbage(tuple(gone), tuple(keys), sum(doomed.values()))


def _used(store: ObjectStore, kept: Iterable[str]) -> set[str]:
    used = set()
    for version in kept:
        try:
            manifest = load_manifest(store, version)
        except ObjectMissing:
            continue
        used |= {manifest_key(version), *(entry.key for entry in manifest.files)}
    return used
