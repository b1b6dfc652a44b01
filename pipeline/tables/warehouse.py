"""The warehouse: typed, transactional tables that are replaced a batch at a time and read at pinned versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import tenacity

from pipeline.errors import InputError, SettingError, StaleError
from pipeline.settings import Settings
from pipeline.storage import open_store, storage_options
from pipeline.storage.probe import ensure_conditional_put
from pipeline.tables import ledger
from pipeline.tables.delta import DeltaFolder, TableFacts, sql_text
from pipeline.tables.faults import translated
from pipeline.tables.ledger import OverlapError
from pipeline.tables.rows import check_batch, check_batch_id, conform
from pipeline.tables.schema import TABLES, Table
from pipeline.tables.snapshots import Snapshot, Snapshots

if TYPE_CHECKING:
    import pyarrow.dataset as pa_dataset  # at run time it would load pandas, which most commands do without

COMMIT_PATIENCE_S = 120.0
"""How long a commit is tried again after losing against others; each loss costs about a tenth of a second."""

SCAN_BATCH_ROWS = 16_384
"""Rows a record batch of a scan."""


_UNFIT_IN_PATHS = re.compile(r"[%\[\]|^\\]")
_UNFIT_IN_S3 = re.compile(r"[^A-Za-z0-9_.~!'()$&;:@=+,/-]")


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse at `warehouse.uri`; nothing is read or written yet, tables appear with their first write."""
    return Warehouse(settings)


class Warehouse:
    """Tables under `<warehouse.uri>/tables`, as declared in `schema`. Threads and processes may share one.

    Opening raises `SettingError` for a URI that can't hold tables. Writes raise it where warehouse.uri can't be used,
    `TransientError` where it is full or does not answer, `StaleError` where other writers won for two minutes, and
    `InputError` where rows do not fit.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = open_store(settings.warehouse.uri, settings)
        _check_uri(self.store.uri)
        self.snapshots = Snapshots(self.store)
        self._trusted = "://" not in self.store.uri

    def folder(self, table: str) -> DeltaFolder:
        """Where `table` lies.

        Raises:
            InputError: no such table is declared.
        """
        if table not in TABLES:
            raise InputError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
        root = self.store.uri
        return DeltaFolder(
            TABLES[table],
            f"{root}/tables/{table}" if "://" in root else str(Path(root) / "tables" / table),
            lambda: storage_options(self.settings.warehouse.uri, self.settings),
        )

    def version(self, table: str) -> int | None:
        """Newest version of `table`; None: not created yet."""
        loaded = self.folder(table).load()
        return None if loaded is None else loaded.version()

    def versions(self) -> dict[str, int | None]:
        """Newest version of every table, `images` first: batches that it counts are then in the others' versions."""
        return {table: self.version(table) for table in ("images", *(name for name in TABLES if name != "images"))}

    def facts(self) -> dict[str, TableFacts | None]:
        """Version and size of every table, from the logs alone; None: not created yet."""
        return {table: self.folder(table).facts() for table in TABLES}

    def snapshot(self, release_id: str, run_id: str) -> Snapshot:
        """Name the present version of every table in a new snapshot; what reads it sees one state for ever."""
        return self.snapshots.take(release_id, run_id, self.versions)

    def latest_snapshot(self) -> Snapshot | None:
        """The newest snapshot; None before the first."""
        return self.snapshots.latest()

    def load_snapshot(self, number: int) -> Snapshot:
        """A snapshot by its number.

        Raises:
            InputError: there is none of that number.
        """
        return self.snapshots.load(number)

    def replace_batch(self, table: str, batch_id: str, rows: pa.Table) -> int:
        """Make `rows` (may be empty) the rows of `batch_id`, in one commit; returns the table's version.

        Running it again with the same rows changes nothing that can be seen. `images` has `commit_images` for this.
        """
        folder = self.folder(table)
        if not folder.table.batched or table == "images":
            raise InputError(f"table {table} is not written with replace_batch")
        check_batch_id(batch_id)
        rows = conform(folder.table, rows)
        check_batch(folder.table, batch_id, rows)
        return self._commit(lambda: folder.put_batch(folder.load_or_create(), batch_id, rows))

    def commit_images(self, batch_id: str, release_id: str, rows: pa.Table) -> int:
        """Enter a batch into the ledger: its last write, which makes its rows in other tables count.

        Running a batch again replaces its own rows. Returns the table's version.

        Raises:
            OverlapError: some (image_key, etag, release_id) are there under another batch; nothing was committed.
        """
        folder = self.folder("images")
        check_batch_id(batch_id)
        rows = conform(folder.table, rows)
        check_batch(folder.table, batch_id, rows)
        ledger.check_once(rows, release_id)
        return self._commit(lambda: ledger.commit_once(folder, batch_id, release_id, rows, self.settings.sql))

    def replace_keys(self, table: str, prefix: str, rows: Iterable[pa.RecordBatch]) -> int:
        """Replace the rows whose image_key begins with `prefix` (empty: all) by a stream; returns the version.

        Args:
            table: one that is not written by batches, with a column image_key: `catalog`.
            prefix: every row has to begin with it.
            rows: in order of image_key, so that files can be skipped by it; read once, never held as a whole.

        Raises:
            StaleError: the table changed meanwhile; the stream is spent, so the caller has to start over.
        """
        folder = self.folder(table)
        if folder.table.batched or "image_key" not in folder.table.column:
            raise InputError(f"table {table} is not written with replace_keys")
        return self._stream_in(folder, (_with_prefix(folder.table, batch, prefix) for batch in rows), prefix)

    def overwrite(self, table: str, rows: pa.Table) -> int:
        """Replace all rows of a table that is not written by batches; returns the version."""
        folder = self.folder(table)
        if folder.table.batched:
            raise InputError(f"table {table} is not written with overwrite")
        rows = conform(folder.table, rows)
        return self._commit(lambda: folder.overwrite(folder.load_or_create(), rows, None))

    def read(
        self,
        table: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,
    ) -> pa.Table:
        """All rows of a version (None: the newest) in memory; for tables and filters known to be small. See `scan`."""
        return self.scan(table, version=version, columns=columns, filter=filter).read_all()

    def scan(
        self,
        table: str,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,
    ) -> pa.RecordBatchReader:
        """Stream the rows of a version (None: the newest), in no particular order.

        Args:
            table: a table that was never written yields no rows.
            version: as `version()` or a snapshot names it.
            columns: those to read, in this order; None: all that are declared.
            filter: rows to keep, as a `pyarrow.compute` expression over any column; files are skipped by it.

        Returns:
            Record batches of the declared schema; columns that the version did not have yet are null.
        """
        folder = self.folder(table)
        schema = _chosen(folder.table, columns)
        delta = folder.load(version)
        if delta is None:
            if version is not None:
                raise InputError(f"table {table} has no version {version}: it does not exist yet")
            return pa.RecordBatchReader.from_batches(schema, iter(()))
        dataset = _with_all_columns(folder.dataset(delta), folder.table)
        scanner = dataset.scanner(
            columns=schema.names, filter=filter, batch_size=SCAN_BATCH_ROWS, batch_readahead=4, fragment_readahead=4
        )

        def batches() -> Iterator[pa.RecordBatch]:
            with translated(table, folder.uri):
                for batch in scanner.to_batches():
                    yield _declared(batch, schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _commit(self, attempt: Callable[[], int]) -> int:
        """Run `attempt` again while it loses against other writers, with growing random waits."""
        self._trust_store()
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, StaleError) and not isinstance(e, OverlapError)),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2.0),
            stop=tenacity.stop_after_delay(COMMIT_PATIENCE_S),
            reraise=True,
        )(attempt)

    def _trust_store(self) -> None:
        """Refuse an S3-protocol store that would lose commits, once a process, before the first write."""
        if not self._trusted:
            ensure_conditional_put(self.store, self.settings.s3.endpoint_url)
            self._trusted = True

    def _stream_in(self, folder: DeltaFolder, batches: Iterator[pa.RecordBatch], prefix: str) -> int:
        """Commit a stream; an error raised by it comes out as itself (the library would make text of it)."""
        failed: list[Exception] = []

        def guarded() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches
            except Exception as error:
                failed.append(error)
                raise

        self._trust_store()
        reader = pa.RecordBatchReader.from_batches(folder.table.arrow_schema, guarded())
        try:
            return folder.overwrite(folder.load_or_create(), reader, prefix_predicate("image_key", prefix))
        except Exception:
            if failed:
                raise failed[0] from None
            raise


