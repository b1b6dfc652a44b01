"""The .sql files of sql/: a header of comments that says what a statement is for, then the statement.

    -- purpose: what it answers (may go on over indented lines)
    -- grain: one row a ...
    -- columns:
    --   name: what it holds (may go on over lines that are indented further)
    --   images.*: every column of that table
    -- needs: enriched, quarantined
    select ...

Views and examples declare columns, checks a severity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from pipeline.errors import SettingError

ROOT = Path(__file__).resolve().parents[2] / "sql"
"""The folder of the statements, beside the package in the checkout."""

_FIELD = re.compile(r"-- ([a-z]+):\s*(.*)")
_MORE = re.compile(r"--   (.*)")


@dataclass(frozen=True)
class SqlFile:
    """One statement and its header, fields by name; `text` is the whole file."""

    path: Path
    fields: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        """What the view, check or example is called: the file's name."""
        return self.path.stem

    @property
    def purpose(self) -> str:
        """What it is for, in one line."""
        return " ".join(self.fields["purpose"].split())

    @property
    def statement(self) -> str:
        """The text without a semicolon at its end, so that it can stand in parentheses."""
        return self.text.strip().rstrip(";")

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the views it reads."""
        return tuple(name.strip() for name in self.fields.get("needs", "").split(",") if name.strip())

    @cached_property
    def columns(self) -> dict[str, str]:
        """Description of each column, in order."""
        found: dict[str, str] = {}
        name = ""
        for line in self.fields.get("columns", "").splitlines():
            if line.startswith(" "):
                found[name] += f" {line.strip()}"
            elif line:
                name, _, words = line.partition(":")
                found[name] = words.strip()
        return found


def read_sql(kind: str) -> list[SqlFile]:
    """The files of `sql/<kind>` (views, checks, examples) by name.

    Raises:
        SettingError: the folder is not where the package expects it, or a header lacks its purpose.
    """
    folder = ROOT / kind
    if not folder.is_dir():
        raise SettingError(f"the SQL files are missing: {folder} (run Atelier from its checkout or its image)")
    return [parse(path) for path in sorted(folder.glob("*.sql"))]


def parse(path: Path) -> SqlFile:
    """Read one file."""
    text = path.read_text(encoding="utf-8")
    fields: dict[str, str] = {}
    current = ""
    for line in text.splitlines():
        if match := _FIELD.fullmatch(line):
            current = match[1]
            fields[current] = match[2]
        elif (match := _MORE.fullmatch(line)) and current:
            fields[current] += "\n" + match[1]
        else:
            break
    if "purpose" not in fields:
        raise SettingError(f"{path} has no header line `-- purpose: ...`")
    return SqlFile(path, fields, text)


def in_order(files: list[SqlFile]) -> list[SqlFile]:
    """The files so that each comes behind those it needs.

    Raises:
        SettingError: one needs a file that is not there, or two need each other.
    """
    by_name = {file.name: file for file in files}
    for file in files:
        unknown = set(file.needs) - set(by_name)
        if unknown:
            raise SettingError(f"{file.path} needs {', '.join(sorted(unknown))}, which sql/views does not have")
    try:
        order = list(TopologicalSorter({file.name: sorted(file.needs) for file in files}).static_order())
    except CycleError as error:
        raise SettingError(f"views of sql/views need each other: {error.args[1]}") from None
    return [by_name[name] for name in order]
