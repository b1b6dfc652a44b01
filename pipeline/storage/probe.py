"""Does this store keep the promise of a conditional put? Asked once, before tables are entrusted to it.

A store that lets two writers of one race win loses commits in silence. Some S3-protocol servers do.
"""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from pipeline.errors import InputError, SettingError, StaleError
from pipeline.storage.base import ObjectStore

WRITERS = 8
ROUNDS = 3
VERDICT = "probes/conditional_put.json"


def ensure_conditional_put(store: ObjectStore, endpoint_url: str | None = None) -> None:
    """Probe the store unless an object in it says that it has passed before (at the same URI and endpoint).

    Raises:
        SettingError: the store's conditional put is not atomic.
    """
    verdict = json.dumps({"uri": store.uri, "endpoint_url": endpoint_url, "conditional_put": "atomic"}).encode()
    try:
        if store.get(VERDICT, max_bytes=10_000).data == verdict:
            return
    except InputError:  # not there, or not ours
        pass
    probe_conditional_put(store)
    store.put(VERDICT, verdict)


def probe_conditional_put(store: ObjectStore) -> None:
    """Race conditional puts against each other and check that exactly one of each race wins.

    Takes some thirty small requests and leaves nothing behind.

    Raises:
        SettingError: the store let several win, none, or a stale one.
    """
    key = f"probes/{secrets.token_hex(8)}"
    try:
        etag = None
        for _ in range(ROUNDS):
            etag = _race(store, key, etag)
        _refuses(store, key, None)
        _refuses(store, key, "0" * 32)
    finally:
        store.delete(key)


def _race(store: ObjectStore, key: str, etag: str | None) -> str:
    """Let all writers start from `etag` at once; returns the winner's etag."""
    start = Barrier(WRITERS)

    def write(number: int) -> tuple[str, bytes] | None:
        data = f"{number} {secrets.token_hex(8)}".encode()
        start.wait()
        try:
            return store.put_if(key, data, etag=etag), data
        except StaleError:
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        won = [result for result in pool.map(write, range(WRITERS)) if result]
    if len(won) != 1:
        raise _refusal(store, f"{len(won)} of {WRITERS} writers won a race that exactly one may win")
    fetched = store.get(key)
    if (fetched.etag, fetched.data) != won[0]:
        raise _refusal(store, "what is stored after a race is not what its winner wrote")
    return fetched.etag


def _refuses(store: ObjectStore, key: str, etag: str | None) -> None:
    try:
        store.put_if(key, b"stale", etag=etag)
    except StaleError:
        return
    raise _refusal(store, "it accepted a write that was based on an outdated state")


def _refusal(store: ObjectStore, why: str) -> SettingError:
    return SettingError(
        f"the store {store.uri} can't hold tables: its conditional put is not atomic ({why}). "
        "Set warehouse.uri (or s3.endpoint_url) to a store whose If-Match and If-None-Match are, or to a folder."
    )