def _check_uri(uri: str) -> None:
    """The Delta library decodes, splits or refuses some characters that a folder's name may hold."""
    unfit = _UNFIT_IN_S3 if "://" in uri else _UNFIT_IN_PATHS
    found = sorted(set(unfit.findall(uri.removeprefix("s3://"))))
    if found:
        raise SettingError(f"warehouse.uri is {uri!r}: tables can't lie there because of {' '.join(map(repr, found))}")


def prefix_predicate(column: str, prefix: str) -> str | None:
    """SQL for "column begins with prefix" as a range of code points, which file statistics can answer; None: all."""
    if not prefix:
        return None
    low = f"{column} >= {sql_text(prefix)}"
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return low
    following = ord(stem[-1]) + 1
    after = stem[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)  # no half surrogates in UTF-8
    return f"{low} AND {column} < {sql_text(after)}"


def _with_prefix(table: Table, batch: pa.RecordBatch, prefix: str) -> pa.RecordBatch:
    rows = conform(table, pa.Table.from_batches([batch]))
    keys = rows.column("image_key")
    outside = keys.filter(pc.invert(pc.starts_with(keys, pattern=prefix)))
    if len(outside):
        raise InputError(f"table {table.name}, column image_key: {outside[0]} does not begin with {prefix!r}")
    return pa.RecordBatch.from_arrays([c.combine_chunks() for c in rows.columns], schema=table.arrow_schema)


def _chosen(table: Table, columns: Sequence[str] | None) -> pa.Schema:
    unknown = [name for name in columns or () if name not in table.column]
    if unknown:
        raise InputError(f"table {table.name} has no column {', '.join(unknown)}; it has {', '.join(table.column)}")
    schema = table.arrow_schema
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _with_all_columns(dataset: pa_dataset.Dataset, table: Table) -> pa_dataset.Dataset:
    """The data set with every declared column; those its files lack read as null."""
    present = set(dataset.schema.names)
    missing = [field for field in table.arrow_schema if field.name not in present]
    for field in missing:
        if not field.nullable:
            raise InputError(f"table {table.name} was written without the column {field.name}, which may not be null")
    return dataset.replace_schema(pa.schema([*dataset.schema, *missing])) if missing else dataset


def _declared(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under the declared schema, which also says what may be null."""
    return pa.RecordBatch.from_arrays([batch.column(f.name).cast(f.type) for f in schema], schema=schema)
