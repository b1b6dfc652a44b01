"""Kill -9 at any moment and run again: the same rows as without, none lost, none doubled."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from enrich_workers import night
from tiny_release import write_tiny_release

from pipeline import demo
from pipeline.catalog.quarantine import standing
from pipeline.settings import load_settings
from pipeline.tables import Warehouse, connect, open_warehouse
from pipeline.tables.schema import TABLES

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

VOLATILE = {"run_id", "batch_id", "enriched_at", "fetch_ms", "decode_ms", "model_ms", "happened_at", "next_retry_at"}
"""What may differ between two runs: who ran when and how fast, and the attempts of rejects that were tried again."""

NIGHT_S = 240.0

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def context() -> Iterator[ForkServerContext]:
    """Processes that start in milliseconds, because their parent has imported torch, and has no threads."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["enrich_workers"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # the server finds its preloads by nothing else
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    yield made


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings: a demo catalog of dozens of photos, clean and dirty, five batches, the tiny release."""
    root = tmp_path_factory.mktemp("kill")
    demo.generate(root / "catalog", products=9, seed=5, photos_per_product=3, dirty=True, sizes=((180, 240),))
    write_tiny_release(root / "release")
    return {
        "catalog": {"uri": str(root / "catalog")},
        "warehouse": {"uri": str(root / "undisturbed")},
        "release": {"uri": str(root / "release")},
        "decode": {"threads": 1, "working_side": 128, "max_pixels": 4_000_000},
        "fetch": {"threads": 2},
        "enrich": {"batch_images": 8, "model_images": 4},
    }


@pytest.fixture(scope="module")
def undisturbed(context: ForkServerContext, sections: dict[str, Any]) -> Rows:
    """The rows of one run that nobody kills."""
    attempt = Attempt(context, sections, None, None)
    assert attempt.end() == 0
    rows = rows_that_count(sections)
    assert len(rows["images"]) > 25 and len(rows["garments"]) > 10 and len(rows["quarantine"]) > 3
    assert len({row["image_key"] for row in rows["images"]}) == len(rows["images"])
    return rows


class Attempt:
    """One process that works on a night."""

    def __init__(
        self, context: ForkServerContext, sections: dict[str, Any], plan_id: str | None, kill_at_write: int | None
    ) -> None:
        self.reports = context.SimpleQueue()
        self.plan_id = plan_id
        self.process: ForkServerProcess = context.Process(
            target=night, args=(sections, plan_id, kill_at_write, self.reports)
        )
        self.process.start()

    def end(self) -> int | None:
        """Wait; the exit code, -9 after a kill."""
        self.process.join(NIGHT_S)
        assert self.process.exitcode is not None, "it hangs"
        while not self.reports.empty():
            said = self.reports.get()
            self.plan_id = said if isinstance(said, str) else self.plan_id
        return self.process.exitcode

    def kill_after(self, seconds: float) -> int | None:
        """Kill it from outside after a while, if it is not through by then."""
        time.sleep(seconds)
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, signal.SIGKILL)
        return self.end()


def rows_that_count(sections: dict[str, Any]) -> Rows:
    """All rows that readers see: the ledger's, those of its batches, photos in quarantine; less volatile columns."""
    warehouse = open_warehouse(load_settings(**sections))
    images = warehouse.read("images")
    batches = images.column("batch_id").unique()
    found = {"images": images, "quarantine": standing(warehouse)}
    for name in ("garments", "embeddings"):
        rows = warehouse.read(name)
        found[name] = rows.filter(pc.is_in(rows.column("batch_id"), value_set=batches))
    return {
        name: sorted(
            ({k: v for k, v in row.items() if k not in VOLATILE | {"attempts"}} for row in table.to_pylist()),
            key=lambda row, name=name: tuple(str(row[k]) for k in TABLES[name].key if k in row),
        )
        for name, table in found.items()
    }


def check_references(warehouse: Warehouse) -> None:
    """Every current garment and embedding belongs to a row of the ledger under the same batch."""
    with connect(warehouse) as con:
        for name in ("garments", "embeddings"):
            lost = con.sql(
                f"select count(*) from {name} semi join (select distinct batch_id from images) using (batch_id) "
                "anti join images using (image_key, etag, release_id, batch_id)"
            ).fetchall()
            assert lost == [(0,)], name


def test_killed_at_every_write(
    context: ForkServerContext, sections: dict[str, Any], undisturbed: Rows, tmp_path: Path
) -> None:
    """Attempt n dies at its nth write, before it and after it in turn; now a new plan, now the old one taken up."""
    here = sections | {"warehouse": {"uri": str(tmp_path / "warehouse")}}
    plan_id, killed = None, 0
    for number in range(80):
        attempt = Attempt(context, here, plan_id if number % 3 else None, number)
        code = attempt.end()
        plan_id = attempt.plan_id
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
    else:
        pytest.fail("it never came to an end")
    assert killed >= 8
    assert rows_that_count(here) == undisturbed
    check_references(open_warehouse(load_settings(**here)))


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments(
    seed: int,
    context: ForkServerContext,
    sections: dict[str, Any],
    undisturbed: Rows,
    tmp_path: Path,
) -> None:
    here = sections | {"warehouse": {"uri": str(tmp_path / "warehouse")}}
    chance = random.Random(seed)
    started = time.monotonic()
    elsewhere = sections | {"warehouse": {"uri": str(tmp_path / "timed")}}
    assert Attempt(context, elsewhere, None, None).end() == 0
    whole = time.monotonic() - started
    plan_id = None
    killed = 0
    for number in range(5):
        attempt = Attempt(context, here, plan_id if number % 2 else None, None)
        killed += attempt.kill_after(whole * chance.uniform(0.1, 0.6)) == -signal.SIGKILL
        plan_id = attempt.plan_id
    assert killed, "no attempt was alive long enough to be killed"
    assert Attempt(context, here, None, None).end() == 0
    assert rows_that_count(here) == undisturbed
    check_references(open_warehouse(load_settings(**here)))


def test_a_killed_attempt_that_lives_on_beside_its_retry(
    context: ForkServerContext, sections: dict[str, Any], undisturbed: Rows, tmp_path: Path
) -> None:
    """Three at once, two of them on one plan: every photo is in the ledger once."""
    here = sections | {"warehouse": {"uri": str(tmp_path / "warehouse")}}
    first = Attempt(context, here, None, 6)  # dies in its first batch, but leaves a plan
    first.end()
    others = [Attempt(context, here, plan, None) for plan in (first.plan_id, first.plan_id, None)]
    assert [attempt.end() for attempt in others] == [0, 0, 0]
    assert rows_that_count(here) == undisturbed
    check_references(open_warehouse(load_settings(**here)))
