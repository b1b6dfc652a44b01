"""A PostgreSQL server for tests, from the binaries of this machine, on a free port."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER, INITDB = shutil.which("postgres"), shutil.which("initdb")
MISSING = None if SERVER and INITDB else "no PostgreSQL here: initdb and postgres are not on the PATH"
"""Why there is none to start; None: there is."""

STARTED_WITHIN_S = 60


@contextmanager
def postgres() -> Iterator[str]:
    """The URI of an empty database of a server that ends, with its files, when the block does.

    Nothing is synced to disk: what it holds is worth nothing after the test.
    """
    assert SERVER and INITDB, MISSING
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    password, port = secrets.token_hex(16), _free_port()
    (folder / "password").write_text(password)
    for path in (folder, folder / "password") if owner else ():
        shutil.chown(path, owner["user"], owner["group"])
    data = folder / "data"
    initdb = [INITDB, "-D", str(data), "-U", "airflow", f"--pwfile={folder / 'password'}", "--auth=scram-sha-256"]
    subprocess.run([*initdb, "--no-sync", "-E", "UTF8", "--locale=C"], check=True, capture_output=True, **owner)
    command = [SERVER, "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    quick = ["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "synchronous_commit=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *quick], stdout=log, stderr=log, start_new_session=True, **owner)
    try:
        _wait_until_ready(process, folder / "log")
        yield f"postgresql+psycopg2://airflow:{password}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are cut
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, Any]:
    """Arguments of Popen for the user that may run it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    found = next(one for one in pwd.getpwall() if one.pw_name in ("postgres", "nobody"))
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while "ready to accept connections" not in (said := log.read_text(errors="replace")):
        assert process.poll() is None and time.monotonic() < deadline, said[-2000:]
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
