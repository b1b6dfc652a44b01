"""`atelier tables publish`, `published`, `gc`, `ddl`: plain Parquet copies for tools that know no transaction log."""

from __future__ import annotations

import typer


def attach(group: typer.Typer) -> None:
    """Add the commands to the group `tables`."""
