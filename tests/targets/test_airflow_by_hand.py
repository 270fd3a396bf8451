"""What is emitted beside what an expert of Airflow would have written for the same work: as short, and built alike.

The files below `by_hand` were written by hand, for images with a command line of their own. They are not emitted, and
never rewritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dag_file import Dag, EmptyOperator, Made, Operator, load

from pipec import api

ROOT = Path(__file__).parents[2]
BY_HAND = ROOT / "tests" / "golden" / "airflow" / "by_hand"
MOST_LINES = 1.3  # of those written by hand
# What both must tell a task, however they come to it.
TOLD = (
    "owner", "image", "namespace", "service_account_name", "container_resources", "security_context",
    "container_security_context", "startup_timeout_seconds", "skip_on_exit_code", "retries",
)  # fmt: skip


def pipelines() -> list[str]:
    return sorted(path.stem for path in BY_HAND.glob("*.py"))


def emitted(name: str) -> str:
    source = next(
        path for path in sorted((ROOT / "examples" / "pipelines").glob("*.yaml"))
        if f"\n  name: {name}\n" in path.read_text(encoding="utf-8")
    )  # fmt: skip
    checked, files = api.compile_(api.Request(path=source, environment="prod", target="airflow", pipeline=name))
    assert files, checked.report.findings
    return next(file.text for file in files if file.path == f"{name}.py")


def by_hand(name: str) -> str:
    return (BY_HAND / f"{name}.py").read_text(encoding="utf-8")


def tasks(dag: Dag) -> dict[str, Operator]:
    """Return the tasks that do something; `end` says how a run ended, of which few would think."""
    return {name: task for name, task in dag.tasks.items() if not isinstance(task, EmptyOperator)}


def before(dag: Dag) -> dict[str, set[str]]:
    """Return all tasks that each waits for, whatever edges say so."""
    found: dict[str, set[str]] = {}
    while len(found) < len(dag.tasks):
        for name, task in dag.tasks.items():
            if found.keys() >= set(task.upstream):
                found[name] = set(task.upstream).union(*(found[one] for one in task.upstream))
    return {name: found[name] for name in tasks(dag)}


def told(dag: Dag) -> dict[str, dict[str, Any]]:
    return {
        name: {key: task.keywords[key] for key in TOLD if key in task.keywords} for name, task in tasks(dag).items()
    }


def kind(schedule: Made | None) -> str:
    return schedule.name if schedule else ""


def params(dag: Dag) -> object:
    """Return the parameters without what people read of them."""
    found = dag.keywords["params"].items()
    return {name: (one.plain, {**one.keywords, "description": ""}) for name, one in found}


@pytest.mark.parametrize("name", pipelines())
def test_it_is_hardly_longer_than_by_hand(name: str) -> None:
    ours, theirs = (len(text.splitlines()) for text in (emitted(name), by_hand(name)))
    assert ours <= MOST_LINES * theirs, f"{ours} lines are emitted, and {theirs} are written by hand"


@pytest.mark.parametrize("name", pipelines())
def test_it_has_the_same_tasks_in_the_same_order(name: str) -> None:
    ours, theirs = load(emitted(name)), load(by_hand(name))
    assert list(tasks(ours)) == list(tasks(theirs))
    assert before(ours) == before(theirs)
    assert [task.is_teardown for task in tasks(ours).values()] == [task.is_teardown for task in tasks(theirs).values()]


@pytest.mark.parametrize("name", pipelines())
def test_its_dag_is_told_the_same(name: str) -> None:
    ours, theirs = load(emitted(name)), load(by_hand(name))
    for key in ("dag_id", "description", "catchup", "max_active_runs", "tags"):
        assert ours.keywords[key] == theirs.keywords[key]
    assert kind(ours.keywords["schedule"]) == kind(theirs.keywords["schedule"])
    assert params(ours) == params(theirs)


@pytest.mark.parametrize("name", pipelines())
def test_its_tasks_are_told_the_same(name: str) -> None:
    assert told(load(emitted(name))) == told(load(by_hand(name)))
