"""DAG files for Airflow 2.11, run by it with the step image: their traces equal the engine's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import airflow2
import ir_project
import pytest
from airflow_trace import trace
from test_airflow_live import Job, jobs
from test_ir_features import CASES

pytestmark = [pytest.mark.airflow, pytest.mark.docker, pytest.mark.timeout(900)]  # the first makes all runs
# What the file's own class judges, and what Airflow does otherwise than version 3: `test_airflow_live.py` has the rest.
# No loop that stops at a failure: `dag.test()` goes over iterations in no certain order, unlike the scheduler.
NAMES = ("config", "fan-in", "finally-several", "gate-retried", "loop-empty", "loop-run-time", "rollback",
         "sub-pipeline-when", "when-absent")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """jobs: by name. there: what Airflow says of its runs, by pipeline. here: the engine's traces."""

    jobs: Mapping[str, Job]
    there: Mapping[str, Any]
    warnings: list[str]
    here: Mapping[str, Future[dict[str, Any]]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run all that is compared: with Airflow one after the other, and meanwhile with the engine."""
    home, dags = tmp_path_factory.mktemp("airflow2"), tmp_path_factory.mktemp("dags")
    made = {name: _old(job) for name, job in jobs(tmp_path_factory.mktemp("projects"), set(NAMES), "").items()}
    for job in made.values():
        text, errors = job.project.compiled(job.file, job.pipeline)
        assert text, errors
        (dags / f"{job.pipeline}.py").write_text(text, encoding="utf-8")
    wanted = home / "jobs.json"
    wanted.write_text(json.dumps({job.pipeline: dict(job.parameters) for job in made.values()}), encoding="utf-8")
    airflow2.commanded(home, "db", "migrate")
    with ThreadPoolExecutor(1) as pool:
        here = {name: pool.submit(job.here) for name, job in made.items()}
        environ = {"HOOK": ir_project.HOOK, "REGION": "eu"}
        try:
            told = airflow2.answered("airflow2_run.py", home, str(dags), str(wanted), environ=environ)
            yield Runs(jobs=made, there=told["runs"], warnings=told["warnings"], here=here)
        finally:
            pool.shutdown(cancel_futures=True)


def _old(job: Job) -> Job:
    return replace(job, project=replace(job.project, options={**job.project.options, "version": "2.11"}))


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_does_the_same_here_and_on_airflow_2(runs: Runs, name: str) -> None:
    job = runs.jobs[name]
    here = runs.here[name].result()
    assert here["status"] == CASES[name].status
    plan = job.project.plan(job.file, job.pipeline)
    assert trace(airflow2.finished(runs.there[job.pipeline]), plan, str(job.project.folder)) == here


def test_no_file_uses_what_airflow_2_warns_of(runs: Runs) -> None:
    assert runs.warnings == []
