"""Airflow 2.11: what its files say otherwise than those for 3.1, and what is refused since it has no word for it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import plans
import pytest
from airflow_bench import Bench
from dag_file import EPOCH, Made, load
from plans import HOSTILE
from scripted import Script
from test_airflow import FORMS, docker, emitted, hostile, rendered
from test_airflow_flow import CASES, TRAPS
from test_every_field import PIPELINE, PROJECT

from pipec import api
from pipec.compiler.plan import Plan, Schedule
from pipec.targets.airflow import TARGET
from pipec.targets.base import refusals
from pipec.values import Literal

GOLDEN = Path(__file__).with_name("golden")
OLD = plans.options(values={"version": "2.11"})
OLD_DOCKER = docker(values={"operator": "docker", "version": "2.11"})
WEEKLY, DAILY = Schedule(cron="0 3 * * 1", timezone="Europe/Vienna"), Schedule(cron="0 4 * * *", timezone="UTC")


def automatic(plan: Plan) -> Plan:
    """Return the wine pipeline, or one like it, with an approval that asks nobody."""
    approve = plan.task("approve")
    given = (*approve.parameters, ("mode", Literal("automatic")))
    return replace(plan, tasks=tuple(replace(t, parameters=given) if t is approve else t for t in plan.tasks))


def test_a_short_plan_for_the_old_version_is_written_as_reviewed(golden: Any) -> None:
    plan = replace(plans.short(), schedules=(WEEKLY,), data=("s3://b/k", "s3://b/l"))
    golden(GOLDEN / "short_2_11.py", emitted(plan, OLD_DOCKER))


def test_a_plan_in_which_everything_occurs_is_written_for_the_old_version_as_reviewed(golden: Any) -> None:
    golden(GOLDEN / "flow_2_11.py", emitted(flows.flow(), OLD))


@pytest.mark.parametrize("form", FORMS)
def test_the_newest_version_is_the_usual_one(form: str) -> None:
    options = FORMS[form]
    named = replace(options, values={**options.values, "version": "3.1"})
    assert emitted(plans.wine(), named) == emitted(plans.wine(), options)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("options", [OLD, OLD_DOCKER], ids=["pods", "docker"])
def test_a_hostile_text_is_a_literal_in_the_old_version_too(options: Any, text: str) -> None:
    dag = load(emitted(automatic(hostile(text)), options))
    assert dag.keywords.get("description", "") == text
    if options is OLD_DOCKER:
        assert rendered(dag.tasks["split"].keywords["environment"]["NOTE"]) == text


@pytest.mark.parametrize("plan", [automatic(plans.wine()), flows.flow()], ids=["wine", "flow"])
@pytest.mark.parametrize("options", [OLD, OLD_DOCKER], ids=["pods", "docker"])
def test_a_file_for_the_old_version_is_as_formatters_want_it(plan: Plan, options: Any, tmp_path: Path) -> None:
    path = tmp_path / "dag.py"
    path.write_text(emitted(plan, options), encoding="utf-8")
    config = str(Path(__file__).parents[2] / "pyproject.toml")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", config, str(path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


VIENNA = Made("CronTriggerTimetable", ("0 3 * * 1",), {"timezone": "Europe/Vienna"})
NEWS, ROWS = Made("Dataset", ("s3://b/k",), {}), Made("Dataset", ("rows",), {})


@pytest.mark.parametrize(
    ("schedules", "data", "schedule"),
    [
        ((WEEKLY,), (), VIENNA),
        ((), ("s3://b/k",), [NEWS]),
        ((), ("s3://b/k", "rows"), Made("DatasetAny", (NEWS, ROWS), {})),
        ((WEEKLY,), ("s3://b/k",), Made("DatasetOrTimeSchedule", (), {"timetable": VIENNA, "datasets": [NEWS]})),
    ],
    ids=["times", "data", "data of two places", "both"],
)
def test_what_starts_by_itself_has_a_start_before_all_runs(
    schedules: tuple[Schedule, ...], data: tuple[str, ...], schedule: object
) -> None:
    found = load(emitted(replace(plans.short(), schedules=schedules, data=data), OLD)).keywords
    assert (found["schedule"], found["start_date"], found["catchup"]) == (schedule, EPOCH, False)


def test_what_is_started_by_hand_has_no_start() -> None:
    assert "start_date" not in load(emitted(replace(plans.short(), schedules=(), data=()), OLD)).keywords


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"schedules": (WEEKLY, WEEKLY)}, [("triggers", "1", "schedule")]),
        ({"schedules": (replace(WEEKLY, catchup=True),)}, [("triggers", "0", "schedule", "catchup")]),
    ],
    ids=["schedules", "catchup"],
)
def test_what_the_old_version_has_no_word_for_is_refused(fields: dict[str, Any], places: list[Any]) -> None:
    found = list(refusals(TARGET, replace(plans.short(), **fields), OLD))
    assert [one.use.field for one in found] == places
    assert all("-O version=3.1" in one.help for one in found)
    assert list(refusals(TARGET, replace(plans.short(), **fields), plans.options())) == []


def test_a_person_is_asked_by_the_new_version_only() -> None:
    (found,) = refusals(TARGET, plans.wine(), OLD)
    assert (found.use.step, found.message) == ("approve", "airflow asks people from version 3.1 on")
    assert (
        found.help == "compile with `-O version=3.1`, or write `mode: automatic`, which lets the gates before it decide"
    )
    assert list(refusals(TARGET, automatic(plans.wine()), OLD)) == []


def test_a_refusal_points_at_what_says_it(tmp_path: Path) -> None:
    crons = ({"cron": "0 3 * * 1"}, {"cron": "0 4 * * 1", "timezone": "Asia/Tokyo"})
    triggers = [{"data": {"uri": "s3://b/k"}}, *({"schedule": cron} for cron in crons)]
    (tmp_path / "pipec.yaml").write_text(json.dumps(PROJECT), encoding="utf-8")
    (tmp_path / "p.yaml").write_text(json.dumps({**PIPELINE, "triggers": triggers}), encoding="utf-8")
    request = api.Request(path=tmp_path / "p.yaml", environment="prod", target="airflow", options={"version": "2.11"})
    told = [one for one in api.compile_(request)[0].report.findings if one.rule.code == "PIPE601"]
    text = (tmp_path / "p.yaml").read_text(encoding="utf-8")
    assert {one.message: text[one.loc.span.column - 1 :][:25] for one in told if one.loc} == {
        "airflow 2.11 gives a pipeline one schedule": '"schedule": {"cron": "0 4',
        "airflow gives a pipeline one time zone": '"Asia/Tokyo"}}], "concurr',
        "airflow asks people from version 3.1 on": '"approve", "with": {"mode',
    }


@pytest.mark.parametrize("name", CASES | TRAPS)
def test_a_pipeline_means_the_same_on_the_old_version(tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.csv").write_text("rows", encoding="utf-8")
    case = (CASES | TRAPS)[name]
    assert Bench(tmp_path, "2.11").wrong(case.files, Script(case.ends), *range(3)) == []
