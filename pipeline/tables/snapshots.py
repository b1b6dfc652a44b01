"""Snapshots: one small file each that names a version of every table, so that readers see one state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.errors import InputError, StaleError
from pipeline.storage import ObjectMissing, ObjectStore

PREFIX = "snapshots/"
RETIRED = "snapshots/retired/"
_KEY = re.compile(re.escape(PREFIX) + r"(\d{8,})\.json")


@dataclass(frozen=True)
class Snapshot:
    """One state of the warehouse.

    `versions` names a version of every table, None for one that did not exist yet. `release_id` is the release whose
    rows are the current ones; `run_id` the run that took the snapshot at its end; `taken_at` is UTC.
    """

    number: int
    release_id: str
    run_id: str
    taken_at: datetime
    versions: dict[str, int | None]

    def to_json(self) -> bytes:
        """The file's content."""
        return json.dumps({**asdict(self), "taken_at": self.taken_at.isoformat()}, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Snapshot:
        """Read a file's content; keys that later versions add are ignored."""
        found = json.loads(data)
        return cls(
            found["number"],
            found["release_id"],
            found["run_id"],
            datetime.fromisoformat(found["taken_at"]),
            found["versions"],
        )


class Snapshots:
    """The snapshots of one warehouse, numbered from 1. A file is put only if it is not there and never changed."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def take(self, release_id: str, run_id: str, versions: Callable[[], dict[str, int | None]]) -> Snapshot:
        """Put the next snapshot. `versions` is asked after the number is known and again after every lost race, so
        that a higher number never names an older version.
        """
        while True:
            number = self._latest_number() + 1
            snapshot = Snapshot(number, release_id, run_id, datetime.now(UTC), versions())
            try:
                self._store.put_if(_key(number), snapshot.to_json(), etag=None)
            except StaleError:
                continue  # another run took this number
            return snapshot

    def latest(self) -> Snapshot | None:
        """The one with the highest number; None where there is none."""
        number = self._latest_number()
        return self.load(number) if number else None

    def load(self, number: int) -> Snapshot:
        """The snapshot of that number.

        Raises:
            InputError: there is none, or its file is damaged.
        """
        try:
            return Snapshot.from_json(self._store.get(_key(number)).data)
        except ObjectMissing:
            raise InputError(f"there is no snapshot {number}; `atelier tables` shows which there are") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"snapshot {number} ({self._store.uri}/{_key(number)}) is damaged: {error}") from None

    def of_run(self, run_id: str) -> Snapshot:
        """The newest snapshot that `run_id` took; reads them from the newest back.

        Raises:
            InputError: that run took none; the message names the latest runs that did.
        """
        others: list[str] = []
        for number in sorted(self.numbers(), reverse=True):
            snapshot = self.load(number)
            if snapshot.run_id == run_id:
                return snapshot
            if snapshot.run_id not in others:
                others.append(snapshot.run_id)
        known = f"the latest with one are {', '.join(others[:5])}" if others else "no run has taken one yet"
        raise InputError(f"there is no snapshot of a run {run_id[:200]!r}; {known}")

    def numbers(self) -> Iterator[int]:
        """The numbers there are, ascending."""
        for found in self._store.list(PREFIX):
            match = _KEY.fullmatch(found.key)
            if match:
                yield int(match[1])

    def retire(self, number: int) -> None:
        """Take a snapshot out of those that can be asked for; whoever reads it already has until it is `forgotten`."""
        self._store.put(_key(number, RETIRED), self._store.get(_key(number)).data)
        self._store.delete(_key(number))

    def retired(self) -> list[tuple[Snapshot, datetime]]:
        """Retired snapshots, and since when they are."""
        found = list(self._store.list(RETIRED))
        return [(Snapshot.from_json(self._store.get(one.key).data), one.modified) for one in found]

    def forget(self, number: int) -> None:
        """Remove a retired snapshot: its files may go."""
        self._store.delete(_key(number, RETIRED))

    def _latest_number(self) -> int:
        return max(self.numbers(), default=0)


def _key(number: int, prefix: str = PREFIX) -> str:
    return f"{prefix}{number:08d}.json"
