"""The shop's feed: one row a product, as Parquet or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, ObjectStore, open_store
from pipeline.tables.database import scratch
from pipeline.tables.schema import FEED

NAMES = ("feed.parquet", "feed.csv")
"""Looked for in the catalog where `catalog.feed` is not set."""

SEPARATOR = "|"
"""Between the keys of a product in the column `image_keys` of a CSV."""

ROWS = 50_000
SHOWN = 5
"""Offending rows named in a message."""


def load_feed(settings: Settings, con: duckdb.DuckDBPyConnection) -> bool:
    """Read the feed into the tables `feed` (as declared) and `feed_images` (image_key, product_id) of `con`.

    Columns are those of the table `feed`; `product_id` is needed, others may be absent and further ones are ignored.
    An optional column `image_key` (text) or `image_keys` (a list; in a CSV text separated by `|`) says which photos
    show the product. A photo that several products claim goes to the first of them by product_id.

    Returns:
        False where there is no feed, which is fine unless `catalog.feed` names one: both tables are empty then.

    Raises:
        InputError: `catalog.feed` names nothing; the file is broken; product_id is missing; a column has a type that
            does not fit; a row has no product_id, a price that is no number, or a product_id that an earlier row has.
    """
    columns = ", ".join(f"{c.name} {'DOUBLE' if c.type == pa.float64() else 'VARCHAR'}" for c in FEED.columns)
    con.execute(f"CREATE TABLE feed_rows (row_number BIGINT, {columns})")
    con.execute("CREATE TABLE feed_claims (image_key VARCHAR, product_id VARCHAR)")
    found = _find(settings)
    if found is not None:
        store, key = found
        name = f"the feed {store.uri}/{key}"
        with _local_copy(store, key, settings) as path:
            _insert(path, name, con)
        _check_rows(name, con)
    names = ", ".join(c.name for c in FEED.columns)
    con.execute(f"CREATE TABLE feed AS SELECT {names} FROM feed_rows ORDER BY product_id")
    con.execute(
        "CREATE TABLE feed_images AS"
        " SELECT image_key, min(product_id) AS product_id FROM feed_claims GROUP BY image_key"
    )
    con.execute("DROP TABLE feed_rows")
    con.execute("DROP TABLE feed_claims")
    return found is not None


def _find(settings: Settings) -> tuple[ObjectStore, str] | None:
    """Store and key of the feed; None where none is named and none lies at the usual places."""
    named = settings.catalog.feed
    if named is None:
        store = open_store(settings.catalog.uri, settings)
        return next(((store, name) for name in NAMES if store.head(name)), None)
    absolute = "://" in named or named.startswith(("/", "~"))
    folder, _, name = named.rpartition("/") if absolute else (settings.catalog.uri, "", named)
    if PurePosixPath(name).suffix.lower() not in {".parquet", ".csv"}:
        raise InputError(f"catalog.feed is {named!r}: it may name a .parquet or a .csv file")
    store = open_store(folder or "/", settings)
    if store.head(name) is None:
        raise InputError(f"catalog.feed is {named!r}, but there is no {store.uri}/{name}")
    return store, name


@contextmanager
def _local_copy(store: ObjectStore, key: str, settings: Settings) -> Iterator[Path]:
    """The feed as a local file."""
    local = store.local_path(key)
    if local is not None:
        yield local
        return
    with scratch(settings.sql) as folder:
        path = folder / PurePosixPath(key).name
        try:
            store.get_file(key, path)
        except ObjectMissing as error:
            raise InputError(f"the feed {store.uri}/{key} vanished while it was read") from error
        yield path


def _insert(path: Path, name: str, con: duckdb.DuckDBPyConnection) -> None:
    """Stream the file into `feed_rows` and `feed_claims`."""
    row = 1
    try:
        for batch in _batches(path, name):
            rows = _feed_columns(batch, name, row)
            con.register("incoming", rows)
            con.execute(f"INSERT INTO feed_rows SELECT {', '.join(rows.column_names)} FROM incoming")
            claims = _claims(batch, rows.column("product_id").combine_chunks(), name)
            if claims is not None:
                con.register("incoming", claims)
                con.execute("INSERT INTO feed_claims SELECT image_key, product_id FROM incoming")
            row += len(batch)
        con.unregister("incoming") if row > 1 else None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{name} can't be read: {error}") from error


def _batches(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Record batches of the wanted columns, as the file has them (all text in a CSV)."""
    wanted = {*(c.name for c in FEED.columns), "image_key", "image_keys"}
    if path.suffix.lower() == ".parquet":
        with pq.ParquetFile(path) as file:
            _check_header(file.schema_arrow.names, name)
            yield from file.iter_batches(ROWS, columns=[n for n in file.schema_arrow.names if n in wanted])
        return
    header, delimiter = _csv_header(path, name)
    _check_header(header, name)
    reader = pa_csv.open_csv(
        path,
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            include_columns=[n for n in header if n in wanted],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )
    yield from reader


