"""Where the models are found that the settings name."""

from pathlib import Path

import pytest

from pipeline.errors import SettingError
from pipeline.releases import release_folder
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store


def named(uri: str, cache: Path) -> Settings:
    return load_settings(release={"uri": uri, "cache": str(cache)})


def test_a_folder_without_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"release\.uri is '.*', but there is no .*release\.toml"):
        release_folder(named(str(tmp_path), tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.integration
def test_a_release_on_s3_is_fetched_once_a_state_into_the_cache(s3_uri: str, tmp_path: Path) -> None:
    settings = named(f"{s3_uri}/release", tmp_path / "cache")
    store = open_store(settings.release.uri, settings)
    store.put("release.toml", b"one")
    store.put("cards/a.toml", b"card")
    first = release_folder(settings)
    assert first.parent == tmp_path / "cache"
    assert (first / "cards" / "a.toml").read_bytes() == b"card"
    made = (first / "release.toml").stat().st_mtime_ns
    assert release_folder(settings) == first
    assert (first / "release.toml").stat().st_mtime_ns == made
    store.put("release.toml", b"another")
    second = release_folder(settings)
    assert (second / "release.toml").read_bytes() == b"another"
    assert sorted((tmp_path / "cache").iterdir()) == sorted([first, second])


@pytest.mark.integration
def test_a_cache_that_is_a_file_is_named(s3_uri: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    settings = named(f"{s3_uri}/release", tmp_path / "cache")
    open_store(settings.release.uri, settings).put("release.toml", b"one")
    with pytest.raises(SettingError, match=r"release\.cache \(.*cache\) can't be written to"):
        release_folder(settings)
