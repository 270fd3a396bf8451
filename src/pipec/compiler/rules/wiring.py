"""`PIPE3xx`: what flows along an edge must be what its end wants."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.graph import Graph
from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import a, given, mentions
from pipec.diagnostics import Finding, Loc, Note, Rule
from pipec.schema.model import Argument, StepUse
from pipec.steps.interface import Artifact, Input, Kind, Output
from pipec.values import (
    ConfigRef,
    EachRef,
    ItemRef,
    ListOf,
    Literal,
    MatrixRef,
    OutputRef,
    ParameterRef,
    SecretRef,
    Text,
    Value,
)


@rule("PIPE301", "mismatched-artifact")
def mismatched_artifact(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An input is given an artifact of another type, or no artifact at all.

    Why: the step would fail on its first read, after everything before it has run.

    Bad:
        evaluate: {uses: evaluate, with: {model: "${{ steps.split.train }}", data: "${{ steps.split.test }}"}}

    Fix:
        evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
    """
    for use, argument, declared in _inputs(subject):
        yield from _given(rule, subject, use, argument, declared, argument.value)


def _given(
    rule: Rule, subject: Subject, use: StepUse, argument: Argument, declared: Input, value: Value
) -> Iterator[Finding]:
    """Find what one artifact, or a list of them, is given that is none."""
    match value:
        case OutputRef() | EachRef():
            yield from _artifact_finding(rule, subject.graph, use, argument, declared, value)
        case ParameterRef(name) if (given := subject.pipeline.input(name)) is not None:
            if given.type is not declared.type:
                message = f"input `{declared.name}` of `{use.name}` needs {a(declared.type)}"
                note = Note("it is declared here", given.loc)
                yield rule.at(_place(argument, value), f"{message}, but `inputs.{name}` is {a(given.type)}",
                              help=_candidates(subject.graph, declared, use.name), notes=[note])  # fmt: skip
            elif given.optional and not declared.optional:
                message = f"input `{declared.name}` of `{use.name}` is required, and `{name}` may be absent"
                yield rule.at(_place(argument, value), message, help=f"remove `optional` from `{name}`",
                              notes=[Note("it is optional here", given.loc)])  # fmt: skip
        case ParameterRef(name):
            parameter = subject.pipeline.parameter(name)
            if parameter and parameter.kind is not Kind.STRING:
                wanted = f"input `{declared.name}` of `{use.name}` needs a location"
                message = f"{wanted}, but `{name}` is {a(parameter.kind)}"
                yield rule.at(_place(argument, value), message, help="a location is a text: a path or URL")
        case ListOf(items) if declared.many:
            for item in items:
                yield from _given(rule, subject, use, argument, declared, item)
        case Literal(list() as items) if declared.many and all(isinstance(item, str) for item in items):
            pass
        case Literal(str()) | Text() | ItemRef() | MatrixRef() | ConfigRef():
            pass
        case _:
            message = f"input `{declared.name}` of `{use.name}` needs {a(declared.type)}"
            yield rule.at(argument.node.loc, message, help=_candidates(subject.graph, declared, use.name))


def _place(argument: Argument, value: OutputRef | EachRef | ParameterRef) -> Loc:
    """Return where an argument, or an item of its list, names a value."""
    named = value.name if isinstance(value, ParameterRef) else value.output
    step = "" if isinstance(value, ParameterRef) else value.task
    found = (r.loc for r in argument.references if r.parts[-1] == named and r.step == step)
    return next(found, argument.references[0].loc)


def _artifact_finding(
    rule: Rule, graph: Graph, use: StepUse, argument: Argument, declared: Input, value: OutputRef | EachRef
) -> Iterator[Finding]:
    step, output = value.task, value.output
    written = graph.output(OutputRef(step, output))
    if written is None or written.type is declared.type:
        return
    seen = a(written.type) if isinstance(written.type, Artifact) else f"a small value ({written.type})"
    message = f"input `{declared.name}` of `{use.name}` needs {a(declared.type)}, but `{output}` is {seen}"
    note = Note(f"`{graph.interfaces[step].name}` declares `{output}` as {seen}")
    yield rule.at(_place(argument, value), message, help=_candidates(graph, declared, use.name), notes=[note])


def _candidates(graph: Graph, declared: Input, step: str) -> str:
    """Return a help line that names an artifact of the wanted type made upstream."""
    for name in graph.order or tuple(graph.steps):
        if name == step:
            break
        interface = graph.interfaces.get(name)
        for output in interface.outputs if interface else ():
            if output.type is declared.type and output.same_as is None:
                return f"`${{{{ steps.{name}.{output.name} }}}}` is {a(declared.type)} made upstream"
    return f"no step before it makes one: add such a step, or give the location of {a(declared.type)}"


