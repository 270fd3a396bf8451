"""An environment laid over a document: maps merge, lists and scalars replace, null removes (language rule 6).

Works on trees, so that every value keeps the place where it was really written.
"""

from __future__ import annotations

from pipec.diagnostics import START, Loc
from pipec.schema.tree import Entry, Mapping, Scalar, Tree

OVERLAID = ("image", "defaults", "triggers", "concurrency", "steps")
_NOTHING = Scalar(None, Loc("", START))


def lay(base: Tree, over: Tree) -> Tree:
    """Return `base` with `over` laid on it."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    news = {entry.key: entry for entry in over.entries}
    kept = [_merged(entry, news.pop(entry.key, None)) for entry in base.entries]
    added = [Entry(e.key, e.key_loc, _without_nulls(e.value)) for e in news.values() if not _is_null(e.value)]
    return Mapping((*(entry for entry in kept if entry), *added), base.loc)


def environment_of(document: Mapping, name: str) -> Mapping:
    """Return the document with what its environment `name` says laid over it; parameters' values are left to load.

    Steps that only the environment names, and those it would remove, are as the pipeline has them: they are told.
    """
    environments = document.get("environments")
    over = environments.get(name) if isinstance(environments, Mapping) else None
    if not isinstance(over, Mapping):
        return document
    wanted: list[Entry] = []
    for entry in over.entries:
        if entry.key == "steps":
            wanted += [_of_known(entry, section, document) for section in ("steps", "finally")]
        elif entry.key in OVERLAID:
            wanted.append(entry)
    laid = lay(document, Mapping(tuple(entry for entry in wanted if entry.value != _NOTHING), over.loc))
    assert isinstance(laid, Mapping), "overlay.lay of two mappings gave something else"
    return laid


def _of_known(entry: Entry, section: str, document: Mapping) -> Entry:
    """Return what an overlay says of the steps that stand in one section of the document."""
    steps = document.get(section)
    known = {below.key for below in steps.entries} if isinstance(steps, Mapping) else set()
    given = entry.value.entries if isinstance(entry.value, Mapping) else ()
    kept = tuple(below for below in given if below.key in known and isinstance(below.value, Mapping))
    return Entry(section, entry.key_loc, Mapping(kept, entry.value.loc) if kept else _NOTHING)


def without_overlay_nulls(document: Mapping) -> Mapping:
    """Return the document without the nulls of its environments: there they remove, and have no shape of their own."""
    entries = (
        Entry(e.key, e.key_loc, _without_nulls(e.value)) if e.key == "environments" else e for e in document.entries
    )
    return Mapping(tuple(entries), document.loc)


def _without_nulls(tree: Tree) -> Tree:
    if not isinstance(tree, Mapping):
        return tree
    entries = (Entry(e.key, e.key_loc, _without_nulls(e.value)) for e in tree.entries if not _is_null(e.value))
    return Mapping(tuple(entries), tree.loc)


def _merged(entry: Entry, over: Entry | None) -> Entry | None:
    if over is None:
        return entry
    if _is_null(over.value):
        return None
    return Entry(entry.key, entry.key_loc, lay(entry.value, over.value))


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Scalar) and tree.value is None
