"""The layout's rules, as tests: one-way imports, who may touch what, files and functions of a readable size."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [p for folder in ("dags", "pipeline", "models") for p in sorted((ROOT / folder).rglob("*.py"))]
HEAVY = {"torch", "torchvision", "faiss", "pyarrow", "pandas", "duckdb", "deltalake", "cv2", "boto3", "matplotlib"}
DATA_AT_REST = {"deltalake", "boto3", "botocore"}


def imported(path: Path) -> Iterator[str]:
    """Every module that `path` imports, at top level or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    forbidden = {"models": {"pipeline", "dags", "airflow"}, "pipeline": {"dags", "airflow"}, "dags": {"models"}}
    layer = relative(path).split("/")[0]
    packages = {name.split(".")[0] for name in imported(path)}
    assert not packages & forbidden[layer]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_storage_and_tables_touch_data_at_rest(path: Path) -> None:
    if relative(path).startswith(("pipeline/storage/", "pipeline/tables/")):
        return
    assert not {name.split(".")[0] for name in imported(path)} & DATA_AT_REST


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_settings_reads_the_environment(path: Path) -> None:
    if relative(path) == "pipeline/settings.py":
        return
    tree = ast.parse(path.read_text(encoding="utf8"))
    reads = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in {"environ", "getenv"}]
    assert not reads, f"line {reads[0].lineno}"


def test_the_command_line_starts_fast() -> None:
    """With every command registered, nothing heavy is imported yet."""
    program = f"""
import sys
from pipeline.cli import register
register()
print(" ".join(sorted(set(sys.modules) & {HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert text.count("\n") <= 450
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.body[0].lineno < 60, node.name
            if not relative(path).startswith("pipeline/cli/"):  # there, a parameter is an option of a command
                assert len(node.args.args) + len(node.args.kwonlyargs) <= 9, node.name
