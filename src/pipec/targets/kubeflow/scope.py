"""Which DAG of Kubeflow each task stands in: conditions, loops, sub-pipelines, and what waits for all of a run.

A DAG there starts when all before it succeeded, and has succeeded when nothing in it failed; so tasks share one only
where that means what the plan says (`nest.py`). `channel.py` carries values across its borders. Knows no IR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field

from pipec.compiler.plan import Plan, Task
from pipec.condition import Condition
from pipec.record import mutable
from pipec.steps.command import Ended, Report
from pipec.steps.interface import Resources
from pipec.targets.base import every
from pipec.targets.ends import is_firm, may_starve

SMALL = Resources(cpu=0.1, memory_mib=256)  # for a task of ours that looks at values alone


@mutable(kw_only=True, eq=False)
class Block:
    """Something that a DAG runs. name: unique in the DAG. label: unique in the pipeline. title: what people read.

    after: the blocks of the same DAG that must have succeeded, by name. is_last: it runs when these have ended,
    however that was.
    """

    name: str
    label: str
    title: str
    parent: Dag | None = None
    after: list[str] = field(default_factory=list)
    is_last: bool = False


@mutable(kw_only=True, eq=False)
class Leaf(Block):
    """A container. told: the tasks whose states it is given, in order.

    is_verdict: it runs no step, but fails the run if one of these tasks has failed. is_hand: nor does it, but finds out
    what another image is to be told (`hand.py`). reports: it tells how it ended. report, ledger, ends, forgiven: as its
    order has them.
    """

    task: Task
    told: tuple[str, ...] = ()
    is_verdict: bool = False
    is_hand: bool = False
    reports: bool = False
    report: Report | None = None
    ledger: str = ""
    ends: tuple[Ended, ...] = ()
    forgiven: tuple[str, ...] = ()

    def leaves(self) -> Iterator[Leaf]:
        """Yield itself, as a DAG yields all in it."""
        yield self

    @property
    def is_repeated(self) -> bool:
        """Whether it runs once for each item of a loop, so that its iterations share what is named after it."""
        around = self.parent
        while around is not None and around.loop is None:
            around = around.parent
        return around is not None


@mutable(kw_only=True, eq=False)
class Dag(Block):
    """A DAG. blocks: in an order in which they may run. inside: where a task of the plan is found, by its name.

    condition: what must hold for the DAG to run. loop: the task that it stands for, once for each item.
    is_pipeline: it is a pipeline that is used as a step.
    """

    blocks: list[Leaf | Dag] = field(default_factory=list)
    inside: dict[str, Leaf | Dag] = field(default_factory=dict)
    condition: Condition | None = None
    loop: Task | None = None
    is_pipeline: bool = False

    def leaves(self) -> Iterator[Leaf]:
        """Yield all containers below, in an order in which they may run."""
        for block in self.blocks:
            yield from block.leaves()

    def dags(self) -> Iterator[Dag]:
        """Yield all DAGs below, outer ones first."""
        for block in self.blocks:
            if isinstance(block, Dag):
                yield block
                yield from block.dags()


@mutable(eq=False)
class Unit:
    """A block to be placed. names: the tasks that it stands for. needs: the tasks of its scope that it waits for.

    condition: what must hold for it to run.
    """

    block: Leaf | Dag
    names: frozenset[str]
    needs: frozenset[str]
    condition: Condition | None = None


class Names:
    """Names of which no two are equal; the same ones for the same plan, because blocks come in its order."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        return name


def labels(plan: Plan, names: Names) -> dict[str, str]:
    """Return the label of every task that becomes a container; Kubernetes knows no dots in names."""
    found = dict.fromkeys(task.name for task in every(plan) if not task.loop)
    # Those without a dot first: they keep the name that the user gave.
    in_order = sorted(found, key=lambda name: "." in name)
    return {name: names.take(name.replace(".", "-")) for name in in_order}


def is_flat(plan: Plan) -> bool:
    """Say whether a plan's tasks are containers in one DAG, on which their edges alone decide."""
    known = {task.name: task for task in plan.tasks}
    return all(group.fail_fast for group in plan.groups) and not any(
        task.when or task.loop or task.is_final or task.continue_on_error or "." in task.name or not _is_plain(task)
        or may_starve(task, known)
        for task in plan.tasks
    )  # fmt: skip


def _is_plain(task: Task) -> bool:
    return all(is_firm(need) for need in task.needs)


def leaf(task: Task, label: str, name: str) -> Leaf:
    """Return the block of a task that nothing follows but by its edges."""
    return Leaf(name=name, label=label, title=task.title or task.name, task=task)


def fill(dag: Dag, units: Sequence[Unit]) -> None:
    """Put units into a DAG, with the edges between them."""
    dag.blocks = [unit.block for unit in units]
    for unit in units:
        unit.block.parent = dag
        for name in unit.names:
            dag.inside[name] = unit.block
    for unit in units:
        found = {dag.inside[need].name for need in unit.needs - unit.names if need in dag.inside}
        unit.block.after = sorted(found | set(unit.block.after))
