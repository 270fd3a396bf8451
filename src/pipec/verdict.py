"""What becomes of a task: rules 1 and 2 of design section 3.1, asked of any run. This module is their reference.

Below engine and steps because both judge, and must agree to the word: the engine before it starts a task, a step's
container where an orchestrator cannot. Knows no plan, no interface, and no run but by what `Run` answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, assert_never

from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status, statuses
from pipec.record import frozen
from pipec.values import Absent, Json, OutputRef, Reference, Value, resolve

SUCCEEDED, FAILED, REFUSED, SKIPPED = ENDS = ("succeeded", "failed", "refused", "skipped")
BAD = (FAILED, REFUSED)
_GRAVITY = (FAILED, REFUSED, "parked", "running", "waiting", SUCCEEDED, SKIPPED)
_PAST = {
    FAILED: "failed", REFUSED: "was refused", SKIPPED: "was skipped", "parked": "is parked",
    "running": "is running", "waiting": "has not run", SUCCEEDED: "succeeded",
}  # fmt: skip


class Fault(Exception):
    """A `when` or a value has no answer: the task fails. One line."""


@frozen
class Ready:
    """The task may run."""


@frozen
class Skip:
    """The task will not run. reason: why, without anything that differs between equal runs."""

    reason: str


@frozen
class Fail:
    """The task cannot run, and that is a failure."""

    reason: str


Verdict: TypeAlias = Ready | Skip | Fail


class Edge(Protocol):
    """What a task waits for, and what of it lets the task run (`compiler/plan.py` says what each field means)."""

    @property
    def task(self) -> str: ...

    @property
    def soft(self) -> bool: ...

    @property
    def forgiving(self) -> bool: ...

    @property
    def any_of(self) -> str: ...


class Wanted(Protocol):
    """What an input declares."""

    @property
    def optional(self) -> bool: ...

    @property
    def many(self) -> bool: ...


class Run(Protocol):
    """What a judge asks of a run."""

    def state(self, task: str) -> str:
        """Return how a task ended."""

    def seen(self, task: str) -> str:
        """Return how a task ended for those that follow: `continue_on_error` makes a failure look like a skip."""

    def is_barren(self, task: str) -> bool:
        """Say whether a task is a loop that failed with nothing to show."""

    def lookup(self, reference: Reference) -> Json:
        """Return the value of a reference. Raises Absent."""

    def present(self, value: Value) -> Iterator[Value]:
        """Yield what is there of a value that is given to an input."""


def past(state: str) -> str:
    """Return what became of a task, after its name."""
    return _PAST[state]


def because(task: str, state: str) -> str:
    """Return why nothing of a task is there, as the end of a sentence; empty where its end does not say it."""
    return "" if state in ("", SUCCEEDED) else f": `{task}` {past(state)}"


def judged(needs: Iterable[Edge], when: Condition | None, run: Run) -> Verdict:
    """Return what becomes of a task with these needs, all of which have ended, before its inputs are looked at.

    Every need is looked at in the order given, however early it ended, so that equal runs give equal reasons. Then
    comes `when`.
    """
    asked = {status.task for status in statuses(when)} if when else set()
    counted = [need for need in needs if need.task not in asked]
    for need in counted:
        if not _passes(need, run.seen(need.task)) or run.is_barren(need.task):
            return Skip(f"`{need.task}` {past(run.state(need.task))}")
    for step in dict.fromkeys(need.any_of for need in counted if need.any_of):
        cells = [need.task for need in counted if need.any_of == step]
        if not any(run.seen(cell) == SUCCEEDED for cell in cells):
            is_bad = any(run.state(cell) in BAD for cell in cells)
            return Skip(f"`{step}` {past(FAILED if is_bad else SKIPPED)}")
    try:
        return Ready() if when is None or holds(when, run) else Skip("`when` is false")
    except Fault as fault:
        return Fail(f"`when` cannot be answered: {fault}")


def _passes(need: Edge, seen: str) -> bool:
    match seen:
        case "succeeded":
            return True
        case "skipped":
            return need.soft
        case "failed" | "refused":
            return need.forgiving
        case _:
            return False


def fed(inputs: Iterable[tuple[str, tuple[Value, ...]]], declared: Callable[[str], Wanted | None], run: Run) -> Verdict:
    """Say whether every input that must have something has it: a list that came to nothing leaves nothing to do."""
    for name, values in inputs:
        wanted = declared(name)
        if (wanted and wanted.optional) or any(True for value in values for _ in run.present(value)):
            continue
        if wanted and wanted.many:
            return Skip(f"nothing was left for `{name}`")
        return Fail(f"input `{name}` reads {_unread(values, run)}")
    return Ready()


def _unread(values: Sequence[Value], run: Run) -> str:
    for value in values:
        if isinstance(value, OutputRef):
            is_unwritten = run.state(value.task) == SUCCEEDED
            said = f"which `{value.task}` left unwritten" if is_unwritten else "which is absent"
            return f"`steps.{value.task}.{value.output}`, {said}"
    return "nothing"


def holds(condition: Condition, run: Run) -> bool:
    """Say whether `condition` is true. `and` and `or` stop at the first term that decides. Raises Fault (rule 2)."""
    match condition:
        case Status(state, task):
            return _stands(run.seen(task), state)
        case Not(term):
            return not holds(term, run)
        case AllOf(terms):
            return all(holds(term, run) for term in terms)
        case AnyOf(terms):
            return any(holds(term, run) for term in terms)
        case Holds(value):
            known = resolved(value, run)
            if not isinstance(known, bool):
                raise Fault(f"{shown(known)} is {kind(known)}, not true or false")
            return known
        case Compare(operator, left, right):
            return compare(operator, resolved(left, run), resolved(right, run))
        case _:
            assert_never(condition)


def _stands(seen: str, state: str) -> bool:
    """A refusal counts as a failure here: it is one on every orchestrator, whose tasks know no third end."""
    return seen in BAD if state == FAILED else seen == state


def resolved(value: Value, run: Run) -> Json:
    """Return what `value` is in this run. Raises Fault if it has no value, or none that can stand where it stands."""
    try:
        return resolve(value, run.lookup)
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


def of_item(item: Json, name: str, number: int) -> Json:
    """Return the item of a loop's iteration, or the field of it that is asked for. Raises Fault."""
    if not name:
        return item
    if not isinstance(item, Mapping):
        raise Fault(f"item {number} is {'null' if item is None else kind(item)}, which has no field `{name}`")
    if name not in item:
        fields = ", ".join(f"`{each}`" for each in sorted(item)) or "none"
        raise Fault(f"item {number} has no field `{name}`; it has {fields}")
    return item[name]


def together(states: Iterable[str]) -> str:
    """Return how several tasks stand as one: the gravest counts, and one success makes more than any skip.

    Of none at all it is a success: a list without items leaves nothing undone.
    """
    return min(states, key=_GRAVITY.index, default=SUCCEEDED)


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