def _csv_header(path: Path, name: str) -> tuple[list[str], str]:
    """Column names and the delimiter: comma, semicolon or tab, whichever is in the first line most."""
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text in UTF-8: {error}") from None
    delimiter = max(",;\t", key=text.count)
    return [column.strip('"') for column in text.split(delimiter)], delimiter


def _check_header(names: list[str], name: str) -> None:
    """Refuse a feed without product_id, or with a column twice."""
    if "product_id" not in names:
        raise InputError(f"{name} has no column product_id; its columns are {', '.join(names) or 'none'}")
    for column in (*(c.name for c in FEED.columns), "image_key", "image_keys"):
        if names.count(column) > 1:
            raise InputError(f"{name} has the column {column} {names.count(column)} times")


def _feed_columns(batch: pa.RecordBatch, name: str, first_row: int) -> pa.Table:
    """The batch's feed columns in their declared types, with row numbers from `first_row`."""
    columns: dict[str, pa.Array] = {"row_number": pa.array(range(first_row, first_row + len(batch)), pa.int64())}
    for column in FEED.columns:
        if column.name not in batch.schema.names:
            columns[column.name] = pa.nulls(len(batch), column.type)
        elif column.type == pa.float64():
            columns[column.name] = _numbers(batch.column(column.name), column.name, name, first_row)
        else:
            columns[column.name] = _text(batch.column(column.name), column.name, name)
    return pa.table(columns)


def _text(values: pa.Array, column: str, name: str) -> pa.Array:
    """Text without white space around it; empty is null. Whole numbers count as text, as exports write ids so."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    readable = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (readable or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise InputError(f"{name}, column {column}: has type {values.type}; text is needed")
    text = pc.utf8_trim_whitespace(values.cast(kind).cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _numbers(values: pa.Array, column: str, name: str, first_row: int) -> pa.Array:
    """Floating-point numbers; text is read as such."""
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if numeric or pa.types.is_null(kind):
        return values.cast(pa.float64())
    text = _text(values, column, name)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        bad = next((row, value) for row, value in enumerate(text.to_pylist(), first_row) if not _is_number(value))
        raise InputError(f"{name}, column {column}, row {bad[0]}: {bad[1]!r} is not a number") from None


def _is_number(value: str | None) -> bool:
    try:
        pa.array([value], pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _claims(batch: pa.RecordBatch, product_ids: pa.Array, name: str) -> pa.Table | None:
    """(image_key, product_id) of the photos that the feed names, if it does."""
    if "image_keys" in batch.schema.names:
        keys = batch.column("image_keys")
        if pa.types.is_string(keys.type):
            keys = pc.split_pattern(keys, SEPARATOR)
        if not (pa.types.is_list(keys.type) or pa.types.is_large_list(keys.type)):
            raise InputError(f"{name}, column image_keys: has type {keys.type}; a list of text is needed")
        owners = product_ids.take(pc.list_parent_indices(keys))
        keys = _text(pc.list_flatten(keys), "image_keys", name)
    elif "image_key" in batch.schema.names:
        owners, keys = product_ids, _text(batch.column("image_key"), "image_key", name)
    else:
        return None
    return pa.table({"image_key": keys, "product_id": owners}).filter(pc.is_valid(keys))


def _check_rows(name: str, con: duckdb.DuckDBPyConnection) -> None:
    """Refuse rows without a product_id and product_ids that come twice, naming the first few."""
    missing = con.execute(
        "SELECT row_number, count(*) OVER () FROM feed_rows WHERE product_id IS NULL ORDER BY row_number LIMIT ?",
        [SHOWN],
    ).fetchall()
    if missing:
        rows = ", ".join(str(row) for row, _ in missing)
        raise InputError(f"{name}, column product_id: empty in {missing[0][1]} rows (the first: {rows})")
    twice = con.execute(
        "SELECT product_id, min(row_number), max(row_number), count(*) OVER () FROM feed_rows"
        " GROUP BY product_id HAVING count(*) > 1 ORDER BY 2 LIMIT ?",
        [SHOWN],
    ).fetchall()
    if twice:
        examples = "; ".join(f"{product!r} in rows {first} and {last}" for product, first, last, _ in twice)
        raise InputError(f"{name}, column product_id: {twice[0][3]} values come more than once ({examples})")
