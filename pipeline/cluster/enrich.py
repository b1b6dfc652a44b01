"""The enrich job on a cluster: a batch of the plan is a task, and its worker commits it.

    plan --unfinished--> orders --Flight--> worker: Runner.work(batch) --> tables
                                     |
                                     +--> counts, come back here

An order names a batch; the worker reads it from the plan in the warehouse, fetches its photos and writes its rows. That
is safe to do twice, one after the other or side by side: rows go by the batch's name, and `images` is entered by
compare-and-swap. A batch that workers die of is cut in halves until the photo is found; that one goes to quarantine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from distributed import Client, KilledWorker

from pipeline.catalog import Batch, batch_id
from pipeline.catalog.plan import Plan, read_batches
from pipeline.cluster import tasks
from pipeline.cluster.connect import for_workers, lost_scheduler
from pipeline.cluster.flight import Flight, Landed
from pipeline.cluster.held import Held
from pipeline.cluster.tasks import BatchOrder
from pipeline.enrich.batch import Enriched
from pipeline.enrich.commit import commit
from pipeline.enrich.models import check_release, load_models
from pipeline.enrich.photo import Reject
from pipeline.enrich.rows import Stamp
from pipeline.enrich.runner import FAILED_IN_A_ROW, Outcome, Runner, unfinished
from pipeline.errors import Reason, TransientError
from pipeline.settings import Settings
from pipeline.storage import open_store
from pipeline.tables import Warehouse, open_warehouse
from pipeline.tables.schema import TABLES

log = logging.getLogger("atelier")


@dataclass(frozen=True)
class Done:
    """What a worker says of an order: counts, and what its models ran on."""

    outcome: Outcome
    device: str
    precision: str


@dataclass
class Readers:
    """What read the photos, put together from what the workers say."""

    release_id: str
    placements: set[tuple[str, str]] = field(default_factory=set)

    @property
    def device(self) -> str:
        """cpu or cuda; both where workers differ."""
        return "+".join(sorted({device for device, _ in self.placements})) or "none"

    @property
    def precision(self) -> str:
        """fp32 or bf16; both where workers differ."""
        return "+".join(sorted({precision for _, precision in self.placements})) or "none"


def enrich_on(
    client: Client,
    settings: Settings,
    warehouse: Warehouse,
    plan: Plan,
    batches: Iterable[Batch],
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[Outcome, Readers]:
    """Enrich batches of a plan on a cluster.

    Args:
        client: of the cluster.
        settings: sent to the workers, whose own settings do not count.
        warehouse: asked which batches are done.
        plan: the plan.
        batches: those of this part of it.
        advance: told how many more photos are through.

    Returns:
        Counts, as `Runner.run` gives them (`steps` are summed over workers), and what the workers read with.

    Raises:
        SettingError, InputError: as a worker raised them.
        TransientError: the scheduler is lost, or there are no workers.
    """
    return _Job(client, settings, warehouse, plan, advance).run(batches)


class _Job:
    """One part of a plan on a cluster."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        warehouse: Warehouse,
        plan: Plan,
        advance: Callable[[int], object],
    ) -> None:
        self.settings = for_workers(settings)
        self.warehouse = warehouse
        self.plan = plan
        self.advance = advance
        self.flight = Flight(client, settings.dask, tasks.enrich, lambda order: order.name)
        self.outcome = Outcome()
        self.readers = Readers(plan.release_id)

    def run(self, batches: Iterable[Batch]) -> tuple[Outcome, Readers]:
        started = datetime.now(UTC)
        deadly, in_a_row = [], 0
        with closing(self.flight.run(self._orders(batches))) as landings:
            for landed in landings:
                if isinstance(landed.error, KilledWorker):
                    deadly.append(landed.order)
                    continue
                in_a_row = 0 if self._entered(landed) else in_a_row + 1
                if in_a_row == FAILED_IN_A_ROW:
                    break
        if in_a_row < FAILED_IN_A_ROW:
            for order in deadly:
                self._search(order)
        self.outcome.seconds = (datetime.now(UTC) - started).total_seconds()
        return self.outcome, self.readers

    def _orders(self, batches: Iterable[Batch]) -> Iterator[BatchOrder]:
        plan = self.plan
        for batch in unfinished(self.warehouse, plan.run_id, batches, self.outcome, self.advance):
            yield BatchOrder(
                self.settings, plan.run_id, plan.release_id, plan.batches, batch.number, 0, len(batch.images)
            )

    def _entered(self, landed: Landed[BatchOrder, Done]) -> bool:
        """Count what a worker did; False where it gave the batch up."""
        done = landed.value
        if isinstance(landed.error, TransientError):
            self._give_up(f"batch number {landed.order.number}: {landed.error}")
            return False
        if landed.error or done is None:
            raise landed.error or lost_scheduler()
        self.outcome.include(done.outcome)
        self.readers.placements.add((done.device, done.precision))
        self.advance(landed.order.photos)
        return not done.outcome.failures

    def _give_up(self, why: str) -> None:
        log.warning("%s", why)
        self.outcome.failures.append(why)

    def _search(self, order: BatchOrder) -> None:
        """Find the photo that workers die of, with nothing beside it that could be taken for it or suffer from it.

        A batch may have died of its neighbor on the same worker, so it gets one more try alone. Then one half of it
        after the other: where both end workers, the machines are more likely ill than two photos, and it is given up.
        """
        if not (killed := self._alone([order])):
            return
        while order.photos > 1:
            killed = self._alone(order.halves())
            if len(killed) != 1:
                break
            order = killed[0]
        if len(killed) > 1:
            self._give_up(
                f"batch number {order.number}: several workers died of both halves of photos {order.begin} to "
                f"{order.end}; is their memory too small? Its other photos are done"
            )
        elif killed:
            self._quarantine(order)

    def _alone(self, orders: Iterable[BatchOrder]) -> list[BatchOrder]:
        """Work orders off one by one; returns those that workers died of."""
        killed = []
        for order in orders:
            landed = self.flight.alone(order)
            if isinstance(landed.error, KilledWorker):
                killed.append(order)
            else:
                self._entered(landed)
        return killed

    def _quarantine(self, order: BatchOrder) -> None:
        batch = photos_of(order)
        (image,) = batch.images
        log.warning("workers die of photo %s: it goes to quarantine", image.image_key)
        reject = Reject(image, Reason.WORKER_KILLED, "every worker that took it died; neighbors of it were enriched")
        images, garments, embeddings = (
            TABLES[name].arrow_schema.empty_table() for name in ("images", "garments", "embeddings")
        )
        stamp = Stamp(batch.batch_id, self.plan.run_id, self.plan.release_id, "", datetime.now(UTC))
        enriched = Enriched(images, garments, embeddings, (reject,))
        self.outcome.add(commit(self.warehouse, batch, enriched, stamp, self.settings.enrich))
        self.advance(1)


def photos_of(order: BatchOrder) -> Batch:
    """The batch that an order names, read from the plan; a part of one is a batch under the name of its contents.

    Raises:
        InputError: the warehouse, as it looks from here, has no such plan.
    """
    (batch,) = read_batches(order.settings, order.plan_id, order.number, order.batches)
    images = batch.images[order.begin : order.end]
    return Batch(batch_id(order.release_id, [(i.image_key, i.etag) for i in images]), order.number, images)


RUNNER: Held[Runner] = Held()
"""This process's runner, with the models."""


def work_off(order: BatchOrder) -> Done:
    """In a worker: enrich and commit what an order names."""
    settings, release_id = order.settings, order.release_id
    runner = RUNNER.get(settings.model_dump_json() + release_id, lambda: _runner(settings, release_id))
    outcome = runner.work(order.plan_id, [photos_of(order)], Outcome())
    return Done(outcome, runner.release.device, runner.release.precision)


def _runner(settings: Settings, release_id: str) -> Runner:
    release = load_models(settings)
    check_release(release.release_id, release_id)
    log.info("models of release %s on %s in %s", release.release_id, release.device, release.precision)
    return Runner(settings, open_store(settings.catalog.uri, settings), open_warehouse(settings), release)
