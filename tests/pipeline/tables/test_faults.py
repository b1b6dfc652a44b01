"""Storage that is full, forbidden or missing: the error says which setting, and nothing is half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from builders import Photo, commit, new_warehouse

from pipeline.errors import AtelierError, InputError, SettingError, TransientError
from pipeline.tables import connect
from pipeline.tables.faults import asked, translated

ON_A_FULL_DISK = """
import sys
from pathlib import Path
from builders import Photo, commit, new_warehouse
from pipeline.errors import TransientError
warehouse = new_warehouse(Path(sys.argv[1]))
commit(warehouse, [Photo("0.jpg")], "first")
number = 0
try:
    while number < 10_000:
        number += 1
        commit(warehouse, [Photo(f"{number}-{i}.jpg") for i in range(300)], f"b{number}")
except TransientError as error:
    print(error)
done = {row["batch_id"] for row in warehouse.read("images", columns=["batch_id"]).to_pylist()}
print(len(done) == number, warehouse.read("images").num_rows == 1 + 300 * (number - 1))
"""


def test_a_full_disk_is_named_and_leaves_whole_batches(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=700k tmpfs {disk}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    script = [sys.executable, "-c", ON_A_FULL_DISK, str(disk)]
    command = ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", *script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    message, verdict = done.stdout.strip().splitlines()
    assert "no space left at warehouse.uri" in message
    assert verdict == "True True"


def test_a_file_where_the_warehouse_should_be(tmp_path: Path) -> None:
    (tmp_path / "warehouse").write_text("not a folder")
    warehouse = new_warehouse(tmp_path)
    with pytest.raises(SettingError, match=r"table garments: warehouse\.uri \(.*\) can't be used: .*Not a directory"):
        commit(warehouse, [Photo("a.jpg")])
    with pytest.raises(SettingError, match=r"warehouse\.uri"):
        warehouse.read("images")


def test_sql_that_needs_more_room_than_there_is(tmp_path: Path) -> None:
    with connect(new_warehouse(tmp_path)) as con:
        con.execute("SET memory_limit = '40MB'; SET max_temp_directory_size = '1MB'")
        query = "SELECT count(DISTINCT x) FROM (SELECT range::VARCHAR || repeat('x', 200) AS x FROM range(300_000))"
        with (
            pytest.raises(TransientError, match=r"raise sql\.memory_gib, or make room at sql\.spill"),
            asked("the query"),
        ):
            con.execute(query).fetchall()


FULL = 'IO Error: Could not write file "/spill/duckdb_temp_storage.tmp": No space left on device'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (duckdb.IOException(FULL), TransientError),
        (duckdb.FatalException(FULL), TransientError),
        (duckdb.IOException("IO Error: Could not read from file: Input/output error"), TransientError),
        (duckdb.HTTPException("HTTP Error: 503"), TransientError),
        (duckdb.ConnectionException("Connection Error: Connection already closed!"), TransientError),
        (duckdb.OutOfMemoryException("Out of Memory Error"), TransientError),
        (duckdb.IOException('IO Error: No files found that match the pattern "x.parquet"'), InputError),
        (duckdb.IOException('IO Error: Cannot open file "x": No such file or directory'), InputError),
        (duckdb.ParserException("syntax error in: SELECT 'No space left on device"), InputError),
    ],
)
def test_who_acts_on_an_error_of_duckdb(error: duckdb.Error, expected: type[AtelierError]) -> None:
    with pytest.raises(expected, match="the query: ") as found, asked("the query"):
        raise error
    assert isinstance(found.value, TransientError) == (expected is TransientError)
    with pytest.raises(expected, match="table images at /warehouse"), translated("images", "/warehouse"):
        raise error


def test_a_stream_that_broke_off_is_tried_again() -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise OSError("AWS Error NETWORK_CONNECTION")

    with duckdb.connect() as con:
        con.register("far", pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), rows()))
        with pytest.raises(TransientError, match=r"the query: .*NETWORK_CONNECTION"), asked("the query"):
            con.execute("SELECT sum(a) FROM far").fetchall()


def test_a_missing_file_and_a_bad_query_stay_with_whoever_asked(tmp_path: Path) -> None:
    with connect(new_warehouse(tmp_path)) as con:
        for query in (f"SELECT * FROM read_parquet('{tmp_path}/no.parquet')", "SELEKT 1", "SELECT nothing FROM images"):
            with pytest.raises(InputError, match="the query: "), asked("the query"):
                con.execute(query)


def test_a_spill_folder_that_can_t_be(tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("not a folder")
    with pytest.raises(SettingError, match=r"sql\.spill is .* which can't be made a folder"):
        connect(new_warehouse(tmp_path))


def test_a_data_file_that_somebody_removed_is_named(tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path)
    commit(warehouse, [Photo("a.jpg")])
    for file in (tmp_path / "warehouse/tables/images").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(InputError, match=r"table images at .*: a file of it is missing: .*part-.*\.parquet"):
        warehouse.read("images")


@pytest.mark.integration
def test_a_bucket_that_is_not_there(s3_uri: str, tmp_path: Path) -> None:
    warehouse = new_warehouse(tmp_path, warehouse={"uri": f"{s3_uri}x/warehouse"})
    with pytest.raises(SettingError, match=r"warehouse\.uri"):
        warehouse.read("images")
    with pytest.raises(SettingError, match=r"warehouse\.uri"):
        commit(warehouse, [Photo("a.jpg")])
    with pytest.raises(SettingError, match=r"warehouse\.uri"):
        connect(warehouse)


@pytest.mark.integration
def test_wrong_credentials(s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = new_warehouse(tmp_path, warehouse={"uri": f"{s3_uri}/warehouse"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SettingError, match=r"warehouse\.uri"):
        warehouse.read("images")


@pytest.mark.integration
def test_a_server_that_is_away(s3_uri: str, tmp_path: Path) -> None:
    gone = {"endpoint_url": "http://127.0.0.1:9", "connect_timeout_s": 0.5}
    warehouse = new_warehouse(tmp_path, warehouse={"uri": f"{s3_uri}/warehouse"}, s3=gone)
    with pytest.raises(TransientError, match=r"warehouse\.uri .* does not answer"):
        warehouse.read("images")
