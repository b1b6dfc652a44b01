"""`atelier report`: the page a person opens after a run."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.output import emit, log
from pipeline.settings import settings


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("report")(report)


def report(
    run: Annotated[str | None, typer.Option("--run", metavar="RUN_ID", help="which run; default: the latest")] = None,
    snapshot: Annotated[
        int | None, typer.Option(min=1, help="tables as of this snapshot; default: the run's own")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="open the page in the browser afterwards")] = False,
) -> None:
    """Write one self-contained HTML page about a run: numbers, next steps, checks, photos, drift, index, models.

    It goes to `<warehouse.uri>/reports/<run_id>.html`; `reports/index.html` lists all runs. The page needs no network
    and stays under 5 MB whatever the run's size: photos are small copies inside it, bounded in number
    and bytes by the settings `report.*`. The run's figures, for Prometheus, go to
    `<warehouse.uri>/metrics/<run_id>.prom`.

    **Examples**

    `atelier report --open`

    `atelier report --run 20261123T020000Z-1f3a9c`
    """
    from pipeline.metrics import write_metrics
    from pipeline.report.write import write_report

    written = write_report(settings(), run, snapshot)
    if written.run_id is None:
        log.warning("no run has been recorded yet: only the list of reports was written")
    metrics = write_metrics(settings(), written.run_id) if written.run_id else None
    facts = {"uri": written.uri, "run_id": written.run_id, "snapshot": written.snapshot, "bytes": written.bytes}
    emit({**facts, "metrics": metrics})
    if show:
        _open(written.uri, written.local is not None)


def _open(uri: str, local: bool) -> None:
    import webbrowser
    from pathlib import Path

    if not local:
        log.warning("--open works where warehouse.uri is a local folder; this report is at %s", uri)
    elif not webbrowser.open(Path(uri).resolve().as_uri()):
        log.warning("no browser could be started; open %s", uri)
