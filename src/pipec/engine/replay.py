"""From a journal to how its run stands: the one reader of what `run.py` and `attempt.py` write.

Records: `session` (an engine began or went on; holds what is needed to read the rest without the plan), `unroll` (a
loop's iterations are known), `start` and `attempt` (one attempt began; ended and will be tried again), `end` (a task's
outcome), `finish` (an engine ended).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from pipec.compiler.plan import Plan, Task
from pipec.engine.outcome import EngineError, Record, RunOutcome, State, TaskOutcome, with_loops
from pipec.engine.state import Place
from pipec.record import frozen, mutable
from pipec.steps.interface import Role
from pipec.values import Json

FORMAT = "1"


@frozen
class Known:
    """What the journal keeps of a task. place: in the run's order. carrier: the loop it belongs to, or empty."""

    step: str
    needs: tuple[str, ...]
    is_approval: bool
    is_final: bool
    is_loop: bool
    place: Place
    carrier: str = ""


@mutable(kw_only=True)
class Replay:
    """How a run stands after some records.

    endings: of tasks that have ended, or are parked. attempts: ended ones of a task that is still to be tried again.
    starts: the last start of each task. begun: tasks that any engine has started. before: how a task stood when the run
    was last resumed. inside: the tasks of each loop's iterations. concluded: final tasks that have ended. n_sessions:
    engines so far. triggered_by: the run whose end started it, as `pipeline` and `run`. status: None while an engine is
    at it, or after one died.
    """

    run_id: str
    pipeline: str = ""
    environment: str = ""
    scheduled_at: str = ""
    triggered_by: Mapping[str, str] | None = None
    started_at: str = ""
    ended_at: str = ""
    plan: str = ""
    given: Mapping[str, Json] = field(default_factory=dict)
    tasks: dict[str, Known] = field(default_factory=dict)
    endings: dict[str, TaskOutcome] = field(default_factory=dict)
    before: dict[str, TaskOutcome] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    starts: dict[str, Record] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    inside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    concluded: set[str] = field(default_factory=set)
    shown: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    n_sessions: int = 0
    status: str | None = None
    signal: int = 0
    message: str = ""
    outputs: Mapping[str, Json] = field(default_factory=dict)

    def outcome(self, status: str) -> RunOutcome:
        """Return how the run stands, every task that is known in it; status: if no engine has ended it."""
        names = sorted(self.tasks, key=lambda name: self.tasks[name].place)
        return RunOutcome(
            run_id=self.run_id, pipeline=self.pipeline, status=self.status or status,
            tasks=with_loops([self._rested(name, status) for name in names]), outputs=self.outputs,
            message=self.message, signal=self.signal,
        )  # fmt: skip

    def task(self, name: str) -> TaskOutcome:
        """Return how one task stands."""
        if name in self.endings:
            return self.endings[name]
        known = self.tasks[name]
        return TaskOutcome(
            name=name, step=known.step, state=State.RUNNING if name in self.starts else State.WAITING,
            attempts=self.attempts.get(name, 0), carrier=known.carrier, is_loop=known.is_loop,
        )  # fmt: skip

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


def session_record(
    plan: Plan, replay: Replay, given: Mapping[str, Json], scheduled_at: str, at: str,
    triggered_by: Mapping[str, str] | None,
) -> Record:  # fmt: skip
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
        "triggered_by": replay.triggered_by or (dict(triggered_by) if triggered_by else None),
        "tasks": [_told(task) for task in plan.tasks],
    }


def unroll_record(name: str, iterations: Iterable[Sequence[Task]]) -> Record:
    """Return the record of what a loop became."""
    return {"type": "unroll", "task": name, "iterations": [[_told(task) for task in each] for each in iterations]}


def _told(task: Task) -> list[Any]:
    is_loop = task.loop is not None
    is_approval = task.interface.role is Role.APPROVE and not is_loop
    return [task.name, task.step, [need.task for need in task.needs], is_approval, task.is_final, is_loop]


def _known(told: list[Any], place: Place, carrier: str = "") -> tuple[str, Known]:
    name, step, needs, is_approval, is_final, *more = told
    return name, Known(step, tuple(needs), is_approval, is_final, bool(more and more[0]), place, carrier)


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
        case "unroll":
            _unroll(state, record)
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
    state.triggered_by = record.get("triggered_by")
    state.started_at = state.started_at or record["at"]
    state.tasks = _listed(state, record)
    state.before = dict(state.endings)
    state.endings = {name: ending for name, ending in state.endings.items() if stands(ending) and name in state.tasks}
    state.concluded = {name for name in state.endings if state.tasks[name].is_final}
    state.starts = {name: start for name, start in state.starts.items() if name in state.endings}
    state.status, state.message, state.signal, state.outputs, state.ended_at = None, "", 0, {}, ""


def _listed(state: Replay, record: Record) -> dict[str, Known]:
    """The tasks of the plan, and of loops in it those that an earlier engine knew: what they did must not be lost."""
    listed = dict(_known(told, (place,)) for place, told in enumerate(record["tasks"]))
    for name, known in state.tasks.items():  # a loop stands before its iterations' tasks
        carrier = listed.get(known.carrier)
        if carrier and carrier.is_loop and name not in listed:
            listed[name] = replace(known, place=(*carrier.place, *known.place[-2:]))
    return listed


def _unroll(state: Replay, record: Record) -> None:
    carrier = record["task"]
    place = state.tasks[carrier].place
    made = dict(
        _known(told, (*place, number, at), carrier)
        for number, each in enumerate(record["iterations"])
        for at, told in enumerate(each)
    )
    for name in state.inside.get(carrier, ()):
        if name not in made:
            _forget(state, name)
    state.tasks |= made
    state.inside[carrier] = tuple(made)
    state.endings.pop(carrier, None)


def _forget(state: Replay, name: str) -> None:
    """Drop a task of an iteration that is no more, with what was inside of it."""
    for below in state.inside.pop(name, ()):
        _forget(state, below)
    state.tasks.pop(name, None)
    state.endings.pop(name, None)


def _start(state: Replay, record: Record) -> None:
    name = record["task"]
    state.begun.add(name)
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
    if state.tasks[ending.name].is_final:
        state.concluded.add(ending.name)
    state.attempts.pop(ending.name, None)


def _reopen_finals(state: Replay) -> None:
    """What concludes a run is no longer done once anything else of the run is done after it."""
    for name in state.concluded:
        state.endings.pop(name, None)
    state.concluded.clear()
