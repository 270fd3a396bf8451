"""What runs when: rules 1, 2, 9 and 10 of design section 3.1 as pure functions. This module is their reference.

A `when` and a value are answered from what has ended; nothing here touches a file, a clock or a process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from pipec.compiler.plan import Need, Task
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status, named, statuses
from pipec.engine.outcome import State, TaskOutcome
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


class Fault(Exception):
    """A `when` or a value has no answer: the task fails. One line."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The task may run."""


@dataclass(frozen=True, slots=True)
class Skip:
    """The task will not run. reason: why, without anything that differs between equal runs."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The task cannot run, and that is a failure."""

    reason: str


Verdict: TypeAlias = Ready | Skip | Fail
Place: TypeAlias = tuple[int, ...]  # of a task among the plan's; of an iteration's, its loop's with two numbers more


@dataclass(frozen=True, slots=True, kw_only=True)
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
                    raise Absent(f"`steps.{task}.{output}` is absent" + _because(ending))
                return ending.values[output]
            case EachRef(task, output):
                if task not in self.loops:
                    raise Absent(f"`steps.{task}[*].{output}` is absent" + _because(self.endings.get(task)))
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


def _because(ending: TaskOutcome | None) -> str:
    if ending is None or ending.state is State.SUCCEEDED:
        return ""
    return f": `{ending.name}` {past(ending.state)}"


def past(state: State) -> str:
    """Return what became of a task, after its name."""
    return _PAST[state]


_PAST = {
    State.FAILED: "failed", State.REFUSED: "was refused", State.SKIPPED: "was skipped", State.PARKED: "is parked",
    State.RUNNING: "is running", State.WAITING: "has not run", State.SUCCEEDED: "succeeded",
}  # fmt: skip


def judge(task: Task, facts: Facts) -> Verdict:
    """Return what becomes of `task`, all of whose needs have ended.

    Every need is looked at in the plan's order, however early it ended, so that equal runs give equal reasons. Then
    comes `when`, and last whether there is something to read.
    """
    asked = {status.task for status in statuses(task.when)} if task.when else set()
    needs = [need for need in task.needs if need.task not in asked and not _is_idle(task, need, facts)]
    for need in needs:
        ending = facts.endings[need.task]
        if not _passes(need, ending.seen) or facts.is_barren(need.task):
            return Skip(f"`{need.task}` {past(ending.state)}")
    for step in dict.fromkeys(need.any_of for need in needs if need.any_of):
        endings = [facts.endings[need.task] for need in needs if need.any_of == step]
        if not any(ending.seen is State.SUCCEEDED for ending in endings):
            is_bad = any(ending.state in (State.FAILED, State.REFUSED) for ending in endings)
            return Skip(f"`{step}` {past(State.FAILED if is_bad else State.SKIPPED)}")
    try:
        return _fed(task, facts) if task.when is None or holds(task.when, facts) else Skip("`when` is false")
    except Fault as fault:
        return Fail(f"`when` cannot be answered: {fault}")


def _is_idle(task: Task, need: Need, facts: Facts) -> bool:
    """Say whether a need only gives order: a final task runs whatever happened (rule 10).

    Tasks that one final step became keep rule 1 among themselves.
    """
    return task.is_final and facts.endings[need.task].step.partition(".")[0] != task.step.partition(".")[0]


def _passes(need: Need, seen: State) -> bool:
    match seen:
        case State.SUCCEEDED:
            return True
        case State.SKIPPED:
            return need.soft
        case State.FAILED | State.REFUSED:
            return need.forgiving
        case _:
            return False


def _fed(task: Task, facts: Facts) -> Verdict:
    """Say whether every input that must have something has it: a list that came to nothing leaves nothing to do."""
    for name, values in task.inputs:
        declared = task.interface.input(name)
        if (declared and declared.optional) or any(True for value in values for _ in facts.present(value)):
            continue
        if declared and declared.many:
            return Skip(f"nothing was left for `{name}`")
        return Fail(f"input `{name}` reads {_unread(values, facts)}")
    return Ready()


def _unread(values: tuple[Value, ...], facts: Facts) -> str:
    for value in values:
        if isinstance(value, OutputRef):
            ending = facts.endings.get(value.task)
            is_unwritten = ending is not None and ending.state is State.SUCCEEDED
            said = f"which `{value.task}` left unwritten" if is_unwritten else "which is absent"
            return f"`steps.{value.task}.{value.output}`, {said}"
    return "nothing"


def holds(condition: Condition, facts: Facts) -> bool:
    """Say whether `condition` is true. `and` and `or` stop at the first term that decides. Raises Fault (rule 2)."""
    match condition:
        case Status(state, task):
            return _stands(facts.endings[task], state)
        case Not(term):
            return not holds(term, facts)
        case AllOf(terms):
            return all(holds(term, facts) for term in terms)
        case AnyOf(terms):
            return any(holds(term, facts) for term in terms)
        case Holds(value):
            known = resolved(value, facts)
            if not isinstance(known, bool):
                raise Fault(f"{shown(known)} is {kind(known)}, not true or false")
            return known
        case Compare(operator, left, right):
            return compare(operator, resolved(left, facts), resolved(right, facts))
        case _:
            assert_never(condition)


def _stands(ending: TaskOutcome, state: str) -> bool:
    """A refusal counts as a failure here: it is one on every orchestrator, whose tasks know no third end."""
    if state == State.FAILED:
        return ending.seen in (State.FAILED, State.REFUSED)
    return ending.seen == state


def resolved(value: Value, facts: Facts) -> Json:
    """Return what `value` is in this run. Raises Fault if it has no value, or none that can stand where it stands."""
    try:
        return resolve(value, facts.lookup)
    except Absent as fault:
        raise Fault(str(fault.args[0])) from fault
    except TypeError as fault:
        raise Fault(str(fault)) from fault


def compare(operator: str, left: Json, right: Json) -> bool:
    """Compare two values of one kind; numbers are one kind, true and false are no numbers. Raises Fault at others."""
    if operator == "in":
        return _is_in(left, right)
    own = kind(left)
    if own != kind(right):
        raise Fault(f"{shown(left)} is {own}, but {shown(right)} is {kind(right)}")
    if operator == "==":
        return left == right
    if operator == "!=":
        return left != right
    match left, right:
        case (int() | float(), int() | float()) if own != _BOOLEAN:
            return _ordered(operator, (left > right) - (left < right))
        case str(), str():
            return _ordered(operator, (left > right) - (left < right))  # by code points
    raise Fault(f"`{operator}` compares numbers or texts, and {shown(left)} is {own}")


def _ordered(operator: str, sign: int) -> bool:
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]


def _is_in(left: Json, right: Json) -> bool:
    if not isinstance(right, list | tuple):
        raise Fault(f"`in` looks into a list, and {shown(right)} is {kind(right)}")
    own = kind(left)
    if right and all(kind(item) != own for item in right):
        raise Fault(f"{shown(left)} is {own}, and no item of the list is")
    return any(kind(item) == own and item == left for item in right)


_BOOLEAN = "a boolean"


def kind(value: Json) -> str:
    """Return what a value is, in words. Raises Fault at null and at numbers that are none."""
    match value:
        case None:
            raise Fault("a value is absent")
        case bool():
            return _BOOLEAN
        case int() | float():
            if not math.isfinite(value):
                raise Fault(f"{value} is not a finite number")
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def shown(value: Json) -> str:
    """Return a value as a message may hold it."""
    text = f"`{value}`"
    return text if len(text) <= 60 else text[:57] + "...`"


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
