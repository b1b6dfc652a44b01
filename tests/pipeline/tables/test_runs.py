"""The table `runs`: one row a part of a job in a run, replaced by its own retry."""

import json

from pipeline.settings import load_settings
from pipeline.tables import open_warehouse, runs


def test_a_retry_replaces_its_own_row_and_no_other(tmp_path):
    warehouse = open_warehouse(load_settings(warehouse={"uri": str(tmp_path)}))
    for run_id, job, tries in [("a", "index", 1), ("a", "publish", 1), ("b", "index", 1), ("a", "index", 2)]:
        runs.record(warehouse, job, run_id, {"tries": tries}, release_id="r", seconds=1.5)
    found = {row["batch_id"]: json.loads(row["details"])["tries"] for row in warehouse.read("runs").to_pylist()}
    expected = {("a", "index"): 2, ("a", "publish"): 1, ("b", "index"): 1}
    assert found == {runs.batch_id(run_id, job, 0): tries for (run_id, job), tries in expected.items()}


def test_parts_of_a_job_have_rows_of_their_own():
    assert len({runs.batch_id("a", "enrich", part) for part in range(50)}) == 50
