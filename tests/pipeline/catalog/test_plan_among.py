"""Which of the pending photos a plan takes: ranges of dates and the newest first; what is to do stays the same."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from pipeline.catalog.decide import Among

DAY = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def dated(shop: Any) -> Any:
    """Ten photos whose keys run against their dates: 9.jpg is of the first of May, 0.jpg of the tenth."""
    for number in range(10):
        shop.put(f"{number}.jpg", f"photo {number}".encode())
        when = (DAY + timedelta(days=9 - number)).timestamp()
        os.utime(shop.root / "photos" / f"{number}.jpg", (when, when))
    return shop


def test_ranges_are_half_open_and_cover_everything_once(dated: Any) -> None:
    borders = [None, DAY + timedelta(days=3), DAY + timedelta(days=7), None]
    taken = [dated.pending(among=Among(since, until)) for since, until in pairwise(borders)]
    assert taken == [["7.jpg", "8.jpg", "9.jpg"], ["3.jpg", "4.jpg", "5.jpg", "6.jpg"], ["0.jpg", "1.jpg", "2.jpg"]]
    for plan in dated.plans:
        assert plan.left_out["other_dates"] == 10 - plan.pending
        assert plan.listed == plan.pending + sum(plan.left_out.values())


def test_a_range_does_not_shrink_the_catalog(dated: Any) -> None:
    dated.plan(among=Among(DAY, DAY + timedelta(days=1)))
    assert dated.warehouse.read("catalog").num_rows == 10


def test_the_newest_first_and_limits_count_within_the_range(dated: Any) -> None:
    assert dated.pending(limit=2) == ["0.jpg", "1.jpg"]
    assert dated.pending(limit=2, among=Among(until=DAY + timedelta(days=2), newest=True)) == ["8.jpg", "9.jpg"]
    plan = dated.plan(limit=3, among=Among(until=DAY + timedelta(days=8), newest=True))
    assert (plan.pending, plan.left_out["other_dates"], plan.left_out["over_limit"]) == (3, 2, 5)
    assert [i.image_key for batch in dated.batches(plan) for i in batch.images] == ["2.jpg", "3.jpg", "4.jpg"]


def test_waves_by_limit_come_to_an_end(dated: Any) -> None:
    waves = []
    while (plan := dated.plan(limit=4, among=Among(newest=True))).pending:
        waves.append(plan.pending)
        dated.enrich(plan)
    assert waves == [4, 4, 2]
