"""From a URI in the settings to a store."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.storage.base import ObjectStore
from pipeline.storage.local import LocalStore


def open_store(uri: str, settings: Settings) -> ObjectStore:
    """Open the store that `uri` names; nothing is read or written yet.

    Args:
        uri: a folder (also as file://; made by the first put), or s3://bucket/prefix.
        settings: for `s3.*`, and to name the setting that `uri` came from in error messages.

    Raises:
        SettingError: the URI is neither.
    """
    setting = _setting_of(uri, settings)
    if uri.startswith("s3://"):
        from pipeline.storage.s3 import S3Store  # a local run never loads boto3

        return S3Store(uri, settings.s3, setting)
    return LocalStore(_local_root(uri, setting), setting)


def storage_options(uri: str, settings: Settings) -> dict[str, str]:
    """What the Delta library needs to reach `uri`: nothing locally; for S3 endpoint, region and the like.

    May hold credentials (see `delta_options`): never print it. Ask again for every table that is opened.

    Raises:
        StoreDenied: AWS_PROFILE names a profile that does not exist, or one whose credentials can't be had.
    """
    if not uri.startswith("s3://"):
        return {}
    from pipeline.storage.s3 import delta_options
    from pipeline.storage.s3_faults import Place, s3_faults

    with s3_faults(Place(uri, "", _setting_of(uri, settings), settings.s3.endpoint_url), ""):
        return delta_options(settings.s3)


def _local_root(uri: str, setting: str) -> Path:
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        raise SettingError(f"{setting} is {uri!r}: it may be a folder or s3://bucket/prefix")
    path = rest if separator else uri
    if not path:
        raise SettingError(f"{setting} is empty: it may be a folder or s3://bucket/prefix")
    return Path(path).expanduser().absolute()


def _setting_of(uri: str, settings: Settings) -> str:
    """Name of the setting that `uri` is, or lies under."""
    named = {
        "catalog.uri": settings.catalog.uri,
        "warehouse.uri": settings.warehouse.uri,
        "release.uri": settings.release.uri,
    }
    for name, root in named.items():
        if uri.rstrip("/") == root.rstrip("/") or uri.startswith(root.rstrip("/") + "/"):
            return name
    return "the storage location"
