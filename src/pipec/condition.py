"""Conditions as values: what `when` asks, free of text and place.

They stand below the plan, because documents, sub-pipelines and engines carry the same ones. Knows no YAML and no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, assert_never

from pipec.record import frozen
from pipec.values import Json, Reference, Value, decode, encode, references, substitute


@frozen
class Compare:
    """left `operator` right, by value; operator: `== != < <= > >= in`."""

    operator: str
    left: Value
    right: Value


@frozen
class Status:
    """Whether `task` ended as `state`: `succeeded`, `failed` or `skipped`."""

    state: str
    task: str


@frozen
class Holds:
    """A boolean value standing alone."""

    value: Value


@frozen
class Not:
    term: Condition


@frozen
class AllOf:
    terms: tuple[Condition, ...]


@frozen
class AnyOf:
    terms: tuple[Condition, ...]


Condition: TypeAlias = Compare | Status | Holds | Not | AllOf | AnyOf


def statuses(condition: Condition) -> Iterator[Status]:
    """Yield every status function in a condition."""
    match condition:
        case Status():
            yield condition
        case Not(term):
            yield from statuses(term)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from statuses(term)
        case Compare() | Holds():
            return
        case _:
            assert_never(condition)


def operands(condition: Condition) -> Iterator[Value]:
    """Yield every value in a condition."""
    match condition:
        case Compare(_, left, right):
            yield left
            yield right
        case Holds(value):
            yield value
        case Not(term):
            yield from operands(term)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from operands(term)
        case Status():
            return
        case _:
            assert_never(condition)


def named(condition: Condition) -> Iterator[Reference]:
    """Yield every reference in the values of a condition."""
    for value in operands(condition):
        yield from references(value)


def rewritten(
    condition: Condition, known: Callable[[Reference], Value | None], asked: Callable[[Status], Condition]
) -> Condition:
    """Return the condition with other values and other status functions in the places of its own.

    known: the value that stands for a reference, or None where it stays.
    """
    match condition:
        case Status():
            return asked(condition)
        case Compare(operator, left, right):
            return Compare(operator, substitute(left, known), substitute(right, known))
        case Holds(value):
            return Holds(substitute(value, known))
        case Not(term):
            return Not(rewritten(term, known, asked))
        case AllOf(terms):
            return AllOf(tuple(rewritten(term, known, asked) for term in terms))
        case AnyOf(terms):
            return AnyOf(tuple(rewritten(term, known, asked) for term in terms))
        case _:
            assert_never(condition)


def both(first: Condition | None, second: Condition | None) -> Condition | None:
    """Return what holds if both do; None asks nothing."""
    if first is None or second is None:
        return first or second
    return AllOf((first, second))


def describe(condition: Condition) -> Json:
    """Return a condition as JSON, operators first."""
    match condition:
        case Compare(operator, left, right):
            return [operator, encode(left), encode(right)]
        case Status(state, task):
            return [state, task]
        case Holds(value):
            return ["is", encode(value)]
        case Not(term):
            return ["not", describe(term)]
        case AllOf(terms):
            return ["and", *(describe(term) for term in terms)]
        case AnyOf(terms):
            return ["or", *(describe(term) for term in terms)]
        case _:
            assert_never(condition)


_OPERATORS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_STATES = frozenset({"succeeded", "failed", "skipped"})


def parse(described: Json) -> Condition:
    """Return the condition that `describe` wrote. Raises ValueError at a form it never writes."""
    match described:
        case ["and", *terms]:
            return AllOf(tuple(parse(term) for term in terms))
        case ["or", *terms]:
            return AnyOf(tuple(parse(term) for term in terms))
        case ["not", term]:
            return Not(parse(term))
        case ["is", value]:
            return Holds(decode(value))
        case [str(state), str(task)] if state in _STATES:
            return Status(state, task)
        case [str(operator), left, right] if operator in _OPERATORS:
            return Compare(operator, decode(left), decode(right))
    raise ValueError(f"`{described}` is not a form of condition that this version knows")
