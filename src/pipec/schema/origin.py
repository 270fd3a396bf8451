"""Where the values of a resolved document come from, for those that an overlay or `--set` changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipec.diagnostics import Loc
from pipec.record import frozen
from pipec.schema.model import Pipeline
from pipec.schema.tree import Mapping, Scalar, Tree, as_json
from pipec.steps.interface import MISSING


@frozen
class Origin:
    """One changed value. path: its keys. loc: where the value in force was written; None: on the command line.

    is_removed: a null there removed what the document says.
    """

    path: tuple[str, ...]
    loc: Loc | None
    is_removed: bool = False


def origins(pipeline: Pipeline, sets: frozenset[str]) -> tuple[Origin, ...]:
    """Return every value that differs from the document's own, in the resolved document's order.

    sets: the names that the command line gave.
    """
    over = _below(pipeline.document, ("environments", pipeline.environment)) if pipeline.environment else None
    changed = [
        origin
        for origin in _changes(pipeline.document, pipeline.tree, over, ())
        if origin.path[0] not in ("environments", "parameters", "inputs")
    ]
    return (*_parameters(pipeline, sets), *changed)


def _parameters(pipeline: Pipeline, sets: frozenset[str]) -> Iterator[Origin]:
    given = [("parameters", p.name, p.default_loc, p.default is not MISSING) for p in pipeline.parameters]
    given += [("inputs", i.name, i.default_loc, i.default is not None) for i in pipeline.inputs]
    for section, name, loc, has_value in given:
        path = (section, name, "default")
        own = _below(pipeline.document, path)
        if name in sets:
            yield Origin(path, None)
        elif has_value and (own is None or own.loc != loc):
            yield Origin(path, loc)


def _changes(before: Tree, after: Tree, over: Tree | None, path: tuple[str, ...]) -> Iterator[Origin]:
    """Yield what differs between two trees of which one is the other with `over` laid on it."""
    if before is after:
        return
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        yield Origin(path, after.loc)
        return
    for entry in after.entries:
        own = before.get(entry.key)
        if own is None:
            yield Origin((*path, entry.key), entry.value.loc)
        else:
            yield from _changes(own, entry.value, _over(over, path, entry.key), (*path, entry.key))
    for entry in before.entries:
        if after.entry(entry.key) is None:
            removing = _over(over, path, entry.key)
            yield Origin((*path, entry.key), removing.loc if removing else None, is_removed=True)


def _over(over: Tree | None, path: tuple[str, ...], key: str) -> Tree | None:
    """Return what an overlay says under a key; it has the steps of `finally` among the others."""
    if not isinstance(over, Mapping):
        return None
    return over.get("steps" if not path and key == "finally" else key)


def _below(tree: Tree | None, path: tuple[str, ...]) -> Tree | None:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree if not (isinstance(tree, Scalar) and tree.value is None) else None


def inherited(document: Mapping, layers: tuple[Mapping, ...]) -> tuple[Origin, ...]:
    """Return where the image and the defaults come from that a document does not say itself.

    layers: what stands behind it, the nearest first. Of resources each part counts by itself, as in the plan.
    """
    return tuple(Origin(path, node.loc) for path, node in _inherited(document, layers))


def with_inherited(body: dict[str, Any], document: Mapping, layers: tuple[Mapping, ...]) -> dict[str, Any]:
    """Return a document's data with the image and the defaults in force."""
    for path, node in _inherited(document, layers):
        place = body
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = as_json(node)
    return body


def _inherited(document: Mapping, layers: tuple[Mapping, ...]) -> Iterator[tuple[tuple[str, ...], Tree]]:
    paths = [("image",), ("defaults", "retry"), ("defaults", "timeout")]
    resources = [_below(layer, ("defaults", "resources")) for layer in layers]
    keys = dict.fromkeys(entry.key for node in resources if isinstance(node, Mapping) for entry in node.entries)
    for path in (*paths, *(("defaults", "resources", key) for key in keys)):
        if _below(document, path) is not None:
            continue
        found = (node for layer in layers if (node := _below(layer, path)) is not None)
        if (node := next(found, None)) is not None:
            yield path, node
