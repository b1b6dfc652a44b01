"""
### Model training: new heads from labelled photos, promoted only if they read better

**What it does.** Runs the backbone of the live release over the photos that `training.labels` names (`features`),
trains the heads of `training.heads` on them (`train`), puts them into a copy of the live release (`candidate`), and
compares both on products that neither has learned from (`compare`). With `promote` the better one goes live
(`promote`).

**When is it better?** When a head is better, or new, and none is worse: beyond what another draw of products would
show by chance. What is compared is printed and kept in `<training.releases>/CURRENT.json`. A candidate that is no
better is no failure: `promote` is skipped, and the live release stays.

**Before the first run.** Set `training.labels` and the columns, and a `training.folder` that all workers see. Set
`release.uri` to the folder of `training.releases`, so that a promotion takes effect.
`airflow pools import dags/pools.json`.

**After a promotion** every photo is pending for the new release. For a large catalog leave `promote` off, start
`catalog_backfill` with `release` set to the candidate, and promote it when all is read:
`atelier release promote CANDIDATE --features ... --in ...`. Back again: `atelier release rollback`.

**Parameters.** `promote`: let the candidate go live if it is better; off, it is only compared, and so it is in runs of
the schedule (`airflow.training_schedule`): what goes live is for a person to say.

**When a task fails**
* `features`, `train`: the log ends with the column, file or setting to change. Clear the task.
* `candidate`: the live release and the new heads stand on different backbones: the live release has changed meanwhile.
  Start a new run.
* `compare` fails where the features label no head of the release.
* The run is not through 24 hours after it was queued: `airflow.alert` is told (`airflow.deadlines`).
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from atelier_tasks import START, UPKEEP, atelier, defaults, due, failed, option

from pipeline.errors import GateError
from pipeline.launch import run_command
from pipeline.settings import settings


def folder() -> Path:
    """Where everything of this run lies."""
    return Path(settings().training.folder) / re.sub(r"[^A-Za-z0-9]+", "-", get_current_context()["dag_run"].run_id)


def judged(trained: dict[str, Any], candidate: str, *more: str) -> list[str]:
    """Arguments that compare the candidate with the live release on the products that its training held out."""
    places = ["--features", str(folder() / "features"), "--in", settings().training.releases]
    return ["release", "promote", candidate, *places, "--split", str(Path(trained["out"]) / "split.parquet"), *more]


@task(multiple_outputs=True, execution_timeout=timedelta(hours=12))
def features() -> dict[str, Any]:
    given = settings().training
    if given.labels is None:
        raise AirflowFailException("training.labels is not set: which photos bear labels?")
    places = [*option("--labels", given.labels), *option("--images", given.images)]
    columns = [*option("--file-column", given.file_column), *option("--product-column", given.product_column)]
    heads = [part for head in given.heads for part in ("--label-column", head)]
    return atelier("features", folder() / "features", *places, *columns, *heads)


@task(multiple_outputs=True, execution_timeout=timedelta(hours=12))
def train(extracted: dict[str, Any]) -> dict[str, Any]:
    heads = [part for head in extracted["heads"] for part in ("--head", head)]
    out = folder() / f"train-{get_current_context()['ti'].try_number}"
    return atelier("classify", "train", out, "--features", extracted["out"], *heads)


@task(multiple_outputs=True)
def candidate(trained: dict[str, Any]) -> dict[str, Any]:
    cards = [part for card in trained["cards"].values() for part in ("--card", card)]
    out = folder() / f"candidate-{get_current_context()['ti'].try_number}"  # a release never changes
    return atelier("release", "create", out, "--from", settings().release.uri, *cards)


@task(multiple_outputs=True)
def compare(trained: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    try:
        return run_command(judged(trained, made["out"], "--dry-run"), settings().airflow.launcher)
    except GateError as error:
        raise AirflowSkipException(f"the live release stays: {error}") from error


@task(multiple_outputs=True)
def promote(trained: dict[str, Any], made: dict[str, Any], compared: dict[str, Any]) -> dict[str, Any]:
    if not get_current_context()["params"]["promote"]:
        raise AirflowSkipException(f"{made['out']} is better than {compared['over']}; `promote` was not asked for")
    return atelier(*judged(trained, made["out"]))


@dag(
    schedule=CronDataIntervalTimetable(settings().airflow.training_schedule, "UTC")
    if settings().airflow.training_schedule
    else None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["atelier"],
    default_args=defaults(UPKEEP),
    on_failure_callback=failed,
    deadline=due(hours=24),
    params={"promote": Param(False, type="boolean", description="let the candidate go live if it is better")},
)
def model_training() -> None:
    """Wire training and judging."""
    trained = train(features())
    made = candidate(trained)
    promote(trained, made, compare(trained, made))


model_training()
