"""What a plan says, before any run, of how its tasks may end: what lets one run though another has not succeeded.

Engines whose edges are all hard need to know where the language's rules 1 and 2 say more. Knows no target's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from pipec.compiler.plan import Need, Plan, Task
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status, rewritten, statuses
from pipec.targets.base import every
from pipec.values import EachRef, Literal, OutputRef, Value
from pipec.verdict import FAILED, SKIPPED

_NEVER = Holds(Literal(False))
_BOTH = frozenset({True, False})


def may_starve(task: Task, known: Mapping[str, Task]) -> bool:
    """Say whether an input that takes many may be left with nothing though the task may run.

    It is skipped then, but Kubeflow would start it. known: the tasks of its scope by name.
    """
    lacking = unsure(task)
    for name, values in task.inputs:
        declared = task.interface.input(name)
        is_wanted = declared and declared.many and not declared.optional
        if is_wanted and values and all(_may_be_unwritten(value, known, lacking) for value in values):
            return True
    return False


def unsure(task: Task) -> frozenset[str]:
    """Return the tasks of which a task asks how they ended, and that need not have succeeded for it to run."""
    when = task.when
    if when is None:
        return frozenset()
    return frozenset(status.task for status in statuses(when) if may_run_without(when, status.task))


def _may_be_unwritten(value: Value, known: Mapping[str, Task], lacking: Set[str]) -> bool:
    if not isinstance(value, OutputRef | EachRef) or value.task not in known:
        return False
    if value.task in lacking:
        return True
    output = known[value.task].interface.output(value.output)
    return output is not None and output.optional


def is_firm(need: Need) -> bool:
    """Say whether a need is as good as hard, where nothing before it is left out by itself."""
    return not need.soft or (bool(need.any_of) and not need.forgiving)


def may_hold(condition: Condition, task: str, state: str) -> bool:
    """Say whether a condition may be true where `task` ended as `state`; of all else nothing is known."""
    return True in _truths(condition, task, state)


def _truths(condition: Condition, name: str, ended: str) -> frozenset[bool]:
    """Return what a condition may come to where a task ended in some way."""
    match condition:
        case Status(state, task):
            return frozenset({state == ended}) if task == name else _BOTH
        case Not(term):
            return frozenset(not truth for truth in _truths(term, name, ended))
        case AllOf(terms):
            found = [_truths(term, name, ended) for term in terms]
            every = {True} if all(True in each for each in found) else set()
            return frozenset(every | ({False} if any(False in each for each in found) else set()))
        case AnyOf(terms):
            found = [_truths(term, name, ended) for term in terms]
            some = {True} if any(True in each for each in found) else set()
            return frozenset(some | ({False} if all(False in each for each in found) else set()))
        case Compare() | Holds():
            return _BOTH


def may_run_without(when: Condition, task: str) -> bool:
    """Say whether what asks `when` may run though `task` has not succeeded."""
    return may_hold(when, task, SKIPPED) or may_hold(when, task, FAILED)


def seen(condition: Condition, known: Mapping[str, Task]) -> Condition:
    """Return a condition in which a failure that is forgiven looks like a skip (rule 1)."""

    def status(given: Status) -> Condition:
        if given.task not in known or not known[given.task].continue_on_error or given.state == "succeeded":
            return given
        return _NEVER if given.state == "failed" else Not(Status("succeeded", given.task))

    return rewritten(condition, lambda reference: None, status)


def makes_room(plan: Plan) -> dict[str, str]:
    """Return, by cell of a matrix, the cell whose end it waits for, so that no more run at once than the matrix says.

    Each waits for the one that stands as far before it as may run at once: of no more is known there when it ends.
    """
    cells: dict[str, list[str]] = {}
    for task in every(plan):
        if task.group:
            cells.setdefault(task.group, []).append(task.name)
    found: dict[str, str] = {}
    for group in plan.groups:
        names = cells.get(group.name, [])
        later = names[group.max_parallel :] if group.max_parallel else ()
        found |= {name: before for before, name in zip(names, later, strict=False)}
    return found
