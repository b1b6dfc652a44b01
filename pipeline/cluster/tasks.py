"""Tasks as they travel to workers: light, because a worker takes them apart where it also keeps in touch.

A worker whose first task imports torch there says nothing to the scheduler for as long as that takes, and on a busy
machine is given up. So nothing heavy is imported here before a task runs, in a thread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.cluster.enrich import Done
    from pipeline.labels.extract import Piece


@dataclass(frozen=True)
class BatchOrder:
    """Photos `begin` to `end` (not included) of batch `number` of the `batches` of a plan."""

    settings: Settings
    plan_id: str
    release_id: str
    batches: int
    number: int
    begin: int
    end: int

    @property
    def photos(self) -> int:
        """How many they are."""
        return self.end - self.begin

    @property
    def name(self) -> str:
        """On the dashboard and in logs."""
        return f"enrich-{self.plan_id}-{self.number}-{self.begin}"

    def halves(self) -> tuple[BatchOrder, BatchOrder]:
        """Two orders that together are this one."""
        middle = self.begin + self.photos // 2
        return replace(self, end=middle), replace(self, begin=middle)


@dataclass(frozen=True)
class RowsOrder:
    """Photos under `uri` to read, with the rows that speak of them; `pictures` come back too if asked for."""

    settings: Settings
    uri: str
    number: int
    rows: pd.DataFrame
    pictures: bool

    @property
    def name(self) -> str:
        """On the dashboard and in logs."""
        return f"features-{self.number}"


def enrich(order: BatchOrder) -> Done:
    """In a worker: enrich and commit what an order names."""
    from pipeline.cluster.enrich import work_off

    return work_off(order)


def read(order: RowsOrder) -> Piece:
    """In a worker: read the photos of an order."""
    from pipeline.cluster.features import read_order

    return read_order(order)
