"""Published copies of views as plain Parquet: immutable versions, one pointer replaced by compare-and-swap, gc.

<warehouse.uri>/published/CURRENT.json                          what is live
<warehouse.uri>/published/versions/<version>/<view>/...         the files, one folder a garment type
<warehouse.uri>/published/versions/<version>/manifest.json      written last: without it a version is unfinished
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.errors import InputError, StaleError
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, ObjectStore, open_store
from pipeline.tables import runs
from pipeline.tables.copies import COPIES, write_copy
from pipeline.tables.database import scratch
from pipeline.tables.judging import require_passed
from pipeline.tables.query import connect
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.sql_files import read_sql
from pipeline.tables.warehouse import Warehouse

FOLDER = "published"
POINTER_KEY = "CURRENT.json"
JOB = "publish_tables"
LAYOUT = 1
"""Raise it when files are written in another way, so that a snapshot is copied again."""

UNFINISHED_FOR = timedelta(days=1)
"""A version without a manifest is somebody's work until its files are this old."""
_MANIFEST = re.compile(r"versions/(\d{8}-[0-9a-f]{6})/manifest\.json")


@dataclass(frozen=True)
class Version:
    """A finished version. `tables` has for each view: path (under the folder `published`), rows, files, bytes."""

    version: str
    snapshot: int
    run_id: str
    release_id: str
    digest: str
    made_at: str
    tables: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Live:
    """The pointer: the version that is live, the one before it, and how many times it was moved."""

    live: Version
    previous: str | None
    sequence: int
    published_at: str
    reused: bool = False

    def to_json(self) -> bytes:
        """The pointer file: the version's own fields at its top level, so that other programs find paths at once."""
        more = {"previous": self.previous, "sequence": self.sequence, "published_at": self.published_at}
        return json.dumps({**asdict(self.live), **more}, indent=1).encode()


def published_store(settings: Settings) -> ObjectStore:
    """The folder of published copies under `warehouse.uri`."""
    return open_store(f"{settings.warehouse.uri.rstrip('/')}/{FOLDER}", settings)


def published(settings: Settings, view: str, version: str | None = None) -> str:
    """Where a published copy lies: a folder or s3:// prefix for any tool that reads Parquet.

    pd.read_parquet(published(settings(), "enriched"))

    Args:
        settings: where the warehouse is.
        view: enriched or products.
        version: another version than the live one.

    Raises:
        InputError: nothing is published yet, or there is no such version or copy.
    """
    store = published_store(settings)
    live, _ = read_live(store)
    found = load_version(store, version) if version else live.live if live else None
    if found is None:
        raise InputError(f"nothing is published under {store.uri} yet: run `atelier tables publish`")
    if view not in found.tables:
        raise InputError(f"there is no published copy of {view[:100]!r}; there are {', '.join(found.tables)}")
    return f"{store.uri}/{found.tables[view]['path']}"


def publish(warehouse: Warehouse, snapshot: Snapshot) -> Live:
    """Copy the views of a snapshot and make them live, if its data checks passed.

    What is live already, or was copied before, is not copied again. Readers of an earlier version are not disturbed.

    Raises:
        GateError: a blocking data check found rows; what was live stays live.
        StaleError: what is live is of a newer snapshot, or somebody published meanwhile.
    """
    started = time.monotonic()
    require_passed(warehouse, snapshot)
    store = published_store(warehouse.settings)
    live, etag = read_live(store)
    digest = _digest()
    if live is not None and (live.live.snapshot, live.live.digest) == (snapshot.number, digest):
        return Live(live.live, live.previous, live.sequence, live.published_at, reused=True)
    if live is not None and live.live.snapshot > snapshot.number:
        raise StaleError(
            f"snapshot {snapshot.number} is older than what is published, snapshot {live.live.snapshot}: to go back, "
            "name a version that `atelier tables published` lists"
        )
    made = _finished(store, snapshot.number, digest)
    swapped = _swap(store, made or _write(warehouse, snapshot, store, digest), live, etag)
    details = asdict(swapped.live)
    seconds = time.monotonic() - started
    runs.record(warehouse, JOB, snapshot.run_id, details, release_id=snapshot.release_id, seconds=seconds)
    return swapped


def go_back(settings: Settings, version: str) -> Live:
    """Make a version live that is there already, an older one too.

    Raises:
        InputError: there is none of that name, or files of it are missing.
        StaleError: somebody published meanwhile.
    """
    store = published_store(settings)
    live, etag = read_live(store)
    found = load_version(store, version)
    return _swap(store, found, live, etag)


