"""Credentials appear in no log line, output, report or table."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from tiny_release import photo_bytes
from typer.testing import CliRunner

from pipeline.cli import app, register
from pipeline.errors import SettingError
from pipeline.settings import load_settings, settings
from pipeline.storage import open_store
from pipeline.storage.s3 import session
from pipeline.tables import open_warehouse
from pipeline.tables.schema import TABLES

SECRET, TOKEN = "hJ7-not-a-real-secret-key-92", "FwoGZXIvYXdz-not-a-real-token"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[None]:
    """Settings, credentials and log levels are those of this test."""
    monkeypatch.chdir(tmp_path)
    for forget in (settings.cache_clear, session.cache_clear):
        forget()
    yield
    for forget in (settings.cache_clear, session.cache_clear):
        forget()
    logging.getLogger("botocore").setLevel(logging.NOTSET)


def said(caplog: pytest.LogCaptureFixture, *arguments: str) -> str:
    """Everything that a command prints and logs, at the most talkative level, its traceback included."""
    register()
    with caplog.at_level(logging.DEBUG):
        result = CliRunner().invoke(app, ["--log-level", "DEBUG", *arguments])
    return f"{result.output}\n{caplog.text}\n{result.exception}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATELIER_S3__SECRET_ACCESS_KEY", SECRET),
        ("ATELIER_S3__ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:9"),
        ("ATELIER_S3", f'{{"password": "{SECRET}"}}'),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_quoted(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    for command in ("settings", "doctor", "status"):
        assert SECRET not in said(caplog, command)


def test_a_store_that_does_not_answer_learns_nothing_of_them_in_the_log(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """boto3 at level DEBUG logs the headers it signs, session token and all."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-not-real")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("ATELIER_S3__ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ATELIER_CATALOG__URI", "s3://bucket/photos")
    everything = said(caplog, "doctor", "--only", "catalog")
    assert "s3.endpoint_url" in everything
    assert SECRET not in everything and TOKEN not in everything


@pytest.mark.integration
def test_neither_tables_nor_objects_nor_logs_hold_them(
    fresh: None, s3_uri: str, s3_server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ATELIER_CATALOG__URI", f"{s3_uri}/photos")
    monkeypatch.setenv("ATELIER_WAREHOUSE__URI", f"{s3_uri}/warehouse")
    open_store(f"{s3_uri}/photos", load_settings()).put("1_front.jpg", photo_bytes(1))
    commands = (["settings"], ["plan"], ["doctor", "--only", "warehouse", "--only", "tables"], ["status"])
    everything = "".join(said(caplog, *command) for command in commands)
    assert "1 " in everything
    store = open_store(s3_uri, load_settings())
    objects = list(store.list())
    assert any("/tables/catalog/" in info.key for info in objects), everything[-2000:]
    everything += "".join(store.get(info.key).data.decode("latin-1") for info in objects)
    warehouse = open_warehouse(load_settings())
    everything += "".join(
        str(warehouse.read(name).to_pylist()) for name in TABLES if warehouse.version(name) is not None
    )
    assert s3_server.secret_key not in everything
