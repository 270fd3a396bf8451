"""The names of a DAG file: variables, which are pipec's own, and the ids of tasks that the user did not name."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Container, Iterable

_OURS = frozenset({
    "as_text", "ast", "context", "dag", "from_worker", "given", "holds", "json", "names", "os", "re", "timedelta",
    "with_ends",
})  # fmt: skip
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def free(task_id: str, taken: Container[str]) -> str:
    """Return an id like `task_id` that no task has."""
    number, found = 2, task_id
    while found in taken:
        found, number = f"{task_id}-{number}", number + 1
    return found


def variables(ids: Iterable[str]) -> dict[str, str]:
    """Return a variable for every id of a task: the id where that is plain, never a word of Python or of the file."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for task_id in ids:
        name = re.sub(r"[^a-z0-9_]", "_", task_id)
        if not _PLAIN.fullmatch(name) or keyword.iskeyword(name) or hasattr(builtins, name) or name in _OURS:
            name = f"task_{name}"
        number, unique = 2, name
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        names[task_id] = unique
    return names
