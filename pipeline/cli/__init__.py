"""The command line, `atelier`: wires settings to jobs.

Each job command writes one JSON line to stdout and everything for people to stderr, so that Airflow runs the very
command a person runs. Exit codes are those of `pipeline.errors`.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from importlib import import_module
from typing import Annotated

import typer

from models.errors import ModelError
from pipeline.cli import output
from pipeline.errors import AtelierError
from pipeline.settings import give

app = typer.Typer(
    name="atelier",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


MODULES = (
    "demo_command",
    "plan_commands",
    "enrich_commands",
    "quarantine_commands",
    "drift_command",
    "tables_commands",
    "index_commands",
    "search_commands",
    "retrieval_commands",
    "report_command",
    "status_command",
    "doctor_command",
    "settings_command",
    "detect_commands",
    "features_commands",
    "classify_commands",
    "annotate_commands",
    "translate_commands",
    "design_commands",
    "release_commands",
)
"""Modules of `pipeline.cli`, each with `attach(app)`, in the order of `atelier --help`; one line each."""


@app.callback()
def start(
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR; log lines go to stderr")] = "INFO",
    release: Annotated[str | None, typer.Option(help="use this release in place of the setting release.uri")] = None,
) -> None:
    """Turn a fashion shop's photos into tables and a search index. What can be changed: `atelier settings`."""
    if release is not None:
        give(release={"uri": release})
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.INFO)  # at DEBUG it logs what it signs, session token and all


@cache
def register() -> None:
    """Attach every command module, once; none imports anything heavy until one of its commands runs."""
    for module in MODULES:
        import_module(f"pipeline.cli.{module}").attach(app)


def main() -> None:
    """Run `atelier`; errors raised on purpose end in their message and exit code, not in a traceback."""
    register()
    try:
        app()
    except (AtelierError, ModelError) as error:
        output.console.print(
            f"{type(error).__name__}: {error}", markup=False, style="red", highlight=False, soft_wrap=True
        )
        raise SystemExit(getattr(error, "exit_code", 3)) from None
