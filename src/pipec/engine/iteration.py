"""A loop while it runs: which iterations go on, which may begin, and what the loop comes to (rule 9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import field

from pipec.compiler.plan import Loop, Task
from pipec.engine.group import stopping
from pipec.engine.loop import Iteration
from pipec.engine.outcome import State, TaskOutcome, together
from pipec.engine.state import Place
from pipec.record import mutable
from pipec.verdict import past


@mutable(kw_only=True)
class Unrolled:
    """A loop that has begun. place: its task's. follows: why all of it must be done anew, or empty.

    n_open: tasks that have not ended, by iteration. begun: iterations of which a task was started. doubtful: iterations
    that were refused when an earlier engine was at the run: until it is known whether they are again, no later one is
    let in. stopped: why no further one begins. is_new: work was done in it that had not been done before.
    """

    task: Task
    place: Place
    iterations: tuple[Iteration, ...]
    follows: str = ""
    n_open: list[int] = field(default_factory=list)
    begun: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    n_let_in: int = 0
    n_going: int = 0
    n_ended: int = 0
    stopped: str = ""
    is_new: bool = False

    @property
    def loop(self) -> Loop:
        assert self.task.loop
        return self.task.loop

    @property
    def is_over(self) -> bool:
        return self.n_ended == len(self.iterations)

    def tasks(self, number: int) -> Iterator[tuple[Place, Task]]:
        """Yield the tasks of an iteration with their places."""
        for at, task in enumerate(self.iterations[number].tasks):
            yield (*self.place, number, at), task

    def let_in(self) -> Iterator[int]:
        """Yield the iterations that may go on from now, in order; once none further may begin, all that are left."""
        while self.n_let_in < len(self.iterations) and self._has_room():
            self.n_let_in += 1
            self.n_going += 1
            yield self.n_let_in - 1

    def _has_room(self) -> bool:
        if self.stopped:
            return True
        is_full = self.loop.max_parallel is not None and self.n_going >= self.loop.max_parallel
        return not is_full and not any(number < self.n_let_in for number in self.doubtful)

    def end(self, number: int, outcome: TaskOutcome) -> bool:
        """Note how a task of an iteration ended; say whether the loop stops because of it."""
        self.n_open[number] -= 1
        if not self.n_open[number]:
            self.n_going -= 1
            self.n_ended += 1
            self.doubtful.discard(number)
        was_stopped = bool(self.stopped)
        if self.loop.fail_fast and not was_stopped:
            self.stopped = stopping(outcome)
        return bool(self.stopped) and not was_stopped

    def outcome(self, endings: Mapping[str, TaskOutcome], changed: Set[str]) -> tuple[TaskOutcome, bool]:
        """Return what the loop came to, and whether what follows it must be done anew."""
        names = [task.name for each in self.iterations for task in each.tasks]
        state = together(endings[name].seen for name in names)
        bad = next((name for name in names if endings[name].seen is state), "")
        reason = ""
        if state in (State.FAILED, State.REFUSED):
            reason = f"`{bad}` {past(endings[bad].state)}"
        elif state is State.SKIPPED:
            reason = "every iteration was skipped"
        outcome = TaskOutcome(
            name=self.task.name, step=self.task.step, state=state, reason=reason, is_loop=True,
            is_forgiven=self.task.continue_on_error,
            is_kept=bool(names) and all(endings[n].is_kept or endings[n].state is State.SKIPPED for n in names),
        )  # fmt: skip
        return outcome, bool(self.follows) or any(name in changed for name in names)


def begin(task: Task, place: Place, iterations: tuple[Iteration, ...], refused: Set[str], follows: str) -> Unrolled:
    """Return a loop of which nothing has begun. refused: names of tasks that an earlier engine saw refused."""
    return Unrolled(
        task=task, place=place, iterations=iterations, follows=follows,
        n_open=[len(each.tasks) for each in iterations],
        doubtful={n for n, each in enumerate(iterations) if any(task.name in refused for task in each.tasks)}
        if task.loop and task.loop.fail_fast else set(),
    )  # fmt: skip
