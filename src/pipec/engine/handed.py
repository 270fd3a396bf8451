"""What a run hands on: the outputs of its pipeline, as its outcome tells them."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.plan import Plan
from pipec.engine.state import Facts
from pipec.engine.store import Store
from pipec.values import Absent, EachRef, Gather, Json, OutputRef, ParameterRef, Value, resolve


def handed(plan: Plan, facts: Facts, store: Store) -> Iterator[tuple[str, Json]]:
    """Yield the pipeline's outputs by name, without those whose step left nothing."""
    for name, value in plan.outputs:
        for found in _found(value, facts, store):
            yield name, found


def _found(value: Value, facts: Facts, store: Store) -> Iterator[Json]:
    """Yield what a value is, or nothing: a small value, `{"type", "digest", "path"}`, or a list of such."""
    match value:
        case ParameterRef(name):
            yield facts.parameters.get(name)
        case OutputRef(task, output):
            ending = facts.endings.get(task)
            if ending and output in ending.values:
                yield ending.values[output]
            elif ending and (stored := ending.artifacts.get(output)):
                yield {"type": stored.type, "digest": stored.digest, "path": str(store.locate(stored.digest))}
        case Gather(items):
            yield [each for item in items for each in _found(item, facts, store)]
        case EachRef(task, output) if task in facts.loops:
            yield [each for outputs in facts.loops[task] for each in _found(outputs[output], facts, store)]
        case EachRef():
            return
        case _:
            try:
                yield resolve(value, facts.lookup)
            except Absent:
                return
