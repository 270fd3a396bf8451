"""What the items of a loop are. Kubeflow's driver wants one type for all of them before it has seen any.

A list that is known says it; of any other, what is done with its items does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipec.compiler.plan import Task
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not
from pipec.steps.interface import Kind
from pipec.targets.base import placed
from pipec.values import ItemRef, Json, ListOf, Literal, Value, references


def item_kind(loop: Task, name: str = "") -> Kind:
    """Return the kind of a loop's items, or of their field `name`. Assumes that `item_kinds` finds one at most."""
    return next(iter(item_kinds(loop, name)), Kind.STRING)


def item_kinds(loop: Task, name: str = "") -> list[Kind]:
    """Return the kinds that the items of a loop, or their field `name`, have or must have; each once."""
    assert loop.loop is not None, f"item.item_kinds got `{loop.name}`, which is no loop"
    if isinstance(loop.loop.items, Literal):
        found = [_of(item, name) for item in _listed(loop.loop.items.value)]
        kinds = [kind for kind in found if kind is not None]
        return _joined(kinds)
    if not name and any(ref.field for ref in _used(loop, loop.step)):
        return [Kind.OBJECT]
    return _joined(list(_wanted(loop, loop.step, name)))


def _joined(kinds: list[Kind]) -> list[Kind]:
    """Return each kind once; whole numbers among others are numbers like those."""
    each = list(dict.fromkeys(kinds))
    return [kind for kind in each if kind is not Kind.INTEGER] if Kind.NUMBER in each else each


def _listed(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _of(item: Json, name: str) -> Kind | None:
    if name:
        return _of(item.get(name), "") if isinstance(item, dict) else None
    return None if item is None else Kind.of(item)


def _used(task: Task, loop: str) -> Iterator[ItemRef]:
    """Yield every use of an item in a loop's body."""
    for each in task.loop.body if task.loop else ():
        for reference in (*each.references, *each.asked):
            if isinstance(reference, ItemRef) and reference.loop == loop:
                yield reference


def _wanted(task: Task, loop: str, name: str) -> Iterator[Kind]:
    """Yield the kinds that parameters and conditions want of an item, where it is all that they are given."""
    wanted = ItemRef(name, loop)
    for each in task.loop.body if task.loop else ():
        for parameter, value in each.parameters:
            declared = each.interface.parameter(parameter)
            if value == wanted and declared:
                yield declared.kind
        if each.when:
            yield from _compared(each.when, wanted)
        if each.loop:
            if each.loop.items == wanted:
                yield Kind.LIST
            yield from _wanted(each, loop, name)
        yield from (Kind.STRING for _, value in placed(each) if value != wanted and wanted in references(value))


def _compared(condition: Condition, wanted: ItemRef) -> Iterator[Kind]:
    """Yield what a condition takes an item for."""
    match condition:
        case Holds(value) if value == wanted:
            yield Kind.BOOLEAN
        case Compare("in", left, right) if right == wanted:
            yield Kind.LIST
        case Compare("in", left, Literal(list() | tuple() as known)) if left == wanted:
            yield from (kind for item in known if (kind := _of(item, "")))
        case Compare("in", left, ListOf(items)) if left == wanted:
            yield from _literal(items)
        case Compare(_, left, right) if wanted in (left, right):
            yield from _literal((left, right))
        case Not(term):
            yield from _compared(term, wanted)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from _compared(term, wanted)


def _literal(values: Iterable[Value]) -> Iterator[Kind]:
    return (kind for value in values if isinstance(value, Literal) and (kind := _of(value.value, "")))