@rule("PIPE303", "missing-input")
def missing_input(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step is not given something that it cannot do without.

    Why: it would refuse to start.

    Bad:
        split: {uses: split}

    Fix:
        split: {uses: split, with: {data: "${{ steps.validate.data }}"}}
    """
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        if interface is None:
            continue
        given = {argument.name for argument in use.arguments}
        for declared in interface.inputs:
            if declared.name not in given and not declared.optional:
                message = f"step `{use.name}` is not given its input `{declared.name}` ({a(declared.type)})"
                yield rule.at(use.loc, message, help=_candidates(subject.graph, declared, use.name))
        for parameter in interface.parameters:
            if parameter.name not in given and parameter.is_required:
                message = f"step `{use.name}` is not given its parameter `{parameter.name}` ({a(parameter.kind)})"
                notes = (
                    [Note(f"`{interface.name}` says of it: {parameter.help.removesuffix('.')}")]
                    if parameter.help
                    else []
                )
                yield rule.at(use.loc, message, help=f"add `{parameter.name}: ...` to its `with`", notes=notes)


@rule("PIPE304", "misplaced-secret")
def misplaced_secret(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A secret stands where its value would be written down.

    Why: arguments, plans and logs are read by many. A secret is the whole value of an `env` entry, or of a parameter
    that is declared secret.

    Bad:
        with: {source: "postgres://me:${{ secrets.password }}@db/wine"}

    Fix:
        env: {PGPASSWORD: "${{ secrets.password }}"}
    """
    for use, reference, where, argument in mentions(subject):
        if reference.root != "secrets":
            continue
        interface = subject.graph.interfaces.get(use.name)
        whole = argument is not None and isinstance(argument.value, SecretRef)
        parameter = interface.parameter(argument.name) if interface and argument else None
        if not whole or (where == "with" and not (parameter and parameter.secret)):
            message = f"the secret `{reference.parts[1]}` would be written down here"
            yield rule.at(reference.loc, message, help="give it as the whole value of an `env` entry")
    for output in subject.pipeline.outputs:
        for reference in output.references:
            if reference.root == "secrets":
                message = f"the secret `{reference.parts[1]}` would be written down here"
                yield rule.at(reference.loc, message, help="remove it: whoever needs it reads it where it lies")


@rule("PIPE305", "mismatched-output")
def mismatched_output(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A pipeline's output is not one whole reference to a step's output or a parameter.

    Why: an output hands on what a step made; a text around it would make a new value that no step wrote.

    Bad:
        outputs: {model: "the model ${{ steps.train.model }}"}

    Fix:
        outputs: {model: "${{ steps.train.model }}"}
    """
    for output in subject.pipeline.outputs:
        is_folded = isinstance(output.value, Literal) and bool(output.references)
        if (
            not isinstance(output.value, OutputRef | EachRef | ParameterRef)
            and not is_folded
            and not any(reference.root == "secrets" for reference in output.references)
        ):
            message = f"output `{output.name}` must be one reference to a step's output or a parameter"
            read = output.references[0] if len(output.references) == 1 else "steps.STEP.OUTPUT"
            yield rule.at(output.node.loc, message, help=f"write `{output.name}: ${{{{ {read} }}}}`")


@rule("PIPE306", "optional-output")
def optional_output(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An input that a step cannot do without reads an output that may be left unwritten.

    Why: a step may succeed without writing such an output, and what follows would then be refused for want of it. A
    `when` that asks a value of that step says what to do then, and some steps can be told to always write it.

    Bad:
        predict: {uses: predict, with: {model: "${{ steps.fetch.model }}", data: "${{ steps.ingest.data }}"}}

    Fix:
        fetch: {uses: fetch-model, with: {required: true}}
    """
    for use, argument, declared in _inputs(subject):
        written = subject.graph.output(argument.value) if isinstance(argument.value, OutputRef) else None
        if written is None or not written.optional or declared.optional or declared.many:
            continue
        reference = argument.references[0]
        if _is_sure(subject.graph, use, reference.parts[1], written):
            continue
        message = f"`{use.name}` needs `{declared.name}`, but `{reference}` may be left unwritten"
        note = Note(f"`{subject.graph.interfaces[reference.parts[1]].name}` declares `{written.name}` as optional")
        sure = f"say `{written.unless}: true` in `{reference.parts[1]}`" if written.unless else "read another output"
        yield rule.at(reference.loc, message, help=f"{sure}, or ask a value of that step in `when`", notes=[note])


def _is_sure(graph: Graph, use: StepUse, producer: str, written: Output) -> bool:
    """Say whether an optional output is there when `use` runs: its step was told to, or `when` asks that step."""
    told = graph.steps[producer].argument(written.unless) if written.unless else None
    asked = {r.parts[1] for r in use.when.references if r.root == "steps"} if use.when else set()
    return (told is not None and told.value == Literal(True)) or producer in asked


def _inputs(subject: Subject) -> Iterator[tuple[StepUse, Argument, Input]]:
    for use, argument in given(subject):
        interface = subject.graph.interfaces.get(use.name)
        declared = interface.input(argument.name) if interface else None
        if declared:
            yield use, argument, declared
