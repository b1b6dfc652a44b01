"""Start the product's own commands as child processes and read the JSON line they print.

Used by the DAGs: importing this module imports nothing heavy.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.errors import AtelierError, GateError, InputError, SettingError, TransientError

_PR_SET_PDEATHSIG = 1
_BY_EXIT_CODE: dict[int, type[AtelierError]] = {2: SettingError, 3: InputError, 4: GateError, 75: TransientError}


def run_command(arguments: Sequence[str], launcher: Sequence[str] = ()) -> dict[str, Any]:
    """Run `atelier ARGUMENTS...` and return the JSON object it printed.

    Args:
        arguments: the command and its options, without `atelier`.
        launcher: the command that takes the place of `atelier` (a container, another environment);
            empty: this interpreter's own.

    Raises:
        TransientError: exit code 75, a code that is not the product's own, or death by a signal: worth a retry.
        SettingError, InputError, GateError: exit codes 2, 3 and 4: a retry would end the same.
    """
    command = [*(launcher or (sys.executable, "-m", "pipeline")), *arguments]
    # stderr goes straight to the log of whoever started us
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, preexec_fn=_die_with_parent)
    if done.returncode != 0:
        error = _BY_EXIT_CODE.get(done.returncode, TransientError)
        raise error(f"`{' '.join(command)}` ended with exit code {done.returncode}; its log says why")
    return parse_result(done.stdout, command)


def parse_result(stdout: str, command: Sequence[str]) -> dict[str, Any]:
    """The JSON object on the last line of `stdout`.

    Raises:
        TransientError: there is none, although the command said that it succeeded.
    """
    lines = stdout.strip().splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        raise TransientError(f"`{' '.join(command)}` printed no JSON line; it printed {stdout[-200:]!r}") from None
    if not isinstance(result, dict):
        raise TransientError(f"`{' '.join(command)}` printed {lines[-1][:200]!r}, which is not a JSON object")
    return result


def _die_with_parent() -> None:
    """Have Linux kill this child when its parent dies, so that a retried task finds no older self still writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
