"""From a journal to how its run stands: the one reader of what `run.py` and `attempt.py` write.

Records: `session` (an engine began or went on; holds what is needed to read the rest without the plan), `start` and
`attempt` (one attempt began; ended and will be tried again), `end` (a task's outcome), `finish` (an engine ended).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipec.compiler.plan import Plan
from pipec.engine.outcome import EngineError, Record, RunOutcome, State, TaskOutcome
from pipec.steps.interface import Role
from pipec.values import Json

FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal keeps of a task of the plan."""

    step: str
    needs: tuple[str, ...]
    is_approval: bool
    is_final: bool


@dataclass(slots=True, kw_only=True)
class Replay:
    """How a run stands after some records.

    endings: of tasks that have ended, or are parked. attempts: ended ones of a task that is still to be tried again.
    starts: the last start of each task. before: how a task stood when the run was last resumed. n_sessions: engines so
    far. status: None while an engine is at it, or after one died.
    """

    run_id: str
    pipeline: str = ""
    environment: str = ""
    scheduled_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    plan: str = ""
    given: Mapping[str, Json] = field(default_factory=dict)
    tasks: dict[str, Known] = field(default_factory=dict)
    endings: dict[str, TaskOutcome] = field(default_factory=dict)
    before: dict[str, TaskOutcome] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    starts: dict[str, Record] = field(default_factory=dict)
    shown: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    n_sessions: int = 0
    status: str | None = None
    signal: int = 0
    message: str = ""
    outputs: Mapping[str, Json] = field(default_factory=dict)

    def outcome(self, status: str) -> RunOutcome:
        """Return how the run stands, every task of the plan in it; status: if no engine has ended it."""
        return RunOutcome(
            run_id=self.run_id, pipeline=self.pipeline, status=self.status or status,
            tasks=tuple(self._rested(name, status) for name in self.tasks), outputs=self.outputs, message=self.message,
            signal=self.signal,
        )  # fmt: skip

    def task(self, name: str) -> TaskOutcome:
        """Return how one task stands."""
        if name in self.endings:
            return self.endings[name]
        state = State.RUNNING if name in self.starts else State.WAITING
        return TaskOutcome(name=name, step=self.tasks[name].step, state=state, attempts=self.attempts.get(name, 0))

    def _rested(self, name: str, status: str) -> TaskOutcome:
        """Return how a task stands, knowing whether an engine is at the run: without one, nothing runs."""
        task = self.task(name)
        is_cut = task.state is State.RUNNING and (self.status or status) != "running"
        return replace(task, state=State.WAITING) if is_cut else task


def stands(ending: TaskOutcome) -> bool:
    """Say whether resuming keeps this end: a success, and a refusal, for no engine asks a gate twice (rule 7).

    A decision for it that the step would not take (not this person's to make) leaves the question open.
    """
    if ending.state is State.REFUSED:
        return not (ending.decision and ending.decision.get("decision") == "approve")
    return ending.state is State.SUCCEEDED


def session_record(plan: Plan, replay: Replay, given: Mapping[str, Json], scheduled_at: str, at: str) -> Record:
    """Return the record with which an engine begins."""
    return {
        "type": "session",
        "format": FORMAT,
        "at": at,
        "pipeline": plan.pipeline,
        "environment": plan.environment,
        "plan": plan.digest,
        "parameters": dict(given),
        "scheduled_at": replay.scheduled_at or scheduled_at,
        "tasks": [
            [task.name, task.step, [need.task for need in task.needs],
             task.interface.role is Role.APPROVE, task.is_final]
            for task in plan.tasks
        ],
    }  # fmt: skip


def replay(run_id: str, records: Iterable[Record]) -> Replay:
    """Return how run `run_id` stands after `records`. Raises EngineError at records of another version."""
    state = Replay(run_id=run_id)
    for record in records:
        apply(state, record)
    return state


def apply(state: Replay, record: Record) -> None:
    """Bring `state` up by one record."""
    match record["type"]:
        case "session":
            _begin(state, record)
        case "start":
            _start(state, record)
        case "attempt":
            state.attempts[record["task"]] = record["attempt"]
        case "end":
            _end(state, TaskOutcome.of_record(record["outcome"]))
        case "finish":
            state.status, state.message, state.ended_at = record["status"], record["message"], record["at"]
            state.outputs, state.signal = record["outputs"], record["signal"]


def _begin(state: Replay, record: Record) -> None:
    if record["format"] != FORMAT:
        raise EngineError(f"run {state.run_id} was written by another version of pipec: finish it with that one")
    state.n_sessions += 1
    state.pipeline, state.environment, state.plan = record["pipeline"], record["environment"], record["plan"]
    state.scheduled_at, state.given = record["scheduled_at"], record["parameters"]
    state.started_at = state.started_at or record["at"]
    state.tasks = {
        name: Known(step, tuple(needs), is_approval, is_final)
        for name, step, needs, is_approval, is_final in record["tasks"]
    }
    state.before = dict(state.endings)
    state.endings = {name: ending for name, ending in state.endings.items() if stands(ending) and name in state.tasks}
    state.starts = {name: start for name, start in state.starts.items() if name in state.endings}
    state.status, state.message, state.signal, state.outputs, state.ended_at = None, "", 0, {}, ""


def _start(state: Replay, record: Record) -> None:
    name = record["task"]
    if not state.tasks[name].is_final:
        _reopen_finals(state)
    state.endings.pop(name, None)
    state.starts[name] = record
    if record["shown"] is not None:
        state.shown[name] = {given: tuple(digests) for given, digests in record["shown"].items()}


def _end(state: Replay, ending: TaskOutcome) -> None:
    if ending.is_cached and not state.tasks[ending.name].is_final:
        _reopen_finals(state)
    state.endings[ending.name] = ending
    state.attempts.pop(ending.name, None)


def _reopen_finals(state: Replay) -> None:
    """What concludes a run is no longer done once anything else of the run is done after it."""
    for name, known in state.tasks.items():
        if known.is_final:
            state.endings.pop(name, None)
