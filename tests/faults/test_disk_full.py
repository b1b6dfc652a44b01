"""The disk under the warehouse, or under the scratch space, is full: the kernel says ENOSPC, nothing half is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults.fault_shop import Rows, etags_aside

pytestmark = [pytest.mark.integration, pytest.mark.endurance]

ROOT = Path(__file__).resolve().parents[2]


def mountable() -> bool:
    """Whether this user may mount a tmpfs in a namespace of its own."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("which", "named"), [("warehouse", "warehouse.uri"), ("scratch", "sql.spill")])
def test_a_full_disk_says_so_and_the_rerun_finishes(
    which: str, named: str, tmp_path: Path, fault_release: Path, calm: Rows
) -> None:
    if not mountable():
        pytest.skip("no tmpfs can be mounted here (`unshare -rm` needs user namespaces)")
    told = run_worker(which, tmp_path, fault_release)
    failed = [one for one in told["tries"] if one["error"]]
    print(
        *(f"{one['free_kib']} KiB free: {one['whole']} photos, {one.get('message')}" for one in told["tries"]), sep="\n"
    )
    assert failed and told["tries"][0]["error"], "the disk was never full"
    for one in failed:
        assert (one["error"], one["exit_code"]) == ("TransientError", 75), one
        assert named in one["message"] and ("space" in one["message"] or "room" in one["message"]), one
    whole = [one["whole"] for one in told["tries"]]
    assert whole == sorted(whole), "what was committed went away"
    assert etags_aside(told["rows"]) == etags_aside(json.loads(json.dumps(calm, default=str)))
    assert (told["pending"], told["left"]) == (0, [])


def run_worker(which: str, folder: Path, release: Path) -> dict[str, Any]:
    """What `disk_worker` reports."""
    report = folder / "report.json"
    command = ["unshare", "-rm", sys.executable, str(Path(__file__).with_name("disk_worker.py")), which]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [*command, str(folder), str(release), str(report)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(report.read_text())
