"""Room on this machine: local folders and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.finding import Finding, fail, fine, warn
from pipeline.settings import Settings

WARNED = 5 * 2**30
FAILED = 2**28
"""Free bytes of a folder's disk below which it is told, and below which jobs would break."""

GIB = 2**30


def check_disk(settings: Settings) -> Iterator[Finding]:
    """May each local folder be written, and is there room; does memory suffice for what SQL may take?"""
    folders = {
        "sql.spill": settings.sql.spill,
        "index.cache": settings.index.cache,
        "release.cache": settings.release.cache,
    }
    if "://" not in settings.warehouse.uri:
        folders["warehouse.uri"] = settings.warehouse.uri
    for name, folder in folders.items():
        yield room(name, Path(folder).expanduser().absolute())
    yield memory(settings, memory_available())


def room(name: str, folder: Path) -> Finding:
    """Judge one folder, or where it does not exist yet the one it would be made in."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        return fail("disk", f"{folder}: {existing} is no folder", name)
    if not os.access(existing, os.W_OK | os.X_OK):
        return fail("disk", f"{folder} can't be written by this user", name)
    free = shutil.disk_usage(existing).free
    found = f"{folder} ({name}): {free / GIB:.1f} GiB free"
    if free < FAILED:
        return fail("disk", found, f"make room there, or {name}", 75)
    return warn("disk", found, f"make room there, or {name}") if free < WARNED else fine("disk", found)


def memory(settings: Settings, available: int | None) -> Finding:
    """Judge `available` bytes by what one SQL connection may take."""
    if available is None:
        return fine("memory", "this system does not tell")
    found = f"{available / GIB:.1f} GiB available"
    if available < settings.sql.memory_gib * GIB:
        return warn("memory", f"{found}, and one job may take {settings.sql.memory_gib:g} for SQL", "sql.memory_gib")
    return fine("memory", found)


def memory_available(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping, within this container's limit; None where Linux does not tell.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    group = root / "sys/fs/cgroup"
    try:
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:  # no cgroup v2, or the root group, which has no limit
        return available
    return available if limit == "max" else min(available, max(0, int(limit) - int(used)))


CHECKS = {"disk": check_disk}
