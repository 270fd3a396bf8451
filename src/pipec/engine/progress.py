"""What a person sees while a run goes on: plain lines for pipes and CI, a view that moves on a terminal.

A stream that breaks (`pipec run | head -1`) silences the view and never stops the run.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from typing import Protocol, TextIO

from pipec.engine.outcome import RunOutcome, State, TaskOutcome

MOST_LINES = 8  # of running tasks shown at once: more would push the news off a small terminal
_COLORS = {
    State.SUCCEEDED: "32", State.FAILED: "31", State.REFUSED: "31", State.SKIPPED: "33", State.PARKED: "36",
}  # fmt: skip


class Progress(Protocol):
    """What the engine tells as it goes. All calls come from one thread."""

    def begin(self, run_id: str, n_tasks: int) -> None:
        """A run begins or goes on."""

    def started(self, task: str, attempt: int) -> None:
        """A process was started for a task; not told of work that is done already."""

    def unrolled(self, task: str, n_iterations: int, n_tasks: int) -> None:
        """A loop's list is known: its iterations add so many tasks to the run."""

    def retrying(self, task: str, reason: str, wait_s: float) -> None:
        """An attempt failed; the next comes after `wait_s` seconds."""

    def ended(self, outcome: TaskOutcome) -> None:
        """A task ended, was skipped, or is parked."""

    def note(self, text: str) -> None:
        """Something a person may want to know."""

    def tick(self) -> None:
        """Time has passed; comes several times a second."""

    def finish(self, outcome: RunOutcome) -> None:
        """The engine ends."""


class Silent:
    """Shows nothing."""

    def begin(self, run_id: str, n_tasks: int) -> None: ...
    def started(self, task: str, attempt: int) -> None: ...
    def unrolled(self, task: str, n_iterations: int, n_tasks: int) -> None: ...
    def retrying(self, task: str, reason: str, wait_s: float) -> None: ...
    def ended(self, outcome: TaskOutcome) -> None: ...
    def note(self, text: str) -> None: ...
    def tick(self) -> None: ...
    def finish(self, outcome: RunOutcome) -> None: ...


class Lines:
    """One line for each thing that happens; what happened is never taken back."""

    def __init__(self, stream: TextIO, *, is_colored: bool = False) -> None:
        self._stream: TextIO | None = stream
        self._is_colored = is_colored

    def begin(self, run_id: str, n_tasks: int) -> None:
        self.line(f"run {run_id}: {n_tasks} tasks")

    def started(self, task: str, attempt: int) -> None:
        self.line(f"{task}: started" + (f", attempt {attempt}" if attempt > 1 else ""))

    def unrolled(self, task: str, n_iterations: int, n_tasks: int) -> None:
        self.line(f"{task}: {n_iterations} iteration{'' if n_iterations == 1 else 's'}")

    def retrying(self, task: str, reason: str, wait_s: float) -> None:
        self.line(f"{task}: {reason}; again in {wait_s:.0f} s")

    def ended(self, outcome: TaskOutcome) -> None:
        self.line(f"{outcome.name}: {self.colored(outcome.state, told(outcome))}")

    def note(self, text: str) -> None:
        self.line(text)

    def tick(self) -> None: ...

    def finish(self, outcome: RunOutcome) -> None:
        self.line(f"run {outcome.run_id}: {outcome.status}")

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Write, unless an earlier write failed: then nobody reads any more."""
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def colored(self, state: State, text: str) -> str:
        color = _COLORS.get(state)
        return f"\x1b[{color}m{text}\x1b[0m" if self._is_colored and color else text


class Live(Lines):
    """Lines, and below them what is running now, drawn anew in place."""

    def __init__(self, stream: TextIO, *, is_colored: bool) -> None:
        super().__init__(stream, is_colored=is_colored)
        self._running: dict[str, tuple[float, int]] = {}
        self._n_drawn = 0
        self._n_tasks = self._n_ended = 0
        self._began_s = time.monotonic()

    def begin(self, run_id: str, n_tasks: int) -> None:
        self._n_tasks = n_tasks
        super().begin(run_id, n_tasks)

    def started(self, task: str, attempt: int) -> None:
        self._running[task] = (time.monotonic(), attempt)
        self.tick()

    def unrolled(self, task: str, n_iterations: int, n_tasks: int) -> None:
        self._n_tasks += n_tasks
        super().unrolled(task, n_iterations, n_tasks)

    def retrying(self, task: str, reason: str, wait_s: float) -> None:
        self._running.pop(task, None)
        super().retrying(task, reason, wait_s)

    def ended(self, outcome: TaskOutcome) -> None:
        self._running.pop(outcome.name, None)
        self._n_ended += outcome.state is not State.PARKED
        super().ended(outcome)

    def line(self, text: str) -> None:
        self.write(self._erased() + text + "\n" + self._drawn())

    def tick(self) -> None:
        self.write(self._erased() + self._drawn())

    def finish(self, outcome: RunOutcome) -> None:
        self._running.clear()
        self.write(self._erased())
        self._n_tasks = 0
        super().finish(outcome)

    def _erased(self) -> str:
        up, self._n_drawn = self._n_drawn, 0
        return f"\x1b[{up}A\r\x1b[J" if up else ""

    def _drawn(self) -> str:
        if not self._n_tasks:
            return ""
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap, and the count of lines be wrong
        now = time.monotonic()
        lines = [f"  {task} {clock(now - since)}" + (f" (attempt {attempt})" if attempt > 1 else "")
                 for task, (since, attempt) in self._running.items()]  # fmt: skip
        if len(lines) > MOST_LINES:
            lines[MOST_LINES - 1 :] = [f"  and {len(lines) - MOST_LINES + 1} more"]
        lines.append(f"{self._n_ended} of {self._n_tasks} done, {clock(now - self._began_s)}")
        self._n_drawn = len(lines)
        return "".join(line[:width] + "\n" for line in lines)


def told(outcome: TaskOutcome) -> str:
    """Return how a task ended, in a few words."""
    match outcome.state:
        case State.SUCCEEDED if outcome.is_kept:
            return "done before"
        case State.SUCCEEDED if outcome.is_cached:
            return "cached"
        case State.SUCCEEDED if outcome.is_loop:
            return "succeeded"
        case State.SUCCEEDED:
            return f"succeeded in {clock(outcome.duration_s)}"
        case State.SKIPPED:
            return f"skipped: {outcome.reason}"
        case State.PARKED:
            return f"waits for a person: {outcome.reason}"
        case state:
            return f"{state}: {outcome.reason}" if outcome.reason else state


def clock(seconds: float) -> str:
    """Return a length of time as a person reads it: `0.4 s`, `12 s`, `3:05`, `1:02:03`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def choose(stream: TextIO, environ: Mapping[str, str]) -> Progress:
    """Return the view that fits: live on a terminal that can move its cursor, else lines. NO_COLOR takes the colour."""
    is_terminal = False
    with contextlib.suppress(OSError, ValueError):
        is_terminal = stream.isatty()
    if not is_terminal or environ.get("TERM") == "dumb" or environ.get("CI"):
        return Lines(stream)
    return Live(stream, is_colored=not environ.get("NO_COLOR"))
