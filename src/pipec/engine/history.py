"""What runs did, and what people say to them: everything that is asked of a run from outside its engine.

Reads journals, which an engine may be writing; the only thing written here is a decision, as a file of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipec.engine import decision, lock
from pipec.engine.folder import Folder, find, folders, printed
from pipec.engine.journal import read
from pipec.engine.outcome import EngineError, Record, RunOutcome, State, TaskOutcome
from pipec.engine.replay import Replay, replay, stands
from pipec.engine.summary import is_cell, summarize
from pipec.record import frozen

_OPEN = (State.PARKED, State.RUNNING)  # an approval in one of these has shown what it is about


@frozen(kw_only=True)
class RunSummary:
    """One line of the list of runs. status: as of `RunOutcome`, or `damaged`. counts: tasks by state. times: UTC.

    triggered_by: the run whose end started it, as `pipeline` and `run`, or None.
    """

    run_id: str
    pipeline: str
    environment: str
    status: str
    started_at: str
    ended_at: str
    counts: Mapping[str, int]
    triggered_by: Mapping[str, str] | None = None


def runs(home: Path) -> tuple[RunSummary, ...]:
    """Return the runs below `home`, the newest first; a damaged one is listed as such."""
    return tuple(_summary(folder) for folder in folders(home))


def _summary(folder: Folder) -> RunSummary:
    try:
        state = replay(folder.run_id, read(folder.journal))
    except EngineError:
        state = Replay(run_id=folder.run_id, status="damaged")
    outcome = state.outcome(_standing(folder))
    return RunSummary(
        run_id=folder.run_id, pipeline=state.pipeline, environment=state.environment, status=outcome.status,
        started_at=state.started_at, ended_at=state.ended_at,
        counts=dict(Counter(task.state.value for task in outcome.tasks)), triggered_by=state.triggered_by,
    )  # fmt: skip


def show(home: Path, run_id: str) -> RunOutcome:
    """Return how a run stands; run_id: or `latest`. Raises EngineError if there is none or its journal is damaged."""
    folder = find(home, run_id)
    return _outcome(folder, replay(folder.run_id, read(folder.journal)))


def _outcome(folder: Folder, state: Replay) -> RunOutcome:
    status = _standing(folder)
    if state.status is None and status == "interrupted":
        tasks = state.outcome(status).tasks
        state.message = summarize(status, tasks, folder.path, "FILE")
    return state.outcome(status)


def _standing(folder: Folder) -> str:
    """How a run stands whose journal does not tell of an end: somebody is at it, or died over it."""
    return "running" if lock.is_held(folder.lock) else "interrupted"


def decide(home: Path, run_id: str, step: str, *, by: str, approve: bool, reason: str) -> None:
    """Write down what a person decided about an approval that waits; durable when this returns.

    The same decision by the same person again changes nothing. Raises EngineError if the step is no approval, has
    nothing to decide yet, or was decided otherwise.
    """
    folder = find(home, run_id)
    state = replay(folder.run_id, read(folder.journal))
    name = _approval(state, step)
    if not by.strip():
        raise EngineError("a decision needs the name of who takes it: give `--as NAME`")
    wanted = "approve" if approve else "reject"
    path = folder.decision(name)
    if not path.exists():
        task = state.task(name)
        if task.state not in _OPEN and not (task.state is State.REFUSED and not stands(task)):
            raise EngineError(f"`{name}` has nothing to decide: it {_now(task.state)}")
        try:
            if decision.write(path, by=by, approve=approve, reason=reason):
                return
        except OSError as fault:
            raise EngineError(f"the decision was not written: {fault.strerror}: {path}") from fault
    taken = decision.read(path)
    if taken is None:
        raise EngineError(f"{path} is no decision that can be read: remove it and decide again")
    if (taken["decision"], taken.get("by")) != (wanted, by):
        raise EngineError(f"`{name}` was decided before: {taken['decision']} by {printed(str(taken.get('by')))}")


def _approval(state: Replay, step: str) -> str:
    """Return the task of role approve that `step` means: a task's name, or a step's that has one such task."""
    named = _named(state, step)
    approvals = [name for name in named if state.tasks[name].is_approval]
    if not approvals:
        raise EngineError(f"`{step}` is not an approval: nobody can decide it")
    if len(approvals) > 1:
        raise EngineError(f"step `{step}` has several tasks: name one of {', '.join(approvals)}")
    return approvals[0]


def _named(state: Replay, step: str) -> list[str]:
    """Return the tasks that a name means: a task's, with its iterations', or a step's, whatever it became."""
    below = f"{step}."
    found = (
        [step, *_inside(state, step)]
        if step in state.tasks
        else [name for name, known in state.tasks.items() if known.step == step or known.step.startswith(below)]
    )
    found.sort(key=lambda name: state.tasks[name].place)
    if not found:
        known = ", ".join(f"`{name}`" for name in sorted({known.step for known in state.tasks.values()}))
        raise EngineError(f"run {state.run_id} has no step `{printed(step)}`; it has {known or 'none yet'}")
    return found


