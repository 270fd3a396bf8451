"""`PIPE311`: what a parameter of the pipeline stands for must fit every step that it is handed to."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import Schema, below, given, kind, spots
from pipec.diagnostics import Finding, Loc, Note, Rule
from pipec.digest import canonical
from pipec.schema import check
from pipec.schema.model import Argument, Pipeline, StepUse
from pipec.schema.tree import Mapping, Tree, of_json
from pipec.steps.interface import MISSING, Kind, Parameter
from pipec.values import ListOf, ObjectOf, ParameterRef, Value


@rule("PIPE311", "unfit-default", twice=True)
def unfit_default(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A parameter has a default, or a value in some environment, that a step it is handed to does not allow.

    Why: the step would refuse it in every run that says no other value, after everything before it has run.

    Bad:
        parameters: {epochs: {type: integer, default: 0}}
        steps: {train: {uses: train, with: {epochs: "${{ parameters.epochs }}"}}}

    Fix:
        parameters: {epochs: {type: integer, default: 1, minimum: 1}}
    """
    values = _values(subject.pipeline)
    judged: set[tuple[str, str]] = set()  # a parameter may be handed to thousands of steps of one kind
    for use, argument in given(subject):
        interface = subject.graph.interfaces.get(use.name)
        parameter = interface.parameter(argument.name) if interface and argument.references else None
        for label, name, schema, loc in _handed(use, argument, parameter) if parameter else ():
            declared = subject.pipeline.parameter(name)
            wanted, key = kind(schema), (name, canonical(schema))
            if declared is None or key in judged or (isinstance(wanted, Kind) and not wanted.admits(declared.kind)):
                continue  # another type is told by PIPE302
            judged.add(key)
            note = Note(f"step `{use.name}` gets it as `{label}`", loc)
            for value in values.get(name, ()):
                for problem in check.value_problems(name, value, schema, rule):
                    yield rule.at(problem.loc, problem.message, help=problem.help, notes=[note])


def _values(pipeline: Pipeline) -> dict[str, list[Tree]]:
    """Return what each parameter may stand for: its value in force, and that of every other environment."""
    found = {
        each.name: [of_json(each.default, each.default_loc)]
        for each in pipeline.parameters
        if each.default is not MISSING and each.default_loc is not None
    }
    environments = pipeline.document.get("environments")
    for entry in environments.entries if isinstance(environments, Mapping) else ():
        said = entry.value.get("parameters") if isinstance(entry.value, Mapping) else None
        if entry.key != pipeline.environment and isinstance(said, Mapping):
            for given_value in said.entries:
                found.setdefault(given_value.key, []).append(given_value.value)
    return found


def _handed(use: StepUse, argument: Argument, parameter: Parameter) -> Iterator[tuple[str, str, Schema, Loc]]:
    """Yield each place that takes a parameter whole: its label, the parameter, what is wanted, and where."""
    if not use.scope:
        for spot in spots(argument, parameter.schema):
            for reference in spot.references:
                if reference.whole and reference.root == "parameters":
                    yield spot.label, reference.parts[1], spot.schema, reference.loc
        return
    # In a pipeline that was brought in, the text names that one's parameter; its value names the one of this document.
    named = {reference.parts[1]: reference.loc for reference in argument.references if reference.root == "parameters"}
    for label, name, schema in _taken(argument.name, argument.value, parameter.schema):
        yield label, name, schema, named.get(name, argument.loc)


def _taken(label: str, value: Value, schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    match value:
        case ParameterRef(name):
            yield label, name, schema
        case ListOf(items):
            for at, item in enumerate(items):
                yield from _taken(f"{label}.{at}", item, below(schema, "items"))
        case ObjectOf(fields):
            for name, item in fields:
                yield from _taken(f"{label}.{name}", item, below(below(schema, "properties"), name))
