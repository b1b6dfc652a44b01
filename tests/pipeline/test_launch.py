"""Commands as child processes: results, exit codes, death with the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import GateError, InputError, SettingError, TransientError
from pipeline.launch import run_command


def script(tmp_path: Path, text: str) -> list[str]:
    """A launcher that runs `text` as a Python program."""
    path = tmp_path / "command.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_the_last_line_is_the_result(tmp_path: Path) -> None:
    launcher = script(tmp_path, "import sys; print('noise'); print('{\"args\": %d}' % len(sys.argv[1:]))")
    assert run_command(["plan", "--limit", "3"], launcher) == {"args": 3}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (2, SettingError),
        (3, InputError),
        (4, GateError),
        (75, TransientError),
        (1, TransientError),
        (137, TransientError),
    ],
)
def test_exit_codes_say_who_acts(tmp_path: Path, code: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"exit code {code}"):
        run_command([], script(tmp_path, f"raise SystemExit({code})"))


@pytest.mark.parametrize("printed", ["", "words", "[1, 2]"])
def test_success_without_a_result_is_an_error(tmp_path: Path, printed: str) -> None:
    with pytest.raises(TransientError, match="printed"):
        run_command([], script(tmp_path, f"print({printed!r})"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    child_pid = tmp_path / "pid"
    child = f"import os, pathlib, time; pathlib.Path({str(child_pid)!r}).write_text(str(os.getpid())); time.sleep(60)"
    launcher = script(tmp_path, child)
    parent = subprocess.Popen(
        [sys.executable, "-c", f"from pipeline.launch import run_command; run_command([], {launcher!r})"]
    )
    _wait_until(lambda: child_pid.exists() and child_pid.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _wait_until(lambda: not _alive(int(child_pid.read_text())))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]


def _wait_until(condition, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)
