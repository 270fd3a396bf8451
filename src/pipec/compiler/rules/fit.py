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
    pipeline = subject.pipeline
    values, replaced = _values(pipeline), _replaced(pipeline)
    judged: set[tuple[str, ...]] = set()  # a parameter may be handed to thousands of steps of one kind
    for use, argument in given(subject):
        interface = subject.graph.interfaces.get(use.name)
        parameter = interface.parameter(argument.name) if interface and argument.references else None
        elsewhere = argument.references[0].elsewhere if parameter else ""
        # Of a step that was brought in, only the step around it is named by the document's environments.
        outer = use.scope.partition(".")[0]
        others = replaced.get((outer or use.name, "" if outer else argument.name), ())
        for label, name, schema, loc in _handed(use, argument, parameter) if parameter else ():
            declared = pipeline.parameter(name)
            wanted, key = kind(schema), (name, canonical(schema), elsewhere, *others)
            if declared is None or key in judged or (isinstance(wanted, Kind) and not wanted.admits(declared.kind)):
                continue  # another type is told by PIPE302
            judged.add(key)
            note = Note(f"step `{use.name}` gets it as `{label}`", loc)
            for value in _met(pipeline, name, values.get(name, {}), elsewhere, others):
                for problem in check.value_problems(name, value, schema, rule):
                    yield rule.at(problem.loc, problem.message, help=problem.help, notes=[note])


def _values(pipeline: Pipeline) -> dict[str, dict[str, Tree]]:
    """Return what each parameter may stand for, by environment: its value in force, and what every other one gives."""
    found = {
        each.name: {pipeline.environment: of_json(each.default, each.default_loc)}
        for each in pipeline.parameters
        if each.default is not MISSING and each.default_loc is not None
    }
    for environment, said in _said(pipeline, "parameters"):
        for entry in said.entries if environment != pipeline.environment else ():
            found.setdefault(entry.key, {})[environment] = entry.value
    return found


def _replaced(pipeline: Pipeline) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the environments that give a step its argument anew, by both names; by the empty one, any argument."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for environment, said in _said(pipeline, "steps"):
        for step in said.entries if environment != pipeline.environment else ():
            given_there = step.value.get("with") if isinstance(step.value, Mapping) else None
            names = [entry.key for entry in given_there.entries] if isinstance(given_there, Mapping) else []
            for name in {"": None, **dict.fromkeys(names)} if names else ():
                found[step.key, name] = (*found.get((step.key, name), ()), environment)
    return found


def _said(pipeline: Pipeline, section: str) -> Iterator[tuple[str, Mapping]]:
    environments = pipeline.document.get("environments")
    for entry in environments.entries if isinstance(environments, Mapping) else ():
        said = entry.value.get(section) if isinstance(entry.value, Mapping) else None
        if isinstance(said, Mapping):
            yield entry.key, said


def _met(
    pipeline: Pipeline, name: str, values: dict[str, Tree], elsewhere: str, others: tuple[str, ...]
) -> Iterator[Tree]:
    """Yield what a step may meet: in the environment that hands it over, or in all that hand over nothing else."""
    if not elsewhere:
        yield from (value for environment, value in values.items() if environment not in others)
        return
    declared = pipeline.document.get("parameters")
    body = declared.get(name) if isinstance(declared, Mapping) else None
    value = values.get(elsewhere) or (body.get("default") if isinstance(body, Mapping) else None)
    if value is not None:
        yield value


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
