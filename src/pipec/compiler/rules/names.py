"""`PIPE2xx`: names that must exist, and the order they make."""

from __future__ import annotations

import keyword
from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import mentions
from pipec.diagnostics import Finding, Note, Rule, Words, suggest
from pipec.schema.load import is_file
from pipec.schema.model import Reference, StepUse
from pipec.schema.tree import Mapping

# Names that an engine's own parts would take: KFP templates and hooks, the human half of an approval on Airflow.
_RESERVED = ("root", "entrypoint", "system", "exit-hook", "pipec", "status", "dag")
_RESERVED_SUFFIXES = ("-driver", "-decision", "-iteration")


@rule("PIPE201", "unknown-step-type")
def unknown_step_type(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step uses something that the library does not have.

    Why: there would be nothing to run.

    Bad:
        train: {uses: trian}

    Fix:
        train: {uses: train}
    """
    for use in subject.pipeline.steps:
        if use.name in subject.graph.interfaces:
            continue
        if use.uses in subject.steps:
            message = f"the library has no version {use.version} of `{use.uses}`"
            yield rule.at(use.uses_loc, message, help=f"write `uses: {use.uses}`")
        elif not is_file(use.uses):  # what is wrong with a file was told when it was read
            yield rule.at(use.uses_loc, f"there is no step `{use.uses}`", help=suggest(use.uses, subject.steps))


@rule("PIPE202", "unknown-step")
def unknown_step(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference or `needs` names a step that the pipeline does not have.

    Why: nothing would make what is read.

    Bad:
        data: ${{ steps.spilt.train }}

    Fix:
        data: ${{ steps.split.train }}
    """
    names = Words.of(subject.graph.steps)
    for use in subject.pipeline.steps:
        for name, loc in use.needs:
            if name not in subject.graph.steps:
                yield rule.at(loc, f"there is no step `{name}`", help=suggest(name, names))
    for reference in named(subject):
        if reference.step and reference.step not in subject.graph.steps:
            yield rule.at(reference.at(1), f"there is no step `{reference.step}`", help=suggest(reference.step, names))


@rule("PIPE203", "unknown-output")
def unknown_output(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference names an output that the step does not write.

    Why: nothing would ever arrive.

    Bad:
        model: ${{ steps.train.modle }}

    Fix:
        model: ${{ steps.train.model }}
    """
    for reference in named(subject):
        interface = subject.graph.interfaces.get(reference.step) if reference.output else None
        if interface and interface.output(reference.output) is None:
            outputs = [output.name for output in interface.outputs]
            message = f"step `{reference.step}` has no output `{reference.output}`"
            yield rule.at(reference.at(-1), message, help=suggest(reference.output, outputs))


@rule("PIPE204", "unknown-pipeline-parameter")
def unknown_pipeline_parameter(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference names a parameter, an input, a secret or a config that is not declared.

    Why: no run could give it a value.

    Bad:
        epochs: ${{ parameters.epoch }}

    Fix:
        epochs: ${{ parameters.epochs }}
    """
    parameters = Words.of(parameter.name for parameter in subject.pipeline.parameters)
    inputs = Words.of(given.name for given in subject.pipeline.inputs)
    for reference in named(subject):
        match reference.parts:
            case ("parameters", name) if name not in parameters:
                yield rule.at(
                    reference.at(1), f"the pipeline has no parameter `{name}`", help=suggest(name, parameters)
                )
            case ("inputs", name) if name not in inputs:
                yield rule.at(reference.at(1), f"the pipeline has no input `{name}`", help=suggest(name, inputs))
            case ("secrets" | "configs" as root, name):
                names = subject.places(reference)[("secrets", "configs").index(root)]
                if name not in names:
                    where = f"environment `{reference.elsewhere}`" if reference.elsewhere else "the project"
                    help_text = suggest(name, names, "`pipec.yaml` lists")
                    yield rule.at(reference.at(1), f"{where} has no {root[:-1]} `{name}`", help=help_text)


@rule("PIPE205", "reserved-name")
def reserved_name(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step has a name that an engine keeps for itself.

    Why: two things of one name would become one, in silence.

    Bad:
        steps:
          root: {uses: train}

    Fix:
        steps:
          train: {uses: train}
    """
    for use in subject.pipeline.steps:
        name = use.name
        if name in _RESERVED or keyword.iskeyword(name) or name.endswith(_RESERVED_SUFFIXES):
            yield rule.at(use.loc, f"the name `{name}` is kept by an engine", help=f"call it `{name}-step`")


@rule("PIPE206", "unknown-role")
def unknown_role(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An approver is neither a role of the project nor a person.

    Why: nobody could give the approval. A name without `@` is a role of `pipec.yaml`.

    Bad:
        approvers: [ml-lead]

    Fix:
        approvers: [ml-leads]
    """
    for use in subject.pipeline.steps:
        interface = subject.graph.interfaces.get(use.name)
        for argument in use.arguments:
            declared = interface.parameter(argument.name) if interface else None
            if declared is None or not declared.people:
                continue
            for item in getattr(argument.node, "items", ()):
                name = getattr(item, "value", None)
                if isinstance(name, str) and "@" not in name and "$" not in name and name not in subject.project.roles:
                    help_text = suggest(name, subject.project.roles, "`pipec.yaml` has the roles")
                    yield rule.at(item.loc, f"there is no role `{name}`", help=help_text)


@rule("PIPE209", "name-out-of-place")
def name_out_of_place(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A name has no meaning where it stands: `item` outside of a loop, an axis the matrix lacks, an early outcome.

    Why: there is one item for each iteration, one cell for each combination, and an outcome when all has ended.

    Bad:
        score: {uses: train, with: {seed: "${{ matrix.seed }}"}}

    Fix:
        score: {uses: train, matrix: {axes: {seed: [1, 2]}}, with: {seed: "${{ matrix.seed }}"}}
    """
    for use, reference, where, _ in mentions(subject):
        yield from _out_of_place(rule, use, reference, where)
    for output in subject.pipeline.outputs:
        for reference in output.references:
            if reference.root in ("item", "matrix"):
                yield rule.at(
                    reference.loc,
                    f"`{reference}` has no value outside of its step",
                    help="hand on what a step wrote, such as `${{ steps.STEP.OUTPUT }}`",
                )


def _out_of_place(rule: Rule, use: StepUse, reference: Reference, where: str) -> Iterator[Finding]:
    match reference.parts:
        case ("item", *_) if use.for_each is None:
            yield rule.at(reference.loc, f"`{use.name}` has no loop, so there is no `item`", help="add `for_each: ...`")
        case ("item", *_) if where == "for_each":
            advice = "loop over a parameter, or over what another step wrote"
            yield rule.at(reference.loc, "the list cannot depend on its own items", help=advice)
        case ("matrix", axis) if use.matrix is None or axis not in use.matrix.axes:
            axes = ", ".join(f"`{name}`" for name in use.matrix.axes) if use.matrix else ""
            what = f"the matrix of `{use.name}` has no axis `{axis}`" if axes else f"`{use.name}` has no matrix"
            advice = f"axes: {axes}" if axes else f"add `matrix: {{axes: {{{axis}: [...]}}}}`"
            yield rule.at(reference.loc, what, help=advice)
        case ("run", "outcome") if not use.is_final:
            yield rule.at(reference.loc, "the outcome of a run is known in `finally` only",
                          help="use `run.id` or `run.date`, or move the step to `finally`")  # fmt: skip


@rule("PIPE210", "dependency-cycle")
def dependency_cycle(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Steps wait for each other.

    Why: none of them could ever start.

    Bad:
        train:    {uses: train, needs: [evaluate], with: {data: "${{ steps.split.train }}", target: y}}
        evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}

    Fix:
        remove one of the two references
    """
    cycle = subject.graph.cycle
    if not cycle:
        return
    around = " -> ".join([edge.source for edge in cycle] + [cycle[0].source])
    notes = [Note(f"`{edge.target}` {_waits(edge.output)} `{edge.source}`", edge.loc) for edge in cycle[1:]]
    message = f"steps wait for each other: {around}"
    if len(cycle) == 1:
        message = f"step `{cycle[0].source}` waits for itself"
    yield rule.at(cycle[0].loc, message, help="remove one of these references", notes=notes)


@rule("PIPE211", "dependent-final")
def dependent_final(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step of `finally` depends on something that may not be there.

    Why: it runs whatever happened, all of them at once. What others wrote may be absent, so it may only go into
    optional inputs; how they ended is what `succeeded(x)`, `failed(x)`, `skipped(x)` and `run.outcome` tell.

    Bad:
        finally: {notify: {uses: notify, needs: [train], with: {message: "${{ steps.evaluate.score }}"}}}

    Fix:
        finally: {notify: {uses: notify, with: {message: "${{ run.outcome }}", report: "${{ steps.evaluate.report }}"}}}
    """
    finals = {use.name for use in subject.pipeline.steps if use.is_final}
    for use in subject.pipeline.steps:
        for name, loc in use.needs:
            if use.is_final:
                yield rule.at(
                    loc, f"`{use.name}` runs when all else has ended, so it needs nothing", help="remove `needs`"
                )
            elif name in finals:
                message = f"`{name}` runs when all else has ended, so nothing can wait for it"
                yield rule.at(loc, message, help=f"move `{name}` to `steps`")
    for use, reference, where, argument in mentions(subject):
        interface = subject.graph.interfaces.get(use.name)
        declared = interface.input(argument.name) if interface and argument and where == "with" else None
        if reference.step in finals:
            what = "its own end" if reference.step == use.name else f"`{reference.step}`, which runs at the end too"
            shown = what if use.is_final else f"`{reference.step}`, which runs when all else has ended"
            advice = (
                f"move `{reference.step}` to `steps`" if reference.step != use.name else "ask how another step ended"
            )
            yield rule.at(reference.loc, f"`{use.name}` cannot read {shown}", help=advice)
        elif use.is_final and reference.output and not (declared and declared.optional):
            message = f"`{reference}` may be absent when `{use.name}` runs"
            how = f"`when: succeeded({reference.step})` asks how that step ended"
            yield rule.at(reference.loc, message, help=f"give it to an optional input, or leave it out; {how}")
    for output in subject.pipeline.outputs:
        for reference in output.references:
            if reference.step in finals:
                message = f"`{reference.step}` runs when the outputs have been handed on"
                yield rule.at(reference.loc, message, help=f"move `{reference.step}` to `steps`")


@rule("PIPE212", "unknown-environment")
def unknown_environment(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A pipeline says what differs in an environment that the project does not declare.

    Why: nothing of it would ever be laid over the pipeline: who compiles for `prod` never hears of what `prd` says.

    Bad:
        # pipec.yaml: environments: {dev: {}, prod: {}}
        environments: {prd: {parameters: {epochs: 100}}}

    Fix:
        environments: {prod: {parameters: {epochs: 100}}}
    """
    declared = {environment.name for environment in subject.project.environments}
    said = subject.pipeline.document.get("environments") if declared else None
    for entry in said.entries if isinstance(said, Mapping) else ():
        if entry.key not in declared:
            message = f"the project has no environment `{entry.key}`"
            help_text = suggest(entry.key, declared, "`pipec.yaml` declares")
            yield rule.at(entry.key_loc, message, help=help_text)


def named(subject: Subject) -> Iterator[Reference]:
    """Yield every name that an expression of the pipeline holds, but for those about other pipelines."""
    for mention in mentions(subject):
        yield mention.reference
    for output in subject.pipeline.outputs:
        yield from output.references


def _waits(output: str) -> str:
    return f"reads `{output}` of" if output else "waits for"
