"""sql/ddl is what the declarations give, and every statement is one of its engine's language."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from pipeline.errors import InputError
from pipeline.tables.ddl import DIALECTS, ddl
from pipeline.tables.schema import TABLES

ROOT = Path(__file__).parents[3]
CALLS = ("CALL", "MSCK")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_files_are_current(dialect: str) -> None:
    written = (ROOT / "sql" / "ddl" / f"{dialect}.sql").read_text(encoding="utf-8")
    assert written == ddl(dialect), f"run: atelier tables ddl {dialect} > sql/ddl/{dialect}.sql"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_parses(dialect: str) -> None:
    statements = [found for found in sqlglot.parse(ddl(dialect), dialect=dialect) if found is not None]
    created = [found for found in statements if isinstance(found, exp.Create)]
    others = [found for found in statements if not isinstance(found, exp.Create)]
    names = {found.find(exp.Table).name for found in created if found.kind in ("TABLE", "VIEW")}
    ledgered = {table.name for table in TABLES.values() if table.ledgered}
    assert names >= {"enriched_published", "products_published", *ledgered}
    called = [found.sql(dialect, comments=False) for found in others]
    assert all(text.upper().startswith(CALLS) for text in called), called
    registered = names | {table.removesuffix("_stored") for text in called for table in words(text)}
    assert registered >= set(TABLES) - ledgered


def words(text: str) -> list[str]:
    return [word.strip("'(),") for word in text.replace("=>", " ").split()]


def test_copies_declare_the_views_columns_with_the_folder_s_last() -> None:
    text = ddl("trino").split("enriched_published", 1)[1].split("WITH", 1)[0]
    lines = [line.split()[0].strip('"') for line in text.splitlines() if line.startswith("    ")]
    assert lines[0] == "image_key"
    assert lines[-1] == "type_folder"
    assert lines.count("type") == 1
    assert '"attributes" array(row(head varchar, label varchar, score real))' in text


def test_a_place_of_one_s_own() -> None:
    text = ddl("athena", "s3://b/w/", "00000001-abcdef", "shop")
    assert "LOCATION 's3://b/w/published/versions/00000001-abcdef/products/'" in text
    assert "CREATE EXTERNAL TABLE IF NOT EXISTS shop.images" in text
    assert "YOUR-BUCKET" not in text
    with pytest.raises(InputError, match="there is no DDL for 'oracle'; there is for athena, trino, spark"):
        ddl("oracle")
    with pytest.raises(InputError, match="can't be written into SQL"):
        ddl("spark", "s3://b/'; DROP TABLE x")
