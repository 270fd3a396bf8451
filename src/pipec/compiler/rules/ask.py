"""What steps ask of machines, in the environment in force and in every other, which whoever merges it should know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipec.compiler.rule import Subject
from pipec.diagnostics import Loc
from pipec.schema.model import Ask, StepUse, locate
from pipec.schema.overlay import lay
from pipec.schema.part import ask
from pipec.schema.tree import Mapping, Tree, as_json


class Asked(NamedTuple):
    """What a step says under `resources`. environment: that which was not chosen and says so; empty: in force."""

    use: StepUse
    ask: Ask
    written: Tree
    environment: str

    def place(self, *keys: str) -> Loc:
        """Return the place of a key path under `resources`, or of its deepest part that is written."""
        return locate(self.written, self.written.loc, keys)


def asks(subject: Subject) -> Iterator[Asked]:
    """Yield what each step of the document says under `resources`, for each environment that says it differently."""
    for use, said in _resources(subject, subject.pipeline.tree):
        yield Asked(use, use.ask, said, "")
    others = [name for name in subject.pipeline.environments if name != subject.pipeline.environment]
    environments = subject.pipeline.document.get("environments") if others else None
    if not isinstance(environments, Mapping):
        return
    base = {use.name: said for use, said in _resources(subject, subject.pipeline.document)}
    for entry in environments.entries:
        steps = entry.value.get("steps") if isinstance(entry.value, Mapping) else None
        if entry.key == subject.pipeline.environment or not isinstance(steps, Mapping):
            continue
        if _gives_constants(entry.value, subject.pipeline.folded):
            continue  # what stands in its `resources` is known only when it is chosen
        for step in steps.entries:
            there = subject.graph.steps.get(step.key)
            over = step.value.get("resources") if isinstance(step.value, Mapping) else None
            if there and isinstance(over, Mapping):
                laid = lay(base.get(there.name, Mapping((), over.loc)), over)
                yield Asked(there, ask(as_json(laid)), laid, entry.key)


def _gives_constants(environment: Tree, folded: frozenset[str]) -> bool:
    values = environment.get("parameters") if isinstance(environment, Mapping) else None
    return isinstance(values, Mapping) and any(entry.key in folded for entry in values.entries)


def _resources(subject: Subject, document: Mapping) -> Iterator[tuple[StepUse, Tree]]:
    for section in ("steps", "finally"):
        steps = document.get(section)
        for entry in steps.entries if isinstance(steps, Mapping) else ():
            said = entry.value.get("resources") if isinstance(entry.value, Mapping) else None
            use = subject.graph.steps.get(entry.key)
            if use and isinstance(said, Mapping):
                yield use, said
