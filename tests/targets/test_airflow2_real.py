"""The files for Airflow 2.11 in a real one: it loads, writes and renders them all without a warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import airflow2
import flows
import plans
import pytest
import test_ir_examples
from airflow_project import example_project, feature_project
from plans import HOSTILE
from test_airflow import docker, hostile
from test_airflow_real import text_arrived
from test_airflow_says import EXAMPLES, FEATURES

from pipec.compiler.plan import Plan, Schedule
from pipec.targets.airflow import TARGET
from pipec.targets.base import Options, refusals
from pipec.values import Literal

pytestmark = pytest.mark.airflow
OLD = {"version": "2.11"}
FORMS = {"pods": plans.options(values=OLD), "docker": docker(values={"operator": "docker", **OLD})}
CRON = Schedule(cron="0 3 * * 1", timezone="Europe/Vienna")
STARTS: dict[str, tuple[tuple[Schedule, ...], tuple[str, ...]]] = {
    "CronTriggerTimetable": ((CRON,), ()),
    "DatasetTriggeredTimetable": ((), ("s3://b/k", "rows.csv")),
    "DatasetOrTimeSchedule": ((CRON,), ("s3://b/k",)),
}
# What in the examples and features asks a person.
ASKING = {name for name in EXAMPLES if test_ir_examples.CASES[name].person}


def automatic(plan: Plan) -> Plan:
    """Return a plan whose approval asks nobody."""
    approve = plan.task("approve")
    given = (*approve.parameters, ("mode", Literal("automatic")))
    return replace(plan, tasks=tuple(replace(t, parameters=given) if t is approve else t for t in plan.tasks))


def written(folder: Path, plan: Plan, options: Options) -> None:
    assert list(refusals(TARGET, plan, options)) == []
    for file in TARGET.emit(plan, options):
        (folder / file.path).write_text(file.text, encoding="utf-8")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what Airflow says of a folder with every form of DAG file, the hostile ones too."""
    folder = tmp_path_factory.mktemp("dags")
    for form, options in FORMS.items():
        for number, text in enumerate(HOSTILE):
            written(folder, replace(automatic(hostile(text)), pipeline=f"bad-{number}-{form}"), options)
        for name, plan in {"wine": automatic(plans.wine()), "flow": flows.flow()}.items():
            written(folder, replace(plan, pipeline=f"{name}-{form}"), options)
    for name, (schedules, data) in STARTS.items():
        written(folder, replace(plans.short(), pipeline=name.lower(), schedules=schedules, data=data), FORMS["pods"])
    for name in FEATURES:
        found = feature_project(tmp_path_factory.mktemp("feature"), is_run=False)
        text, errors = replace(found, options={**found.options, **OLD}).compiled(f"{name}.yaml")
        assert text, errors
        (folder / f"feature-{name}.py").write_text(text, encoding="utf-8")
    for name in sorted(set(EXAMPLES) - ASKING):
        case, found = test_ir_examples.CASES[name], example_project(tmp_path_factory.mktemp("e"), name, is_run=False)
        text, errors = replace(found, options={**found.options, **OLD}).compiled(case.file, case.pipeline)
        assert text, errors
        (folder / f"example-{name}.py").write_text(text, encoding="utf-8")
    return airflow2.answered("airflow_check.py", tmp_path_factory.mktemp("airflow2"), str(folder))


def test_every_file_loads_in_airflow_2_without_errors_or_warnings(seen: dict[str, Any]) -> None:
    assert (seen["errors"], seen["warnings"]) == ({}, {})
    n_drawn = len(FORMS) * (2 + len(HOSTILE)) + len(STARTS)
    assert len(seen["dags"]) == n_drawn + len(FEATURES) + len(EXAMPLES) - len(ASKING)
    assert all(seen["stable"].values())


@pytest.mark.parametrize("name", STARTS)
def test_what_starts_a_run_is_airflow_2_s_own(seen: dict[str, Any], name: str) -> None:
    assert (seen["dags"][name.lower()]["schedule"], seen["dags"][name.lower()]["catchup"]) == (name, False)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
@pytest.mark.parametrize("form", FORMS)
def test_a_user_s_text_arrives_in_airflow_2_byte_for_byte(seen: dict[str, Any], form: str, number: int) -> None:
    plan = replace(automatic(hostile(HOSTILE[number])), pipeline=f"bad-{number}-{form}")
    text_arrived(seen, plan, form, HOSTILE[number])


def test_the_moment_of_a_run_and_the_ends_of_its_tasks_reach_a_step(seen: dict[str, Any]) -> None:
    deploy = seen["dags"]["wine-pods"]["tasks"]["deploy"]["arguments"]
    assert deploy[-2:] == ["--scheduled-at", "2026-11-23T03:00:00Z"]
    tell = seen["dags"]["flow-docker"]["tasks"]["tell"]["command"]
    assert tell[tell.index("--ends") + 1] == '{"a": "success"}'


@pytest.mark.parametrize("form", FORMS)
def test_airflow_2_fails_a_no_for_good(seen: dict[str, Any], form: str) -> None:
    tasks = seen["dags"][f"wine-{form}"]["tasks"]
    assert all(task["final"] for task in tasks.values() if task["type"] == "Step")
    assert [tasks[name]["retries"] for name in ("ingest", "split", "train")] == [2, 0, 1]
