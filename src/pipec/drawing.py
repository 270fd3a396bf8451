"""A pipeline's graph as Mermaid text, for pull requests and Markdown."""

from __future__ import annotations

from pipec.compiler.graph import Graph
from pipec.steps.interface import Role

MAX_EDGES = 450  # Mermaid's own limit is 500 edges; beyond it a forge shows an error instead of the graph
_SHAPES = {Role.APPROVE: ("{{", "}}"), Role.DEPLOY: ("[[", "]]"), Role.VALIDATE: ("([", "])")}


def mermaid(graph: Graph) -> str:
    """Return a flowchart: steps by kind, edges by what flows along them; where it is too large, a list of steps."""
    if len(graph.edges) > MAX_EDGES:
        steps = [f"%%   {name}" for name in graph.order]
        return "\n".join([f"%% {len(graph.edges)} edges are too many to draw; the steps:", *steps]) + "\n"
    number = {name: f"s{index}" for index, name in enumerate(graph.steps)}
    lines = ["flowchart LR"]
    for name in graph.steps:
        interface = graph.interfaces.get(name)
        left, right = _SHAPES.get(interface.role, ("[", "]")) if interface and interface.role else ("[", "]")
        uses = graph.steps[name].uses
        label = name if uses == name else f"{name}<br/>{uses}"
        lines.append(f'    {number[name]}{left}"{label}"{right}')
    merged: dict[tuple[str, str, bool], list[str]] = {}
    for edge in graph.edges:
        merged.setdefault((edge.source, edge.target, edge.soft), []).append(edge.output)
    for (source, target, soft), outputs in merged.items():
        named = ", ".join(sorted({output for output in outputs if output}))
        arrow = "-.->" if soft or not named else "-->"
        label = f"|{named}|" if named else ""
        lines.append(f"    {number[source]} {arrow}{label} {number[target]}")
    return "\n".join(lines) + "\n"
