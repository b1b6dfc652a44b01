"""Data never turn into code: nothing is unpickled, no shell sees input, no text is evaluated."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cards import Card
from models.errors import CardError
from models.weights import load_tensors

ROOT = Path(__file__).parents[2]
SOURCES = [p for folder in ("dags", "pipeline", "models", "benchmarks") for p in sorted((ROOT / folder).rglob("*.py"))]
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READERS = {"read_pickle", "to_pickle", "unsafe_load", "system", "popen", "literal_eval_unsafe", "getoutput"}
ALLOWED = {("models/weights.py", "pickle")}
"""It names the error that torch's safe reader raises."""


def faults(path: Path) -> Iterator[str]:
    """Calls and imports in `path` that could run what they read."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            for module in {module.split(".")[0] for module in modules} & UNPICKLERS:
                if (name, module) not in ALLOWED:
                    yield f"line {node.lineno} imports {module}"
        elif isinstance(node, ast.Call):
            fault = _of_call(node)
            if fault:
                yield f"line {node.lineno}: {fault}"


def _of_call(call: ast.Call) -> str:
    given = {word.arg: word.value for word in call.keywords}
    constant = {name: value.value for name, value in given.items() if isinstance(value, ast.Constant)}
    if "shell" in given and constant.get("shell") is not False:
        return "a shell"
    if isinstance(call.func, ast.Name):
        return call.func.id if call.func.id in {"eval", "exec", "compile", "__import__"} else ""
    if not isinstance(call.func, ast.Attribute):
        return ""
    method, owner = call.func.attr, call.func.value
    module = owner.id if isinstance(owner, ast.Name) else ""
    if (module, method) == ("torch", "load") and constant.get("weights_only") is not True:
        return "torch.load without weights_only=True"
    if "allow_pickle" in given and constant.get("allow_pickle") is not False:
        return "allow_pickle"
    if (module, method) in {("pickle", "load"), ("pickle", "loads"), ("yaml", "load")} or method in READERS:
        return f"{module}.{method}"
    return ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_source_turns_data_into_code(path: Path) -> None:
    assert list(faults(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "torch.load(p, weights_only=safe)",
        "np.load(p, allow_pickle=True)",
        "pd.read_pickle(p)",
        "subprocess.run(c, shell=True)",
        "os.system(c)",
        "eval(text)",
    ],
)
def test_the_rule_finds_what_it_is_for(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "bad.py").write_text(line)
    assert list(faults(tmp_path / "bad.py"))


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


def test_weights_that_hold_code_are_refused(tmp_path: Path) -> None:
    import hashlib

    path, trap = tmp_path / "weights.pt", tmp_path / "sprung"
    torch.save({"a": Trap(trap)}, path)
    card = Card("head", "type", "linear", path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(CardError, match="plain tensors"):
        load_tensors(card, tmp_path)
    assert not trap.exists()


def test_arrays_that_hold_code_are_refused(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    np.save(tmp_path / "features.npy", np.array([Trap(trap)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "features.npy")  # as the product calls it
    assert not trap.exists()
