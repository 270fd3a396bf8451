"""`PIPE411`, `PIPE412`, `PIPE415`: runs that start because another pipeline's run ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import Schema, Spot, kind, spots, type_of
from pipec.diagnostics import Finding, Ignorable, Loc, Note, Rule, suggest
from pipec.schema import check
from pipec.schema.load import is_file
from pipec.schema.model import AfterUse, Argument, Pipeline, Reference
from pipec.steps.interface import Artifact, Kind

_ROOTS = ("parameters", "inputs", "steps", "status", "run", "environment")


@rule("PIPE411", "unknown-event")
def unknown_event(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A trigger is about a pipeline, a step or a value that this file does not have.

    Why: the run that it should start would never start.

    Bad:
        triggers: [{after: {pipeline: scoring, step: monitr}}]

    Fix:
        triggers: [{after: {pipeline: scoring, step: monitor}}]
    """
    for use in subject.pipeline.after:
        if use.pipeline == subject.pipeline.name:
            yield rule.at(use.pipeline_loc, f"`{use.pipeline}` would start itself", help="use a `schedule`")
            continue
        if use.pipeline in subject.unread:
            continue  # what is wrong with it is told already
        if use.pipeline not in subject.others:
            known = [name for name in subject.others if name != subject.pipeline.name]
            message = f"this file has no pipeline `{use.pipeline}`"
            yield rule.at(use.pipeline_loc, message, help=suggest(use.pipeline, known, "others in this file:"))
            continue
        other, graph = subject.others[use.pipeline]
        if use.step and use.step not in graph.steps and use.step_loc:
            message = f"pipeline `{use.pipeline}` has no step `{use.step}`"
            yield rule.at(use.step_loc, message, help=suggest(use.step, graph.steps))
        for reference, _ in use.references:
            yield from _unknown(rule, use, other, subject, reference)


def _unknown(rule: Rule, use: AfterUse, other: Pipeline, subject: Subject, reference: Reference) -> Iterator[Finding]:
    """Find a name that means nothing in the run that ended."""
    _, graph = subject.others[use.pipeline]
    where = f"pipeline `{use.pipeline}`"
    if reference.root not in _ROOTS:
        yield rule.at(reference.loc, f"`{reference}` has no value in a run that has ended",
                      help="known: `parameters.NAME`, `steps.STEP.OUTPUT`, `run.id`")  # fmt: skip
    elif reference.root in ("parameters", "inputs"):
        names = [*(p.name for p in other.parameters), *(i.name for i in other.inputs)]
        if reference.parts[1] not in names:
            message = f"{where} has no parameter `{reference.parts[1]}`"
            yield rule.at(reference.at(1), message, help=suggest(reference.parts[1], names))
    elif reference.step and reference.step not in graph.steps:
        message = f"{where} has no step `{reference.step}`"
        yield rule.at(reference.at(1), message, help=suggest(reference.step, graph.steps))
    elif reference.output and (interface := graph.interfaces.get(reference.step)):
        written = interface.output(reference.output)
        if written is None:
            outputs = [output.name for output in interface.outputs]
            message = f"step `{reference.step}` of {where} has no output `{reference.output}`"
            yield rule.at(reference.at(-1), message, help=suggest(reference.output, outputs))
        elif isinstance(written.type, Artifact):
            message = f"`{reference}` is an artifact, and an event carries values"
            yield rule.at(reference.loc, message, help="read one of the step's small outputs")


