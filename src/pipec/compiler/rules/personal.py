"""`PIPE508`: what is about people, followed to everything that leaves the project."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.graph import Graph, Port
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.route import derived, drawn, made_with, route, shown
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule
from pipec.schema.model import StepUse
from pipec.steps.interface import Interface, Kind, Output, Role
from pipec.values import Literal, ParameterRef

_INPUTS = "inputs"  # what the first part of the port of a pipeline's own input is; no step can be called so in a route
# A small value of these may hold anything of what a step read; a number or a boolean is taken for a figure about it.
_TELLING = (Kind.STRING, Kind.LIST, Kind.OBJECT)


@rule("PIPE508", "leaked-personal-data", needs_order=True, ignorable=Ignorable.PROJECT)
def leaked_personal_data(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Data about people reaches a release, an export or a message.

    Why: a model remembers rows that it learned from, and what was sent cannot be called back. What is marked
    `personal` may be made into something that leaves only by a step of role `anonymize`.

    Bad:
        ingest: {uses: ingest, with: {source: s3://patients/rows.parquet, personal: true}}
        train:  {uses: train, with: {data: "${{ steps.ingest.data }}", target: stay}}
        deploy: {uses: deploy, with: {model: "${{ steps.train.model }}"}}

    Fix:
        masked: {uses: ./steps/mask.yaml, with: {data: "${{ steps.ingest.data }}"}}   # its manifest: role: anonymize
        train:  {uses: train, with: {data: "${{ steps.masked.data }}", target: stay}}
    """
    graph = subject.graph
    given = {declared.name: declared.loc for declared in subject.pipeline.inputs if declared.is_personal}
    sources: dict[Port, Port | None] = dict.fromkeys(_marked(graph))
    reads = [(use, name, into) for use in subject.pipeline.steps for name, into in _given(use, given)] if given else []
    for use, name, into in reads:
        source = Port(_INPUTS, name)
        sources[source] = None
        for made in made_with(graph, use.name, into, stops=Role.ANONYMIZE):
            sources.setdefault(made, source)
    if not sources:
        return
    came_from = derived(graph, sources, stops=Role.ANONYMIZE)
    came_from |= _told_by(graph, came_from)
    for use in subject.pipeline.steps:
        interface = graph.interfaces.get(use.name)
        if interface is None or not _lets_out(interface, subject):
            continue
        edges = [(Port(edge.source, edge.output), edge.argument, edge.loc) for edge in graph.into(use.name)]
        edges += [(Port(_INPUTS, name), into, _loc(use, into)) for other, name, into in reads if other is use]
        told: set[Port] = set()  # one source is mended in one place, however many ways lead from it
        for port, into, loc in edges:
            if into and port in came_from:
                way = route(came_from, port)
                if way[0] in told:
                    continue
                told.add(way[0])
                where = given.get(way[0].output) if way[0].step == _INPUTS else graph.steps[way[0].step].loc
                notes = [Note(f"`{shown(way[0])}` is about people", where),
                         Note(f"the data goes {drawn([*map(shown, way), f'{use.name}.{into}'])}")]  # fmt: skip
                verb = "ships" if interface.role is Role.DEPLOY else "sends out"
                yield rule.at(loc, f"`{use.name}` {verb} what was made with data about people", notes=notes,
                              help="put a step of role `anonymize` on the way")  # fmt: skip


def _lets_out(interface: Interface, subject: Subject) -> bool:
    """Say whether what a step reads leaves the project with it."""
    return interface.role is Role.EXPORT or (interface.role is Role.DEPLOY and subject.is_production)


def _marked(graph: Graph) -> Iterator[Port]:
    """Yield the outputs that are about people, as their steps declare it or are told."""
    for name, interface in graph.interfaces.items():
        for output in interface.outputs:
            if output.personal or _is_told(graph.steps[name], output):
                yield Port(name, output.name)


def _is_told(use: StepUse, output: Output) -> bool:
    """Say whether a step is told that an output is about people; what only a run knows counts as yes."""
    said = use.argument(output.personal_if) if output.personal_if else None
    return said is not None and said.value != Literal(False)


def _given(use: StepUse, personal: dict[str, Loc]) -> Iterator[tuple[str, str]]:
    """Yield the personal inputs of the pipeline that a step is given, each with the argument that takes it."""
    for argument in use.arguments:
        if isinstance(argument.value, ParameterRef) and argument.value.name in personal:
            yield argument.value.name, argument.name


def _loc(use: StepUse, argument: str) -> Loc:
    found = use.argument(argument)
    assert found is not None, "personal._loc got an argument that its step is not given"
    return found.references[0].loc if found.references else found.node.loc


def _told_by(graph: Graph, came_from: dict[Port, Port | None]) -> dict[Port, Port | None]:
    """Return the small values in which a program of somebody else may hand on what it read."""
    found: dict[Port, Port | None] = {}
    for name, interface in graph.interfaces.items():
        if interface.container is None or interface.role is Role.ANONYMIZE:
            continue
        read = (Port(edge.source, edge.output) for edge in graph.into(name) if edge.argument)
        source = next((port for port in read if port in came_from), None)
        for output in interface.small_outputs if source else ():
            if output.type in _TELLING:
                found[Port(name, output.name)] = source
    return found
