"""What of a run by Airflow the trace says, where Airflow's words and the engine's are not the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow_live import Finished, Instance
from airflow_trace import UNSAID, instance_of, trace
from plans import wine

from pipec.compiler.plan import Plan
from pipec.steps.command import run_folder

RUN = "manual__2026-11-23T03:00:00+00:00"
OK, BAD = Instance(state="success", tries=1), Instance(state="failed", tries=2)
BEHIND, SKIPPED = Instance(state="upstream_failed", tries=0), Instance(state="skipped", tries=0)


def told(root: Path, ends: dict[str, Instance], outcomes: dict[str, str], state: str = "failed") -> dict[str, Any]:
    """Return the trace of a run of the wine pipeline. ends, outcomes: by task; others succeeded and say so."""
    plan: Plan = wine()
    tasks = {(task.name, -1): ends.get(task.name, OK) for task in plan.tasks}
    folder = Path(run_folder(str(root), plan.pipeline, RUN))
    for task in plan.tasks:
        outcome = outcomes.get(task.name, "succeeded")
        (folder / task.name).mkdir(parents=True)
        result = {"outcome": outcome, "values": {}, "artifacts": {}}
        (folder / task.name / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return trace(Finished(run_id=RUN, state=state, parameters={}, tasks=tasks), plan, str(root))


def test_a_failure_that_says_so_is_a_refusal(tmp_path: Path) -> None:
    rest = dict.fromkeys(("approve", "deploy", "monitor"), BEHIND)
    found = told(tmp_path, {"evaluate": BAD, **rest}, {"evaluate": "refused"})
    assert (found["status"], found["steps"]["evaluate"]["state"]) == ("refused", "refused")
    assert found["steps"]["evaluate"]["attempts"] == 2
    assert found["steps"]["approve"]["reason"] == "`evaluate` was refused"
    assert found["steps"]["deploy"]["reason"] == "`approve` was skipped"


@pytest.mark.parametrize(
    ("instance", "reason"),
    [(SKIPPED, UNSAID), (Instance(state="skipped", tries=1, reason="`when` is false"), "`when` is false")],
    ids=["nothing", "its own word"],
)
def test_a_skip_has_the_reason_that_it_tells(tmp_path: Path, instance: Instance, reason: str) -> None:
    found = told(tmp_path, {"monitor": instance}, {}, state="success")
    assert found["steps"]["monitor"]["reason"] == reason


def test_a_run_that_airflow_calls_good_has_no_failure_in_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="airflow says success, and its tasks failed"):
        told(tmp_path, {"monitor": BAD}, {"monitor": "failed"}, state="success")


def test_a_task_is_found_in_the_group_it_stands_in() -> None:
    tasks = {("each.score", 1): BAD, ("each.score", 0): OK, ("score", -1): BEHIND}
    assert [instance_of(tasks, "score"), instance_of(tasks, "score", 1)] == [BEHIND, BAD]
