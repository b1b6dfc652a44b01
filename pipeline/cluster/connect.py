"""The cluster a job works on: workers on this machine that live as long as the job, or the one at `dask.address`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dask import config as dask_config
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT

from pipeline.enrich.crew import cores
from pipeline.errors import SettingError, TransientError
from pipeline.settings import DaskSettings, Settings

log = logging.getLogger("atelier")

WORKER_BYTES = 2 * 2**30
"""Memory a worker with its own copy of the models is given room for, where their number is chosen here."""

DASK_CONFIG = {
    # how long a worker that died may take to be back; after 15 s, as is the default, Dask gives it up for good, which
    # is short for importing torch on a busy machine
    "distributed.deploy.lost-worker-timeout": "10 minutes",
    # how long a worker may be silent until it is ended; that one died is known at once here, without this
    "distributed.scheduler.worker-ttl": "30 minutes",
    # a worker that holds much memory is not paused: it holds models, not results that it could let go; beyond its share
    # of the machine's memory it is still ended and started again
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
"""For the workers on this machine, in place of Dask's own defaults."""

_LOOK_EVERY_S = 0.5
_ANSWER_WITHIN_S = 60.0


@contextmanager
def open_cluster(settings: Settings) -> Iterator[Client]:
    """A connected client; at the end it is closed, and workers on this machine with it.

    Raises:
        SettingError: dask.address is no address; no worker offers dask.resources.
        TransientError: no scheduler answers at dask.address, or it has no workers.
    """
    dask = settings.dask
    logging.getLogger("distributed").setLevel(logging.WARNING)  # it tells of every connection otherwise
    if dask.address is not None:
        with _connected(dask.address, dask.timeout_s) as client:
            _show(client, dask)
            yield client
        return
    with (
        dask_config.set(DASK_CONFIG),
        LocalCluster(
            n_workers=worker_count(dask),
            threads_per_worker=dask.threads_per_worker,
            host="127.0.0.1",
            dashboard_address=dask.dashboard or "127.0.0.1:0",  # without a page, a small server stays all the same
            silence_logs=logging.WARNING,
            resources=dict.fromkeys(dask.resources, 1.0),
            scheduler_kwargs={"allowed_failures": dask.allowed_failures, "dashboard": bool(dask.dashboard)},
        ) as cluster,
        Client(cluster) as client,
    ):
        _show(client, dask)
        yield client


def worker_count(dask: DaskSettings) -> int:
    """How many workers this machine gets: `dask.workers`, or one a core as far as its memory goes."""
    return dask.workers or max(1, min(cores(), MEMORY_LIMIT // WORKER_BYTES))


def for_workers(settings: Settings) -> Settings:
    """The settings that workers are sent: folders by their full path, this machine's cores shared out among them.

    Workers elsewhere have other working folders, and know best how many cores they have.
    """

    def full(uri: str) -> str:
        from pipeline.storage import open_store

        return uri if uri == "starter" else open_store(uri, settings).uri

    sections: dict[str, Any] = {
        name: getattr(settings, name).model_copy(update={"uri": full(getattr(settings, name).uri)})
        for name in ("catalog", "warehouse", "release")
    }
    rules = (
        rule.model_copy(update={"translator": str(Path(rule.translator).resolve())})
        if "://" not in rule.translator
        else rule
        for rule in settings.variants.rules
    )
    sections["variants"] = settings.variants.model_copy(update={"rules": tuple(rules)})
    if settings.dask.address is None:
        share = max(1, cores() // (worker_count(settings.dask) * settings.dask.threads_per_worker))
        for name in ("enrich", "decode"):
            section = getattr(settings, name)
            sections[name] = section.model_copy(update={"threads": section.threads or share})
    return settings.model_copy(update=sections)


def capacity(client: Client, asked: Mapping[str, float]) -> int:
    """How many batches the workers there are can be at, each of which takes `asked` of its worker."""
    return sum(slots(worker, asked) for worker in workers(client).values())


def slots(worker: Mapping[str, Any], asked: Mapping[str, float]) -> int:
    """How many batches one worker can be at: its threads, or what its resources are enough for; 0 if it is paused."""
    if worker["status"] != "running":
        return 0
    fits = (int(worker["resources"].get(name, 0.0) / need + 1e-9) for name, need in asked.items())
    return min([worker["nthreads"], *fits])


def workers(client: Client) -> Mapping[str, Any]:
    """What the scheduler knows of every worker, by address.

    Raises:
        TransientError: the scheduler is gone.
    """
    try:
        # not Client.scheduler_info: it waits without end for a scheduler that was lost while being asked
        identity = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_WITHIN_S)
        return dict(identity["workers"])
    except (OSError, RuntimeError, AttributeError) as error:  # a closed client raises RuntimeError or has no scheduler
        raise lost_scheduler() from error


def lost_scheduler() -> TransientError:
    """What to raise when the scheduler does not answer any more."""
    return TransientError("the Dask scheduler was lost; what was committed stays, run it again for the rest")


def await_capacity(client: Client, dask: DaskSettings) -> int:
    """Wait for a worker that can take a batch; returns how many batches can be worked on at once.

    Raises:
        SettingError: there are workers, but none offers what dask.resources asks for.
        TransientError: there are none.
    """
    until = time.monotonic() + dask.timeout_s
    while not (room := capacity(client, dask.resources)):
        if time.monotonic() > until:
            if workers(client):
                raise SettingError(
                    f"no Dask worker offers dask.resources = {dask.resources}: start some with `dask worker "
                    "--resources ...`, or leave the setting empty"
                )
            raise TransientError(f"there was no Dask worker for dask.timeout_s = {dask.timeout_s:g} s: start some")
        time.sleep(_LOOK_EVERY_S)
    return room


def _connected(address: str, timeout_s: float) -> Client:
    try:
        return Client(address, timeout=timeout_s)
    except ValueError as error:
        raise SettingError(f"dask.address is {address!r}, which is no address of a scheduler: {error}") from None
    except OSError as error:
        raise TransientError(
            f"dask.address is {address!r}, but no Dask scheduler answered there within dask.timeout_s = "
            f"{timeout_s:g} s: start it, or leave dask.address out to have workers on this machine ({error})"
        ) from None


def _show(client: Client, dask: DaskSettings) -> None:
    room = await_capacity(client, dask)
    where = f"at {dask.address}" if dask.address else "on this machine"
    page = client.dashboard_link if dask.address or dask.dashboard else "switched off (dask.dashboard)"
    log.info("Dask cluster %s: %d workers, %d batches at once; dashboard %s", where, len(workers(client)), room, page)
