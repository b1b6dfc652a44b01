"""The catalog can be read, the warehouse written, and tables can live there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice

from pipeline.doctor.finding import Finding, fail, fine, warn
from pipeline.settings import Settings
from pipeline.storage import ObjectStore, open_store
from pipeline.storage.probe import probe_conditional_put
from pipeline.tables import connect, open_warehouse, runs

PHOTOS = 200
"""Objects of the catalog that are looked at, at the most, until one is a photo."""

SKEW_WARNED_S = 30.0
SKEW_FAILED_S = 300.0
"""Seconds the store's clock may differ: S3 refuses requests that are signed 15 minutes off; vacuum and retries compare
times that different machines wrote."""


def check_catalog(settings: Settings) -> Iterator[Finding]:
    """List the catalog's first objects and read the first photo among them."""
    store = open_store(settings.catalog.uri, settings)
    store.check()
    started = time.perf_counter()
    seen = list(islice(store.list(), PHOTOS))
    photo = next((info for info in seen if info.key.lower().endswith(settings.catalog.suffixes)), None)
    if photo is None:
        what = f"no photo among its first {len(seen)} objects" if seen else "it is empty"
        yield warn("catalog", f"{store.uri}: {what}", "catalog.uri, catalog.suffixes")
        return
    size = len(store.get(photo.key, max_bytes=max(photo.size, 1), timeout_s=settings.fetch.timeout_s).data)
    seconds = time.perf_counter() - started
    yield fine("catalog", f"{store.uri}: listed, and {photo.key!r} read ({size:,} bytes) in {seconds:.2f} s")


def check_warehouse(settings: Settings) -> Iterator[Finding]:
    """Write, read, list and delete an object; race conditional puts; compare clocks."""
    store = open_warehouse(settings).store
    key = f"probes/doctor-{secrets.token_hex(8)}"
    data = secrets.token_bytes(1000)
    started, before = time.perf_counter(), time.time()
    try:
        etag = store.put(key, data)
        after = time.time()
        fetched, listed = store.get(key), list(store.list(key))
    finally:
        store.delete(key)
    if (fetched.data, fetched.etag) != (data, etag) or [info.key for info in listed] != [key]:
        yield fail("warehouse", f"{store.uri}: what was read or listed is not what was written", "warehouse.uri")
        return
    if store.head(key) is not None:
        yield fail("warehouse", f"{store.uri}: an object that was deleted is still there", "warehouse.uri")
        return
    seconds = time.perf_counter() - started
    yield fine("warehouse", f"{store.uri}: an object written, read, listed and deleted in {seconds:.2f} s")
    yield clock(listed[0].modified.timestamp(), before, after)
    probe_conditional_put(store)
    yield fine("conditional put", f"{store.uri}: of each race of 8 writers exactly one won")


def clock(stored: float, before: float, after: float) -> Finding:
    """Judge the time a store gave an object that was put between `before` and `after` (seconds since 1970).

    Stores may cut it down to whole seconds, so one second early is no difference.
    """
    skew = stored - after if stored > after else min(0.0, stored + 1.0 - before)
    if abs(skew) < SKEW_WARNED_S:
        return fine("clock", f"{abs(skew):.1f} s from the store's")
    found = f"this machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the store's"
    change = "set the clock of this machine (or of the store): NTP"
    return fail("clock", found, change) if abs(skew) > SKEW_FAILED_S else warn("clock", found, change)


def check_tables(settings: Settings) -> Iterator[Finding]:
    """Commit a row to a Delta table beside the real ones, read it with DuckDB through all views, remove it."""
    started = time.perf_counter()
    store = open_warehouse(settings).store
    prefix = f"probes/doctor-{secrets.token_hex(8)}"
    aside = settings.model_copy(
        update={"warehouse": settings.warehouse.model_copy(update={"uri": f"{store.uri}/{prefix}"})}
    )
    with _removed(store, prefix):
        warehouse = open_warehouse(aside)
        runs.record(warehouse, "doctor", "doctor", {}, release_id=None, seconds=0.0)
        with connect(warehouse) as con:
            rows = con.execute("SELECT run_id FROM runs").fetchall()
    if rows != [("doctor",)]:
        yield fail("tables", f"a table of one row in {store.uri} was read as {rows!r}", "warehouse.uri")
        return
    with_what = f"deltalake {version('deltalake')}, DuckDB {version('duckdb')}"
    seconds = time.perf_counter() - started
    yield fine("tables", f"{with_what}: a table written, read through all views and removed in {seconds:.1f} s")


@contextmanager
def _removed(store: ObjectStore, prefix: str) -> Iterator[None]:
    try:
        yield
    finally:
        for info in list(store.list(f"{prefix}/")):
            store.delete(info.key)


CHECKS = {"catalog": check_catalog, "warehouse": check_warehouse, "tables": check_tables}
