"""What runs when: what a run knows, asked by rules 1 and 2 (`verdict.py`); rules 9 and 10 of design section 3.1.

Pure functions, and their reference. A `when` and a value are answered from what has ended; nothing here touches a file,
a clock or a process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TypeAlias, assert_never

from pipec.compiler.plan import Need, Task
from pipec.condition import named, statuses
from pipec.engine.outcome import State, TaskOutcome
from pipec.record import frozen
from pipec.steps.command import run_fact
from pipec.values import (
    Absent,
    ConfigRef,
    EachRef,
    Gather,
    ItemRef,
    Json,
    ListOf,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    resolve,
)
from pipec.verdict import Fault, Ready, Verdict, because, fed, judged

Place: TypeAlias = tuple[int, ...]  # of a task among the plan's; of an iteration's, its loop's with two numbers more


@frozen(kw_only=True)
class Facts:
    """What a run knows. endings: of tasks that have ended, by name. outcome: of the run, for final tasks.

    configs: of the environment, by name. loops: by a loop's task, what each iteration leaves, as references.
    """

    run_id: str
    scheduled_at: str
    parameters: Mapping[str, Json]
    endings: Mapping[str, TaskOutcome]
    outcome: str = ""
    configs: Mapping[str, str] = field(default_factory=dict)
    loops: Mapping[str, tuple[Mapping[str, Value], ...]] = field(default_factory=dict)

    def lookup(self, reference: Reference) -> Json:
        """Return the value of `reference`; raises Absent, and Fault at a secret (only a step's process has it)."""
        match reference:
            case ParameterRef(name):
                if self.parameters.get(name) is None:
                    raise Absent(f"`parameters.{name}` has no value")
                return self.parameters[name]
            case OutputRef(task, output):
                ending = self.endings.get(task)
                if ending is None or ending.state is not State.SUCCEEDED or output not in ending.values:
                    raise Absent(f"`steps.{task}.{output}` is absent" + self._because(task))
                return ending.values[output]
            case EachRef(task, output):
                if task not in self.loops:
                    raise Absent(f"`steps.{task}[*].{output}` is absent" + self._because(task))
                return resolve(Gather(tuple(each[output] for each in self.loops[task])), self.lookup)
            case RunRef(name):
                return run_fact(name, run_id=self.run_id, scheduled_at=self.scheduled_at, outcome=self.outcome)
            case SecretRef(name):
                raise Fault(f"secret `{name}` stands inside a longer value; it may only stand alone")
            case ConfigRef(name):
                return self.configs[name]
            case ItemRef() | MatrixRef():
                raise AssertionError(f"state.lookup got {reference}, which expansion should have replaced")
            case _:
                assert_never(reference)

    def _because(self, task: str) -> str:
        return because(task, self.endings[task].state) if task in self.endings else ""

    def state(self, task: str) -> str:
        """Return how a task ended."""
        return self.endings[task].state

    def seen(self, task: str) -> str:
        """Return how a task ended for those that follow."""
        return self.endings[task].seen

    def is_barren(self, task: str) -> bool:
        """Say whether a task is a loop that failed with nothing to show: no iteration of it has left anything."""
        if self.endings[task].seen not in (State.FAILED, State.REFUSED):
            return False
        iterations = self.loops.get(task)
        return iterations is not None and not any(self._left(value) for each in iterations for value in each.values())

    def _left(self, value: Value) -> bool:
        """Say whether a task wrote what a reference names; a success without outputs leaves nothing either."""
        match value:
            case OutputRef(task, _):
                return task in self.endings and self.endings[task].state is State.SUCCEEDED
            case EachRef(task, output):
                return any(self._left(each[output]) for each in self.loops.get(task, ()))
            case Gather(items):
                return any(self._left(item) for item in items)
        return False

    def present(self, value: Value) -> Iterator[Value]:
        """Yield what is there of a value given to an input: outputs that were written, and locations, in order."""
        match value:
            case OutputRef(task, output):
                ending = self.endings.get(task)
                if ending is not None and ending.state is State.SUCCEEDED and output in ending.artifacts:
                    yield value
            case Gather(items) | ListOf(items):
                for item in items:
                    yield from self.present(item)
            case EachRef(task, output):
                for each in self.loops.get(task, ()):
                    yield from self.present(each[output])
            case ParameterRef(name):
                if self.parameters.get(name) is not None:
                    yield value
            case _:
                yield value


def judge(task: Task, facts: Facts) -> Verdict:
    """Return what becomes of `task`, all of whose needs have ended.

    First come its needs and `when`, last whether there is something to read.
    """
    needs = [need for need in task.needs if not _is_idle(task, need, facts)]
    verdict = judged(needs, task.when, facts)
    return fed(task.inputs, task.interface.input, facts) if verdict == Ready() else verdict


def _is_idle(task: Task, need: Need, facts: Facts) -> bool:
    """Say whether a need only gives order: a final task runs whatever happened (rule 10).

    Tasks that one final step became keep rule 1 among themselves.
    """
    return task.is_final and facts.endings[need.task].step.partition(".")[0] != task.step.partition(".")[0]


def outcome_of(endings: Iterable[TaskOutcome]) -> str:
    """Return what a run with these endings is: `parked`, `failed`, `refused` or `succeeded`.

    A parked task comes first: a run that still waits for a person has not ended. A failure outweighs a refusal.
    """
    seen = {ending.seen for ending in endings}
    return next((state.value for state in (State.PARKED, State.FAILED, State.REFUSED) if state in seen), "succeeded")


class Frontier:
    """Which tasks have nothing left to wait for, kept up as tasks end: every edge is looked at once.

    A place tells where in the plan a task stands; those of a loop's iterations lie behind their loop's.
    """

    def __init__(self, tasks: Iterable[tuple[Place, Task]]) -> None:
        self._places: dict[str, Place] = {}
        self._open: dict[str, int] = {}
        self._after: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        listed = list(tasks)
        self._finals = {task.name for _, task in listed if task.is_final}
        self._ordinary = {task.name for _, task in listed} - self._finals
        self._first = self.add(listed)

    def first(self) -> list[str]:
        """Return the tasks of the plan that wait for nothing, in its order."""
        return [name for name in self._first if not self._is_held(name)]

    def add(self, tasks: Iterable[tuple[Place, Task]]) -> list[str]:
        """Take in more tasks; return those that wait for nothing, in their order."""
        added = []
        for place, task in tasks:
            before = _before(task) - self._ended
            self._places[task.name] = place
            self._open[task.name] = len(before)
            for name in before:
                self._after.setdefault(name, []).append(task.name)
            added.append(task.name)
        return [name for name in added if not self._open[name]]

    def end(self, name: str) -> list[str]:
        """Note that `name` has ended; return the tasks that now wait for nothing, in the plan's order."""
        self._ended.add(name)
        freed = []
        for follower in self._after.pop(name, ()):
            self._open[follower] -= 1
            if not self._open[follower] and not self._is_held(follower):
                freed.append(follower)
        if name in self._ordinary:
            self._ordinary.remove(name)
            if not self._ordinary:  # finals wait for everything else, hence for all of it that they may name
                freed += [final for final in self._finals if not self._open[final]]
        return sorted(freed, key=self._places.__getitem__)

    def _is_held(self, name: str) -> bool:
        return bool(self._ordinary) and name in self._finals


def _before(task: Task) -> set[str]:
    """The tasks that must have ended; a status or a value in `when` waits even if no edge says so (rule 2)."""
    names = {need.task for need in task.needs}
    if task.when:
        names |= {status.task for status in statuses(task.when)}
        names |= {ref.task for ref in named(task.when) if isinstance(ref, OutputRef | EachRef)}
    return names
