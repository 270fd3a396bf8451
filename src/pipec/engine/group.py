"""The limits of a matrix while it runs (rule 9): how many of its tasks at once, and no further one after a failure.

Knows no thread and no journal: the loop of the run tells it what starts and ends, and asks it who may come.
"""

from __future__ import annotations

import heapq
import re
from bisect import insort
from collections.abc import Iterable
from dataclasses import field

from pipec.compiler.plan import Group, Task
from pipec.engine.outcome import State, TaskOutcome
from pipec.engine.state import Place
from pipec.record import mutable
from pipec.verdict import past

Entry = tuple[Place, str]  # a task's place and name


def stopping(outcome: TaskOutcome) -> str:
    """Return why no further task of its matrix or loop starts after this end, or an empty text."""
    if outcome.seen not in (State.FAILED, State.REFUSED):
        return ""
    return f"`{outcome.name}` {past(outcome.state)}, and `fail_fast` starts no further one"


@mutable
class _Cells:
    """The tasks of one matrix; inside a loop, of one iteration.

    doubtful: places of tasks that were refused when an earlier engine was at the run, and may be again: until it is
    known, nothing behind them starts that had not begun then.
    """

    group: Group
    n_running: int = 0
    held: list[Entry] = field(default_factory=list)
    doubtful: list[Place] = field(default_factory=list)
    stopped: str = ""

    def admits(self, place: Place, *, has_begun: bool) -> bool:
        if self.group.max_parallel is not None and self.n_running >= self.group.max_parallel:
            return False
        return has_begun or bool(self.stopped) or not self.doubtful or place <= self.doubtful[0]

    def release(self) -> list[Entry]:
        """Return held tasks for which there may be room, the first of the plan first."""
        most = self.group.max_parallel
        n_free = len(self.held) if most is None or self.stopped else max(0, most - self.n_running)
        return [heapq.heappop(self.held) for _ in range(min(n_free, len(self.held)))]


class Groups:
    """Who of each matrix may start now. `group` of a task is empty where it belongs to none."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = {group.name: group for group in groups}
        self._cells: dict[tuple[Place, str], _Cells] = {}

    def _of(self, place: Place, task: Task) -> _Cells | None:
        if not task.group:
            return None
        key = (place[:-1], task.group)
        if key not in self._cells:
            self._cells[key] = _Cells(self._group(task.group))
        return self._cells[key]

    def _group(self, name: str) -> Group:
        """Return what the plan says of a matrix; one inside of another's cells may be listed without their numbers."""
        return self._groups.get(name) or self._groups[re.sub(r"-[0-9]+(?=\.|$)", "", name)]

    def doubt(self, place: Place, task: Task) -> None:
        """Note that an earlier engine saw `task` refused."""
        cells = self._of(place, task)
        if cells and cells.group.fail_fast:
            insort(cells.doubtful, place)

    def holds(self, place: Place, task: Task, *, has_begun: bool) -> bool:
        """Say whether `task` must wait for others of its matrix; `rest` or `end` of one of them returns it then."""
        cells = self._of(place, task)
        if cells is None or cells.admits(place, has_begun=has_begun):
            return False
        heapq.heappush(cells.held, (place, task.name))
        return True

    def start(self, place: Place, task: Task) -> None:
        """Note that an attempt begins."""
        if cells := self._of(place, task):
            cells.n_running += 1

    def rest(self, place: Place, task: Task) -> list[Entry]:
        """Note that an attempt has ended; return the tasks that waited for it."""
        cells = self._of(place, task)
        if cells is None:
            return []
        cells.n_running -= 1
        return cells.release()

    def end(self, place: Place, task: Task, outcome: TaskOutcome) -> list[Entry]:
        """Note how `task` ended; return the tasks that waited for it."""
        cells = self._of(place, task)
        if cells is None or not cells.group.fail_fast:
            return []
        if place in cells.doubtful:
            cells.doubtful.remove(place)
        cells.stopped = cells.stopped or stopping(outcome)
        return cells.release()

    def stopped(self, place: Place, task: Task) -> str:
        """Return why `task` must not start any more, or an empty text."""
        cells = self._of(place, task)
        return cells.stopped if cells else ""
