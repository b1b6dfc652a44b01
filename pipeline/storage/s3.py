"""A bucket, or a prefix of one, in S3 or a store that speaks its protocol."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from botocore.config import Config

from pipeline.errors import SettingError, StaleError
from pipeline.settings import S3Settings
from pipeline.storage.base import (
    Fetched,
    ObjectInfo,
    ObjectMissing,
    ObjectTimeout,
    ObjectTooLarge,
    Skipped,
    StoreUnavailable,
    check_key,
    check_prefix,
    key_problem,
)
from pipeline.storage.local import whole_file
from pipeline.storage.ranges import RangeReader
from pipeline.storage.retries import TransientFault, with_retries
from pipeline.storage.s3_faults import Place, s3_faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 16
BUFFER = 1 << 20
PAGE = 1000
ATTEMPTS = 5
"""Tries of everything but `get`, which is told how many."""

_LOCK = threading.Lock()  # sessions may not make clients in two threads at once


class S3Store:
    """Objects of one bucket under one prefix. See `ObjectStore` for what each method promises."""

    def __init__(self, uri: str, settings: S3Settings, setting: str = "the storage location") -> None:
        path = uri.removeprefix("s3://").strip("/")
        self.uri = f"s3://{path}"
        self.bucket, _, prefix = path.partition("/")
        if not self.bucket:
            raise SettingError(f"{setting} is {uri!r}: it names no bucket (s3://bucket/prefix)")
        self.prefix = check_key(prefix) + "/" if prefix else ""
        self._settings = settings
        self._clients: dict[float | None, S3Client] = {}
        self._place = Place(self.uri, self.bucket, setting, settings.endpoint_url)

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """List page by page; each page is retried by itself."""
        check_prefix(prefix)
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix + prefix, "MaxKeys": PAGE}
        if start_after:
            request["StartAfter"] = self.prefix + start_after
        skipped = Skipped(self.uri)
        while True:
            page = self._call("list_objects_v2", **request)
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(self.prefix)
                if not key_problem(key):
                    yield _info(key, found["ETag"], found["Size"], found["LastModified"])
                elif not key.endswith("/"):  # what consoles store for an empty folder
                    skipped.add(key)
            if not page.get("IsTruncated"):
                break
            request["ContinuationToken"] = page["NextContinuationToken"]
        skipped.report()

    def check(self) -> None:
        """Raise unless the bucket exists and can be listed."""
        self._call("list_objects_v2", Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def get(
        self, key: str, *, max_bytes: int | None = None, timeout_s: float | None = None, attempts: int = ATTEMPTS - 1
    ) -> Fetched:
        """Read one object; a body that stops arriving half way is a failed try."""
        name = self._name(key)
        deadline = time.monotonic() + timeout_s if timeout_s is not None else None
        client = self._client_for(timeout_s)

        def read() -> Fetched:
            with s3_faults(self._place, key):
                answer = client.get_object(Bucket=self.bucket, Key=name)
                data = self._read(key, answer, max_bytes, deadline)
                return Fetched(data, answer["ETag"].strip('"'))

        return with_retries(read, attempts=attempts, deadline=deadline, what=f"{self.uri}/{key}")

    def head(self, key: str) -> ObjectInfo | None:
        """Size and etag; None where there is no object."""
        try:
            found = self._call("head_object", key, Bucket=self.bucket, Key=self._name(key))
        except ObjectMissing:
            return None
        return _info(key, found["ETag"], found["ContentLength"], found["LastModified"])

    def put(self, key: str, data: bytes) -> str:
        """Write with one request; S3 shows an object when it is whole."""
        return self._call("put_object", key, Bucket=self.bucket, Key=self._name(key), Body=data)["ETag"].strip('"')

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> str:
        """Write with If-None-Match or If-Match.

        A try whose answer was lost may have been carried out; then the next one is refused by the store. So after a
        refusal of a second try the object itself says whether it was ours.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        send = partial(self._client.put_object, Bucket=self.bucket, Key=self._name(key), Body=data, **condition)
        tries = 0

        def write() -> str:
            nonlocal tries
            tries += 1
            with s3_faults(self._place, key):
                return send()["ETag"].strip('"')

        try:
            return with_retries(write, attempts=ATTEMPTS, what=f"{self.uri}/{key}")
        except (StaleError, ObjectMissing) as error:
            if tries > 1 and (found := self._get_or_none(key)) and found.data == data:
                return found.etag
            state = "exists already" if etag is None else "was changed by somebody else"
            raise StaleError(f"{self.uri}/{key} {state}") from error

    def delete(self, key: str) -> None:
        """Remove an object; S3 says yes where there is none."""
        self._call("delete_object", key, Bucket=self.bucket, Key=self._name(key))

    def put_file(self, key: str, path: Path) -> str:
        """Upload in parts where the file is large."""
        name = self._name(key)

        def upload() -> None:
            with s3_faults(self._place, key):
                self._client.upload_file(str(path), self.bucket, name)

        with_retries(upload, attempts=ATTEMPTS, what=f"{self.uri}/{key}")
        return self._call("head_object", key, Bucket=self.bucket, Key=name)["ETag"].strip('"')

    def get_file(self, key: str, path: Path) -> None:
        """Download in parts where the object is large; it appears under `path` when it is whole."""
        name = self._name(key)

        def download() -> None:
            with whole_file(path) as out, s3_faults(self._place, key):
                self._client.download_fileobj(self.bucket, name, out)

        with_retries(download, attempts=ATTEMPTS, what=f"{self.uri}/{key}")

    def open(self, key: str) -> BinaryIO:
        """A file whose reads are range requests for one version of the object."""
        found = self.head(key)
        if found is None:
            raise ObjectMissing(f"there is no object {self.uri}/{key}")
        return io.BufferedReader(RangeReader(partial(self._range, key, found.etag), found.size), BUFFER)

    def _range(self, key: str, etag: str, begin: int, end: int) -> bytes:
        """Bytes begin to end (not included) of the version `etag`."""

        def read() -> bytes:
            with s3_faults(self._place, key):
                answer = self._client.get_object(
                    Bucket=self.bucket, Key=self._name(key), Range=f"bytes={begin}-{end - 1}", IfMatch=f'"{etag}"'
                )
                return self._read(key, answer, None, None)

        try:
            return with_retries(read, attempts=ATTEMPTS, what=f"{self.uri}/{key}")
        except StaleError as error:
            raise StoreUnavailable(f"{self.uri}/{key} was replaced while it was read") from error

    def local_path(self, key: str) -> Path | None:
        """None: it is not local."""
        check_key(key)
        return None

    @property
    def _client(self) -> S3Client:
        return self._client_for(None)

    def _client_for(self, timeout_s: float | None) -> S3Client:
        """One client a time limit, made when first needed; there are one or two."""
        with _LOCK:
            if timeout_s not in self._clients:
                with s3_faults(self._place, ""):
                    self._clients[timeout_s] = _new_client(self._settings, timeout_s)
            return self._clients[timeout_s]

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _get_or_none(self, key: str) -> Fetched | None:
        try:
            return self.get(key)
        except ObjectMissing:
            return None

    def _call(self, operation: str, key: str = "", **request: Any) -> dict[str, Any]:
        """One request that is safe to repeat."""

        def send() -> dict[str, Any]:
            with s3_faults(self._place, key):
                return getattr(self._client, operation)(**request)

        return with_retries(send, attempts=ATTEMPTS, what=f"{self.uri}/{key}")

    def _read(self, key: str, answer: Any, max_bytes: int | None, deadline: float | None) -> bytes:
        """The body, piece by piece as it arrives, so that neither size nor time limit is passed by much."""
        expected = answer["ContentLength"]
        limit = expected if max_bytes is None else max_bytes
        chunks: list[bytes] = []
        total = 0
        with answer["Body"] as body:
            if expected > limit:
                raise ObjectTooLarge(f"{self.uri}/{key} has {expected} bytes, more than {max_bytes}")
            while total < expected and (chunk := body.read1(CHUNK)):
                chunks.append(chunk)
                total += len(chunk)
                if deadline is not None and time.monotonic() > deadline:
                    raise ObjectTimeout(f"{self.uri}/{key}: {total} of {expected} bytes came within the time limit")
        if total != expected:
            raise TransientFault(f"{self._place.endpoint} cut the answer short: {total} of {expected} bytes came")
        return b"".join(chunks)


