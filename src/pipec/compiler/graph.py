"""Steps and what flows between them, as a graph. The only door to networkx, which is met where there is a cycle.

Edges come from references and from `needs`. Everything asked of the graph is linear in its size: breadth-first walks
and one topological order; nothing enumerates paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from types import MappingProxyType

from pipec.compiler.flatten import Composite
from pipec.diagnostics import Loc
from pipec.record import frozen
from pipec.schema.model import Reference, StepUse
from pipec.steps.interface import Input, Interface, Output
from pipec.values import EachRef, Gather, ListOf, OutputRef, Value, references

EMPTY: Mapping[str, Composite] = MappingProxyType({})


@frozen
class Edge:
    """`target` waits for `source`.

    soft: the target may run if the source was skipped. output: what flows along it, empty for order alone. argument:
    that of `with` which names the source. forgiving: the target may run if the source failed too. of: the step that
    becomes several tasks, where one is named; all of them are then waited for. loc: the text that makes the edge.
    """

    source: str
    target: str
    loc: Loc
    soft: bool
    output: str = ""
    argument: str = ""
    forgiving: bool = False
    of: str = ""


@frozen
class Port:
    """An artifact by its origin.

    step is empty for an artifact from outside; output then says which input read it, as `step.input`: what lies at a
    location may change between two reads, so two that read it do not read the same artifact.
    """

    step: str
    output: str


@frozen(kw_only=True)
class Graph:
    """A pipeline's steps with their interfaces, and the edges between steps that exist.

    composites: of a flat pipeline, the steps that stand for several of it. order: the steps so that each follows what
    it waits for, ties in the file's order; empty if there is a cycle.
    """

    steps: Mapping[str, StepUse]
    interfaces: Mapping[str, Interface]
    composites: Mapping[str, Composite]
    edges: tuple[Edge, ...]
    order: tuple[str, ...]
    cycle: tuple[Edge, ...] = ()
    _into: Mapping[str, tuple[Edge, ...]] = field(repr=False)
    _out_of: Mapping[str, tuple[Edge, ...]] = field(repr=False)
    _origins: dict[OutputRef, Port] = field(default_factory=dict, repr=False, compare=False)  # what `origin` has found

    def into(self, step: str) -> tuple[Edge, ...]:
        return self._into.get(step, ())

    def out_of(self, step: str) -> tuple[Edge, ...]:
        return self._out_of.get(step, ())

    def behind(self, marked: Iterable[str]) -> dict[str, int]:
        """Return which of `marked` each step runs only after the success of, as bits by their place.

        One pass for all of them: a walk for each would be quadratic in a pipeline of many models.
        """
        bits = {name: 1 << at for at, name in enumerate(marked)}
        found: dict[str, int] = {}
        for name in self.order:
            seen = 0
            for edge in self.into(name):
                if self._is_sure(edge):
                    seen |= found[edge.source] | bits.get(edge.source, 0)
            found[name] = seen
        return found

    def _is_sure(self, edge: Edge) -> bool:
        """Say whether the target of an edge runs only if its source has succeeded.

        Who waits for a step that became several tasks runs if one of them has.
        """
        composite = self.composites.get(edge.of)
        is_one = composite is not None and len(composite.members) == 1 and not composite.use.is_many
        return not edge.soft and (not edge.of or (is_one and not self.steps[edge.source].is_many))

    def artifact_inputs(self, step: str) -> Iterator[tuple[Input, OutputRef | None, Loc]]:
        """Yield each artifact that is given: the output it is read from (None: a location), and where that is said."""
        interface = self.interfaces.get(step)
        for declared in interface.inputs if interface else ():
            argument = self.steps[step].argument(declared.name)
            if argument is None:
                continue
            loc = argument.references[0].loc if argument.references else argument.node.loc
            read = list(self.read(argument.value))
            for given in read:
                yield declared, given, loc
            if not read:
                yield declared, None, loc

    def read(self, value: Value) -> Iterator[OutputRef]:
        """Yield the outputs that an input reads, those of all cells and iterations of a step as one."""
        match value:
            case OutputRef():
                yield value
            case EachRef(step, output) if step in self.composites:
                inner = self.composites[step].outputs.get(output)
                if inner is not None:
                    yield from self.read(inner)
            case EachRef(step, output):
                yield OutputRef(step, output)
            case ListOf(items) | Gather(items):
                for item in items:
                    yield from self.read(item)

    def output(self, port: OutputRef | Port) -> Output | None:
        """Return the declaration of an output, or None if step or output is unknown."""
        step = port.task if isinstance(port, OutputRef) else port.step
        interface = self.interfaces.get(step)
        return interface.output(port.output) if interface else None

    def origin(self, reference: OutputRef) -> Port:
        """Return where an artifact was made, following outputs that pass an input through unchanged."""
        passed: dict[OutputRef, None] = {}  # in order, and to end where a cycle does
        at, found = reference, self._origins.get(reference)
        while found is None:
            passed[at] = None
            before = self._unchanged(at)
            if isinstance(before, OutputRef) and before not in passed:
                at, found = before, self._origins.get(before)
            else:
                found = before if isinstance(before, Port) else Port(at.task, at.output)
        for each in passed:
            self._origins[each] = found
        return found

    def _unchanged(self, reference: OutputRef) -> OutputRef | Port | None:
        """Return what an output passes on unchanged, or None if it is made by its step."""
        declared = self.output(reference)
        argument = self.steps[reference.task].argument(declared.same_as) if declared and declared.same_as else None
        if declared is None or declared.same_as is None or argument is None:
            return None
        read = list(self.read(argument.value))
        return read[0] if len(read) == 1 else outside(reference.task, declared.same_as)


def outside(step: str, argument: str) -> Port:
    """Return the origin of what an input reads from a location."""
    return Port("", f"{step}.{argument}")


def build(
    steps: Iterable[StepUse], interfaces: Mapping[str, Interface], composites: Mapping[str, Composite] = EMPTY
) -> Graph:
    """Return the graph of some steps; references to what does not exist make no edge (a rule tells them)."""
    known = {use.name: use for use in steps}
    places = _Places(known, interfaces, composites)
    edges = tuple(edge for use in known.values() for edge in places.edges(use))
    into: dict[str, list[Edge]] = {}
    out_of: dict[str, list[Edge]] = {}
    for edge in edges:
        into.setdefault(edge.target, []).append(edge)
        out_of.setdefault(edge.source, []).append(edge)
    order, cycle = _sorted(list(known), edges)
    return Graph(
        steps=known,
        interfaces=interfaces,
        composites=composites,
        edges=edges,
        order=order,
        cycle=cycle,
        _into={name: tuple(some) for name, some in into.items()},
        _out_of={name: tuple(some) for name, some in out_of.items()},
    )


@frozen
class _Places:
    """What a name of a step can mean."""

    steps: Mapping[str, StepUse]
    interfaces: Mapping[str, Interface]
    composites: Mapping[str, Composite]

    def edges(self, use: StepUse) -> Iterator[Edge]:
        """Yield what a step waits for."""
        # A status function asks how a step ended, so it must not wait for success (language rule 2).
        asked = {r.step for r in use.when.references if r.root == "status"} if use.when else set()
        for name, loc in use.needs:
            yield from self._whole(name, use.name, loc, soft=name in asked)
        for name, loc in use.waits:
            yield from self._whole(name, use.name, loc, soft=True)
        for reference, where, argument in use.references:
            source = reference.step
            if not source:
                continue
            if reference.root == "status":
                yield from self._whole(source, use.name, reference.loc, soft=True)
                continue
            interface = self.interfaces.get(use.name)
            declared = interface.input(argument.name) if interface and argument and where == "with" else None
            soft = source in asked or bool(declared and declared.is_soft)
            into = argument.name if argument and where == "with" else ""
            if reference.is_spread:
                yield from self._spread(reference, use.name, into, soft=soft)
            elif source in self.steps:
                yield Edge(source, use.name, reference.loc, soft, reference.output, into)

    def _whole(self, name: str, target: str, loc: Loc, *, soft: bool) -> Iterator[Edge]:
        """Yield the edges of order from all that a step becomes."""
        if name in self.composites:
            for member in self.composites[name].members:
                yield Edge(member, target, loc, soft, of=name)
        elif name in self.steps:
            yield Edge(name, target, loc, soft, of=name if self.steps[name].is_many else "")

    def _spread(self, reference: Reference, target: str, into: str, *, soft: bool) -> Iterator[Edge]:
        """Yield the edges from all cells or iterations of a step, along which one of its outputs flows."""
        name, composite = reference.step, self.composites.get(reference.step)
        use = composite.use if composite else self.steps.get(name)
        if use is None:
            return
        many = use.matrix or use.for_each
        forgiving = many is not None and not many.fail_fast
        if composite is None:
            yield Edge(name, target, reference.loc, soft, reference.output, into, forgiving, name)
            return
        inner = composite.outputs.get(reference.output)
        written = {ref.task: ref.output for ref in references(inner) if isinstance(ref, OutputRef)} if inner else {}
        for member in composite.members:
            yield Edge(member, target, reference.loc, soft, written.get(member, ""), into, forgiving, name)


def _sorted(names: list[str], edges: Iterable[Edge]) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """Return a topological order, ties in the order of `names`; or the edges of one cycle."""
    before: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        before[edge.target].add(edge.source)
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError:
        return (), _cycle(names, edges)
    rank = {name: index for index, name in enumerate(names)}
    order: list[str] = []
    ready = [rank[name] for name in sorter.get_ready()]
    heapify(ready)
    while ready:
        order.append(names[heappop(ready)])
        sorter.done(order[-1])
        for name in sorter.get_ready():
            heappush(ready, rank[name])
    return tuple(order), ()


def _cycle(names: list[str], edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Return the edges of one cycle, from its first step in the order of `names`.

    networkx is loaded here and not above: its import costs more than the whole check of a pipeline without a cycle.
    """
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    for edge in edges:
        if not graph.has_edge(edge.source, edge.target):
            graph.add_edge(edge.source, edge.target, edge=edge)
    rank = {name: index for index, name in enumerate(names)}
    around = [graph.edges[source, target]["edge"] for source, target, *_ in nx.find_cycle(graph)]
    first = min(range(len(around)), key=lambda at: rank[around[at].source])
    return tuple(around[first:] + around[:first])


def artifact_edges(graph: Graph, step: str) -> Iterator[tuple[Input, OutputRef, Loc]]:
    """Yield the artifact inputs of a step that come from another step."""
    for declared, given, loc in graph.artifact_inputs(step):
        if given is not None and given.task in graph.steps:
            yield declared, given, loc
