"""What runs when: rules 1, 2 and 10 of design section 3.1 as pure functions. This module is their reference.

A `when` and a value are answered from what has ended; nothing here touches a file, a clock or a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from pipec.compiler.plan import Plan, Task
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status, operands, statuses
from pipec.engine.outcome import State, TaskOutcome
from pipec.steps.command import run_fact
from pipec.values import (
    Absent,
    ConfigRef,
    EachRef,
    ItemRef,
    Json,
    MatrixRef,
    OutputRef,
    ParameterRef,
    Reference,
    RunRef,
    SecretRef,
    Value,
    references,
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
Lookup: TypeAlias = Callable[[Reference], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a run knows. endings: of tasks that have ended, by name. outcome: of the run, for final tasks."""

    run_id: str
    scheduled_at: str
    parameters: Mapping[str, Json]
    endings: Mapping[str, TaskOutcome]
    outcome: str = ""
    configs: Mapping[str, str] = field(default_factory=dict)

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
            case RunRef(name):
                return run_fact(name, run_id=self.run_id, scheduled_at=self.scheduled_at, outcome=self.outcome)
            case SecretRef(name):
                raise Fault(f"secret `{name}` stands inside a longer value; it may only stand alone")
            case ConfigRef(name):
                return self.configs[name]
            case EachRef() | ItemRef() | MatrixRef():
                raise AssertionError(f"state.lookup got {reference}, which expansion should have replaced")
            case _:
                assert_never(reference)


def _because(ending: TaskOutcome | None) -> str:
    if ending is None or ending.state is State.SUCCEEDED:
        return ""
    return f": `{ending.name}` {_PAST[ending.state]}"


_PAST = {
    State.FAILED: "failed", State.REFUSED: "was refused", State.SKIPPED: "was skipped", State.PARKED: "is parked",
    State.RUNNING: "is running", State.WAITING: "has not run", State.SUCCEEDED: "succeeded",
}  # fmt: skip


def judge(task: Task, facts: Facts) -> Verdict:
    """Return what becomes of `task`, all of whose needs have ended.

    Every need is looked at in the plan's order, however early it ended, so that equal runs give equal reasons.
    """
    asked = {status.task for status in statuses(task.when)} if task.when else set()
    for need in task.needs:
        if task.is_final or need.task in asked:
            continue  # rule 10: whatever happened; rule 2: `when` itself asks how it ended
        ending = facts.endings[need.task]
        if ending.seen is State.SUCCEEDED or (need.soft and ending.seen is State.SKIPPED):
            continue
        return Skip(f"`{need.task}` {_PAST[ending.state]}")
    if task.when is None:
        return Ready()
    try:
        return Ready() if holds(task.when, facts) else Skip("`when` is false")
    except Fault as fault:
        return Fail(f"`when` cannot be answered: {fault}")


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
            known = _value(value, facts)
            if not isinstance(known, bool):
                raise Fault(f"{_shown(known)} is {_kind(known)}, not true or false")
            return known
        case Compare(operator, left, right):
            return compare(operator, _value(left, facts), _value(right, facts))
        case _:
            assert_never(condition)


def _stands(ending: TaskOutcome, state: str) -> bool:
    """A refusal counts as a failure here: it is one on every orchestrator, whose tasks know no third end."""
    if state == State.FAILED:
        return ending.seen in (State.FAILED, State.REFUSED)
    return ending.seen == state


def _value(value: Value, facts: Facts) -> Json:
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
    kind = _kind(left)
    if kind != _kind(right):
        raise Fault(f"{_shown(left)} is {kind}, but {_shown(right)} is {_kind(right)}")
    if operator == "==":
        return left == right
    if operator == "!=":
        return left != right
    match left, right:
        case (int() | float(), int() | float()) if kind != _BOOLEAN:
            return _ordered(operator, (left > right) - (left < right))
        case str(), str():
            return _ordered(operator, (left > right) - (left < right))  # by code points
    raise Fault(f"`{operator}` compares numbers or texts, and {_shown(left)} is {kind}")


def _ordered(operator: str, sign: int) -> bool:
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]


def _is_in(left: Json, right: Json) -> bool:
    if not isinstance(right, list | tuple):
        raise Fault(f"`in` looks into a list, and {_shown(right)} is {_kind(right)}")
    kind = _kind(left)
    if right and all(_kind(item) != kind for item in right):
        raise Fault(f"{_shown(left)} is {kind}, and no item of the list is")
    return any(_kind(item) == kind and item == left for item in right)


_BOOLEAN = "a boolean"


def _kind(value: Json) -> str:
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


def _shown(value: Json) -> str:
    text = f"`{value}`"
    return text if len(text) <= 60 else text[:57] + "...`"


def outcome_of(endings: Iterable[TaskOutcome]) -> str:
    """Return what a run with these endings is: `parked`, `failed`, `refused` or `succeeded`.

    A parked task comes first: a run that still waits for a person has not ended. A failure outweighs a refusal.
    """
    seen = {ending.seen for ending in endings}
    return next((state.value for state in (State.PARKED, State.FAILED, State.REFUSED) if state in seen), "succeeded")


class Frontier:
    """Which tasks have nothing left to wait for, kept up as tasks end: every edge is looked at once."""

    def __init__(self, plan: Plan) -> None:
        self._index = {task.name: place for place, task in enumerate(plan.tasks)}
        self._open: dict[str, int] = {}
        self._after: dict[str, list[str]] = {name: [] for name in self._index}
        self._finals = {task.name: None for task in plan.tasks if task.is_final}  # a set in the plan's order
        self._n_ordinary = len(plan.tasks) - len(self._finals)
        for task in plan.tasks:
            before = self._before(task)
            self._open[task.name] = len(before)
            for name in before:
                self._after[name].append(task.name)

    def _before(self, task: Task) -> set[str]:
        """The tasks that must have ended; a status or a value in `when` waits even if no edge says so (rule 2)."""
        names = {need.task for need in task.needs}
        if task.when:
            names |= {status.task for status in statuses(task.when)}
            names |= {
                ref.task for value in operands(task.when) for ref in references(value) if isinstance(ref, OutputRef)
            }
        return names

    def first(self) -> list[str]:
        """Return the tasks that wait for nothing, in the plan's order."""
        held = self._finals if self._n_ordinary else {}
        return [name for name, n_open in self._open.items() if not n_open and name not in held]

    def end(self, name: str) -> list[str]:
        """Note that `name` has ended; return the tasks that now wait for nothing, in the plan's order."""
        for follower in self._after[name]:
            self._open[follower] -= 1
        freed = [f for f in self._after[name] if not self._open[f] and f not in self._finals]
        if name not in self._finals:
            self._n_ordinary -= 1
            if not self._n_ordinary:  # finals wait for everything else, hence for all they may name
                freed += self._finals
        return sorted(freed, key=self._index.__getitem__)
