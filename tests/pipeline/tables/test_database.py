"""Connections keep to the limits set; what killed processes spilled is removed, what living ones did is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import SettingError
from pipeline.settings import SqlSettings
from pipeline.tables.database import OWNER, open_database, scratch

HOLD = """
import sys, time
from pipeline.settings import SqlSettings
from pipeline.tables.database import scratch
with scratch(SqlSettings(spill=sys.argv[1])) as folder:
    (folder / "rows").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(100)
"""


def age(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_a_connection_keeps_to_the_settings(tmp_path: Path) -> None:
    sql = SqlSettings(memory_gib=0.5, threads=3, spill=str(tmp_path))
    for file in (None, tmp_path / "work.duckdb"):
        with open_database(sql, file) as con:
            limits = con.execute(
                "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('TimeZone'),"
                " current_setting('temp_directory')"
            ).fetchone()
            assert limits is not None
            assert limits[:3] == ("512.0 MiB", 3, "UTC")
            assert Path(limits[3]).parent.parent == tmp_path
            rows = [1]  # noqa: F841
            with pytest.raises(duckdb.CatalogException):
                con.execute("SELECT * FROM rows")


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    held = []
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        held.append((process, Path(process.stdout.readline().strip()).parent))
    (killed, left), (living, kept) = held
    try:
        killed.kill()
        killed.wait()
        foreign = tmp_path / "atelier-notes"
        foreign.mkdir()
        for folder in (left, kept, foreign):
            age(folder, 3600)
        with scratch(SqlSettings(spill=str(tmp_path))):
            assert not left.exists()
            assert (kept / OWNER).exists()
            assert list(kept.glob("*/rows"))
            assert foreign.exists()
    finally:
        for process, _ in held:
            process.kill()
            process.communicate()
    assert living.returncode is not None


def test_spill_of_earlier_versions_goes_after_a_day(tmp_path: Path) -> None:
    old, young, foreign = (tmp_path / (letter * 16) for letter in "abc")
    for folder, file in ((old, "duckdb_temp_storage-0.tmp"), (young, "duckdb_temp_storage-0.tmp"), (foreign, "mine")):
        folder.mkdir()
        (folder / file).write_bytes(b"x")
    age(old, 90_000)
    age(foreign, 90_000)
    with open_database(SqlSettings(spill=str(tmp_path))):
        assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    script = HOLD.replace("time.sleep(100)", "")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


def test_a_spill_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("")
    with pytest.raises(SettingError, match=r"sql\.spill is"), scratch(SqlSettings(spill=str(tmp_path / "spill"))):
        pass
