"""The ways that artifacts go through a pipeline, as walks of its graph: each edge once, and the way back by memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from pipec.compiler.graph import Graph, Port
from pipec.steps.interface import Role

MAX_SHOWN = 10  # names of a way in a note, from its end; a way may be as long as the pipeline
GAP = "..."


def derived(graph: Graph, sources: Mapping[Port, Port | None], *, stops: Role | None = None) -> dict[Port, Port | None]:
    """Return every artifact made with one of `sources`, with what it was made with; None for where a way begins.

    stops: a role whose steps make something else of what they read.
    """
    came_from = dict(sources)
    queue = deque(came_from)
    while queue:
        port = queue.popleft()
        for edge in graph.out_of(port.step):
            if edge.output != port.output or not edge.argument:
                continue
            for made in made_with(graph, edge.target, edge.argument, stops=stops):
                if made not in came_from:
                    came_from[made] = port
                    queue.append(made)
    return came_from


def made_with(graph: Graph, step: str, argument: str, *, stops: Role | None = None) -> Iterator[Port]:
    """Yield the artifacts of a step that depend on what one of its inputs holds."""
    interface = graph.interfaces.get(step)
    if interface is None or interface.input(argument) is None or (stops and interface.role is stops):
        return
    for output in interface.artifacts:
        if output.same_as in (None, argument):
            yield Port(step, output.name)


def route(came_from: Mapping[Port, Port | None], port: Port) -> list[Port]:
    """Return the way to an artifact, from its source."""
    way = [port]
    while (before := came_from[way[-1]]) is not None:
        way.append(before)
    return way[::-1]


def drawn(names: list[str]) -> str:
    """Return a way as it stands in a note: of a long one where it begins, and where it ends."""
    if len(names) > MAX_SHOWN + 2:
        names = [*names[:2], GAP, *names[-MAX_SHOWN + 1 :]]
    return " -> ".join(name if name == GAP else f"`{name}`" for name in names)


def shown(port: Port) -> str:
    return f"{port.step}.{port.output}"
