"""What is particular to S3: faults of the network and of the service, waits, limits, credentials, settings in messages.

`Proxy` is a real HTTP server in front of the real store; it misbehaves on request.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import SettingError, StaleError
from pipeline.settings import load_settings
from pipeline.storage import (
    ObjectStore,
    ObjectTimeout,
    StoreDenied,
    StoreMissing,
    StoreUnavailable,
    open_store,
    storage_options,
)
from pipeline.storage.s3 import session

pytestmark = pytest.mark.integration

Fault = Callable[["Relay"], bool]
"""Answers (or not) in place of the store; False passes the request on."""


class Relay(BaseHTTPRequestHandler):
    """Hands requests on to the store, one fault of `server.faults` each until they are used up."""

    protocol_version = "HTTP/1.1"
    server: Any

    def answer(self) -> None:
        self.server.requests.append(self.command)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if not (fault and fault(self)):
            status, headers, data = self.ask_store()
            self.reply(status, headers, data)

    do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the names http.server looks for

    def ask_store(self) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=10)
        connection.request(self.command, self.path, self.body, dict(self.headers))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def reply(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "server", "date"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_expect_100(self) -> bool:
        self.send_response_only(100)
        self.end_headers()
        return True

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Proxy(ThreadingHTTPServer):
    """A misbehaving way to the store; `requests` holds the methods that were asked for."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.upstream = upstream.removeprefix("http://")
        self.faults: list[Fault] = []
        self.requests: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that the client gave up are expected."""


def service_says(status: int, code: str) -> Fault:
    def fault(relay: Relay) -> bool:
        data = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        relay.reply(status, {"Content-Type": "application/xml", "Content-Length": str(len(data))}, data)
        return True

    return fault


def cut_off(relay: Relay) -> bool:
    """Announce the whole body, send half of it, hang up."""
    status, headers, data = relay.ask_store()
    relay.reply(status, headers, data[: len(data) // 2])
    relay.close_connection = True
    return True


def lose_the_answer(relay: Relay) -> bool:
    """Let the store do it, then hang up without a word."""
    relay.ask_store()
    relay.close_connection = True
    return True


def trickle(relay: Relay) -> bool:
    """One byte every 50 ms, so that no single wait is ever long."""
    status, headers, data = relay.ask_store()
    relay.reply(status, headers, b"")
    for byte in data:
        relay.wfile.write(bytes([byte]))
        relay.wfile.flush()
        time.sleep(0.05)
    return True


def hang(relay: Relay) -> bool:
    time.sleep(3)
    return lose_the_answer(relay)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.retries.FIRST_WAIT_S", 0.01)


@pytest.fixture
def new_session() -> Iterator[Callable[[], None]]:
    """Forget the credentials that were found, as a new process would."""
    yield session.cache_clear
    session.cache_clear()


@pytest.fixture
def proxy(s3_server: Any) -> Iterator[Proxy]:
    with serving(Proxy(s3_server.endpoint_url)) as server:
        yield server


@contextmanager
def serving(server: Proxy) -> Iterator[Proxy]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def store(s3_uri: str, proxy: Proxy) -> ObjectStore:
    """A bucket with one object, `k`, behind the proxy."""
    url = f"http://127.0.0.1:{proxy.server_port}"
    store = open_store(s3_uri, load_settings(catalog={"uri": s3_uri}, s3={"endpoint_url": url, "read_timeout_s": 2}))
    store.put("k", b"x" * 1000)
    proxy.requests.clear()
    return store


def test_one_request_an_object(store: ObjectStore, proxy: Proxy) -> None:
    store.get("k", max_bytes=1000, timeout_s=10)
    assert proxy.requests == ["GET"]


@pytest.mark.parametrize(
    "fault",
    [
        service_says(503, "SlowDown"),
        service_says(500, "InternalError"),
        service_says(429, "TooManyRequests"),
        service_says(502, ""),
        cut_off,
        lose_the_answer,
    ],
    ids=["slow-down", "internal", "429", "bad-gateway", "cut-off", "hung-up"],
)
def test_what_may_pass_is_tried_again(store: ObjectStore, proxy: Proxy, fault: Fault) -> None:
    proxy.faults = [fault, fault]
    assert store.get("k", attempts=3).data == b"x" * 1000
    assert proxy.requests == ["GET"] * 3
    proxy.faults = [fault] * 3
    with pytest.raises(StoreUnavailable, match=r"/k failed \(3 tries"):
        store.get("k", attempts=3)
    proxy.faults = [fault]
    assert [found.key for found in store.list()] == ["k"]


def test_what_will_not_pass_is_not_tried_again(store: ObjectStore, proxy: Proxy) -> None:
    for status, code, error in [
        (403, "AccessDenied", StoreDenied),
        (404, "NoSuchBucket", StoreMissing),
        (403, "InvalidObjectState", StoreUnavailable),
        (400, "AuthorizationHeaderMalformed", SettingError),
        (501, "NotImplemented", SettingError),
    ]:
        proxy.requests.clear()
        proxy.faults = [service_says(status, code)]
        with pytest.raises(error):
            store.get("k")
        assert proxy.requests == ["GET"], code


@pytest.mark.parametrize("fault", [trickle, hang], ids=["trickles", "hangs"])
def test_time_limit_holds_whatever_the_store_does(store: ObjectStore, proxy: Proxy, fault: Fault) -> None:
    proxy.faults = [fault] * 5
    started = time.monotonic()
    with pytest.raises(ObjectTimeout, match="time limit"):
        store.get("k", timeout_s=0.5)
    assert time.monotonic() - started < 2 * 0.5 + 0.5


def test_no_wait_goes_past_the_time_limit(store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.retries.FIRST_WAIT_S", 100.0)
    monkeypatch.setattr("pipeline.storage.retries.LONGEST_WAIT_S", 1000.0)
    proxy.faults = [service_says(503, "SlowDown")] * 9
    started = time.monotonic()
    with pytest.raises(ObjectTimeout):
        store.get("k", timeout_s=0.3, attempts=9)
    assert time.monotonic() - started < 1


def test_conditional_put_whose_answer_was_lost_is_known_as_ours(store: ObjectStore, proxy: Proxy) -> None:
    proxy.faults = [lose_the_answer]
    etag = store.put_if("new", b"mine", etag=None)
    assert store.get("new").etag == etag
    proxy.faults = [lose_the_answer]
    etag = store.put_if("new", b"mine again", etag=etag)
    assert store.get("new").etag == etag
    proxy.faults = [service_says(503, "SlowDown")]
    with pytest.raises(StaleError):
        store.put_if("new", b"not mine", etag=None)


def test_missing_bucket_is_named_with_its_setting(s3_uri: str) -> None:
    settings = load_settings(catalog={"uri": "s3://no-such-bucket/photos"})
    store = open_store(settings.catalog.uri, settings)
    attempts: list[Callable[[], object]] = [
        store.check,
        lambda: list(store.list()),
        lambda: store.get("k"),
        lambda: store.put("k", b""),
        lambda: store.put_if("k", b"", etag=None),
        lambda: store.put_file("k", Path(__file__)),
    ]
    for attempt in attempts:
        with pytest.raises(StoreMissing, match=r"no bucket 'no-such-bucket' .*\(catalog.uri\)"):
            attempt()


def test_credentials_come_the_standard_way_and_stay_out_of_messages(
    s3_uri: str,
    s3_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_session: Callable[[], None],
) -> None:
    settings = load_settings()
    new_session()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    with pytest.raises(StoreDenied, match=r"refuses access.*AWS_PROFILE") as denied:
        open_store(s3_uri, settings).check()
    assert "a-wrong-secret" not in str(denied.value)
    assert s3_server.access_key not in str(denied.value)

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    new_session()
    with pytest.raises(StoreDenied, match="AWS_ACCESS_KEY_ID"):
        open_store(s3_uri, settings).check()

    keys = f"aws_access_key_id={s3_server.access_key}\naws_secret_access_key={s3_server.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[shop]\n{keys}")
    monkeypatch.setenv("AWS_PROFILE", "shop")
    new_session()
    open_store(s3_uri, settings).check()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    new_session()
    with pytest.raises(StoreDenied, match="nobody"):
        open_store(s3_uri, settings).check()


def test_wrong_endpoints_name_the_setting(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def store_at(url: str) -> ObjectStore:
        return open_store(s3_uri, load_settings(s3={"endpoint_url": url, "connect_timeout_s": 0.5}))

    with pytest.raises(StoreUnavailable, match=r"http://127.0.0.1:9 \(s3.endpoint_url\)"):
        store_at("http://127.0.0.1:9").check()
    with pytest.raises(SettingError, match=r"s3\.endpoint_url"):
        store_at("127.0.0.1:9").check()


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_site_is_no_store(s3_uri: str, status: int) -> None:
    def page(relay: Relay) -> bool:
        relay.reply(status, {"Content-Type": "text/html", "Content-Length": "13"}, b"<html>hi<br>!")
        return True

    with serving(Proxy("")) as site:
        site.faults = [page] * 9
        settings = load_settings(s3={"endpoint_url": f"http://127.0.0.1:{site.server_port}"})
        with pytest.raises((SettingError, StoreUnavailable), match=r"\(s3.endpoint_url\)"):
            open_store(s3_uri, settings).check()


def test_keys_that_s3_allows_and_atelier_does_not_are_left_out(
    s3_uri: str, s3_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = s3_uri.removeprefix("s3://")
    for key in ("root/a.jpg", "root/empty-folder/", "rootless.jpg", "root/.atelier-x/b.jpg"):
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"")
    assert [found.key for found in open_store(f"{s3_uri}/root", load_settings()).list()] == ["a.jpg"]
    assert "1 entries left out" in caplog.text


@pytest.mark.parametrize("way", ["environment", "profile"])
def test_the_delta_library_reaches_the_same_store(
    s3_uri: str,
    s3_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_session: Callable[[], None],
    way: str,
) -> None:
    from deltalake import DeltaTable, write_deltalake

    if way == "profile":
        keys = f"aws_access_key_id={s3_server.access_key}\naws_secret_access_key={s3_server.secret_key}\n"
        (tmp_path / "credentials").write_text(f"[shop]\n{keys}")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "shop")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    new_session()
    settings = load_settings()
    options = storage_options(s3_uri, settings)
    assert ("AWS_SECRET_ACCESS_KEY" in options) == (way == "profile")
    write_deltalake(f"{s3_uri}/t", pa.table({"a": [1, 2]}), storage_options=options)
    write_deltalake(f"{s3_uri}/t", pa.table({"a": [3]}), mode="append", storage_options=options)
    assert sorted(DeltaTable(f"{s3_uri}/t", storage_options=options).to_pyarrow_table()["a"].to_pylist()) == [1, 2, 3]
    assert storage_options(str(tmp_path), settings) == {}
    with pytest.raises(OSError, match="no-such-bucket") as failed:
        DeltaTable("s3://no-such-bucket/t", storage_options=options)
    assert s3_server.secret_key not in str(failed.value)
