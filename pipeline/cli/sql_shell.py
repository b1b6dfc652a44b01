"""The prompt of `atelier sql`: statements that end with `;`, and a few words that begin with a dot."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import duckdb

from pipeline.cli.output import console
from pipeline.errors import InputError
from pipeline.tables import answers
from pipeline.tables.query import notes_on
from pipeline.tables.sql_files import read_sql

HELP = """Statements end with `;`. Also:
  .tables        tables and views
  .columns NAME  columns of one of them
  .notes         tables that are not there yet or of an older schema
  .examples      questions to start from; .example NAME asks one
  .help          this
  .quit          leave (or Ctrl-D)
What each column means: docs/data-dictionary.md. Example:
  SELECT type, count(*) FROM enriched GROUP BY 1 ORDER BY 2 DESC;"""


def run_shell(con: duckdb.DuckDBPyConnection, title: str) -> None:
    """Answer statements from stdin until it ends; a wrong one is explained and the prompt comes back."""
    typed = sys.stdin.isatty()
    if typed:
        with suppress(ImportError):
            import readline  # noqa: F401 - importing it gives input() history and editing
        console.print(f"{title}. Statements end with `;`, `.help` helps, Ctrl-D leaves.", markup=False)
    for entry in _entries(input if typed else _quietly):
        if entry == ".quit":
            return
        try:
            _answer(con, entry)
        except InputError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
        except KeyboardInterrupt:
            console.print("interrupted")


def _quietly(_: str) -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _entries(read: Callable[[str], str]) -> Iterator[str]:
    """Dot words as they come; statements when a line ends with `;` or the input ends."""
    lines: list[str] = []
    while True:
        try:
            line = read("     -> " if lines else "atelier> ")
        except EOFError:
            if "".join(lines).strip():
                yield "\n".join(lines)
            return
        except KeyboardInterrupt:
            lines = []
            continue
        if not lines and line.strip().startswith("."):
            yield line.strip()
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []


def _answer(con: duckdb.DuckDBPyConnection, entry: str) -> None:
    if not entry.startswith("."):
        _ask(con, entry)
        return
    word, _, name = entry.partition(" ")
    if word == ".tables":
        answers.show(con, "SELECT view_name AS name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    elif word == ".notes":
        answers.show(con, "SELECT note FROM table_notes ORDER BY note")
    elif word == ".examples":
        for example in read_sql("examples"):
            console.print(f"{example.name}: {example.purpose}", markup=False, highlight=False)
    elif word == ".example" and name.strip() in (known := {e.name: e for e in read_sql("examples")}):
        console.print(known[name.strip()].text, markup=False, highlight=False)
        _ask(con, known[name.strip()].statement)
    elif word == ".columns" and name.strip():
        quoted = name.strip().replace('"', '""')
        answers.show(con, f'SELECT column_name, column_type FROM (DESCRIBE "{quoted}")')
    else:
        console.print(HELP, markup=False, highlight=False)


def _ask(con: duckdb.DuckDBPyConnection, query: str) -> None:
    for note in notes_on(con, query):
        console.print(note, style="yellow", markup=False, highlight=False)
    answers.show(con, query)
