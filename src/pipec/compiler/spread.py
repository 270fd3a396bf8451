"""From flat steps to tasks: which tasks a step becomes by its matrix and those around it, and what names mean there.

A step's *path* is the composite steps around it and itself, outermost first. A *cell* says which cell of each matrix on
the path is meant. What stands inside of a loop is one task outside of it: the loop's carrier. A composite step with a
matrix is a loop over its cells, so that `max_parallel` and `fail_fast` count cells, not the tasks in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from pipec.compiler.graph import Edge, Graph
from pipec.compiler.plan import Need
from pipec.condition import AllOf, AnyOf, Condition, Not, Status, rewritten
from pipec.diagnostics import Finding
from pipec.schema import findings as kinds
from pipec.schema.model import MatrixUse, StepUse
from pipec.values import EachRef, Gather, ItemRef, Json, Literal, MatrixRef, OutputRef, Reference, Value

MAX_WAITS = 300_000  # of tasks for tasks, in one pipeline
Path: TypeAlias = tuple[str, ...]
Cell: TypeAlias = Mapping[str, int]


class Spread:
    """The steps of one flat graph, as the tasks that they become."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.paths = {name: path_of(name) if use.scope else (name,) for name, use in graph.steps.items()}
        # Nothing is numbered and nothing repeated in most pipelines, and then a name is a name.
        self.is_plain = not graph.composites and not any(use.is_many for use in graph.steps.values())

    def use(self, element: str) -> StepUse:
        """Return the step that an element of a path is."""
        composite = self.graph.composites.get(element)
        return composite.use if composite else self.graph.steps[element]

    def loops(self, path: Path) -> Path:
        """Return the loops on a path, outermost first."""
        return () if self.is_plain else tuple(element for element in path if self.is_loop(element))

    def is_loop(self, element: str) -> bool:
        """Say whether an element is repeated by a loop."""
        composite = self.graph.composites.get(element)
        return composite.use.is_many if composite else self.graph.steps[element].for_each is not None

    def matrix(self, element: str) -> MatrixUse | None:
        """Return the matrix whose cells are tasks of their own."""
        return None if self.is_plain or self.is_loop(element) else self.use(element).matrix

    def cells(self, path: Path, fixed: Cell) -> Iterator[Cell]:
        """Yield every cell of the matrices on a path, row-major, that agrees with `fixed`."""
        if self.is_plain:
            yield {}
            return
        free = [(e, m) for e in path if (m := self.matrix(e)) and e not in fixed]
        kept = {element: fixed[element] for element in path if element in fixed}
        for numbers in itertools.product(*(range(len(matrix.cells)) for _, matrix in free)):
            yield {**kept, **{element: n for (element, _), n in zip(free, numbers, strict=True)}}

    def name(self, path: Path, cell: Cell) -> str:
        """Return the name of the task that a step is in a cell."""
        if self.is_plain:
            return path[-1]
        parts = ((element.rpartition(".")[2], cell.get(element)) for element in path)
        return ".".join(part if number is None else f"{part}-{number}" for part, number in parts)

    def values(self, path: Path, cell: Cell) -> dict[str, Json]:
        """Return the values of all axes in a cell, inner ones first where names are equal."""
        found: dict[str, Json] = {}
        for element in path:
            if (matrix := self.matrix(element)) and element in cell:
                found |= zip(matrix.axes, matrix.cells[cell[element]], strict=True)
        return found

    def known(self, cell: Cell) -> Callable[[Reference], Value | None]:
        """Return what stands for the references of a task in a cell."""

        def known(reference: Reference) -> Value | None:
            match reference:
                case OutputRef(task, output):
                    return OutputRef(self.name(self.paths[task], cell), output)
                case EachRef(step, output):
                    return self._each(step, output, cell)
                case MatrixRef(axis, step) if self.is_loop(step):
                    return ItemRef(axis, step)
                case MatrixRef(axis, step):
                    matrix = self.matrix(step)
                    assert matrix is not None, f"spread got the axis `{axis}` of a step without a matrix: {step}"
                    return Literal(matrix.cells[cell[step]][matrix.axes.index(axis)])
            return None

        return known

    def _each(self, step: str, output: str, cell: Cell) -> Value:
        path, matrix = path_of(step), self.matrix(step)
        if matrix is None:
            return EachRef(self.name(path, cell), output)
        return Gather(tuple(OutputRef(self.name(path, inside), output) for inside in self.cells(path, cell)))

    def tasks(self, step: str, reader: Path, cell: Cell) -> list[str]:
        """Return the tasks that a flat step is to a reader in a cell; a loop that the reader is outside of is one."""
        path = self.paths[step]
        for at, element in enumerate(path):
            if element not in reader and self.is_loop(element):
                path = path[: at + 1]
                break
        return list(dict.fromkeys(self.name(path, inside) for inside in self.cells(path, cell)))

    def needs(self, edges: Iterator[Edge] | tuple[Edge, ...], reader: Path, cell: Cell) -> tuple[Need, ...]:
        """Return the needs that edges make: one for each task, hard if any edge is, order-only if all are."""
        merged: dict[str, Need] = {}
        for edge in edges:
            for need in self._needs(edge, reader, cell):
                before = merged.get(need.task)
                merged[need.task] = _joined(before, need) if before else need
        return tuple(merged[task] for task in sorted(merged))

    def _needs(self, edge: Edge, reader: Path, cell: Cell) -> Iterator[Need]:
        if self.is_plain:
            yield Need(edge.source, edge.soft, not edge.output)
            return
        tasks = self.tasks(edge.source, reader, cell)
        is_group = bool(edge.of) and (edge.of in self.graph.composites or len(tasks) > 1)
        for task in tasks:
            group = self.name(path_of(edge.of), cell) if is_group and not edge.soft else ""
            yield Need(task, edge.soft or is_group, not edge.output, edge.forgiving, group)

    def condition(self, asks: Condition, reader: Path, cell: Cell) -> Condition:
        """Return a condition in terms of tasks: of a step that became several, all or any are asked."""
        return rewritten(asks, self.known(cell), lambda status: self._status(status, reader, cell))

    def _status(self, status: Status, reader: Path, cell: Cell) -> Condition:
        composite = self.graph.composites.get(status.task)
        steps = composite.members if composite else (status.task,)
        tasks = list(dict.fromkeys(task for step in steps for task in self.tasks(step, reader, cell)))
        if len(tasks) == 1:
            return Status(status.state, tasks[0])
        match status.state:
            case "failed":
                return AnyOf(tuple(Status("failed", task) for task in tasks))
            case "skipped":
                return AllOf(tuple(Status("skipped", task) for task in tasks))
        none_failed = (Not(Status("failed", task)) for task in tasks)
        return AllOf((*none_failed, AnyOf(tuple(Status("succeeded", task) for task in tasks))))


def too_many_waits(graph: Graph) -> Iterator[Finding]:
    """Find where tasks wait for each other more often than could be written down: cells that wait for cells."""
    total = 0
    for edge in graph.edges:
        source, target = (_n_cells(graph.steps[name]) for name in (edge.source, edge.target))
        before, total = total, total + source * target
        if before <= MAX_WAITS < total:
            message = f"`{edge.target}` waits {source * target:,} times for `{edge.source}`, and with all others more "
            message += f"than {MAX_WAITS:,}"
            yield kinds.TOO_LARGE.at(edge.loc, message, help="let a step between wait for all, and wait for that one")


def _n_cells(use: StepUse) -> int:
    return len(use.matrix.cells) if use.matrix else 1


def _joined(one: Need, other: Need) -> Need:
    """Return the one need that two edges from the same task make."""
    return Need(
        one.task, one.soft and other.soft, one.order_only and other.order_only, one.forgiving and other.forgiving,
        one.any_of or other.any_of,
    )  # fmt: skip


def path_of(name: str) -> Path:
    """Return the path of a flat step or composite: `a.b` is (`a`, `a.b`)."""
    parts = name.split(".")
    return tuple(".".join(parts[: n + 1]) for n in range(len(parts)))
