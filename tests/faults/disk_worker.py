"""A night on a disk of its own that is full, then less full, then has room; run as `unshare -rm python disk_worker.py`.

The disk is a tmpfs in this process's own mount namespace, so it goes with the process and nobody else sees it. What
happened is written to `report`, one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from faults.fault_shop import enrich, fill, only_whole_batches, plan, rows_that_count, settings_at

from pipeline.errors import AtelierError

MIB = 2**20
FREE_KIB = (0, 8, 128, 1024)
"""In steps: the night ends at the first table, in the middle, behind the first batch, and at last not at all."""


def main(which: str, root: Path, release: Path, report: Path) -> None:
    """Try the night at each size of `FREE_KIB`, then with room.

    Args:
        which: `warehouse` or `scratch`: what lies on the small disk.
        root: for the rest.
        release: its folder.
        report: where the outcome goes.
    """
    torch.set_num_threads(1)
    disk = root / which
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], check=True)
    sections: dict[str, Any] = {"warehouse": {"uri": str(disk)}} if which == "warehouse" else {}
    settings = settings_at(str(root), release, disk if which == "scratch" else root / "spill", **sections)
    fill(settings)
    tries = []
    plan_id = None
    for free in FREE_KIB:
        _leave(disk, free)
        tried: dict[str, Any] = {"free_kib": free, "error": None}
        try:
            plan_id = plan_id or plan(settings).plan_id
            enrich(settings, str(plan_id))
        except AtelierError as error:
            tried |= {"error": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
        (disk / "ballast").unlink()
        tried["whole"] = only_whole_batches(settings)
        tries.append(tried)
        if tried["error"] is None:
            break
    if plan_id is None:
        plan_id = plan(settings).plan_id
    enrich(settings, str(plan_id))
    left = [str(path.relative_to(disk)) for path in disk.rglob("*.tmp")]
    pending = plan(settings).pending
    report.write_text(
        json.dumps({"tries": tries, "rows": rows_that_count(settings), "left": left, "pending": pending}, default=str)
    )


def _leave(disk: Path, free_kib: int) -> None:
    """Fill the disk but for so many KiB, with real bytes."""
    wanted = free_kib * 1024
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"\0" * 4096)
        except OSError:
            ballast.truncate(max(ballast.tell() - wanted, 0))


if __name__ == "__main__":
    main(sys.argv[1], *(Path(one) for one in sys.argv[2:]))
