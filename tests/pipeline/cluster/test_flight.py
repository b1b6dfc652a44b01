"""What is under way on a cluster is bounded; clusters that can't be used are refused with the setting to change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_shop import Shop
from cluster_workers import deadly, doubled, ends_once, failing, slow, slow_if_first
from distributed import Client, KilledWorker

from pipeline.cluster.connect import await_capacity, for_workers, open_cluster, slots, worker_count
from pipeline.cluster.flight import Flight
from pipeline.errors import SettingError, TransientError
from pipeline.settings import DaskSettings, load_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def patient() -> DaskSettings:
    """Patient with workers that start again on a busy machine."""
    return DaskSettings(timeout_s=240)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_never_more_than_the_window_is_under_way(ahead: int, client: Client) -> None:
    taken, most = 0, 0

    def orders() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    landed = []
    for one in Flight(client, DaskSettings(ahead=ahead), doubled, str).run(orders()):
        most = max(most, taken - len(landed))
        landed.append(one)
    assert most == 2 * (1 + ahead)
    assert sorted((one.order, one.value) for one in landed) == [(number, 2 * number) for number in range(40)]


def test_results_in_order_wait_for_a_slow_one_within_the_window(client: Client) -> None:
    taken, most, landed = 0, 0, 0

    def orders() -> Iterator[int]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number

    for one in Flight(client, DaskSettings(), slow_if_first, str).in_order(orders()):
        most = max(most, taken - landed)
        assert one.value == landed
        landed += 1
    assert landed == 20
    assert most == 4


def test_an_order_that_fails_is_told_and_the_others_go_on(client: Client) -> None:
    landed = list(Flight(client, DaskSettings(), failing, str).run(range(6)))
    assert sorted(one.order for one in landed if one.error) == [1, 3, 5]
    assert {str(one.error) for one in landed if one.error} == {"1 is odd", "3 is odd", "5 is odd"}


def test_an_order_whose_worker_is_killed_is_done_by_another(client: Client, tmp_path: Path) -> None:
    landed = list(Flight(client, patient(), ends_once, lambda order: order.name).run([tmp_path / "a", tmp_path / "b"]))
    assert [(one.value, one.error) for one in landed] == [("done elsewhere", None)] * 2
    assert len(list(tmp_path.iterdir())) == 2


def test_an_order_that_workers_die_of_is_told_and_the_others_are_done(client: Client) -> None:
    flight = Flight(client, patient(), deadly, str)
    landed = {one.order: one for one in flight.run(range(4))}
    assert isinstance(landed[0].error, KilledWorker)
    again = [flight.alone(number) for number, one in landed.items() if number and one.error]  # died of their neighbor
    assert not any(one.error for one in again)
    assert {number for number, one in landed.items() if one.value == number} | {one.order for one in again} == {1, 2, 3}


def test_a_flight_that_is_left_takes_back_what_has_not_begun(client: Client) -> None:
    run = Flight(client, DaskSettings(ahead=5), slow, str).run([0.01] + [0.5] * 100)
    next(run)
    run.close()
    deadline = time.monotonic() + 20
    while client.processing() and any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(client.processing().values())


def test_a_scheduler_that_does_not_answer_is_named(shop: Shop) -> None:
    settings = shop.settings("none", dask={"address": "tcp://127.0.0.1:9", "timeout_s": 0.5})
    with pytest.raises(TransientError, match=r"dask\.address is 'tcp://127\.0\.0\.1:9'"), open_cluster(settings):
        pass


def test_an_address_that_is_none_is_refused(shop: Shop) -> None:
    settings = shop.settings("none", dask={"address": "gopher://there:1", "timeout_s": 0.5})
    with pytest.raises(SettingError, match=r"dask\.address is 'gopher://there:1'"), open_cluster(settings):
        pass


def test_resources_that_nobody_offers_are_named(client: Client) -> None:
    with pytest.raises(SettingError, match=r"dask\.resources = \{'GPU': 1\.0\}"):
        await_capacity(client, DaskSettings(resources={"GPU": 1}, timeout_s=0.1))


def test_a_worker_takes_as_much_as_its_resources_are_enough_for() -> None:
    worker = {"nthreads": 4, "resources": {"GPU": 1.0}, "status": "running"}
    assert slots(worker, {}) == 4
    assert slots(worker, {"GPU": 1}) == 1
    assert slots(worker, {"GPU": 0.1}) == 4
    assert slots(worker, {"GPU": 1 / 3}) == 3
    assert slots(worker, {"TPU": 1}) == 0
    assert slots(worker | {"status": "paused"}, {}) == 0


def test_workers_get_full_paths_and_their_share_of_the_cores(shop: Shop) -> None:
    settings = for_workers(
        load_settings(catalog={"uri": "photos"}, dask={"workers": 64, "threads_per_worker": 2}, decode={"threads": 3})
    )
    assert settings.catalog.uri.startswith("/") and settings.catalog.uri.endswith("/photos")
    assert settings.release.uri == "starter"
    assert (settings.enrich.threads, settings.decode.threads) == (1, 3)
    elsewhere = for_workers(load_settings(dask={"address": "tcp://there:8786"}, catalog={"uri": "s3://bucket/x"}))
    assert (elsewhere.enrich.threads, elsewhere.catalog.uri) == (0, "s3://bucket/x")
    assert worker_count(DaskSettings(workers=5)) == 5
    assert worker_count(DaskSettings()) >= 1