def _info(key: str, etag: str, size: int, modified: datetime) -> ObjectInfo:
    return ObjectInfo(key, etag.strip('"'), size, modified.astimezone(UTC))


@lru_cache(maxsize=1)
def session() -> boto3.Session:
    """The one session of this process: finds credentials the standard way and renews them where they expire."""
    return boto3.Session()


def _new_client(settings: S3Settings, timeout_s: float | None) -> S3Client:
    """A client (safe to share between threads) whose requests give up no later than `timeout_s` without an answer.

    botocore's own retries are off: `with_retries` knows the time limit, they do not. Stores other than AWS get
    checksums only where the protocol demands them, because many refuse the newer ones.
    """
    limit = timeout_s or settings.read_timeout_s
    config = Config(
        connect_timeout=min(settings.connect_timeout_s, limit),
        read_timeout=min(settings.read_timeout_s, limit),
        max_pool_connections=settings.max_connections,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        request_checksum_calculation="when_required" if settings.endpoint_url else None,
        response_checksum_validation="when_required" if settings.endpoint_url else None,
    )
    return session().client("s3", endpoint_url=settings.endpoint_url, config=config)


FOUND_BY_DELTA = {"env", "iam-role", "container-role", "assume-role-with-web-identity"}
"""Ways to credentials, as botocore calls them, that the Delta library goes by itself (and renews)."""


def delta_options(settings: S3Settings) -> dict[str, str]:
    """Options of the Delta library that match the boto3 client: endpoint, region, conditional puts, credentials.

    The library does not read profiles. So the credentials of one (also single sign-on, or a role assumed by it) are
    handed over as they are now: ask again for every table that is opened, and never print the options.
    """
    options = {"AWS_REGION": session().region_name or "us-east-1", "conditional_put": "etag"}
    if settings.endpoint_url:
        options["AWS_ENDPOINT_URL"] = settings.endpoint_url
        options["AWS_ALLOW_HTTP"] = str(settings.endpoint_url.startswith("http://")).lower()
    credentials = session().get_credentials()
    if credentials and credentials.method not in FOUND_BY_DELTA:
        now = credentials.get_frozen_credentials()
        options |= {"AWS_ACCESS_KEY_ID": now.access_key or "", "AWS_SECRET_ACCESS_KEY": now.secret_key or ""}
        options |= {"AWS_SESSION_TOKEN": now.token} if now.token else {}
    return options
