"""Names that a shop, a model or another program chose never lead out of the folders that settings name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import RELEASE, RUN, Photo, commit, list_catalog, new_warehouse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import AtelierError, InputError
from pipeline.releases import release_folder
from pipeline.settings import load_settings
from pipeline.storage import open_store
from pipeline.storage.local import LocalStore
from pipeline.tables import open_warehouse
from pipeline.tables import published as copies
from pipeline.tables.copies import folder_of

HOSTILE = (
    "../escaped",
    "a/../../escaped",
    "/etc/escaped",
    "..\\..\\escaped",
    "%2e%2e%2fescaped",
    "~/escaped",
    "$HOME/escaped",
    "a\nb\tc\x07\x1b[2J",
    "\u202egpj.tohs",  # right-to-left override
    "．．／escaped",  # full-width, which NFKC would make ../
    "e\u0301\u200b\ufeff",
    "-rf",
    "CON",
    "nul\0byte",
    "\ud800",
    "a" * 300,
)
segment = st.text(max_size=12) | st.sampled_from(["..", ".", "", "~", "\0", "．．", "..\\..", "%2e%2e", "\n"])


def everything(root: Path) -> set[str]:
    """All files and folders under `root`, links included."""
    return {os.path.join(at, name) for at, folders, files in os.walk(root) for name in folders + files}  # noqa: PTH118


@given(st.lists(segment, min_size=1, max_size=5).map("/".join))
@example("../escaped")
@example("．．/．．/escaped")
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_key_leaves_a_folder(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    outside = tmp_path_factory.getbasetemp() / "keys"
    store = LocalStore(outside / "deep" / "root")
    source = outside / "source"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(b"x")
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.put(key, b"x"),
        lambda: store.put_file(key, source),
        lambda: store.get(key),
        lambda: store.local_path(key),
        lambda: list(store.list(key)),
        lambda: store.delete(key),
    )
    for use in uses:
        try:
            use()
        except (AtelierError, OSError) as error:  # an OSError: a name that is too long for this file system
            assert isinstance(error, AtelierError) or error.errno == 36
    assert {path for path in everything(outside) if "/deep/root" not in path} <= {str(source), str(outside / "deep")}


@pytest.mark.parametrize("value", HOSTILE)
def test_published_copies_stay_under_their_version(tmp_path: Path, value: str) -> None:
    """Labels come from models and feeds, and name folders of the copies."""
    if value == "\ud800":
        pytest.skip("no table holds text that is not Unicode")
    name = folder_of("type_folder", value)
    assert "/" not in name and "\\" not in name and not any(ord(c) < 32 for c in name)
    if len(name.encode()) > 255 or value == "nul\0byte":
        return
    warehouse = new_warehouse(tmp_path / "deep")
    photos = [Photo(key, product_id="p", columns={"type": value}) for key in ("a.jpg", "b.jpg")]
    commit(warehouse, photos)
    list_catalog(warehouse, photos)
    before = everything(tmp_path)
    copies.publish(warehouse, warehouse.snapshot(RELEASE, RUN))
    root = f"{tmp_path}/deep/"
    assert all(path.startswith(root) for path in everything(tmp_path) - before)
    folder = Path(copies.published(warehouse.settings, "enriched"))
    assert [path.parent.parent for path in folder.rglob("*.parquet")] == [folder]


@pytest.mark.parametrize("version", ["../../x", "/etc", "a/../../b", "..", "\n"])
def test_versions_that_are_no_names_are_refused(tmp_path: Path, version: str) -> None:
    warehouse = new_warehouse(tmp_path)
    with pytest.raises(AtelierError):
        copies.load_version(copies.published_store(warehouse.settings), version)


def test_a_pointer_of_releases_can_not_lead_to_another_folder_under_the_same_name(tmp_path: Path) -> None:
    """What the pointer names without a slash lies under the root, also `..`: there is no release there."""
    root = tmp_path / "deep" / "releases"
    root.mkdir(parents=True)
    pointer = {"release": "..", "release_id": "0", "previous": None, "sequence": 1, "promoted_at": "", "figures": []}
    (root / "CURRENT.json").write_text(json.dumps(pointer))
    with pytest.raises(AtelierError):
        release_folder(load_settings(release={"uri": str(root)}))


def test_links_in_a_catalog_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    root = tmp_path / "catalog"
    root.mkdir()
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "folder").symlink_to(tmp_path)
    store = open_store(str(root), load_settings())
    assert list(store.list()) == []
    for key in ("link.jpg", "folder/secret.jpg"):
        with pytest.raises(InputError):
            store.get(key)


@pytest.mark.parametrize("run_id", ["../../escaped", "/etc/escaped", "a\0b"])
def test_a_run_of_a_hostile_name_writes_nothing_outside(tmp_path: Path, run_id: str) -> None:
    """Run ids come from Airflow, where a person may type them."""
    from pipeline.report.write import write_report

    warehouse = new_warehouse(tmp_path / "deep")
    commit(warehouse, [Photo("a.jpg")])
    before = everything(tmp_path)
    with pytest.raises(AtelierError):
        warehouse.snapshot(RELEASE, run_id)
        write_report(open_warehouse(warehouse.settings).settings, run_id)
    assert all(path.startswith(f"{tmp_path}/deep/") for path in everything(tmp_path) - before)
