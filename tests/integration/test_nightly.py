"""The nightly run as Airflow runs it: real photos in, tables, index and report out; the second night finds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import demo

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def shell(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would; its output is in the failure message."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr[-6000:]}"
    return done


def atelier(environment: dict[str, str], *arguments: str) -> dict:
    """The JSON line of one of the product's commands."""
    return json.loads(shell([str(BIN / "atelier"), *arguments], environment).stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A demo catalog with dirty files, an empty warehouse and an Airflow of its own."""
    root = tmp_path_factory.mktemp("nightly")
    demo.generate(root / "catalog", products=4, seed=11, photos_per_product=2, dirty=True)
    environment = {
        "ATELIER_CATALOG__URI": str(root / "catalog"),
        "ATELIER_WAREHOUSE__URI": str(root / "warehouse"),
        "ATELIER_ENRICH__MODEL_IMAGES": "8",
        "ATELIER_ENRICH__BATCH_IMAGES": "16",
        "AIRFLOW_HOME": str(root / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    shell([str(BIN / "airflow"), "db", "migrate"], environment)
    return environment


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_night_and_the_next(environment: dict[str, str]) -> None:
    catalog = Path(environment["ATELIER_CATALOG__URI"])
    shell([str(BIN / "airflow"), "dags", "test", "catalog_enrichment"], environment)

    status = atelier(environment, "status")
    photos = pq.read_table(catalog / "truth" / "images.parquet", columns=["image_key"]).num_rows
    assert status["photos"] >= photos
    assert status["photos"] == status["enriched"] + status["quarantined"]
    assert status["enriched"] >= photos
    assert status["quarantined"] > 0
    assert status["pending"] == 0
    assert Path(status["report_uri"]).read_text(encoding="utf8").startswith("<!doctype html>")
    found = atelier(environment, "search", "--image-key", status["sample_key"], "-k", "3")
    assert 1 <= len(found["hits"]) <= 3

    planned = atelier(environment, "plan")
    assert (planned["pending"], planned["batches"], planned["parts"]) == (0, 0, 0)
    shell([str(BIN / "airflow"), "dags", "test", "catalog_enrichment"], environment)
    again = atelier(environment, "status")
    assert {**again, "snapshot": 0, "report_uri": 0} == {**status, "snapshot": 0, "report_uri": 0}
