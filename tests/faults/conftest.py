"""One tiny release and the rows of a night that nothing disturbs."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.fault_shop import Rows, fill, night, photos, rows_that_count, settings_at
from tiny_release import write_tiny_release


@pytest.fixture(scope="session")
def fault_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_release(tmp_path_factory.mktemp("fault-release"))


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory, fault_release: Path) -> Rows:
    """What every test here has to end with."""
    root = tmp_path_factory.mktemp("calm")
    settings = settings_at(str(root), fault_release, root / "spill")
    fill(settings)
    night(settings)
    rows = rows_that_count(settings)
    assert len(rows["images"]) + len(rows["quarantine"]) == len(photos())
    assert len(rows["images"]) == 10 and len(rows["garments"]) >= 3
    return rows
