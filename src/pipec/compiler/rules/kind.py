"""What is known of the types of values before a run: of references, and of the places where they stand.

Types are told as JSON Schemas, because parameters declare them so; an empty one knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from pipec.compiler.rule import Subject
from pipec.diagnostics import Loc
from pipec.schema.model import Argument, Reference, StepUse
from pipec.schema.tree import Entry, Scalar, Sequence, Tree
from pipec.schema.tree import Mapping as MappingNode
from pipec.steps.interface import Artifact, Kind
from pipec.values import EachRef, Json, Literal, OutputRef, ParameterRef

Schema: TypeAlias = Mapping[str, Json]
UNKNOWN: Schema = {}
_KINDS = {kind.json_type: kind for kind in Kind}


class Mention(NamedTuple):
    """A name in an expression, with the step it is for, the field it stands in, and the argument there, if any."""

    use: StepUse
    reference: Reference
    where: str
    argument: Argument | None


class Spot(NamedTuple):
    """A scalar with expressions inside of an argument. label: its path. schema: what is wanted in this place."""

    label: str
    node: Scalar
    schema: Schema
    references: tuple[Reference, ...]


def mentions(subject: Subject) -> Iterator[Mention]:
    """Yield every name that a step of the document holds, those included that other environments give to it."""
    for use in subject.pipeline.steps:
        for reference, where, argument in use.references:
            yield Mention(use, reference, where, argument)
    for overlaid in subject.pipeline.overlaid:
        step = subject.graph.steps.get(overlaid.step)
        if step is None:
            continue  # told as a step that the pipeline does not have
        for argument in overlaid.arguments:
            for reference in argument.references:
                yield Mention(step, reference, overlaid.field, argument)


def given(subject: Subject) -> Iterator[tuple[StepUse, Argument]]:
    """Yield every argument of `with`, those included that other environments give."""
    for use in subject.pipeline.steps:
        for argument in use.arguments:
            yield use, argument
    for overlaid in subject.pipeline.overlaid:
        step = subject.graph.steps.get(overlaid.step)
        if step and overlaid.field == "with":
            for argument in overlaid.arguments:
                yield step, argument


def spots(argument: Argument, schema: Schema) -> Iterator[Spot]:
    """Yield the places of an argument in which expressions stand, in the order of the text."""
    references = list(argument.references)
    for label, node, wanted in _scalars(argument.name, argument.node, schema):
        inside: list[Reference] = []
        while references and _is_in(references[0].loc, node.loc):
            inside.append(references.pop(0))
        if inside:
            yield Spot(label, node, wanted, tuple(inside))


def _scalars(label: str, node: Tree, schema: Schema) -> Iterator[tuple[str, Scalar, Schema]]:
    match node:
        case Scalar():
            yield label, node, schema
        case Sequence(items):
            for at, item in enumerate(items):
                yield from _scalars(f"{label}.{at}", item, below(schema, "items"))
        case MappingNode(entries):
            for entry in entries:
                yield from _scalars(f"{label}.{entry.key}", entry.value, _field(schema, entry))


def _field(schema: Schema, entry: Entry) -> Schema:
    named = below(below(schema, "properties"), entry.key)
    return named or below(schema, "additionalProperties")


def below(schema: Schema, key: str) -> Schema:
    """Return the schema that stands under a key of another, or what knows nothing."""
    found = schema.get(key)
    return found if isinstance(found, Mapping) else UNKNOWN


def _is_in(inner: Loc, outer: Loc) -> bool:
    (first, last), (left, right) = (inner.span[:2], inner.span[2:]), (outer.span[:2], outer.span[2:])
    return left <= first and last <= right


def type_of(subject: Subject, reference: Reference, use: StepUse | None = None) -> Artifact | Schema:
    """Return what a reference stands for. use: the step that says it, for its item or its cell."""
    match reference.parts:
        case ("parameters", name):
            parameter = subject.pipeline.parameter(name)
            return parameter.schema if parameter else UNKNOWN
        case ("inputs", name):
            declared = subject.pipeline.input(name)
            return declared.type if declared else UNKNOWN
        case ("steps", step, "*", output):
            one = _of_output(subject, step, output)
            return {"type": "array", "items": one} if isinstance(one, Mapping) and one else one
        case ("steps", step, output):
            return _of_output(subject, step, output)
        case ("run" | "environment", _):
            return {"type": "string"}
        case ("configs", name):
            said = subject.places(reference)[1].get(name)
            if said is None:
                return UNKNOWN
            return of_values([said["value"]]) if "value" in said else {"type": "string"}
        case ("matrix", axis) if use and use.matrix and axis in use.matrix.axes:
            return of_values(cell[use.matrix.axes.index(axis)] for cell in use.matrix.cells)
        case ("item", *field) if use and use.for_each:
            return _of_item(subject, use.for_each.items, field)
    return UNKNOWN


def _of_output(subject: Subject, step: str, output: str) -> Artifact | Schema:
    written = subject.graph.output(OutputRef(step, output))
    if written is None:
        return UNKNOWN
    return written.type if isinstance(written.type, Artifact) else {"type": written.type.json_type}


def _of_item(subject: Subject, items: Argument, field: list[str]) -> Schema:
    match items.value:
        case Literal(list() as listed) if not field:
            return of_values(listed)
        case Literal(list() as listed):
            return of_values(item[field[0]] for item in listed if isinstance(item, Mapping) and field[0] in item)
        case ParameterRef() | OutputRef() | EachRef() if items.references:
            listed_as = type_of(subject, items.references[0])
            item = UNKNOWN if isinstance(listed_as, Artifact) else below(listed_as, "items")
            return below(below(item, "properties"), field[0]) if field else item
    return UNKNOWN


def of_values(values: Iterable[Json]) -> Schema:
    """Return the type that all of some values have, or what knows nothing."""
    kinds = {Kind.of(value) for value in values}
    if kinds == {Kind.INTEGER, Kind.NUMBER}:
        return {"type": "number"}
    return {"type": kinds.pop().json_type} if len(kinds) == 1 else UNKNOWN


def kind(schema: Artifact | Schema) -> Artifact | Kind | None:
    """Return the one kind that a schema allows, or None."""
    if isinstance(schema, Artifact):
        return schema
    wanted = schema.get("type")
    if wanted is None and isinstance(choices := schema.get("enum"), list):
        wanted = of_values(choices).get("type")
    return _KINDS.get(wanted) if isinstance(wanted, str) else None


def a(kind: Artifact | Kind) -> str:
    """Return a type with its article, as it stands in a sentence."""
    word = kind.value.lower()
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"
