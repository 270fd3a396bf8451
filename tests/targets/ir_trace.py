"""The trace of a run of compiled IR, in the form in which the engine tells what a run did (design 3.1, rule 15).

Tasks of the plan are found again by the name that each container was given; what only Kubeflow knows (groups, loops'
numbers, tasks that judge) is read from the paths. A task that tells its end itself is believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from ir_inputs import Status
from ir_runner import Finished, Ran

from pipec import digest
from pipec.compiler.plan import Plan, Task
from pipec.condition import statuses
from pipec.engine.outcome import RunOutcome, State, Stored, TaskOutcome, together
from pipec.engine.state import outcome_of
from pipec.steps.command import run_folder
from pipec.steps.interface import Artifact, Kind
from pipec.verdict import past

STATE, REASON = "pipec-state", "pipec-reason"
LOOP = "for-loop-"  # before the name of a loop's step, as groups are called
REFUSED = 3
HAND = "--hand"  # a task that finds out what the one after it is to be told; the plan has none
SKIPPED = re.compile(r"^\S+ \(\S+\): skipped: (.*)$", re.MULTILINE)
UNTRIED = ("`when` cannot be answered", "input `")  # reasons for which a container that judged made no attempt
OVER = "it has ended before, and no attempt after that would end otherwise"
ENDS = {Status.SUCCEEDED: State.SUCCEEDED, Status.FAILED: State.FAILED,
        Status.SKIPPED: State.SKIPPED, Status.OMITTED: State.SKIPPED}  # fmt: skip
Place = tuple[str, tuple[int, ...]]  # a task's name in the plan, and the numbers of the iterations that it is in


def trace(finished: Finished, text: str, plan: Plan, root: str = "") -> dict[str, Any]:
    """Return what a run did, as JSON. text: the compiled file. root: where decisions are kept, as a path."""
    told: dict[str, Any] = json.loads(json.dumps(outcome(finished, text, plan, root).trace()))
    return told


def outcome(finished: Finished, text: str, plan: Plan, root: str = "") -> RunOutcome:
    """Return how a run stands, as the engine would have it."""
    begun = {(path.split("/")[-1], numbers_in(path)) for path, ran in finished.ran.items() if _is_begun(ran)}
    reader = _Reader(by_task(finished, text), run_folder(root, plan.pipeline, finished.run_id), begun)
    for task in plan.tasks:
        reader.read(task, task.name, (), "")
    tasks = tuple(reader.tasks)
    status = outcome_of(task for task in tasks if not task.carrier)
    is_good = finished.status is Status.SUCCEEDED
    assert is_good == (status == "succeeded"), f"kubeflow says {finished.status}, and its tasks {status}"
    return RunOutcome(run_id=finished.run_id, pipeline=plan.pipeline, status=status, tasks=tasks)


def by_task(finished: Finished, text: str) -> dict[Place, Ran]:
    """Return what became of containers, by the task of the plan that each is for. text: the compiled file."""
    spec = next(yaml.load_all(text, yaml.CSafeLoader))
    names = {label: _task(label, executor) for label, executor in spec["deploymentSpec"]["executors"].items()}
    hands = {label for label, one in spec["deploymentSpec"]["executors"].items() if _is_hand(one)}
    found: dict[Place, Ran] = {}
    for path, ran in sorted(finished.ran.items(), key=lambda item: _is_failed_hand(item[1], hands)):
        label = ran.executor or _label(spec, path)
        if label and (label not in hands or _is_failed_hand(ran, hands)):
            found[names[label], numbers_in(path)] = ran
    return found


def _is_hand(executor: Mapping[str, Any]) -> bool:
    return bool(executor.get("container", {}).get("args", [])[:1] == [HAND])


def _is_failed_hand(ran: Ran, hands: Set[str]) -> bool:
    """Say whether a task could not find out what the one after it is to be told: that then failed, and not this."""
    return ran.executor in hands and ran.status is Status.FAILED


def numbers_in(path: str) -> tuple[int, ...]:
    """Return the numbers of the iterations that a task is in, from the outside in."""
    return tuple(int(part) for part in path.split("/") if part.isdigit())


def _is_begun(ran: Ran) -> bool:
    return ran.status not in (Status.SKIPPED, Status.OMITTED)


def _label(spec: dict[str, Any], path: str) -> str:
    """Return the executor of a task that never came so far as to have one, or nothing for a DAG."""
    component = spec["root"]
    for name in path.split("/")[1:]:
        if not name.isdigit():
            component = spec["components"][component["dag"]["tasks"][name]["componentRef"]["name"]]
    return str(component.get("executorLabel", ""))


def _task(label: str, executor: Mapping[str, Any]) -> str:
    """Return the name of the plan's task that an executor is for."""
    container = executor.get("container", {})
    args = container.get("args", [])
    if "--order" in args:
        return str(json.loads(args[args.index("--order") + 1])["task"])
    given = {one["name"]: one["value"] for one in container.get("env", [])}
    return str(given.get("PIPEC_TASK", label.removeprefix("exec-")))


def told_end(ran: Ran) -> tuple[State, str]:
    """Return how the task of a container ended, and why, as far as it tells."""
    if skipped := SKIPPED.search(ran.log):  # a final step has no output for its state
        return State.SKIPPED, skipped[1]
    told, reason = ran.parameters.get(STATE), str(ran.parameters.get(REASON, ""))
    if told:
        return State(told), reason
    return State.REFUSED if ran.exit_code == REFUSED else ENDS[ran.status], reason


