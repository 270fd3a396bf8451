"""`PIPE302`, `PIPE308`: values that have the type of the place where they stand, and conditions that have an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import Mention, Spot, a, given, kind, mentions, of_values, spots, type_of
from pipec.diagnostics import Finding, Loc, Note, Rule
from pipec.schema import check
from pipec.schema.model import Operand, ParameterUse, Reference, StepUse, Term
from pipec.schema.tree import Sequence, of_json
from pipec.steps.interface import Artifact, Kind
from pipec.values import Json, Literal, Text

_NUMBERS = (Kind.INTEGER, Kind.NUMBER)


@rule("PIPE302", "mismatched-type")
def mismatched_type(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A value is given a reference of another type, in itself or inside of a list or an object.

    Why: a whole reference keeps its type, so a text would arrive where a number is wanted.

    Bad:
        parameters: {epochs: {type: string, default: "10"}}
        steps: {train: {uses: train, with: {epochs: "${{ parameters.epochs }}"}}}

    Fix:
        parameters: {epochs: {type: integer, default: 10}}
    """
    for mention in mentions(subject):
        yield from _without_field(rule, mention)
        if mention.where == "for_each":
            yield from _looped(rule, subject, mention.use, mention.reference)
        elif mention.where != "with":
            yield from _in_text(rule, subject, mention)
    for use, argument in given(subject):
        interface = subject.graph.interfaces.get(use.name)
        parameter = interface.parameter(argument.name) if interface and argument.references else None
        for spot in spots(argument, parameter.schema) if parameter else ():
            for reference in spot.references:
                yield from _typed(rule, subject, use, spot, reference)


def _without_field(rule: Rule, mention: Mention) -> Iterator[Finding]:
    """Find a field of the item that some written item does not have."""
    loop = mention.use.for_each
    if loop is None or mention.reference.root != "item" or len(mention.reference.parts) < 2:
        return
    items = loop.items.value.value if isinstance(loop.items.value, Literal) else None
    for at, item in enumerate(items) if isinstance(items, list) else ():
        if not (isinstance(item, Mapping) and mention.reference.parts[1] in item):
            message = f"`{mention.reference}` is no field of every item that `{mention.use.name}` loops over"
            node = loop.items.node
            loc = node.items[at].loc if isinstance(node, Sequence) else node.loc
            yield rule.at(mention.reference.loc, message, help=f"give every item its `{mention.reference.parts[1]}`",
                          notes=[Note("this item has none", loc)])  # fmt: skip
            return


def _in_text(rule: Rule, subject: Subject, mention: Mention) -> Iterator[Finding]:
    """Find what has no value to compare in `when`, or no text to stand in a variable of `env`."""
    seen = kind(type_of(subject, mention.reference, mention.use))
    if isinstance(seen, Artifact):
        message = f"`{mention.reference}` is {a(seen)}, and `{mention.where}` takes values"
        yield rule.at(mention.reference.loc, message, help="read one of the step's small outputs, or a parameter")
    elif mention.where == "env" and seen in (Kind.LIST, Kind.OBJECT):
        message = f"`{mention.reference}` is {a(seen)} and cannot stand in a variable"
        yield rule.at(mention.reference.loc, message, help="give it as a parameter")


def _looped(rule: Rule, subject: Subject, use: StepUse, reference: Reference) -> Iterator[Finding]:
    seen = kind(type_of(subject, reference))
    is_in_list = use.for_each is not None and isinstance(use.for_each.items.node, Sequence)
    is_whole = use.for_each is not None and not isinstance(use.for_each.items.value, Text)
    if isinstance(seen, Artifact) or not (is_in_list or (seen in (None, Kind.LIST) and reference.whole and is_whole)):
        told = f"`{reference}` is {a(seen)}" if seen not in (None, Kind.LIST) else "a text stands around it"
        advice = "write one `${{ }}` that is a list, or `[...]`"
        yield rule.at(reference.loc, f"`{use.name}` loops over a list, but {told}", help=advice)


