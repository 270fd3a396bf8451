"""The triggers of a document as they are written: all in one list, whatever their kind. Knows not what each may say."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.schema.tree import Mapping, Sequence


def triggers(tree: Mapping, kind: str) -> Iterator[Mapping]:
    """Yield what each trigger of a kind says."""
    listed = tree.get("triggers")
    for item in listed.items if isinstance(listed, Sequence) else ():
        said = item.get(kind) if isinstance(item, Mapping) else None
        if isinstance(said, Mapping):
            yield said


def in_file(path: tuple[str, ...], tree: Mapping) -> tuple[str, ...]:
    """Return a path below a document in which a trigger has its number among all, for one among those of its kind."""
    match path, tree.get("triggers"):
        case ("triggers", number, kind, *rest), Sequence(items):
            numbers = [at for at, item in enumerate(items) if isinstance(item, Mapping) and item.entry(kind)]
            return ("triggers", str(numbers[int(number)]), kind, *rest)
    return path
