"""CREATE statements for engines that read the warehouse in place: Athena, Trino and Spark.

Tables are registered where they lie, as Delta tables: their columns come from the log. Of tables that the ledger counts
(see docs/architecture.md) the rows as they lie are `<table>_stored`; a view over them shows the rows that count.
The published copies are declared column by column, over the folders of one version.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.settings import load_settings
from pipeline.tables.copies import COPIES, Copy
from pipeline.tables.query import connect
from pipeline.tables.schema import TABLES, Table
from pipeline.tables.sql_files import read_sql
from pipeline.tables.warehouse import open_warehouse

LOCATION = "s3://YOUR-BUCKET/warehouse"
VERSION = "CURRENT-VERSION"
DATABASE = "atelier"


@dataclass(frozen=True)
class Dialect:
    """How one engine says it: `names` of the scalar types, how lists and structs are written, and its statements."""

    name: str
    names: dict[str, str]
    list_of: Callable[[str], str]
    struct_of: Callable[[list[tuple[str, str]]], str]
    database: str
    delta: str
    copy: str
    view: str
    quote: str


_HIVE_NAMES = {
    "string": "string",
    "bool": "boolean",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "timestamp[us, tz=UTC]": "timestamp",
}
_TRINO_NAMES = _HIVE_NAMES | {
    "string": "varchar",
    "int32": "integer",
    "float": "real",
    "timestamp[us, tz=UTC]": "timestamp(6)",
}


def _hive_struct(fields: list[tuple[str, str]]) -> str:
    return "struct<" + ", ".join(f"{name}: {kind}" for name, kind in fields) + ">"


def _trino_struct(fields: list[tuple[str, str]]) -> str:
    return "row(" + ", ".join(f"{name} {kind}" for name, kind in fields) + ")"


DIALECTS = {
    "athena": Dialect(
        "athena",
        _HIVE_NAMES,
        lambda of: f"array<{of}>",
        _hive_struct,
        database="CREATE DATABASE IF NOT EXISTS {database};",
        delta="CREATE EXTERNAL TABLE IF NOT EXISTS {database}.{name}\nLOCATION '{location}/'\n"
        "TBLPROPERTIES ('table_type' = 'DELTA');",
        copy="CREATE EXTERNAL TABLE IF NOT EXISTS {database}.{name} (\n{columns}\n)\nPARTITIONED BY ({partition})\n"
        "STORED AS PARQUET\nLOCATION '{location}/';\n\nMSCK REPAIR TABLE {database}.{name};",
        view="CREATE OR REPLACE VIEW {database}.{name} AS\nSELECT * FROM {database}.{name}_stored\n"
        "WHERE batch_id IN (SELECT batch_id FROM {database}.images);",
        quote="`",
    ),
    "trino": Dialect(
        "trino",
        _TRINO_NAMES,
        lambda of: f"array({of})",
        _trino_struct,
        database="CREATE SCHEMA IF NOT EXISTS delta.{database};\n\nCREATE SCHEMA IF NOT EXISTS hive.{database};",
        delta="CALL delta.system.register_table(schema_name => '{database}', table_name => '{name}', "
        "table_location => '{location}');",
        copy="CREATE TABLE IF NOT EXISTS hive.{database}.{name} (\n{columns},\n    {partition}\n)\nWITH (\n"
        "    external_location = '{location}',\n    format = 'PARQUET',\n"
        "    partitioned_by = ARRAY['{partition_name}']\n"
        ");\n\nCALL hive.system.sync_partition_metadata(schema_name => '{database}', table_name => '{name}', "
        "mode => 'FULL');",
        view="CREATE OR REPLACE VIEW delta.{database}.{name} AS\nSELECT * FROM delta.{database}.{name}_stored\n"
        "WHERE batch_id IN (SELECT batch_id FROM delta.{database}.images);",
        quote='"',
    ),
    "spark": Dialect(
        "spark",
        _HIVE_NAMES,
        lambda of: f"array<{of}>",
        _hive_struct,
        database="CREATE DATABASE IF NOT EXISTS {database};",
        delta="CREATE TABLE IF NOT EXISTS {database}.{name}\nUSING DELTA\nLOCATION '{location}';",
        copy="CREATE TABLE IF NOT EXISTS {database}.{name} (\n{columns},\n    {partition}\n)\nUSING PARQUET\n"
        "PARTITIONED BY ({partition_name})\nLOCATION '{location}';\n\nMSCK REPAIR TABLE {database}.{name};",
        view="CREATE OR REPLACE VIEW {database}.{name} AS\nSELECT * FROM {database}.{name}_stored\n"
        "WHERE batch_id IN (SELECT batch_id FROM {database}.images);",
        quote="`",
    ),
}


def ddl(dialect: str, location: str = LOCATION, version: str = VERSION, database: str = DATABASE) -> str:
    """Every statement for one engine, as a file.

    Args:
        dialect: athena, trino or spark.
        location: the warehouse: s3://bucket/prefix.
        version: version of the published copies.
        database: database (schema) that the tables go into; in Trino of the catalogs `delta` and `hive`.

    Raises:
        InputError: no such dialect, or the location holds a quote.
    """
    if dialect not in DIALECTS:
        raise InputError(f"there is no DDL for {dialect[:100]!r}; there is for {', '.join(DIALECTS)}")
    if "'" in location + version or not database.isidentifier():
        raise InputError(f"{location!r}, {version!r}, {database!r} can't be written into SQL")
    engine, root = DIALECTS[dialect], location.rstrip("/")
    parts = [_head(dialect), engine.database.format(database=database)]
    parts += [part for table in TABLES.values() for part in _table(engine, table, root, database)]
    parts += list(_copies(engine, root, version, database))
    return "\n\n".join(parts) + "\n"


def _head(dialect: str) -> str:
    return (
        f"-- Written by `atelier tables ddl {dialect}` from the declarations; a test keeps it current. What columns\n"
        "-- mean: docs/data-dictionary.md. Your own warehouse and the live version of the copies are filled in by\n"
        f"-- `atelier tables ddl {dialect} --live`; after a publish, point the copies at the new version the same way."
    )


def _table(engine: Dialect, table: Table, root: str, database: str) -> Iterator[str]:
    name = f"{table.name}_stored" if table.ledgered else table.name
    words = f"-- {table.description}"
    yield f"{words}\n{engine.delta.format(database=database, name=name, location=f'{root}/tables/{table.name}')}"
    if table.ledgered:
        yield "-- The rows of committed batches.\n" + engine.view.format(database=database, name=table.name)


def _copies(engine: Dialect, root: str, version: str, database: str) -> Iterator[str]:
    purposes = {view.name: view.purpose for view in read_sql("views")}
    for copy, schema in _schemas():
        columns = ",\n".join(f"    {_quoted(engine, field.name)} {_type(engine, field.type)}" for field in schema)
        yield f"-- Published copy: {purposes[copy.view]}\n" + engine.copy.format(
            database=database,
            name=f"{copy.view}_published",
            columns=columns,
            partition=f"{_quoted(engine, copy.partition)} {engine.names['string']}",
            partition_name=copy.partition,
            location=f"{root}/published/versions/{version}/{copy.view}",
        )


def _schemas() -> list[tuple[Copy, pa.Schema]]:
    """The columns of the copied views, asked of a warehouse without any rows."""
    with tempfile.TemporaryDirectory() as folder:
        nowhere = load_settings(warehouse={"uri": f"{folder}/none"}, sql={"spill": folder, "threads": 1})
        with connect(open_warehouse(nowhere)) as con:
            return [(copy, con.sql(f'SELECT * FROM "{copy.view}" LIMIT 0').to_arrow_table().schema) for copy in COPIES]


def _type(engine: Dialect, kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return engine.list_of(_type(engine, kind.value_type))
    if pa.types.is_struct(kind):
        return engine.struct_of([(field.name, _type(engine, field.type)) for field in kind])
    return engine.names[str(kind)]


def _quoted(engine: Dialect, name: str) -> str:
    return f"{engine.quote}{name}{engine.quote}"
