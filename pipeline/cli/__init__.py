"""The command line, `atelier`: wires settings to jobs.

Each job command writes one JSON line to stdout and everything for people to stderr, so that Airflow runs the very
command a person runs. Exit codes are those of `pipeline.errors`.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from pipeline.cli import output
from pipeline.errors import AtelierError

app = typer.Typer(
    name="atelier",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Turn a fashion shop's product photos into tables and a search index. Settings: `atelier settings`.",
)


def register() -> None:
    """Attach every command group; they import nothing heavy until a command runs."""
    from pipeline.cli import settings_command

    settings_command.attach(app)


def main() -> None:
    """Run `atelier`; errors raised on purpose end in their message and exit code, not in a traceback."""
    logging.basicConfig(level=os.environ.get("LOGLEVEL", "INFO"), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    register()
    try:
        app()
    except AtelierError as error:
        output.console.print(f"[bold red]{type(error).__name__}[/]: {error}", highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