def _typed(rule: Rule, subject: Subject, use: StepUse, spot: Spot, reference: Reference) -> Iterator[Finding]:
    """Find a reference in a value of `with` that cannot stand in its place."""
    seen = kind(type_of(subject, reference, use))
    wanted = kind(spot.schema)
    name = f"parameter `{spot.label}` of `{use.name}`" if "." not in spot.label else f"`{spot.label}` of `{use.name}`"
    if isinstance(seen, Artifact):
        message = f"{name} takes a value, but `{reference}` is {a(seen)}"
        yield rule.at(reference.loc, message, help="read one of the step's small outputs, or a parameter")
    elif not reference.whole and seen in (Kind.LIST, Kind.OBJECT):
        message = f"`{reference}` is {a(seen)} and cannot stand inside a text"
        yield rule.at(reference.loc, message, help=f"write `${{{{ {reference} }}}}` alone, where {a(seen)} is wanted")
    elif not reference.whole and wanted not in (None, Kind.STRING) and isinstance(wanted, Kind):
        message = f"{name} needs {a(wanted)}, but a text stands around `{reference}`"
        yield rule.at(spot.node.loc, message, help=f"write `${{{{ {reference} }}}}` alone")
    elif not reference.whole:
        return
    elif values := _written(use, reference):
        yield from _each(rule, use, spot, reference, values)
    elif isinstance(seen, Kind) and isinstance(wanted, Kind) and not wanted.admits(seen):
        notes = [Note("it is declared here", declared.loc)] if (declared := _declared(subject, reference)) else []
        advice = f"declare it with `type: {wanted}`" if declared else _written_as(subject, reference, wanted)
        message = f"{name} needs {a(wanted)}, but `{reference}` is {a(seen)}"
        yield rule.at(reference.loc, message, help=advice, notes=notes)


def _declared(subject: Subject, reference: Reference) -> ParameterUse | None:
    return subject.pipeline.parameter(reference.parts[1]) if reference.root == "parameters" else None


def _written_as(subject: Subject, reference: Reference, wanted: Kind) -> str:
    """Return what a step writes of the kind that is wanted, as a help line; empty if it writes nothing so."""
    interface = subject.graph.interfaces.get(reference.step)
    for output in interface.outputs if interface and not reference.is_spread else ():
        if isinstance(output.type, Kind) and wanted.admits(output.type):
            return f"`${{{{ steps.{reference.step}.{output.name} }}}}` is {a(output.type)}"
    return f"read a value of type {wanted}"


def _written(use: StepUse, reference: Reference) -> list[tuple[Json, Loc]]:
    """Return the values, with their places, that the cells or the items of a step say for a reference."""
    match reference.parts:
        case ("matrix", axis) if use.matrix and axis in use.matrix.axes:
            at = use.matrix.axes.index(axis)
            return [(cell[at], use.matrix.loc) for cell in use.matrix.cells]
        case ("item", *field) if use.for_each and isinstance(use.for_each.items.value, Literal):
            node, listed = use.for_each.items.node, use.for_each.items.value.value
            items = listed if isinstance(listed, list) else []
            locs = [item.loc for item in node.items] if isinstance(node, Sequence) else [node.loc] * len(items)
            fields = field[0] if field else None
            return [
                (item if fields is None else item[fields], loc)
                for item, loc in zip(items, locs, strict=True)
                if fields is None or (isinstance(item, Mapping) and fields in item)
            ]
    return []


def _each(
    rule: Rule, use: StepUse, spot: Spot, reference: Reference, values: list[tuple[Json, Loc]]
) -> Iterator[Finding]:
    """Find a value that the step does not allow: the first, since all are meant for one place."""
    for value, loc in values:
        for problem in check.value_problems(reference.parts[-1], of_json(value, loc), spot.schema, rule):
            note = Note(f"step `{use.name}` gets it as `{spot.label}`", reference.loc)
            yield rule.at(problem.loc, problem.message, help=problem.help, notes=[note])
            return