@rule("PIPE412", "mismatched-event")
def mismatched_event(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A trigger gives the run that it starts something that the pipeline does not take.

    Why: it would be told only when the event has come, which may be at night.

    Bad:
        triggers: [{after: {pipeline: scoring, parameters: {epochs: "${{ steps.monitor.verdict }}"}}}]

    Fix:
        triggers: [{after: {pipeline: scoring, parameters: {reason: "${{ steps.monitor.verdict }}"}}}]
    """
    for use in subject.pipeline.after:
        for argument in use.parameters:
            parameter, given = subject.pipeline.parameter(argument.name), subject.pipeline.input(argument.name)
            if parameter is None and given is None:
                names = [*(p.name for p in subject.pipeline.parameters), *(i.name for i in subject.pipeline.inputs)]
                message = f"the pipeline has no parameter `{argument.name}`"
                yield rule.at(argument.loc, message, help=suggest(argument.name, names))
            elif parameter and parameter.is_const:
                message = f"`{argument.name}` is const, so no run can be given another value"
                yield rule.at(argument.loc, message, notes=[Note("it is declared here", parameter.loc)])
            elif parameter:
                yield from _mistyped(rule, subject, use, argument, parameter.schema, parameter.loc)
            elif given:
                yield from _mistyped(rule, subject, use, argument, {"type": "string"}, given.loc)


def _mistyped(
    rule: Rule, subject: Subject, use: AfterUse, argument: Argument, schema: Schema, declared: Loc
) -> Iterator[Finding]:
    """Find what a parameter does not take: values as written, and names by what they stand for in the other run."""
    yield from check.value_problems(argument.name, argument.node, schema, rule)
    if use.pipeline not in subject.others:
        return
    other, graph = subject.others[use.pipeline]
    ended = replace(subject, pipeline=other, graph=graph)
    for spot in spots(argument, schema):
        for reference in spot.references:
            yield from _misfit(rule, ended, spot, reference, Note("it is declared here", declared))


def _misfit(rule: Rule, ended: Subject, spot: Spot, reference: Reference, note: Note) -> Iterator[Finding]:
    wanted, seen = kind(spot.schema), kind(type_of(ended, reference))
    if isinstance(seen, Artifact):
        return  # told by PIPE411
    if not reference.whole and seen in (Kind.LIST, Kind.OBJECT):
        message = f"`{reference}` is of type {seen}, which cannot stand inside a text"
        yield rule.at(reference.loc, message, help=f"write `${{{{ {reference} }}}}` alone", notes=[note])
    elif not reference.whole and wanted not in (None, Kind.STRING):
        message = f"`{spot.label}` is of type {wanted}, and a text stands around `{reference}`"
        yield rule.at(spot.node.loc, message, help=f"write `${{{{ {reference} }}}}` alone", notes=[note])
    elif reference.whole and isinstance(wanted, Kind) and isinstance(seen, Kind) and not wanted.admits(seen):
        message = f"`{spot.label}` is of type {wanted}, and `{reference}` of type {seen}"
        yield rule.at(reference.loc, message, help=f"read a value of type {wanted}", notes=[note])


@rule("PIPE415", "endless-chain", ignorable=Ignorable.LINE)
def endless_chain(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Pipelines start each other in a circle, and nothing on the way ever says no.

    Why: after the first run there is no last one. A `when`, another outcome than success, or the end of a step that may
    be skipped ends such a chain; a `cooldown` gives it a pace.

    Bad:
        # scoring
        triggers: [{after: {pipeline: retraining}}]
        # retraining
        triggers: [{after: {pipeline: scoring}}]

    Fix:
        # retraining
        triggers: [{after: {pipeline: scoring, step: watch, when: steps.watch.verdict == 'drift'}}]
    """
    names = list(subject.others)
    circle = _circle(subject)
    if not circle or min(circle, key=lambda use: names.index(use.pipeline)).pipeline != subject.pipeline.name:
        return  # told once, by the first pipeline of the file that is in it
    around = " -> ".join([*(use.pipeline for use in circle), circle[0].pipeline])
    notes = [Note(f"what starts after `{use.pipeline}`", use.pipeline_loc) for use in circle[:-1]]
    message = f"pipelines start each other without end: {around}"
    yield rule.at(
        circle[-1].pipeline_loc, message, help="add a `when`, or a `cooldown` such as `cooldown: 1h`", notes=notes
    )


def _circle(subject: Subject) -> list[AfterUse]:
    """Return the triggers of a shortest circle through the document's pipeline, its own last; a file has few."""
    own = subject.pipeline.name
    followers: dict[str, list[tuple[str, AfterUse]]] = {}
    for name, (pipeline, _) in subject.others.items():
        for use in pipeline.after:
            if use.pipeline != name and use.pipeline in subject.others and _is_sure(use, subject):
                followers.setdefault(use.pipeline, []).append((name, use))
    way: dict[str, tuple[AfterUse, ...]] = {own: ()}
    queue = deque([own])
    while queue:
        here = queue.popleft()
        for name, use in followers.get(here, ()):
            if name == own:
                return [*way[here], use]
            if name not in way:
                way[name] = (*way[here], use)
                queue.append(name)
    return []


def _is_sure(use: AfterUse, subject: Subject) -> bool:
    """Say whether a trigger starts a run after every one that goes well, at once."""
    if use.cooldown_s or use.outcome not in ("succeeded", "any") or (use.when and use.when.asks):
        return False
    steps = subject.others[use.pipeline][0].steps
    return not use.step or not any(step.when or is_file(step.uses) for step in steps)  # a file may hold a `when`
