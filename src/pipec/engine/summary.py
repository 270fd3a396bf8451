"""What a run's end says to a person: which step, why, where to look and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipec.engine.outcome import State, TaskOutcome
from pipec.engine.replay import stands


def summarize(status: str, tasks: Sequence[TaskOutcome], folder: Path, file: str, flags: str = "") -> str:
    """Return the lines, none for a success without a forgiven failure. folder: the run's. file: the pipeline's.

    flags: what `pipec approve` needs besides.
    """
    lines: list[str] = []
    for task in tasks:
        if task.state in (State.FAILED, State.REFUSED):
            lines += _bad(task, tasks, folder)
    parked = [task for task in tasks if task.state is State.PARKED]
    reopened = [task for task in tasks if task.state is State.REFUSED and not stands(task)]
    for task in parked:
        lines.append(f"step `{task.step}` waits for a person: {task.reason}")
    for task in parked + reopened:
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


def _bad(task: TaskOutcome, tasks: Sequence[TaskOutcome], folder: Path) -> list[str]:
    what = "was refused" if task.state is State.REFUSED else "failed"
    often = f" after {task.attempts} attempts" if task.attempts > 1 else ""
    forgiven = " (the run goes on: `continue_on_error`)" if task.is_forgiven else ""
    name = f"step `{task.step}`" if task.step == task.name else f"step `{task.step}` (`{task.name}`)"
    lines = [f"{name} {what}{often}{forgiven}: {task.reason}"]
    if task.log:
        lines.append(f"  log: {folder / task.log}")
    if stopped := _stopped_by(task.name, tasks):
        lines.append(f"  not run because of it: {', '.join(stopped)}")
    return lines


def _stopped_by(name: str, tasks: Sequence[TaskOutcome]) -> list[str]:
    """The tasks skipped because of `name`, directly or through others. tasks: in an order in which they may run."""
    stopped = [name]
    for task in tasks:
        if task.state is State.SKIPPED and any(task.reason.startswith(f"`{each}` ") for each in stopped):
            stopped.append(task.name)
    return stopped[1:]
