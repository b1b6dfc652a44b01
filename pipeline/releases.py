"""Where the release lies that the settings name: the one that ships, a local folder, or a copy of one in S3."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from models.release_cards import FILE, STARTER
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.storage.opening import open_store


def release_folder(settings: Settings, uri: str | None = None) -> Path:
    """The local folder of a release; one in S3 is fetched first, once for each state it has.

    Args:
        uri: `starter`, a folder or s3://bucket/prefix; default: the setting release.uri.

    Raises:
        SettingError: there is no release, or release.cache can't be written to; the message names what was asked for.
    """
    named = uri or settings.release.uri
    if named == "starter":
        return STARTER
    if named.startswith("s3://"):
        return _fetched(named, settings)
    folder = Path(named)
    if not (folder / FILE).is_file():
        raise SettingError(
            f"release.uri is {named!r}, but there is no {folder / FILE}; `atelier release create` makes one"
        )
    return folder


def _fetched(uri: str, settings: Settings) -> Path:
    """The copy in release.cache, one folder a state of the release."""
    import hashlib

    store = open_store(uri, settings)
    objects = list(store.list())
    if not any(info.key == FILE for info in objects):
        raise SettingError(f"release.uri is {uri!r}, but there is no {FILE} under it")
    state = hashlib.sha256("\n".join(f"{info.key} {info.etag}" for info in objects).encode()).hexdigest()[:16]
    cache = Path(settings.release.cache)
    final = cache / state
    if (final / FILE).is_file():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{state}-", dir=cache))
    except OSError as error:
        raise SettingError(f"release.cache ({cache}) can't be written to: {error.strerror}") from None
    try:
        for info in objects:
            (partial / info.key).parent.mkdir(parents=True, exist_ok=True)
            store.get_file(info.key, partial / info.key)
        partial.rename(final)
    except FileExistsError:  # another process was faster with the same files
        shutil.rmtree(partial)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not (final / FILE).is_file():
            raise
    return final