@dataclass(slots=True)
class _Reader:
    """Goes through the plan in its order. folder: of the run, where decisions are. begun: groups by their own names.

    ends: by a task's name in the engine.
    """

    ran: Mapping[Place, Ran]
    folder: str
    begun: Set[Place]
    tasks: list[TaskOutcome] = field(default_factory=list)
    ends: dict[str, TaskOutcome] = field(default_factory=dict)

    def read(self, task: Task, name: str, numbers: tuple[int, ...], carrier: str) -> None:
        """Note how a task ended. name: what the engine calls it. numbers: of the iterations around it."""
        if task.loop and self._is_unrolled(task, numbers):
            self._loop(task, name, numbers, carrier, self._iterations(task, numbers))
            return
        ran = self.ran.get((task.name, numbers))
        if ran is None or (ran.status in (Status.SKIPPED, Status.OMITTED)):
            self._note(self._skipped(task, name, carrier))
            return
        self._note(replace(self._ended(task, name, ran), carrier=carrier))

    def _note(self, outcome: TaskOutcome) -> None:
        self.tasks.append(outcome)
        self.ends[outcome.name] = outcome

    def _is_unrolled(self, task: Task, numbers: tuple[int, ...]) -> bool:
        """Say whether a loop has begun: without items nothing is left of it but its own group."""
        group = f"{LOOP}{task.name.rpartition('.')[2]}"
        return bool(self._iterations(task, numbers)) or (group, numbers) in self.begun

    def _iterations(self, task: Task, numbers: tuple[int, ...]) -> Sequence[int]:
        """Return the numbers of a loop's iterations of which anything ran."""
        assert task.loop
        inside = {inner.name for inner in _leaves(task.loop.body)}
        depth = len(numbers)
        return sorted({
            at[depth] for name, at in self.ran if name in inside and len(at) > depth and at[:depth] == numbers
        })  # fmt: skip

    def _loop(self, task: Task, name: str, numbers: tuple[int, ...], carrier: str, found: Sequence[int]) -> None:
        assert task.loop
        at = len(self.tasks)
        for number in found:
            for inner in task.loop.body:
                suffix = inner.name.removeprefix(task.name)
                self.read(inner, f"{name}-{number}{suffix}", (*numbers, number), name)
        inside = [one for one in self.tasks[at:] if one.carrier == name]
        state = together(one.seen for one in inside)
        loop = TaskOutcome(name=name, step=task.step, state=state, is_loop=True, carrier=carrier,
                           is_forgiven=task.continue_on_error)  # fmt: skip
        self.tasks.insert(at, loop)
        self.ends[name] = loop

    def _skipped(self, task: Task, name: str, carrier: str) -> TaskOutcome:
        """Return a task that never ran, with the reason that the engine has (engine/state.py, `judge`)."""
        asked = {status.task for status in statuses(task.when)} if task.when else set()
        prefix, plain = name.removesuffix(task.name), task.name
        reason = "`when` is false" if task.when else ""
        for need in task.needs:
            ended = self.ends.get(need.task) or self.ends.get(self._beside(need.task, name, plain, prefix))
            if need.task in asked or ended is None or ended.seen is State.SUCCEEDED:
                continue
            if not (need.soft and ended.seen is State.SKIPPED):
                reason = f"`{ended.name}` {past(ended.state)}"
                break
        return TaskOutcome(name=name, step=task.step, state=State.SKIPPED, reason=reason, carrier=carrier,
                           is_forgiven=task.continue_on_error)  # fmt: skip

    def _beside(self, need: str, name: str, plain: str, prefix: str) -> str:
        """Return what the engine calls another task of the same iteration."""
        head, _, _ = name.rpartition(".")
        stem, _, _ = plain.rpartition(".")
        return head + need.removeprefix(stem) if stem and need.startswith(stem) else prefix + need

    def _ended(self, task: Task, name: str, ran: Ran) -> TaskOutcome:
        state, reason = told_end(ran)
        found = TaskOutcome(
            name=name, step=task.step, state=state, reason=reason, attempts=ran.attempts - ran.log.count(OVER),
            is_forgiven=task.continue_on_error, decision=self._decision(task),
        )  # fmt: skip
        if state is State.SKIPPED or reason.startswith(UNTRIED):
            return replace(found, attempts=0)
        if state is not State.SUCCEEDED:
            return found
        values = {one.name: _typed(ran.parameters[one.name], one.type) for one in task.interface.small_outputs}
        return replace(found, values=values, artifacts=dict(_artifacts(task, ran)))

    def _decision(self, task: Task) -> Mapping[str, Any] | None:
        path = Path(self.folder) / task.name / "decision.json"
        if not path.exists():
            return None
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"reason": None, **body}


def _leaves(tasks: Sequence[Task]) -> Iterator[Task]:
    for task in tasks:
        if task.loop:
            yield from _leaves(task.loop.body)
        else:
            yield task


def _typed(value: Any, kind: Artifact | Kind) -> Any:
    """Return a small output as the step gave it: Kubeflow has doubles alone."""
    return int(value) if kind is Kind.INTEGER else value


def _artifacts(task: Task, ran: Ran) -> Iterator[tuple[str, Stored]]:
    for output in task.interface.artifacts:
        (one,) = ran.artifacts[output.name]
        found = one.get("metadata", {}).get("digest")
        if found is None and Path(one["uri"]).exists():  # by a step of the user's own
            found = digest.of_path(Path(one["uri"]))
        if found is not None:
            yield output.name, Stored(str(output.type), str(found))
