"""Each check of the doctor on something that works and on something that is broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_release import photo_bytes, write_tiny_release

from pipeline.doctor import computing, machine, services, stores
from pipeline.doctor.examine import run_check
from pipeline.doctor.finding import Finding, State
from pipeline.settings import Settings, load_settings
from pipeline.storage import open_store

OK, WARNING, FAILED = State.OK, State.WARNING, State.FAILED


def states(findings: list[Finding]) -> list[State]:
    return [one.state for one in findings]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def good(tmp_path: Path) -> Settings:
    """Settings of a small shop that works."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "1_front.jpg").write_bytes(photo_bytes(1))
    return load_settings(
        catalog={"uri": str(tmp_path / "catalog")},
        warehouse={"uri": str(tmp_path / "warehouse")},
        sql={"spill": str(tmp_path / "spill"), "threads": 1},
        index={"cache": str(tmp_path / "cache"), "device": "cpu"},
        release={"cache": str(tmp_path / "releases")},
        enrich={"device": "cpu"},
    )


def changed(settings: Settings, **sections: dict) -> Settings:
    return settings.model_copy(
        update={name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    )


def check(name: str, settings: Settings) -> list[Finding]:
    module = {"catalog": stores, "warehouse": stores, "tables": stores, "disk": machine, "dask": services}
    return list(run_check(name, module.get(name, computing).CHECKS[name], settings))


def test_a_catalog_is_listed_and_read(good: Settings) -> None:
    (found,) = check("catalog", good)
    assert found.state == OK
    assert "'1_front.jpg' read" in found.found


def test_a_catalog_that_is_empty_or_absent(good: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (empty,) = check("catalog", changed(good, catalog={"uri": str(tmp_path / "empty")}))
    assert (empty.state, "it is empty" in empty.found) == (WARNING, True)
    (absent,) = check("catalog", changed(good, catalog={"uri": str(tmp_path / "no")}))
    assert (absent.state, absent.exit_code) == (FAILED, 3)
    assert "catalog.uri" in absent.change


def test_a_warehouse_is_used_and_left_as_it_was(good: Settings) -> None:
    assert states(check("warehouse", good)) == [OK, OK, OK]
    assert states(check("tables", good)) == [OK]
    assert list(open_store(good.warehouse.uri, good).list()) == []


def test_a_file_where_the_warehouse_should_be(good: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    broken = changed(good, warehouse={"uri": str(tmp_path / "file")})
    assert states(check("warehouse", broken)) == [FAILED]
    assert states(check("tables", broken)) == [FAILED]


@pytest.mark.parametrize(
    ("stored", "state"),
    [(100.0, OK), (99.0, OK), (101.5, OK), (160.0, WARNING), (40.0, WARNING), (1000.0, FAILED), (-900.0, FAILED)],
)
def test_clocks_that_differ(stored: float, state: State) -> None:
    found = stores.clock(stored, before=99.9, after=100.1)
    assert found.state == state
    if state != OK:
        assert ("behind" if stored > 100 else "ahead") in found.found


@pytest.mark.integration
def test_a_store_of_the_s3_protocol(s3_uri: str, good: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        catalog={"uri": s3_uri}, warehouse={"uri": f"{s3_uri}/warehouse"}, sql=good.sql.model_dump()
    )
    open_store(s3_uri, settings).put("1_front.jpg", photo_bytes(1))
    assert states(check("catalog", settings)) == [OK]
    assert states(check("warehouse", settings)) == [OK, OK, OK]
    assert states(check("tables", settings)) == [OK]
    assert [info.key for info in open_store(s3_uri, settings).list()] == ["1_front.jpg"]
    (lost,) = check("catalog", changed(settings, catalog={"uri": "s3://there-is-no-such-bucket"}))
    assert (lost.state, lost.exit_code) == (FAILED, 3)


def test_a_release_is_verified(good: Settings, release: Path, tmp_path: Path) -> None:
    (whole,) = check("release", changed(good, release={"uri": str(release)}))
    assert whole.state == OK
    assert "heads: color, style, type" in whole.found
    broken = shutil.copytree(release, tmp_path / "broken")
    weights = broken / "cards" / "color.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (altered,) = check("release", changed(good, release={"uri": str(broken)}))
    assert (altered.state, altered.exit_code) == (FAILED, 3)
    assert "color" in altered.found and "sha256" in altered.found
    assert states(check("release", changed(good, release={"uri": str(tmp_path / "none")}))) == [FAILED]


def test_a_device_computes(good: Settings) -> None:
    (found,) = check("device", good)
    assert found.state == OK
    assert "relative error" in found.found


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_asked_for_and_absent(good: Settings) -> None:
    (found,) = check("device", changed(good, enrich={"device": "cuda"}))
    assert (found.state, found.change) == (FAILED, "enrich.device, enrich.precision")
    assert states(check("faiss", changed(good, index={"device": "cuda"}))) == [FAILED]


def test_faiss_finds(good: Settings) -> None:
    (found,) = check("faiss", good)
    assert (found.state, "builds on cpu" in found.found) == (OK, True)


def test_disks(good: Settings, tmp_path: Path) -> None:
    found = check("disk", good)
    assert len(found) == 5
    assert FAILED not in states(found)
    (tmp_path / "file").write_bytes(b"")
    found = check("disk", changed(good, sql={"spill": str(tmp_path / "file" / "spill")}))
    assert (found[0].state, found[0].change) == (FAILED, "sql.spill")


def test_memory_within_the_limit_of_a_container(good: Settings, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8388608 kB\n")
    assert machine.memory_available(tmp_path) == 8 * 2**30
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{4 * 2**30}\n")
    (group / "memory.current").write_text(f"{2**30}\n")
    assert machine.memory_available(tmp_path) == 3 * 2**30
    (group / "memory.max").write_text("max\n")
    assert machine.memory_available(tmp_path) == 8 * 2**30
    assert machine.memory(good, 3 * 2**30).state == WARNING  # sql.memory_gib is 4
    assert machine.memory(good, 8 * 2**30).state == OK
    assert machine.memory_available(tmp_path / "elsewhere") is None


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_dask_scheduler(good: Settings, scheduler: str) -> None:
    (off,) = check("dask", good)
    assert off.state == OK
    (found,) = check("dask", changed(good, dask={"enabled": True, "address": scheduler}))
    assert (found.state, "1 workers" in found.found) == (OK, True)
    assert states(check("dask", changed(good, dask={"address": scheduler}))) == [OK, WARNING]
    unfit = {"enabled": True, "address": scheduler, "resources": {"GPU": 1.0}, "timeout_s": 1.0}
    (lacking,) = check("dask", changed(good, dask=unfit))
    assert (lacking.state, lacking.exit_code) == (FAILED, 3)


def test_a_dask_scheduler_that_does_not_answer(good: Settings) -> None:
    nobody = {"enabled": True, "address": "tcp://127.0.0.1:9", "timeout_s": 1.0}
    (found,) = check("dask", changed(good, dask=nobody))
    assert (found.state, found.exit_code) == (FAILED, 75)


def test_a_library_that_breaks_down_is_a_finding(good: Settings) -> None:
    def broken(settings: Settings) -> Iterator[Finding]:
        raise ImportError("libcudart.so.12: cannot open shared object file")
        yield

    (found,) = run_check("faiss", broken, good)
    assert (found.state, found.change) == (FAILED, "index.device")
    assert found.found == "ImportError: libcudart.so.12: cannot open shared object file"
