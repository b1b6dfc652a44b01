"""A proxy in front of an S3-protocol server that fails a share of requests by a seeded plan and counts each fault."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class Fault(StrEnum):
    """What may happen to a request.

    All but `CUT`, `LOST` and `SHORT` keep it from the server; those carry it out and spoil the answer.
    """

    ERROR = "500 InternalError"
    SLOW_DOWN = "503 SlowDown"
    RESET = "connection reset"
    STALL = "no answer within the read timeout"
    CUT = "connection cut in mid-body"
    LOST = "carried out, answer lost"
    SHORT = "half of the body, said to be all of it"


CODES = {Fault.ERROR: (500, "InternalError"), Fault.SLOW_DOWN: (503, "SlowDown")}
PASSING = (Fault.ERROR, Fault.SLOW_DOWN, Fault.RESET, Fault.STALL, Fault.CUT)


@dataclass(frozen=True)
class FaultPlan:
    """Which requests fail, and how.

    Args:
        share: of the requests, 0 to 1.
        kinds: taken in turn, so that few faults show them all. `CUT` becomes `LOST` where the answer has no body.
        seed: of the draws; they go by order of arrival.
        only: whether a request (method, path with query) may fail at all.
        in_a_row: how often one request may fail before it gets through; None: for ever. A client that tries four times
            then always comes through, whatever the draws are.
        stall_s: how long `STALL` lets the client wait.
    """

    share: float
    kinds: tuple[Fault, ...] = PASSING
    seed: int = 0
    only: Callable[[str, str], bool] = lambda method, path: True
    in_a_row: int | None = 2
    stall_s: float = 0.6


class FaultyS3:
    """The proxy: a context manager that serves on a free port of this machine.

    `plan` may be replaced while it runs; None: everything gets through. `injected` counts the faults by kind,
    `requests` all that arrived. The Host header is passed on as it came, so signatures stay valid.
    """

    def __init__(self, upstream: str, plan: FaultPlan | None = None) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.injected: Counter[Fault] = Counter()
        self.requests = 0
        self._lock = threading.Lock()
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self.plan = plan
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def plan(self) -> FaultPlan | None:
        """What fails from now on."""
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan | None) -> None:
        with self._lock:
            self._plan = plan
            self._chance = random.Random(plan.seed if plan else 0)
            self._in_a_row.clear()

    def __enter__(self) -> FaultyS3:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def draw(self, method: str, path: str) -> tuple[Fault | None, float]:
        """The fault of a request that has just arrived, and for how long a stall lasts."""
        with self._lock:
            self.requests += 1
            plan = self._plan
            if plan is None or not plan.only(method, path):
                return None, 0.0
            spared = plan.in_a_row is not None and self._in_a_row[method, path] >= plan.in_a_row
            if self._chance.random() >= plan.share or spared:
                self._in_a_row.pop((method, path), None)
                return None, 0.0
            self._in_a_row[method, path] += 1
            return plan.kinds[self.injected.total() % len(plan.kinds)], plan.stall_s

    def count(self, fault: Fault) -> None:
        """Enter a fault that is about to be done to a client."""
        with self._lock:
            self.injected[fault] += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def shutdown_request(self, request: object) -> None:
        """Close only: the inherited way ends the connection in order first, and then nothing is reset."""
        self.close_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up first are what this is about; anything else is raised by the test that meets it."""


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyS3
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """No access log."""

    def _serve(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault, stall_s = self.proxy.draw(self.command, self.path)
        if fault in CODES:
            self.proxy.count(fault)
            self._refuse(*CODES[fault])
        elif fault == Fault.RESET:
            self.proxy.count(fault)
            self._reset()
        elif fault == Fault.STALL:
            self.proxy.count(fault)
            time.sleep(stall_s)
            self._reset()
        else:
            self._forward(sent, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names http.server asks for

    def _refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        """Close so that the client gets a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _forward(self, sent: bytes, fault: Fault | None) -> None:
        """Have the server answer, and hand the answer on: whole, or spoiled."""
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(sent)))
            upstream.endheaders(sent)
            answer = upstream.getresponse()
            body = answer.read()
        finally:
            upstream.close()
        spoiled = fault is not None
        if spoiled and (len(body) < 2 or self.command == "HEAD" or fault == Fault.LOST):
            self.proxy.count(Fault.LOST)
            self._reset()
            return
        if fault is not None:
            self.proxy.count(fault)
        part = body[: len(body) // 2] if spoiled else body
        said = len(part) if fault == Fault.SHORT else len(body)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", str(said)) if self.command == "HEAD" else str(said)
        if answer.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(part)
        self.close_connection = fault == Fault.CUT
