"""What a task and a run came to, as values: what the journal keeps, the trace tells and the command line prints."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, TypeAlias

from pipec import verdict
from pipec.record import frozen
from pipec.steps.interface import Artifact
from pipec.values import Json

Record: TypeAlias = "dict[str, Any]"  # an entry of the journal, as JSON: it is read back from a file, hence Any

# Design 3.1, rule 15: the other types hold who decided and when, so no two runs agree on their digests.
TRACED = frozenset({Artifact.DATASET, Artifact.MODEL, Artifact.METRICS, Artifact.FILE, Artifact.DIRECTORY})


class EngineError(Exception):
    """A run cannot be started, continued or asked about. The message is one line: cause, and what to do next."""


class State(enum.StrEnum):
    """How a task stands. The first four are ends; a parked task waits for a person, a waiting one for its turn."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"
    PARKED = "parked"
    RUNNING = "running"
    WAITING = "waiting"


@frozen
class Stored:
    """An artifact in the store. type: its `Artifact` type."""

    type: str
    digest: str


@frozen(kw_only=True)
class TaskOutcome:
    """How one task stands.

    reason: one line, why it is not a success; for a success the step's own message. attempts: how many were made.
    values: small outputs. inputs: digests of what it read. decision: what a person decided, for steps of role approve.
    log: relative to the run's folder. parts: what the work was made of (`call.py`), to tell whether it is the same work
    again. is_cached: taken from an earlier run. is_kept: done before this run was resumed. is_forgiven: it has
    `continue_on_error`. duration_s: of the last attempt. carrier: the loop whose iteration it belongs to, or empty.
    is_loop: it stands for its iterations, and ran no process of its own.
    """

    name: str
    step: str
    state: State
    reason: str = ""
    attempts: int = 0
    values: Mapping[str, Json] = field(default_factory=dict)
    artifacts: Mapping[str, Stored] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    decision: Mapping[str, Json] | None = None
    duration_s: float = 0.0
    log: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    is_cached: bool = False
    is_kept: bool = False
    is_forgiven: bool = False
    carrier: str = ""
    is_loop: bool = False

    @property
    def seen(self) -> State:
        """The state as the steps that follow see it: `continue_on_error` makes a failure look like a skip (rule 1)."""
        is_bad = self.state in (State.FAILED, State.REFUSED)
        return State.SKIPPED if is_bad and self.is_forgiven else self.state

    def record(self) -> Record:
        """Return the outcome as the journal keeps it."""
        return {
            "name": self.name, "step": self.step, "state": self.state, "reason": self.reason,
            "attempts": self.attempts, "values": dict(self.values), "inputs": {n: [*d] for n, d in self.inputs.items()},
            "artifacts": {name: [stored.type, stored.digest] for name, stored in self.artifacts.items()},
            "decision": self.decision, "duration_s": round(self.duration_s, 3), "log": self.log,
            "parts": dict(self.parts), "cached": self.is_cached, "forgiven": self.is_forgiven,
            "carrier": self.carrier, "loop": self.is_loop,
        }  # fmt: skip

    @classmethod
    def of_record(cls, record: Record) -> TaskOutcome:
        """Return the outcome that `record` wrote."""
        return cls(
            name=record["name"], step=record["step"], state=State(record["state"]), reason=record["reason"],
            attempts=record["attempts"], values=record["values"],
            inputs={name: tuple(digests) for name, digests in record["inputs"].items()},
            artifacts={name: Stored(*stored) for name, stored in record["artifacts"].items()},
            decision=record["decision"], duration_s=record["duration_s"], log=record["log"], parts=record["parts"],
            is_cached=record["cached"], is_forgiven=record["forgiven"],
            carrier=record.get("carrier", ""), is_loop=record.get("loop", False),
        )  # fmt: skip

    def trace(self) -> dict[str, Json]:
        """Return what every engine must agree on (rule 15)."""
        decision = self.decision and {key: self.decision.get(key) for key in ("decision", "by", "reason")}
        return {
            "state": self.state,
            "reason": self.reason if self.state is State.SKIPPED else "",
            "attempts": self.attempts,
            "decisions": [decision] if decision else [],
            "values": dict(self.values),
            "artifacts": {
                name: {"type": stored.type, "digest": stored.digest}
                for name, stored in self.artifacts.items()
                if stored.type in TRACED
            },
        }


