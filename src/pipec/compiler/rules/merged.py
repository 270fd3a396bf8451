"""`PIPE208`: names that are two in a document and one on some engine.

A task is called after its step and those around it (`features.clean`), and numbered if there are several (`train-0`).
Kubernetes takes no dots in the names of pods, so a target may write `-` for them; numbers and dots are then alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations_with_replacement

from pipec.compiler.graph import Graph
from pipec.compiler.rule import Subject, rule
from pipec.diagnostics import Finding, Note, Rule
from pipec.schema.model import StepUse

_ANY = "#"  # the number of a cell or an iteration, in a name cut at its dots and hyphens
Name = tuple[str, ...]


@rule("PIPE208", "merged-name", twice=True)
def merged_name(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two steps would become tasks of one name.

    Why: the cells of a matrix and the iterations of a loop are called after their step and numbered: `train-0`. The
    steps of a pipeline that is used as a step are called after both, `features.clean`, which is `features-clean` where
    an engine takes no dots.

    Bad:
        train:   {uses: train, matrix: {axes: {seed: [1, 2]}}}
        train-1: {uses: train}

    Fix:
        train-again: {uses: train}
    """
    if subject.graph.composites:
        yield from _across(rule, subject.graph)
        return
    many = {use.name: use for use in subject.pipeline.steps if use.is_many}
    for use in subject.pipeline.steps:
        name, dash, number = use.name.rpartition("-")
        if dash and name in many and _is_number(number):
            note = Note(f"`{name}` becomes `{name}-0`, `{name}-1` and so on", many[name].loc)
            yield rule.at(use.loc, f"`{use.name}` is what a task of `{name}` would be called", notes=[note],
                          help=f"call it `{name}-step-{number}`")  # fmt: skip


def _is_number(text: str) -> bool:
    """Say whether a task could be numbered so."""
    return text.isdigit() and text.isascii() and str(int(text)) == text


def _across(rule: Rule, graph: Graph) -> Iterator[Finding]:
    """Find tasks of different documents that an engine without dots calls alike; one alone is told by itself."""
    uses = {**{name: composite.use for name, composite in graph.composites.items()}, **graph.steps}
    alike: dict[Name, list[tuple[Name, str]]] = {}
    for step in uses:
        for name in _names(step, uses):
            alike.setdefault(tuple(_ANY if _is_number(part) else part for part in name), []).append((name, step))
    rank = {step: at for at, step in enumerate(uses)}
    told: set[frozenset[str]] = set()
    for named in alike.values():
        for pair in _merged(named) if len(named) > 1 else ():
            if uses[pair[0]].scope == uses[pair[1]].scope or frozenset(pair) in told:
                continue
            told.add(frozenset(pair))
            # Told where it is nearest to who runs it: the other may be in a file that others use too.
            other, step = sorted(pair, key=lambda name: (-name.count("."), rank[name]))
            note = Note(f"`{other}`, from here", uses[other].loc)
            yield rule.at(uses[step].loc, f"`{step}` and `{other}` are one name where an engine takes no dots",
                          notes=[note], help=f"call it `{uses[step].name.rpartition('.')[2]}-step`")  # fmt: skip


def _names(step: str, uses: dict[str, StepUse]) -> Iterator[Name]:
    """Yield what the tasks of a step, and the task that stands for all of them, may be called."""
    plain: list[str] = []
    numbered: list[str] = []
    around = ""
    for element in step.split("."):
        around = f"{around}.{element}" if around else element
        plain += element.split("-")
        numbered += [*element.split("-"), *([_ANY] if uses[around].is_many else [])]
    yield tuple(plain)
    if numbered != plain:
        yield tuple(numbered)


def _merged(named: Iterable[tuple[Name, str]]) -> Iterator[tuple[str, str]]:
    """Yield pairs of steps of which a task may have one name; the names differ in numbers alone.

    Names are compared by where they hold any number: there are few such masks, so this stays linear in the names.
    """
    masks: dict[frozenset[int], list[tuple[Name, str]]] = {}
    for name, step in named:
        masks.setdefault(frozenset(at for at, part in enumerate(name) if part == _ANY), []).append((name, step))
    for left, right in combinations_with_replacement(masks, 2):
        free = left | right
        first: dict[Name, str] = {}
        for mask in dict.fromkeys((left, right)):
            for name, step in masks[mask]:
                fixed = tuple(part for at, part in enumerate(name) if at not in free)
                other = first.setdefault(fixed, step)
                if other != step:
                    yield other, step
