"""What parsing the DAG folder costs: each file in a fresh process, against a file with an empty DAG.

python benchmarks/dag_parse.py
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATS = 5
EMPTY = """
from airflow.sdk import dag

@dag(schedule=None)
def empty():
    pass

empty()
"""
PROGRAM = """
import resource, runpy, sys
import airflow.sdk
sys.path.insert(0, {folder!r})
def used():
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
before = used()
runpy.run_path({path!r})
print(used() - before)
"""


def seconds(path: Path) -> float:
    """Median CPU seconds of a file beyond the import of airflow.sdk."""
    program = PROGRAM.format(folder=str(ROOT / "dags"), path=str(path))
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
        for _ in range(REPEATS)
    ]
    return statistics.median(float(done.stdout) for done in runs)


def main() -> None:
    """Print CPU seconds a file, and the folder against as many empty DAGs."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        empty_file = Path(home) / "empty.py"
        empty_file.write_text(EMPTY)
        empty = seconds(empty_file)
        files = sorted(path for path in (ROOT / "dags").glob("*.py") if path.name != "atelier_tasks.py")
        found = {path.name: seconds(path) for path in files}
    print(f"{'an empty DAG':28s} {empty:.3f} CPU s")
    for name, spent in found.items():
        print(f"{name:28s} {spent:.3f} CPU s, {spent / empty:.1f} times")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{len(found)} DAGs: {sum(found.values()) / (empty * len(found)):.1f} times as many empty ones, {peak:.0f} MiB"
    )


if __name__ == "__main__":
    main()
