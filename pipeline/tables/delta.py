"""One Delta table in a folder or under an S3 prefix: create, evolve, load at a version, commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError, TableNotFoundError

from pipeline.errors import InputError
from pipeline.tables.faults import means_absent, translated
from pipeline.tables.schema import Table

if TYPE_CHECKING:
    import pyarrow.dataset as pa_dataset  # at run time it would load pandas, which most commands do without

EVOLVED = "atelier.evolved"
"""Table property: columns were added after the first write, so that older files lack some."""

FILE_BYTES = 64 * 2**20
"""Data files are cut at this size."""

ROW_GROUP_ROWS = 128 * 1024
"""Rows a row group: small enough that readers of one key range skip most of a large file."""

COMPACT_COMMIT_S = 60

CHECKPOINT_COMMITS = 25
"""Whoever opens a table reads the last checkpoint and the commits since, one small file each."""

_STATISTICS = ("image_key", "batch_id", "product_id")


@dataclass(frozen=True)
class TableFacts:
    """Size of a table at its newest version: live rows, files and bytes."""

    version: int
    rows: int
    files: int
    bytes: int


@dataclass(frozen=True)
class DeltaFolder:
    """Where a declared table lies; holds no state, so that threads and processes may share it.

    `uri` ends with the table's name.
    `options` gives what the library needs to reach `uri`, asked anew each time because credentials expire.
    """

    table: Table
    uri: str
    options: Callable[[], dict[str, str]]

    def load(self, version: int | None = None) -> DeltaTable | None:
        """The table at `version` (None: the newest); None where it was never created.

        Raises:
            InputError: there is no such version (any more).
        """
        with translated(self.table.name, self.uri):
            try:
                return DeltaTable(self.uri, version=version, storage_options=self.options())
            except TableNotFoundError as error:
                if means_absent(error):
                    return None
                raise
            except DeltaError as error:
                if version is not None and "LogSegment" in str(error):
                    raise InputError(f"table {self.table.name} has no version {version}") from error
                raise

    def load_or_create(self) -> DeltaTable:
        """The newest version with all declared columns, made or widened first where needed."""
        loaded = self.load()
        if loaded is None:
            return self._create()
        present = {field.name: field.type for field in pa.schema(loaded.schema().to_arrow())}
        self._refuse_other_columns(present)
        missing = [f for f in self.table.arrow_schema if f.name not in present]
        return self._widen(loaded, missing) if missing else loaded

    def put_batch(self, delta: DeltaTable, batch_id: str, rows: pa.Table, *, rebase: bool = True) -> int:
        """Commit `rows` (may be empty) as the rows of a batch in place of those it has; returns the version.

        A batch that no file holds yet is appended, which costs the same however many files there are. The commit
        carries the batch's name as a transaction, so that of two attempts that both saw it missing one fails.

        Args:
            delta: the version this write rests on.
            batch_id: all rows are of it.
            rows: in the declared columns.
            rebase: whether the commit may land behind others made since `delta` that do not touch this batch. False is
                a compare-and-swap on the version: any commit since then makes this one fail.

        Raises:
            StaleError: another commit came first.
        """
        predicate = f"batch_id = {sql_text(batch_id)}"
        transaction = Transaction(app_id=f"batch {batch_id}", version=delta.version())
        properties = CommitProperties(max_commit_retries=None if rebase else 0, app_transactions=[transaction])
        if delta.file_uris(file_pruning_predicate=predicate):
            return self._write(delta, rows, properties, mode="overwrite", predicate=predicate)
        return self._write(delta, rows, properties, mode="append") if rows.num_rows else delta.version()

    def overwrite(self, delta: DeltaTable, rows: pa.Table | pa.RecordBatchReader, predicate: str | None) -> int:
        """Commit `rows` in place of those that match `predicate` (SQL; None: of all); returns the new version.

        Raises:
            StaleError: rows that match were changed since `delta`.
        """
        return self._write(delta, rows, CommitProperties(), mode="overwrite", predicate=predicate)

    def _write(
        self,
        delta: DeltaTable,
        rows: pa.Table | pa.RecordBatchReader,
        properties: CommitProperties,
        mode: Literal["append", "overwrite"],
        predicate: str | None = None,
    ) -> int:
        condition: dict[str, Any] = {"predicate": predicate} if predicate else {}
        with translated(self.table.name, self.uri):
            write_deltalake(
                delta,
                rows,
                mode=mode,
                target_file_size=FILE_BYTES,
                writer_properties=writer_properties(self.table),
                commit_properties=properties,
                **condition,
            )
            return delta.version()

    def compact(self, delta: DeltaTable, partition: str | None) -> int:
        """Write the small files of one partition anew as few large ones, neighbors staying neighbors; how many went.

        No row changes. A batch that is appended meanwhile is no conflict; progress is committed every minute, so that
        an attempt that is killed leaves only files that nothing refers to.

        Args:
            delta: the version it starts from.
            partition: value of the column the table is partitioned by; None where there is no such column.

        Raises:
            StaleError: somebody replaced one of the files meanwhile; what was committed before stays.
        """
        filters = None if partition is None else [(self.table.partition_by[0], "=", partition)]
        with translated(self.table.name, self.uri):
            done = delta.optimize.compact(
                partition_filters=filters,
                target_size=FILE_BYTES,
                max_concurrent_tasks=2,
                min_commit_interval=COMPACT_COMMIT_S,
                writer_properties=writer_properties(self.table),
            )
        return done["numFilesRemoved"]

    def small_files(self, delta: DeltaTable) -> dict[str | None, int]:
        """How many files of each partition (None: the table has none) are worth joining."""
        with translated(self.table.name, self.uri):
            files = pa.table(delta.get_add_actions(flatten=True))
        small = files.filter(pc.less(files.column("size_bytes"), FILE_BYTES // 2))
        if not self.table.partition_by:
            return {None: small.num_rows}
        return dict(Counter(small.column(f"partition.{self.table.partition_by[0]}").to_pylist()))

    def vacuum(self, delta: DeltaTable, keep_hours: int, keep_versions: Iterable[int], *, dry_run: bool) -> list[str]:
        """Remove files that have not been part of the table for `keep_hours` and of none of `keep_versions`.

        Files that no version refers to (an attempt that was killed) go as well, once they are that old.

        Returns:
            Paths relative to the table; files among them may be gone already.
        """
        with translated(self.table.name, self.uri):
            return delta.vacuum(
                retention_hours=keep_hours,
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=sorted(set(keep_versions)),
            )

    def dataset(self, delta: DeltaTable, pruning: str | None = None) -> pa_dataset.Dataset:
        """The files of `delta` that may hold rows matching `pruning` (SQL on statistics), as a lazy Arrow data set."""
        with translated(self.table.name, self.uri):
            return delta.to_pyarrow_dataset(filesystem=self.filesystem(), file_pruning_predicate=pruning)

    def files(self, delta: DeltaTable, pruning: str | None = None) -> list[str]:
        """Paths of the live files that may hold rows matching `pruning` (SQL on statistics), relative to the table.

        The library's absolute paths are percent-encoded as if they were URLs, which no file system understands.
        """
        with translated(self.table.name, self.uri):
            uris = delta.file_uris(file_pruning_predicate=pruning)
        end_of_root = f"/{self.table.name}/"
        return [uri.rpartition(end_of_root)[2] for uri in uris]

    def facts(self) -> TableFacts | None:
        """Size of the newest version, from the log alone; None where the table was never created."""
        delta = self.load()
        if delta is None:
            return None
        with translated(self.table.name, self.uri):
            files = pa.table(delta.get_add_actions(flatten=True))
        rows, size = (pc.sum(files.column(name)).as_py() or 0 for name in ("num_records", "size_bytes"))
        return TableFacts(delta.version(), rows, files.num_rows, size)

    def filesystem(self) -> pa_fs.FileSystem:
        """Arrow's own file system, rooted at the table.

        The Delta library offers one too, but its reads go through Python: slower, and a process that stops reading
        early (LIMIT) crashes when it ends.
        """
        if not self.uri.startswith("s3://"):
            return pa_fs.SubTreeFileSystem(self.uri, pa_fs.LocalFileSystem())
        options = self.options()
        scheme, _, host = options.get("AWS_ENDPOINT_URL", "").rpartition("://")
        s3 = pa_fs.S3FileSystem(
            access_key=options.get("AWS_ACCESS_KEY_ID"),
            secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
            session_token=options.get("AWS_SESSION_TOKEN"),
            region=options.get("AWS_REGION"),
            endpoint_override=host or None,
            scheme=scheme or "https",
        )
        return pa_fs.SubTreeFileSystem(self.uri.removeprefix("s3://"), s3)

    def _create(self) -> DeltaTable:
        with translated(self.table.name, self.uri):
            try:
                return DeltaTable.create(
                    self.uri,
                    self.table.arrow_schema,
                    mode="error",
                    partition_by=list(self.table.partition_by),
                    name=self.table.name,
                    description=self.table.description,
                    configuration=_configuration(self.table),
                    storage_options=self.options(),
                )
            except DeltaError:
                loaded = self.load()  # another process may have been quicker
                if loaded is None:
                    raise
                return loaded

    def _refuse_other_columns(self, present: dict[str, pa.DataType]) -> None:
        declared = self.table.column
        for name, kind in present.items():
            where = f"table {self.table.name} at {self.uri}, column {name}"
            if name not in declared:
                raise InputError(f"{where}: was written by a newer Atelier, which this one must not overwrite")
            if kind != declared[name].type:
                raise InputError(f"{where}: is stored as {kind}, declared is {declared[name].type}")

    def _widen(self, delta: DeltaTable, missing: list[pa.Field]) -> DeltaTable:
        """Add columns that were declared after the table was made; a change of the log only."""
        for field in missing:
            if not field.nullable:
                raise InputError(f"table {self.table.name}, column {field.name}: added later, so it must be nullable")
        with translated(self.table.name, self.uri):
            delta.alter.set_table_properties({EVOLVED: "true"}, raise_if_not_exists=False)
            delta.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
        return delta


def sql_text(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def writer_properties(table: Table) -> WriterProperties:
    """How the table's files are written: zstd; but a table with vectors uncompressed (float16 noise does not shrink).

    The library sets the compression for all columns of a file alike, which is why vectors have a table of their own.
    """
    vectors = [c.name for c in table.columns if pa.types.is_binary(c.type)]
    plain = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
    return WriterProperties(
        compression="UNCOMPRESSED" if vectors else "ZSTD",
        compression_level=None if vectors else 3,
        max_row_group_size=ROW_GROUP_ROWS,
        column_properties=dict.fromkeys(vectors, plain) if vectors else None,
    )


def _configuration(table: Table) -> dict[str, str | None]:
    """Statistics in the log only for columns that prune files; old log entries stay, snapshots name them."""
    indexed = [name for name in _STATISTICS if name in table.column]
    return {
        "delta.dataSkippingStatsColumns": ",".join(indexed),
        "delta.enableExpiredLogCleanup": "false",
        "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
    }
