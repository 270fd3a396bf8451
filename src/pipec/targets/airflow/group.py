"""How tasks stand in a DAG's file: those of a pipeline used as a step, and the cells of a matrix, in a group of theirs.

Airflow puts the name of a group before the ids of what is in it, as the plan does for a pipeline used as a step. A cell
already has its number behind the step's name, so its group adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from pipec.compiler.plan import Task
from pipec.record import mutable


@mutable
class Group:
    """A task group, or the DAG itself. name: the whole id, or empty. is_prefix: whether ids in it begin with it."""

    name: str = ""
    is_prefix: bool = True
    members: list[Task | Group] = field(default_factory=list)

    def label(self, name: str) -> str:
        """Return what a task or a group in this one is called here, so that its id is `name`."""
        return name.removeprefix(f"{self.name}.") if self.is_prefix and self.name else name

    def inner(self, name: str, *, is_prefix: bool) -> Group:
        """Return the group `name` in this one, made where it is asked for first."""
        for member in self.members:
            if isinstance(member, Group) and member.name == name:
                return member
        made = Group(name, is_prefix)
        self.members.append(made)
        return made


def names(tasks: Iterable[Task]) -> frozenset[str]:
    """Return the ids of tasks and of the groups that they stand in: Airflow takes none of these twice."""
    found: set[str] = set()
    for task in tasks:
        parts = task.name.split(".")
        found.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        found.update([task.group] if task.group else [])
    return frozenset(found)


def grouped(tasks: Iterable[Task]) -> Group:
    """Return tasks in their groups, each group where its first task stands."""
    root = Group()
    for task in tasks:
        here, parts = root, task.name.split(".")
        for depth in range(1, len(parts)):
            here = here.inner(".".join(parts[:depth]), is_prefix=True)
        if task.group:
            here = here.inner(task.group, is_prefix=False)
        here.members.append(task)
    return root