def _inside(state: Replay, carrier: str) -> Iterator[str]:
    for name in state.inside.get(carrier, ()):
        yield name
        yield from _inside(state, name)


def why(home: Path, run_id: str, step: str) -> str:
    """Return, in lines, why a step stands as it does: its cause, its attempts, and why it was not from the cache."""
    folder = find(home, run_id)
    records = read(folder.journal)
    state = replay(folder.run_id, records)
    tasks = {task.name: task for task in state.outcome(_standing(folder)).tasks}
    again: dict[str, list[Record]] = {}
    for record in records:
        if record["type"] == "attempt":
            again.setdefault(record["task"], []).append(record)
    names = _named(state, step)
    return "\n".join(line for name in names for line in _why(state, folder, again.get(name, []), tasks, name))


def _why(
    state: Replay, folder: Folder, again: list[Record], tasks: Mapping[str, TaskOutcome], name: str
) -> Iterator[str]:
    """Yield the lines about one task. again: records of its attempts that were followed by another."""
    task = tasks[name]
    is_cut = task.state is State.WAITING and name in state.starts
    yield f"`{name}` {'was interrupted' if is_cut else _now(task.state)}" + (f": {task.reason}" if task.reason else "")
    yield from _causes(state, tasks, task)
    if task.is_cached:
        yield "  from the cache: an earlier run did the same work"
    start = state.starts.get(name)
    if start and not task.is_cached:
        if start["again"]:
            yield f"  done again: {start['again']}"
        if start["uncached"]:
            yield f"  not from the cache: {start['uncached']}"
    for record in again:
        yield f"  attempt {record['attempt']} failed: {record['reason']}"
    if task.decision:
        said = printed(str(task.decision.get("reason") or ""))
        yield f"  {task.decision['decision']} by {printed(str(task.decision.get('by')))}" + (
            f": {said}" if said else ""
        )
    if task.log:
        yield f"  log: {folder.path / task.log}"


def _causes(state: Replay, tasks: Mapping[str, TaskOutcome], task: TaskOutcome) -> Iterator[str]:
    """Follow a reason to where it began, or tell what a waiting task waits for."""
    if task.state is State.WAITING:
        for need in state.tasks[task.name].needs:
            if tasks[need].state is not State.SUCCEEDED:
                yield f"  it waits for `{need}`, which {_now(tasks[need].state)}"
    seen = {task.name}
    while task.state is State.SKIPPED or task.is_loop:
        cause = re.match(r"`([^`]+)` ", task.reason)
        following = cause and _cause(tasks, cause[1])
        if not following or following.name in seen:
            return
        task = following
        seen.add(task.name)
        yield f"  `{task.name}` {_now(task.state)}" + (f": {task.reason}" if task.reason else "")


def _cause(tasks: Mapping[str, TaskOutcome], name: str) -> TaskOutcome | None:
    """Return the task that a reason names; of a step's cells, the first that did not do its work."""
    if name in tasks:
        return tasks[name]
    cells = (task for task in tasks.values() if is_cell(task.name, name) and task.state is not State.SUCCEEDED)
    return min(cells, key=lambda task: task.state is State.SKIPPED, default=None)


def _now(state: State) -> str:
    return {
        State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.REFUSED: "was refused",
        State.SKIPPED: "was skipped", State.PARKED: "waits for a person", State.RUNNING: "is running",
        State.WAITING: "has not run",
    }[state]  # fmt: skip
