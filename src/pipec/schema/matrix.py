"""A `matrix` or `for_each` as written to what its step becomes: cells in the file's order, or a loop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator
from collections.abc import Mapping as Map
from typing import Any

from pipec.diagnostics import Finding, suggest
from pipec.schema import findings as kinds
from pipec.schema.model import ForEachUse, MatrixUse
from pipec.schema.template import Templates
from pipec.schema.tree import Entry, Mapping, Sequence, Tree, as_json
from pipec.values import Json

MAX_CELLS = 1000


def matrix(entry: Entry, found: list[Finding]) -> MatrixUse | None:
    """Return a matrix with its cells worked out, or None where they do not fit together; adds what is wrong to `found`.

    Row-major: the last axis changes fastest. `exclude` removes every cell that agrees with it; `include` adds cells.
    """
    node = entry.value
    assert isinstance(node, Mapping), "matrix got no mapping (check.shape should have stopped it)"
    declared, included, excluded = node.get("axes"), node.get("include"), node.get("exclude")
    by_axis: Any = as_json(declared) if declared else {}
    axes = tuple(by_axis) or _axes_of(included)
    before = len(found)
    found += [*_unknown(axes, excluded), *_unknown(axes, included), *_incomplete(axes, included)]
    n_cells = math.prod(len(values) for values in by_axis.values())
    if n_cells > MAX_CELLS:
        found.append(_too_many(entry, n_cells))
    if len(found) > before:
        return None
    cells = _cells(axes, by_axis, as_json(excluded) if excluded else (), as_json(included) if included else ())
    if not cells:
        found.append(kinds.BAD_MATRIX.at(entry.key_loc, "the matrix has no cell", help="exclude less, or add axes"))
        return None
    if len(cells) > MAX_CELLS:
        found.append(_too_many(entry, len(cells)))
        return None
    body: Any = {e.key: as_json(e.value) for e in node.entries if e.key in ("max_parallel", "fail_fast")}
    return MatrixUse(axes, cells, entry.key_loc, body.get("max_parallel"), body.get("fail_fast", True))


def _too_many(entry: Entry, n_cells: int) -> Finding:
    message = f"the matrix has {n_cells} cells, more than {MAX_CELLS}"
    return kinds.BAD_MATRIX.at(entry.key_loc, message, help="leave values out, or loop over a list with `for_each`")


def _axes_of(included: Tree | None) -> tuple[str, ...]:
    """Return the axes of a matrix that has only `include`: those of its first cell."""
    first = included.items[0] if isinstance(included, Sequence) else None
    return tuple(entry.key for entry in first.entries) if isinstance(first, Mapping) else ()


def _cells(axes: tuple[str, ...], by_axis: Any, excluded: Any, included: Any) -> tuple[tuple[Json, ...], ...]:
    products = itertools.product(*(by_axis[axis] for axis in axes)) if by_axis else iter(())
    unwanted = [{axes.index(axis): _form(value) for axis, value in one.items()} for one in excluded]
    kept = [cell for cell in products if not _agrees_with_any(cell, unwanted)]
    seen = {_form(cell) for cell in kept}
    for one in included:
        cell = tuple(one[axis] for axis in axes)
        if _form(cell) not in seen:
            seen.add(_form(cell))
            kept.append(cell)
    return tuple(kept)


def _agrees_with_any(cell: tuple[Json, ...], some: list[dict[int, Hashable]]) -> bool:
    forms = [_form(value) for value in cell] if some else []
    return any(all(forms[at] == form for at, form in one.items()) for one in some)


def _form(value: Json) -> Hashable:
    """Return what equal values share: 1 and 1.0 are equal in the language, 1 and true are not."""
    match value:
        case bool():
            return ("boolean", value)
        case list() | tuple():
            return ("list", *map(_form, value))
        case Map():
            return ("object", frozenset((key, _form(below)) for key, below in value.items()))
    return value


def _unknown(axes: tuple[str, ...], listed: Tree | None) -> Iterator[Finding]:
    for item in listed.items if isinstance(listed, Sequence) else ():
        for entry in item.entries if isinstance(item, Mapping) else ():
            if entry.key not in axes:
                message = f"the matrix has no axis `{entry.key}`"
                yield kinds.BAD_MATRIX.at(entry.key_loc, message, help=suggest(entry.key, axes, "axes:"))


def _incomplete(axes: tuple[str, ...], included: Tree | None) -> Iterator[Finding]:
    for item in included.items if isinstance(included, Sequence) else ():
        given = {entry.key for entry in item.entries} if isinstance(item, Mapping) else set()
        if missing := [axis for axis in axes if axis not in given]:
            yield kinds.BAD_MATRIX.at(
                item.loc, f"this cell has no value for `{missing[0]}`", help=f"add `{missing[0]}: ...`"
            )


def for_each(entry: Entry, templates: Templates) -> ForEachUse:
    """Return a loop as written: a list, an expression that is one, or a mapping with either and its settings."""
    node = entry.value
    body: Any = {}
    items: Tree = node
    if isinstance(node, Mapping):
        body = {e.key: as_json(e.value) for e in node.entries if e.key in ("max_parallel", "fail_fast")}
        items = node.get("items") or node
    argument = templates.argument(entry.key, entry.key_loc, items)
    return ForEachUse(argument, entry.key_loc, body.get("max_parallel"), body.get("fail_fast", True))
