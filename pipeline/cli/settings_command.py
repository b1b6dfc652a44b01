"""`atelier settings`: every setting, its value, its meaning and how to change it."""

from __future__ import annotations

import typer
from rich.table import Table

from pipeline.cli.output import console, emit
from pipeline.settings import Section, settings


def attach(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("settings")(show)


def show() -> None:
    """Show every setting with its value and the environment variable that changes it."""
    current = settings()
    table = Table("setting", "value", "environment variable", "meaning", title="Settings")
    for name in type(current).model_fields:
        section: Section = getattr(current, name)
        for key, field in type(section).model_fields.items():
            variable = f"ATELIER_{name}__{key}".upper()
            table.add_row(f"{name}.{key}", repr(getattr(section, key)), variable, field.description or "")
    console.print(table)
    emit(current.model_dump(mode="json"))
