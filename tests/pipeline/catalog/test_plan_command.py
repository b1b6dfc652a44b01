"""`atelier plan` prints one JSON line, whatever there is to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.cli import plan_commands
from pipeline.errors import SettingError


def test_plan_command(shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(plan_commands, "settings", lambda: shop.settings)

    def run(**options: Any) -> dict[str, Any]:
        plan_commands.plan(**options)
        (line,) = capsys.readouterr().out.splitlines()
        return json.loads(line)

    assert run()["pending"] == 0
    for number in range(9):
        shop.put(f"{number % 2}/{number}.jpg")
    counted = run(dry_run=True, prefix="1/")
    assert (counted["plan_id"], counted["listed"], counted["pending"]) == (None, 4, 4)
    made = run()
    assert made["plan_id"] == made["run_id"]
    assert (made["listed"], made["pending"], made["batches"], made["parts"]) == (9, 9, 3, 3)
    assert made["by_reason"] == {"new": 9, "changed": 0, "new_release": 0, "retry": 0, "readmitted": 0}
    assert len(made["release_id"]) == 12
    with pytest.raises(SettingError, match=r"release\.uri"):
        plan_commands.plan(release="no/such/release")