def together(states: Iterable[State]) -> State:
    """Return how several tasks stand as one."""
    return State(verdict.together(states))


def with_loops(tasks: Sequence[TaskOutcome]) -> tuple[TaskOutcome, ...]:
    """Return `tasks`, each loop before what is in it, with loops that have not ended standing as what is in them."""
    inside: dict[str, set[State]] = {}
    found = []
    for task in reversed(tasks):
        if task.is_loop and task.state in (State.RUNNING, State.WAITING):
            below = inside.get(task.name, set())
            state = next((each for each in (State.RUNNING, State.PARKED) if each in below), State.WAITING)
            task = replace(task, state=state)  # noqa: PLW2901
        found.append(task)
        if task.carrier:
            inside.setdefault(task.carrier, set()).add(task.state)
    return tuple(reversed(found))


# 128 and the signal's number is what a shell reports of a process that a signal ended.
_EXIT_CODES = {"succeeded": 0, "skipped": 0, "refused": 3, "failed": 4, "parked": 75, "interrupted": 130}


@frozen(kw_only=True)
class RunOutcome:
    """How a run stands.

    status: `succeeded failed refused parked interrupted`, `running`, or `skipped` if it did not start at all. tasks: in
    the plan's order, those of a loop's iterations after the loop. outputs: of the pipeline: small values, `{"type",
    "digest", "path"}`, or lists. message: lines for people; empty for a success. signal: the number of the signal that
    interrupted it, or 0.
    """

    run_id: str
    pipeline: str
    status: str
    tasks: tuple[TaskOutcome, ...] = ()
    outputs: Mapping[str, Json] = field(default_factory=dict)
    message: str = ""
    signal: int = 0

    @property
    def exit_code(self) -> int:
        """The exit code of `pipec run` (design section 7)."""
        if self.status == "interrupted" and self.signal:
            return 128 + self.signal
        return _EXIT_CODES.get(self.status, 75)

    def task(self, name: str) -> TaskOutcome:
        return next(task for task in self.tasks if task.name == name)

    def step(self, name: str) -> State:
        """Return how a step stands: several tasks count together. Raises KeyError if there is none of that name."""
        return _stand(name, self._steps[name])

    def trace(self) -> dict[str, Json]:
        """Return what the run did, per step; no time, host, run id or path is in it (rule 15).

        A step that is a loop or became several tasks has `{"state", "tasks": {name: ...}}`.
        """
        return {
            "format_version": "1.0",
            "pipeline": self.pipeline,
            "status": self.status,
            "steps": {step: _step_trace(step, tasks) for step, tasks in self._steps.items()},
        }

    @property
    def _steps(self) -> dict[str, list[TaskOutcome]]:
        """The tasks by what the user wrote: what is inside of a step counts to it."""
        steps: dict[str, list[TaskOutcome]] = {}
        for task in self.tasks:
            steps.setdefault(task.step.partition(".")[0], []).append(task)
        return steps


def _stand(step: str, tasks: list[TaskOutcome]) -> State:
    own = [task for task in tasks if not task.carrier]  # a loop answers for what is in it
    return own[0].state if [task.name for task in own] == [step] else together(task.seen for task in own)


def _step_trace(step: str, tasks: list[TaskOutcome]) -> dict[str, Json]:
    if len(tasks) == 1 and tasks[0].name == step and not tasks[0].is_loop:
        return tasks[0].trace()
    return {"state": _stand(step, tasks), "tasks": {task.name: task.trace() for task in tasks if not task.is_loop}}
