"""What a run's end says to a person: which step, why, where to look and what to do next."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from pipec.engine.outcome import State, TaskOutcome
from pipec.engine.replay import stands

MAX_LISTED = 20  # tasks, or names of tasks: a matrix may have a thousand


def summarize(status: str, tasks: Sequence[TaskOutcome], folder: Path, file: str, flags: str = "") -> str:
    """Return the lines, none for a success without a forgiven failure. folder: the run's. file: the pipeline's.

    flags: what `pipec approve` needs besides.
    """
    filled = {task.carrier for task in tasks}
    told = [task for task in tasks if not (task.is_loop and task.name in filled)]  # its iterations tell the cause
    bad = [task for task in told if task.state in (State.FAILED, State.REFUSED)]
    causes = _Causes(tasks)
    lines = [line for task in bad[:MAX_LISTED] for line in _bad(task, causes, folder)]
    if len(bad) > MAX_LISTED:
        lines.append(f"and {len(bad) - MAX_LISTED} more: `pipec runs {folder.name}` lists all")
    parked = [task for task in told if task.state is State.PARKED]
    reopened = [task for task in told if task.state is State.REFUSED and not stands(task)]
    for task in parked[:MAX_LISTED]:
        lines.append(f"{_named(task)} waits for a person: {task.reason}")
    for task in (parked + reopened)[:MAX_LISTED]:
        lines.append(f"  next: `pipec approve {folder.name} {task.name} --as NAME{flags}`, or with `--reject`")
    go_on = f"`pipec run {file} --resume {folder.name}`"
    if status == "interrupted":
        lines.append(f"the run was interrupted; go on with {go_on}")
    elif parked or (reopened and status == "refused"):
        lines.append(f"then go on with {go_on}")
    elif status == "failed":
        lines.append(f"mend the cause, then go on with {go_on}; finished steps are not done again")
    elif status == "refused":
        lines.append(f"a refusal stands: change what was refused and begin a new run with `pipec run {file}`")
    return "\n".join(lines)


def _named(task: TaskOutcome) -> str:
    return f"step `{task.step}`" if task.step == task.name else f"step `{task.step}` (`{task.name}`)"


def _bad(task: TaskOutcome, causes: _Causes, folder: Path) -> list[str]:
    what = "was refused" if task.state is State.REFUSED else "failed"
    often = f" after {task.attempts} attempts" if task.attempts > 1 else ""
    forgiven = " (the run goes on: `continue_on_error`)" if causes.is_forgiven(task) else ""
    lines = [f"{_named(task)} {what}{often}{forgiven}: {task.reason}"]
    if task.log:
        lines.append(f"  log: {folder / task.log}")
    if stopped := causes.stopped_by(task):
        more = f" and {len(stopped) - MAX_LISTED} more" if len(stopped) > MAX_LISTED else ""
        lines.append(f"  not run because of it: {', '.join(stopped[:MAX_LISTED])}{more}")
    return lines


class _Causes:
    """Who was skipped because of whom, by the names that stand first in their reasons. tasks: in the run's order."""

    def __init__(self, tasks: Sequence[TaskOutcome]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._order = {task.name: place for place, task in enumerate(tasks)}
        self._skipped: dict[str, list[str]] = {}
        for task in tasks:
            cause = re.match(r"`([^`]+)` ", task.reason) if task.state is State.SKIPPED else None
            if cause:
                self._skipped.setdefault(cause[1], []).append(task.name)
        self._steps = [cause for cause in self._skipped if cause not in self._tasks]

    def is_forgiven(self, task: TaskOutcome) -> bool:
        """Say whether the run goes on: by the task's own `continue_on_error`, or that of a loop around it."""
        return task.is_forgiven or (task.carrier in self._tasks and self.is_forgiven(self._tasks[task.carrier]))

    def stopped_by(self, task: TaskOutcome) -> list[str]:
        """Return the tasks skipped because of `task`, directly or through others."""
        todo, stopped = deque(self._answers(task)), set[str]()
        while todo:
            for name in self._skipped.get(todo.popleft(), ()):
                if name not in stopped:
                    stopped.add(name)
                    todo.append(name)
        return sorted(stopped, key=self._order.__getitem__)

    def _answers(self, task: TaskOutcome) -> list[str]:
        """Return the names under which others tell of this end: the task's, its loops', and those of its steps."""
        names = [task.name]
        while self._tasks[names[-1]].carrier in self._tasks:
            names.append(self._tasks[names[-1]].carrier)
        return names + [step for step in self._steps if is_cell(task.name, step)]


def is_cell(name: str, step: str) -> bool:
    """Say whether a task is one of those that `step` became by a matrix."""
    return re.match(rf"{re.escape(step)}-[0-9]+(\.|$)", name) is not None
