"""Typed tables at rest: what they hold (`schema`), how they are written and read (`Warehouse`), queried and checked."""

from pipeline.tables.checks import CheckResult, run_checks
from pipeline.tables.ledger import OverlapError
from pipeline.tables.query import connect
from pipeline.tables.snapshots import Snapshot
from pipeline.tables.warehouse import Warehouse, open_warehouse

__all__ = ["CheckResult", "OverlapError", "Snapshot", "Warehouse", "connect", "open_warehouse", "run_checks"]
