"""Run the checks, one after the other; one that breaks down is a finding like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from models.errors import ModelError
from pipeline.doctor.finding import Finding, fail, fine, warn
from pipeline.errors import AtelierError, InputError, SettingError, TransientError
from pipeline.settings import Settings, config_file, settings, unknown_variables

log = logging.getLogger(__name__)

CHECKS = {
    "settings": "names and values of all settings",
    "catalog": "the photos can be listed and read",
    "warehouse": "objects can be written, replaced on condition and deleted; the clock agrees",
    "tables": "deltalake writes and DuckDB reads a table there",
    "release": "every card and every weights file is what it says",
    "device": "the CPU or GPU multiplies, and how much memory there is",
    "faiss": "a search finds what it should, on the GPU too where there is one",
    "disk": "room in the local folders",
    "dask": "the scheduler answers and has workers that fit",
    "airflow": "DAGs parse, the database answers, pools are there",
}
"""Name of every check and what it looks at, in the order they run. All but `settings` need settings that parse."""

_CHANGE = {
    "catalog": "catalog.uri, s3.endpoint_url, or the credentials",
    "warehouse": "warehouse.uri, s3.endpoint_url, or the credentials",
    "tables": "warehouse.uri, sql.spill",
    "release": "release.uri",
    "device": "enrich.device, enrich.precision",
    "faiss": "index.device",
    "disk": "sql.spill, index.cache, release.cache",
    "dask": "dask.address, dask.resources",
    "airflow": "AIRFLOW_HOME, AIRFLOW__CORE__DAGS_FOLDER",
}

Check = Callable[[Settings], Iterator[Finding]]


def examine(only: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield the findings of all checks, or of those named, as they are made.

    Raises:
        InputError: there is no check of that name.
    """
    if unknown := sorted(set(only) - CHECKS.keys()):
        raise InputError(f"there is no check {unknown[0]!r}; the checks are {', '.join(CHECKS)}")
    wanted = [name for name in CHECKS if not only or name in only]
    try:
        current = settings()
    except SettingError as error:
        yield fail("settings", str(error), "what is named; nothing else was looked at")
        return
    for name in wanted:
        if name == "settings":
            yield from _settings(current)
        else:
            yield from run_check(name, import_module(f"pipeline.doctor.{_MODULES[name]}").CHECKS[name], current)


_MODULES = {
    "catalog": "stores",
    "warehouse": "stores",
    "tables": "stores",
    "release": "computing",
    "device": "computing",
    "faiss": "computing",
    "disk": "machine",
    "dask": "services",
    "airflow": "services",
}


def run_check(name: str, check: Check, current: Settings) -> Iterator[Finding]:
    """The findings of one check; whatever it raises is the last of them."""
    try:
        yield from check(current)
    except (AtelierError, ModelError) as error:
        passing = isinstance(error, TransientError)
        change = _CHANGE[name] + ("; or try again later" if passing else "")
        yield fail(name, str(error), change, getattr(error, "exit_code", 3))
    except Exception as error:  # libraries that are broken raise anything; the other checks go on
        log.debug("%s broke down", name, exc_info=True)
        last = (str(error).strip().splitlines() or [""])[-1][:300]
        yield fail(name, f"{type(error).__name__}: {last}", _CHANGE[name])


def _settings(current: Settings) -> Iterator[Finding]:
    """Names in the environment that nothing reads; that the values parse is known by now."""
    count = sum(len(type(getattr(current, name)).model_fields) for name in type(current).model_fields)
    file = config_file()
    where = f"the environment and {file}" if file.is_file() else "the environment"
    yield fine("settings", f"{count} settings, all parse; read from {where}")
    for name in unknown_variables():
        yield warn("settings", f"{name} is set, and nothing reads it", f"{_meant(name, current)} `atelier settings`")


def _meant(variable: str, current: Settings) -> str:
    """A setting's name that `variable` may have been meant for."""
    import difflib

    known = [
        f"ATELIER_{section}__{key}".upper()
        for section in type(current).model_fields
        for key in type(getattr(current, section)).model_fields
    ]
    close = difflib.get_close_matches(variable.upper(), known, n=1, cutoff=0.7)
    return f"did you mean {close[0]}? See" if close else "remove it, or see"
