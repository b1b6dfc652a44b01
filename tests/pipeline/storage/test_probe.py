"""Stores whose conditional put is not what it seems are refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.errors import SettingError, StaleError
from pipeline.storage.local import LocalStore
from pipeline.storage.probe import ensure_conditional_put, probe_conditional_put


class NotAtomic(LocalStore):
    """Compares, then writes: as some S3-protocol servers do."""

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        found = self.head(key)
        if (found.etag if found else None) != etag:
            raise StaleError(key)
        time.sleep(0.01)
        return self.put(key, data)


class Careless(LocalStore):
    """Takes the condition as a matter of form."""

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        return self.put(key, data)


class IgnoresMatch(LocalStore):
    """Knows "if absent" only."""

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        return super().put_if(key, data, etag=etag) if etag is None else self.put(key, data)


@pytest.mark.parametrize("kind", [NotAtomic, Careless, IgnoresMatch])
def test_refused(kind: type[LocalStore], tmp_path: Path) -> None:
    store = kind(tmp_path, "warehouse.uri")
    with pytest.raises(SettingError, match=r"conditional put is not atomic .*Set warehouse\.uri"):
        ensure_conditional_put(store)
    assert list(store.list()) == [], "neither a verdict nor a trace of the race"


def test_verdict_of_another_store_does_not_count(tmp_path: Path) -> None:
    ensure_conditional_put(LocalStore(tmp_path))
    ensure_conditional_put(NotAtomic(tmp_path))
    with pytest.raises(SettingError):
        ensure_conditional_put(NotAtomic(tmp_path), "http://elsewhere")
    probe_conditional_put(LocalStore(tmp_path))
