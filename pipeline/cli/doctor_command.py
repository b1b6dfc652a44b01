"""`atelier doctor`: does everything work that a job needs?"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipeline.cli.output import console, emit

COLORS = {"ok": "green", "warning": "yellow", "failed": "red"}


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor")(doctor)


def doctor(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            help="look at this only: settings, catalog, warehouse, tables, release, device, faiss, disk, dask or "
            "airflow; again for more",
        ),
    ] = None,
) -> None:
    """Check that settings, stores, tables, models, device, search, disks, Dask and Airflow work: use each a little.

    Writes small objects under `probes/` of the warehouse and removes them; the catalog is only read. Prints what it
    found and, where something is wrong, the setting to change. The exit code is 0 if nothing failed (warnings are
    allowed), 75 if all that failed may pass by itself, else 3.

    Example: `atelier doctor --only settings --only warehouse`
    """
    from pipeline.doctor import State, examine

    findings = []
    with console.status("looking ...") as status:
        for finding in examine(only or ()):
            findings.append(finding)
            status.update(f"{finding.about}: {finding.state.value} ...")
    table = Table("", "state", "found", "change", title="Doctor")
    for one in findings:
        state = Text(one.state.value, style=COLORS[one.state.value])
        table.add_row(*(Text(one.about), state, Text(one.found), Text(one.change)))
    console.print(table)
    counts = Counter(one.state for one in findings)
    emit(
        {
            "ok": not counts[State.FAILED],
            **{state.value: counts[state] for state in (State.WARNING, State.FAILED)},
            "findings": [asdict(one) for one in findings],
        }
    )
    codes = {one.exit_code for one in findings if one.state is State.FAILED}
    if codes:
        raise typer.Exit(75 if codes == {75} else 3)
