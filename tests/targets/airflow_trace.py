"""The trace of a run by Airflow, in the form in which the engine tells what a run did (design 3.1, rule 15).

How tasks ended is Airflow's word; what they wrote is in the results that they left in the run's folder. A task that
tells why it was skipped is believed. Where a new form of task stands in Airflow is said in `instance_of` and `_Reader`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_live import Finished, Instance, Key

from pipec.compiler.plan import Plan, Task
from pipec.engine.outcome import RunOutcome, State, Stored, TaskOutcome, together
from pipec.engine.state import Facts, judge, outcome_of
from pipec.steps.command import INPUTS_HALF, RESULT, RUN_HALF, run_folder
from pipec.verdict import Skip

UNMAPPED = -1
ENDS = {"success": State.SUCCEEDED, "failed": State.FAILED, "skipped": State.SKIPPED,
        "upstream_failed": State.SKIPPED}  # fmt: skip
UNSAID = "airflow skipped it, and nothing says why"


def trace(finished: Finished, plan: Plan, root: str) -> dict[str, Any]:
    """Return what a run did, as JSON. root: where artifacts are kept, a path."""
    told: dict[str, Any] = json.loads(json.dumps(outcome(finished, plan, root).trace()))
    return told


def outcome(finished: Finished, plan: Plan, root: str) -> RunOutcome:
    """Return how a run stands, as the engine would have it."""
    folder = Path(run_folder(root, plan.pipeline, finished.run_id))
    reader = _Reader(finished, folder)
    for task in plan.tasks:
        reader.read(task)
    tasks = tuple(reader.tasks)
    status = outcome_of(task for task in tasks if not task.carrier)
    is_good = finished.state == "success"
    assert is_good == (status == "succeeded"), f"airflow says {finished.state}, and its tasks {status}"
    return RunOutcome(run_id=finished.run_id, pipeline=plan.pipeline, status=status, tasks=tasks)


def instance_of(tasks: Mapping[Key, Instance], name: str, number: int = UNMAPPED) -> Instance:
    """Return what became of a task of the plan, in whatever task group it stands."""
    found = tasks.get((name, number))
    if found is not None:
        return found
    (found,) = (one for (task, index), one in tasks.items() if task.endswith(f".{name}") and index == number)
    return found


@dataclass(slots=True)
class _Reader:
    """Goes through the plan in its order. folder: of the run, where results are. ends: by a task's name."""

    finished: Finished
    folder: Path
    tasks: list[TaskOutcome] = field(default_factory=list)
    ends: dict[str, TaskOutcome] = field(default_factory=dict)

    def read(self, task: Task) -> None:
        """Note how a task ended."""
        if task.loop:
            self._loop(task, task.loop.body[0])
            return
        instance = self._instance(task)
        assert instance.state in ENDS, f"airflow left `{task.name}` in state {instance.state}"
        state = ENDS[instance.state]
        found = self._skipped(task, instance) if state is State.SKIPPED else self._ended(task, instance, state)
        self._note(found)

    def _instance(self, task: Task) -> Instance:
        """Return what became of a task. One of another image is three there, and its attempts are that image's."""
        own = instance_of(self.finished.tasks, task.name)
        if task.interface.container is None:
            return own
        before, ran = (instance_of(self.finished.tasks, f"{task.name}{half}") for half in (INPUTS_HALF, RUN_HALF))
        has_failed = "failed" in (before.state, ran.state, own.state)
        tries = ran.tries if before.state == "success" else before.tries
        return replace(own, state="failed" if has_failed else own.state, tries=tries, reason=before.reason)

    def _loop(self, task: Task, body: Task) -> None:
        """Note how the iterations of a mapped task ended. One that was skipped as a whole may have begun there."""
        numbers = sorted(number for name, number in self.finished.tasks if name == task.name and number != UNMAPPED)
        instances = [self.finished.tasks[task.name, number] for number in numbers]
        verdict = judge(task, self._facts)
        if isinstance(verdict, Skip):
            assert all(each.state in ("skipped", "upstream_failed") for each in instances), task.name
            self._note(TaskOutcome(name=task.name, step=task.step, state=State.SKIPPED, reason=verdict.reason,
                                   is_forgiven=task.continue_on_error))  # fmt: skip
            return
        inside = []
        for number, instance in zip(numbers, instances, strict=True):
            each = replace(body, name=f"{task.name}-{number}", continue_on_error=task.continue_on_error)
            state = ENDS[instance.state]
            found = self._skipped(each, instance) if state is State.SKIPPED else self._ended(each, instance, state)
            inside.append(replace(found, carrier=task.name))
        self._note(TaskOutcome(name=task.name, step=task.step, state=together(one.seen for one in inside), is_loop=True,
                               is_forgiven=task.continue_on_error))  # fmt: skip
        for one in inside:
            self._note(one)

    def _note(self, found: TaskOutcome) -> None:
        self.tasks.append(found)
        self.ends[found.name] = found

    @property
    def _facts(self) -> Facts:
        return Facts(
            run_id=self.finished.run_id, scheduled_at="", parameters=self.finished.parameters, endings=self.ends
        )

    def _skipped(self, task: Task, instance: Instance) -> TaskOutcome:
        """Return a task that did not run. Its reason is its own word, else that of rule 1."""
        reason = instance.reason
        if not reason:
            verdict = judge(task, self._facts)
            reason = verdict.reason if isinstance(verdict, Skip) else UNSAID
        return TaskOutcome(name=task.name, step=task.step, state=State.SKIPPED, reason=reason,
                           is_forgiven=task.continue_on_error)  # fmt: skip

    def _ended(self, task: Task, instance: Instance, state: State) -> TaskOutcome:
        result = self._result(task.name)
        has_run = (f"{task.name}{RUN_HALF}", UNMAPPED) in self.finished.tasks and instance.tries
        if task.when and not result and not has_run:  # it could not be answered, and no container was started
            instance = replace(instance, tries=0)
        if state is State.FAILED and result.get("outcome") == "refused":
            state = State.REFUSED
        found = TaskOutcome(
            name=task.name, step=task.step, state=state, attempts=instance.tries, decision=decision(instance),
            is_forgiven=task.continue_on_error,
        )  # fmt: skip
        if state is not State.SUCCEEDED:
            return found
        artifacts = {name: Stored(one["type"], one["digest"]) for name, one in result["artifacts"].items()}
        return replace(found, values=result["values"], artifacts=artifacts)

    def _result(self, name: str) -> dict[str, Any]:
        path = self.folder / name / RESULT
        if not path.exists():
            return {}
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return told


def decision(instance: Instance) -> Mapping[str, Any] | None:
    """Return what a person decided, as it was handed to the task that seals it."""
    words = instance.fields.get("command") or instance.fields.get("arguments") or []
    if "--decision" not in words:
        return None
    told: dict[str, Any] = json.loads(words[words.index("--decision") + 1])
    return {"reason": "", **told}
