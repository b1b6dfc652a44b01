"""Drift on rendered photos that a real backbone read: more of the same is no alarm, other photos are."""

from __future__ import annotations

import numpy as np
import pytest
from demo_shop import DemoShop, of_type
from tiny_release import write_tiny_release

from pipeline.drift.measure import JOB, measure_run
from pipeline.tables import runs
from pipeline.tables.schema import DRIFT_STATS

PRODUCTS = 30
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> DemoShop:
    """A first night of the whole range, one photo a product."""
    root = tmp_path_factory.mktemp("drift")
    made = DemoShop(root, write_tiny_release(root / "release"), drift={"min_photos": 20, "window_runs": 1})
    made.add(range(PRODUCTS), photos=1)
    assert {drift.state for drift in measure_run(made.warehouse, made.night(snapshot=False))} == {"not judged"}
    return made


def embedding(shop: DemoShop) -> str:
    """How the embeddings of the photos stand that were added since, held against the first night."""
    run_id = shop.night(snapshot=False)
    (drift,) = (one for one in measure_run(shop.warehouse, run_id) if one.stats.subject == "embedding")
    # forgotten again, so that the next test is held against the first night too
    forgotten = runs.batch_id(run_id, JOB, 0)
    shop.warehouse.replace_batch("drift_stats", forgotten, DRIFT_STATS.arrow_schema.empty_table())
    return drift.state


def test_more_of_the_same_is_no_alarm(shop: DemoShop) -> None:
    shop.add(range(PRODUCTS, 2 * PRODUCTS), photos=1)
    assert embedding(shop) == "ok"


def test_a_night_of_one_type_is_an_alarm(shop: DemoShop) -> None:
    shop.add(of_type("Sneakers", 2 + PRODUCTS)[2:], photos=1)
    assert embedding(shop) == "alarm"


def test_photos_in_other_colors_are_an_alarm(shop: DemoShop) -> None:
    """An export that lost its color profile: everything dark and blue."""
    shop.add_changed(lambda pixels: (255 - pixels * np.array([0.9, 0.6, 0.3])).astype(np.uint8))
    assert embedding(shop) == "alarm"
