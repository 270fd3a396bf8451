"""Conditions as Kubeflow evaluates them: CEL over the parameters of a task's executor input.

Every number is a double there, so whole ones are compared as `int(...)`, as kfp's own compiler writes it. Knows no DAG:
whoever asks says under which name a value arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias, assert_never

from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status, operands
from pipec.steps.interface import Kind
from pipec.values import ConfigRef, Json, ListOf, Literal, Reference, RunRef, Value, references

Named: TypeAlias = Callable[[Reference], tuple[str, Kind]]  # under which name a value arrives, and as what
_BAD = ("failed", "refused")
# What a quoted text may not hold as it is: what ends it, and what Argo or Kubernetes would read as theirs on the way.
_SPECIAL = re.compile(r"[^ -&(-\[\]-~]|\{(?=\{)|\$(?=[($])|\[(?=\[)")


def can_say(condition: Condition) -> bool:
    """Say whether Kubeflow can evaluate a condition itself: a date must be cut from a text, and CEL here cuts none.

    Nor does it fail where a list has nothing of the kind that is looked for: it says no.
    """
    if _searches(condition):
        return False
    for value in operands(condition):
        if isinstance(value, Literal):
            if value.value is None or isinstance(value.value, dict):
                return False
        elif isinstance(value, ListOf):
            if not all(isinstance(item, Literal) or _is_plain(item) for item in value.items):
                return False
        elif not _is_plain(value):
            return False
    return True


def _searches(condition: Condition) -> bool:
    """Say whether something is looked for in a list of which only a run knows the items."""
    match condition:
        case Compare("in", _, right):
            return not isinstance(right, Literal | ListOf)
        case Not(term):
            return _searches(term)
        case AllOf(terms) | AnyOf(terms):
            return any(_searches(term) for term in terms)
        case Compare() | Holds() | Status():
            return False
        case _:
            assert_never(condition)


def _is_plain(value: Value) -> bool:
    is_alone = tuple(references(value)) == (value,)
    return is_alone and not isinstance(value, ConfigRef) and value != RunRef("date")


def cel(condition: Condition, named: Named, state: Callable[[str], str]) -> str:
    """Return a condition as CEL. state: under which name a task's state arrives. Assumes `can_say`."""
    match condition:
        case Compare(operator, left, right):
            is_whole = all(kind is Kind.INTEGER for kind in _kinds(left, right, named))
            return f"{_operand(left, named, is_whole)} {operator} {_operand(right, named, is_whole)}"
        case Holds(Literal(bool(known))):
            return "true" if known else "false"
        case Holds(value):
            return f"{_operand(value, named, False)} == true"
        case Status(wanted, task):
            found = _value(state(task))
            if wanted == "failed":
                return "(" + " || ".join(f"{found} == '{each}'" for each in _BAD) + ")"
            return f"{found} == '{wanted}'"
        case Not(term):
            return f"!({cel(term, named, state)})"
        case AllOf(terms):
            return " && ".join(_term(term, named, state) for term in terms) or "true"
        case AnyOf(terms):
            return " || ".join(_term(term, named, state) for term in terms) or "false"
        case _:
            assert_never(condition)


def _term(condition: Condition, named: Named, state: Callable[[str], str]) -> str:
    said = cel(condition, named, state)
    return f"({said})" if isinstance(condition, AllOf | AnyOf) else said


def _kinds(left: Value, right: Value, named: Named) -> Iterator[Kind]:
    """Yield the kinds of what is compared; a list known at compile time counts as its items."""
    for value in (left, right):
        match value:
            case Literal(list() | tuple() as known):
                yield from (Kind.of(item) for item in known)
            case Literal(known):
                yield Kind.of(known)
            case ListOf(items):
                for item in items:
                    yield from _kinds(item, item, named)
            case _:
                yield named(_reference(value))[1]


def _operand(value: Value, named: Named, is_whole: bool) -> str:
    match value:
        case Literal(known):
            return _literal(known, is_whole)
        case ListOf(items):
            return "[" + ", ".join(_operand(item, named, is_whole) for item in items) + "]"
        case _:
            name, kind = named(_reference(value))
            found = _value(name)
            return f"int({found})" if is_whole and kind is Kind.INTEGER else found


def _reference(value: Value) -> Reference:
    (found,) = references(value)
    return found


def _value(name: str) -> str:
    return f"inputs.parameter_values['{name}']"


def _literal(known: Json, is_whole: bool) -> str:
    match known:
        case bool():
            return "true" if known else "false"
        case int():
            return str(known) if is_whole else f"{known}.0"
        case float():
            return repr(known)
        case str():
            return "'" + _SPECIAL.sub(_escaped, known) + "'"
        case _:
            assert isinstance(known, list | tuple), f"cel._literal got {known!r} (can_say should have stopped it)"
            return "[" + ", ".join(_literal(item, is_whole) for item in known) + "]"


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char in "\\'":
        return f"\\{char}"
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
