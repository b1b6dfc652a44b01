"""The data dictionary, from the declarations: `python -m pipeline.tables.dictionary > docs/data-dictionary.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pipeline.errors import Reason
from pipeline.tables.schema import TABLES, Column, Table
from pipeline.tables.sources import sql_type
from pipeline.tables.sql_files import SqlFile, read_sql

_HEAD = """# Data dictionary

Written by `python -m pipeline.tables.dictionary` from the declarations in `pipeline/tables/schema.py` and the headers
of `sql/`; a test keeps it current. Times are UTC. A score is a probability from 0 to 1, also where the label is null
because the head abstained.

`atelier sql` opens these tables and views. Tables marked *counted by the ledger* show only rows whose batch is in
`images`; schema `stored` (`stored.garments`, ...) shows all that was ever committed. `this_snapshot` has one row:
`number`, `release_id`, `run_id`, `taken_at` of the state that is open.
"""


def dictionary() -> str:
    """The whole document as Markdown."""
    parts = [_HEAD, "## Tables\n", *(_table(table) for table in TABLES.values())]
    parts += ["## Views\n", *(_view(view) for view in read_sql("views"))]
    parts += ["## Checks\n", _checks(read_sql("checks"))]
    parts += ["## Reasons of quarantine\n", _reasons()]
    return "\n".join(parts)


def _table(table: Table) -> str:
    notes = [f"key: {', '.join(f'`{name}`' for name in table.key)}"]
    notes += [f"partitioned by {', '.join(f'`{name}`' for name in table.partition_by)}"] if table.partition_by else []
    notes += ["counted by the ledger"] if table.ledgered else []
    rows = [f"| `{c.name}` | {sql_type(c.type)} | {_null(c)} | {c.unit} | {c.description} |" for c in table.columns]
    head = ["| column | type | null | unit | meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"### {table.name}", table.description, "", "; ".join(notes), "", *head, *rows, ""])


def _null(column: Column) -> str:
    return "may be" if column.nullable else ""


def _view(view: SqlFile) -> str:
    rows = [f"| `{name}` | {words} |" for name, words in view.columns.items()]
    head = ["| column | meaning |", "|---|---|"]
    return "\n".join([f"### {view.name}", view.purpose, "", f"grain: {view.fields['grain']}", "", *head, *rows, ""])


def _checks(checks: list[SqlFile]) -> str:
    rows = [f"| `{check.name}` | {check.fields['severity']} | {check.purpose} |" for check in checks]
    return "\n".join(["| check | severity | what has to hold |", "|---|---|---|", *rows, ""])


def _reasons() -> str:
    def lines() -> Iterator[str]:
        for reason in Reason:
            kind = "permanent: the bytes are bad" if reason.permanent else "temporary: tried again later"
            yield f"| `{reason}` | {kind} |"

    return "\n".join(["| code | kind |", "|---|---|", *lines(), "| `readmitted` | ends the quarantine |", ""])


if __name__ == "__main__":
    sys.stdout.write(dictionary())
