"""A `matrix` or `for_each` as written to what its step becomes: cells in the file's order, or a loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pipec.diagnostics import Finding, guess
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
    n_cells = 1
    for values in by_axis.values():
        n_cells *= len(values)
    if n_cells > MAX_CELLS:
        found.append(kinds.BAD_MATRIX.at(entry.key_loc, f"the matrix has {n_cells} cells, more than {MAX_CELLS}"))
    if len(found) > before:
        return None
    cells = _cells(axes, by_axis, as_json(excluded) if excluded else (), as_json(included) if included else ())
    if not cells:
        found.append(kinds.BAD_MATRIX.at(entry.key_loc, "the matrix has no cell", help="exclude less, or add axes"))
        return None
    body: Any = {e.key: as_json(e.value) for e in node.entries if e.key in ("max_parallel", "fail_fast")}
    return MatrixUse(axes, cells, entry.key_loc, body.get("max_parallel"), body.get("fail_fast", True))


def _axes_of(included: Tree | None) -> tuple[str, ...]:
    """Return the axes of a matrix that has only `include`: those of its first cell."""
    first = included.items[0] if isinstance(included, Sequence) else None
    return tuple(entry.key for entry in first.entries) if isinstance(first, Mapping) else ()


def _cells(axes: tuple[str, ...], by_axis: Any, excluded: Any, included: Any) -> tuple[tuple[Json, ...], ...]:
    products = itertools.product(*(by_axis[axis] for axis in axes)) if by_axis else iter(())
    kept = [cell for cell in products if not any(_agrees(axes, cell, one) for one in excluded)]
    added = [tuple(one[axis] for axis in axes) for one in included]
    return tuple(kept + [cell for at, cell in enumerate(added) if cell not in kept and cell not in added[:at]])


def _agrees(axes: tuple[str, ...], cell: tuple[Json, ...], some: dict[str, Json]) -> bool:
    return all(dict(zip(axes, cell, strict=True))[axis] == value for axis, value in some.items())


def _unknown(axes: tuple[str, ...], listed: Tree | None) -> Iterator[Finding]:
    for item in listed.items if isinstance(listed, Sequence) else ():
        for entry in item.entries if isinstance(item, Mapping) else ():
            if entry.key not in axes:
                close = guess(entry.key, axes)
                hint = f"did you mean `{close}`? " if close else ""
                known = ", ".join(f"`{axis}`" for axis in axes)
                yield kinds.BAD_MATRIX.at(
                    entry.key_loc, f"the matrix has no axis `{entry.key}`", help=f"{hint}axes: {known}"
                )


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
    argument = templates.argument("for_each", entry.key_loc, items)
    return ForEachUse(argument, entry.key_loc, body.get("max_parallel"), body.get("fail_fast", True))
