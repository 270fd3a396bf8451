"""`PIPE2xx`: names that must exist, and the order they make."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator

from pipec.compiler.rule import Subject, rule
from pipec.diagnostics import Finding, Note, Rule, Severity, guess
from pipec.values import ParameterRef

# Names that an engine's own parts would take: KFP templates and hooks, the human half of an approval on Airflow.
_RESERVED = ("root", "entrypoint", "system", "exit-hook", "pipec", "status", "dag")
MAX_LISTED = 20  # names in one help line: a document may hold thousands
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
        elif use.uses.startswith(("./", "../")) or use.uses.endswith((".yaml", ".yml")):
            yield rule.at(
                use.uses_loc, f"steps of your own (`{use.uses}`) are not read yet", help=_known(subject.steps)
            )
        else:
            yield rule.at(use.uses_loc, f"there is no step `{use.uses}`", help=_suggest(use.uses, subject.steps))


@rule("PIPE202", "unknown-step")
def unknown_step(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference or `needs` names a step that the pipeline does not have.

    Why: nothing would make what is read.

    Bad:
        data: ${{ steps.spilt.train }}

    Fix:
        data: ${{ steps.split.train }}
    """
    names = tuple(subject.graph.steps)
    for use in subject.pipeline.steps:
        for name, loc in use.needs:
            if name not in subject.graph.steps:
                yield rule.at(loc, f"there is no step `{name}`", help=_suggest(name, names))
        for reference, *_ in use.references:
            if reference.root in ("steps", "status") and reference.parts[1] not in subject.graph.steps:
                yield rule.at(reference.loc, f"there is no step `{reference.parts[1]}`",
                              help=_suggest(reference.parts[1], names))  # fmt: skip
    for output in subject.pipeline.outputs:
        for reference in output.references:
            if reference.root == "steps" and reference.parts[1] not in subject.graph.steps:
                yield rule.at(reference.loc, f"there is no step `{reference.parts[1]}`",
                              help=_suggest(reference.parts[1], names))  # fmt: skip


@rule("PIPE203", "unknown-output")
def unknown_output(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference names an output that the step does not write.

    Why: nothing would ever arrive.

    Bad:
        model: ${{ steps.train.modle }}

    Fix:
        model: ${{ steps.train.model }}
    """
    references = [reference for use in subject.pipeline.steps for reference, *_ in use.references]
    references += [reference for output in subject.pipeline.outputs for reference in output.references]
    for reference in references:
        if reference.root != "steps" or len(reference.parts) != 3:
            continue
        interface = subject.graph.interfaces.get(reference.parts[1])
        if interface and interface.output(reference.parts[2]) is None:
            outputs = [output.name for output in interface.outputs]
            message = f"step `{reference.parts[1]}` has no output `{reference.parts[2]}`"
            yield rule.at(reference.loc, message, help=_suggest(reference.parts[2], outputs))


@rule("PIPE204", "unknown-pipeline-parameter")
def unknown_pipeline_parameter(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A reference names a parameter or a secret that is not declared.

    Why: no run could give it a value.

    Bad:
        epochs: ${{ parameters.epoch }}

    Fix:
        epochs: ${{ parameters.epochs }}
    """
    parameters = [parameter.name for parameter in subject.pipeline.parameters]
    secrets = subject.project.secrets_in(subject.environment)
    for use in subject.pipeline.steps:
        for reference, *_ in use.references:
            if reference.root == "parameters" and reference.parts[1] not in parameters:
                message = f"the pipeline has no parameter `{reference.parts[1]}`"
                yield rule.at(reference.loc, message, help=_suggest(reference.parts[1], parameters))
            if reference.root == "secrets" and reference.parts[1] not in secrets:
                message = f"the project has no secret `{reference.parts[1]}`"
                yield rule.at(reference.loc, message, help=_suggest(reference.parts[1], secrets, "`pipec.yaml` lists"))


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
                    help_text = _suggest(name, subject.project.roles, "`pipec.yaml` has the roles")
                    yield rule.at(item.loc, f"there is no role `{name}`", help=help_text)


@rule("PIPE207", "unused-parameter", severity=Severity.WARNING)
def unused_parameter(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A parameter that nothing reads.

    Why: whoever sets it expects that something changes.

    Bad:
        parameters: {epochs: {type: integer, default: 10}}
        steps: {train: {uses: train, with: {epochs: 20}}}

    Fix:
        steps: {train: {uses: train, with: {epochs: "${{ parameters.epochs }}"}}}
    """
    read = {ref.parts[1] for use in subject.pipeline.steps for ref, *_ in use.references if ref.root == "parameters"}
    read |= {o.value.name for o in subject.pipeline.outputs if isinstance(o.value, ParameterRef)}
    for parameter in subject.pipeline.parameters:
        if parameter.name not in read:
            help_text = f"remove it, or write `${{{{ parameters.{parameter.name} }}}}` where it is wanted"
            yield rule.at(parameter.loc, f"nothing reads the parameter `{parameter.name}`", help=help_text)


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


def _waits(output: str) -> str:
    return f"reads `{output}` of" if output else "waits for"


def _suggest(word: str, known: Iterable[str], opening: str = "known:") -> str:
    listed = sorted(known)
    close = guess(word, listed)
    return (f"did you mean `{close}`? " if close else "") + _known(listed, opening)


def _known(names: Iterable[str], opening: str = "known:") -> str:
    listed = [f"`{name}`" for name in names]
    more = f" and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    return f"{opening} {', '.join(listed[:MAX_LISTED])}{more}" if listed else "none is declared"