@rule("PIPE308", "unanswerable-condition")
def unanswerable_condition(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A condition compares what cannot be compared, or is neither true nor false.

    Why: values are compared as values: a text is never a number. A condition without an answer fails its step.

    Bad:
        when: steps.ingest.n_rows > '1000'

    Fix:
        when: steps.ingest.n_rows > 1000
    """
    for use in subject.pipeline.steps:
        for term in use.when.terms if use.when else ():
            yield from _answer(rule, subject, use, term)
    for after in subject.pipeline.after:
        if after.when and after.pipeline in subject.others:
            other, graph = subject.others[after.pipeline]
            ended = replace(subject, pipeline=other, graph=graph)
            for term in after.when.terms:
                yield from _answer(rule, ended, None, term)


def _answer(rule: Rule, subject: Subject, use: StepUse | None, term: Term) -> Iterator[Finding]:
    left, right = term.left, term.right
    seen = _kind(subject, use, left)
    if right is None:
        if seen not in (None, Kind.BOOLEAN):
            message = f"{_shown(left)} is {a(seen)}, and a condition is true or false"
            yield rule.at(left.loc, message, help=f"compare it: `{_bare(left)} == ...`")
        return
    other = _kind(subject, use, right)
    if term.operator == "in":
        yield from _member(rule, subject, use, term, seen, other)
    elif seen is None or other is None:
        return
    elif _family(seen) != _family(other):
        message = f"{_shown(left)} is {a(seen)}, and {_shown(right)} is {a(other)}: they cannot be compared"
        yield rule.at(right.loc if right.reference is None else left.loc, message, help=_repair(left, right))
    elif term.operator not in ("==", "!=") and _family(seen) not in (Kind.NUMBER, Kind.STRING):
        message = f"`{term.operator}` compares numbers or texts, and {_shown(left)} is {a(seen)}"
        yield rule.at(left.loc, message, help="use `==` or `!=`")


def _member(
    rule: Rule, subject: Subject, use: StepUse | None, term: Term, seen: Kind | None, other: Kind | None
) -> Iterator[Finding]:
    left, right = term.left, term.right
    assert right is not None, "types._member got a term of one operand"
    if other not in (None, Kind.LIST):
        yield rule.at(right.loc, f"`in` looks into a list, and {_shown(right)} is {a(other)}",
                      help=f"write `{_bare(left)} == {_bare(right)}`")  # fmt: skip
        return
    items = _items(subject, use, right)
    if seen is not None and items is not None and _family(seen) != _family(items):
        message = f"{_shown(left)} is {a(seen)}, and each item of {_shown(right)} is {a(items)}"
        yield rule.at(left.loc, message, help="look for a value of that kind")


def _kind(subject: Subject, use: StepUse | None, operand: Operand) -> Kind | None:
    """Return the kind of an operand; None where it is not known, or told by PIPE302 as an artifact."""
    if operand.reference is None:
        found = kind(of_values([operand.value.value])) if isinstance(operand.value, Literal) else None
    else:
        found = kind(type_of(subject, operand.reference, use))
    return found if isinstance(found, Kind) else None


def _items(subject: Subject, use: StepUse | None, operand: Operand) -> Kind | None:
    """Return the kind that each item of a list has."""
    if operand.reference is None:
        listed = operand.value.value if isinstance(operand.value, Literal) else None
        found = kind(of_values(listed)) if isinstance(listed, list) and listed else None
    else:
        schema = type_of(subject, operand.reference, use)
        items = None if isinstance(schema, Artifact) else schema.get("items")
        found = kind(items) if isinstance(items, Mapping) else None
    return found if isinstance(found, Kind) else None


def _family(seen: Kind) -> Kind:
    """Return what a kind is compared as: numbers of all types are one."""
    return Kind.NUMBER if seen in _NUMBERS else seen


def _repair(left: Operand, right: Operand) -> str:
    """Return what to write where a number stands in quotes."""
    for operand in (left, right):
        text = operand.value.value if operand.reference is None and isinstance(operand.value, Literal) else None
        if isinstance(text, str) and text.removeprefix("-").replace(".", "", 1).isdecimal():
            return f"write `{text}` without quotes"
    return "compare values of one kind"


def _bare(operand: Operand) -> str:
    if operand.reference is not None:
        return str(operand.reference)
    return _literal(operand.value.value if isinstance(operand.value, Literal) else "")


def _literal(value: Json) -> str:
    """Return a constant as a condition writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _shown(operand: Operand) -> str:
    return f"`{_bare(operand)}`"