def read_live(store: ObjectStore) -> tuple[Live | None, str | None]:
    """The pointer and its etag; (None, None) before anything was published.

    Raises:
        InputError: the pointer is damaged.
    """
    try:
        fetched = store.get(POINTER_KEY)
    except ObjectMissing:
        return None, None
    try:
        found = json.loads(fetched.data)
        live = Live(_version(found), found["previous"], found["sequence"], found["published_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{store.uri}/{POINTER_KEY} is damaged: {error!r}") from None
    return live, fetched.etag


def load_version(store: ObjectStore, version: str) -> Version:
    """A finished version by its name.

    Raises:
        InputError: there is none, or its manifest is damaged.
    """
    key = f"versions/{version}/manifest.json"
    if not _MANIFEST.fullmatch(key):
        raise InputError(f"{version[:100]!r} is no version; `atelier tables published` lists them")
    try:
        return _version(json.loads(store.get(key).data))
    except ObjectMissing:
        raise InputError(f"there is no version {version}; `atelier tables published` lists those there are") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{store.uri}/{key} is damaged: {error!r}") from None


def versions(store: ObjectStore) -> list[str]:
    """Finished versions: by snapshot, then in the order they were made."""
    found = []
    for info in store.list("versions/"):
        match = _MANIFEST.fullmatch(info.key)
        if match:
            found.append((match[1][:8], info.modified, match[1]))
    return [version for _, _, version in sorted(found)]


def snapshots_needed(store: ObjectStore) -> set[int]:
    """Numbers of the snapshots that finished versions were made from."""
    return {int(version[:8]) for version in versions(store)}


@dataclass(frozen=True)
class Garbage:
    """What gc removes (or would): versions, finished or given up, keys of their files, and their bytes."""

    versions: tuple[str, ...]
    keys: tuple[str, ...]
    bytes: int


def collect_garbage(store: ObjectStore, keep_versions: int, *, dry_run: bool = False) -> Garbage:
    """Remove versions but the newest `keep_versions`, the live one and the one before it, and unfinished old ones.

    The manifest goes first, so that a version half removed is none.
    """
    live, _ = read_live(store)
    finished = versions(store)
    kept = set(finished[-keep_versions:])
    if live is not None:
        kept |= {live.live.version, live.previous or ""}
    now = datetime.now(UTC)
    doomed: dict[str, int] = {}
    for info in store.list("versions/"):
        version = info.key.split("/")[1]
        given_up = version not in finished and now - info.modified > UNFINISHED_FOR
        if version not in kept and (version in finished or given_up):
            doomed[info.key] = info.size
    keys = sorted(doomed, key=lambda key: (not key.endswith("/manifest.json"), key))
    if not dry_run:
        for key in keys:
            store.delete(key)
    return Garbage(tuple(sorted({key.split("/")[1] for key in keys})), tuple(keys), sum(doomed.values()))


def _write(warehouse: Warehouse, snapshot: Snapshot, store: ObjectStore, digest: str) -> Version:
    """Copy every view into a folder that no other attempt shares; the manifest makes it a version."""
    version = f"{snapshot.number:08d}-{secrets.token_hex(3)}"
    file_bytes = warehouse.settings.publish.file_mib * 2**20
    tables: dict[str, dict[str, Any]] = {}
    with connect(warehouse, snapshot) as con, scratch(warehouse.settings.sql) as folder:
        for copy in COPIES:
            path = f"versions/{version}/{copy.view}"
            facts = write_copy(con, copy, store, f"{path}/", folder, file_bytes)
            tables[copy.view] = {"path": path, **asdict(facts)}
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    made = Version(version, snapshot.number, snapshot.run_id, snapshot.release_id, digest, made_at, tables)
    store.put_if(f"versions/{version}/manifest.json", json.dumps(asdict(made), indent=1).encode(), etag=None)
    return made


def _finished(store: ObjectStore, snapshot: int, digest: str) -> Version | None:
    """A version of the snapshot that an earlier attempt finished and never made live."""
    for version in versions(store):
        if version.startswith(f"{snapshot:08d}-"):
            found = load_version(store, version)
            if found.digest == digest and _whole(store, found):
                return found
    return None


def _swap(store: ObjectStore, version: Version, live: Live | None, etag: str | None) -> Live:
    if not _whole(store, version):
        raise InputError(
            f"published version {version.version} lacks files under {store.uri}: publish its snapshot again"
        )
    if live is not None and live.live.version == version.version:
        return live
    new = Live(
        version,
        previous=live.live.version if live else None,
        sequence=live.sequence + 1 if live else 1,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        store.put_if(POINTER_KEY, new.to_json(), etag=etag)
    except StaleError:
        raise StaleError(f"somebody else published while version {version.version} was about to be") from None
    return new


def _whole(store: ObjectStore, version: Version) -> bool:
    """Whether a version's files are there, by number and size."""
    for facts in version.tables.values():
        sizes = [info.size for info in store.list(f"{facts['path']}/")]
        if (len(sizes), sum(sizes)) != (facts["files"], facts["bytes"]):
            return False
    return True


def _version(found: dict[str, Any]) -> Version:
    names = ("version", "snapshot", "run_id", "release_id", "digest", "made_at", "tables")
    return Version(**{name: found[name] for name in names})


def _digest() -> str:
    """Changes with the views' statements and the layout of the files: what is in a copy besides the snapshot."""
    texts = [f"{view.name}\0{view.statement}" for view in read_sql("views")]
    return hashlib.sha256("\0".join([str(LAYOUT), *map(repr, COPIES), *texts]).encode()).hexdigest()[:16]
