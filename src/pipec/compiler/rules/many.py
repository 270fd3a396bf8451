"""`PIPE307`: steps that become several tasks, and what is read of them."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.compiler.rules.kind import mentions
from pipec.diagnostics import Finding, Rule
from pipec.schema.model import Argument, Reference, StepUse


@rule("PIPE307", "cells-as-one")
def cells_as_one(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step that becomes several tasks is read as if it were one, or one is read as if it were several.

    Why: each cell of a matrix, and each iteration of a loop, writes its own. `[*]` is the list of them.

    Bad:
        train:  {uses: train, matrix: {axes: {seed: [1, 2]}}}
        select: {uses: select, with: {models: "${{ steps.train.model }}"}}

    Fix:
        select: {uses: select, with: {models: "${{ steps.train[*].model }}"}}
    """
    many = {use.name for use in subject.pipeline.steps if use.is_many}
    for use, reference, where, argument in mentions(subject):
        if not reference.output or reference.step not in subject.graph.steps:
            continue
        if reference.step in many and not reference.is_spread:
            message = f"`{reference.step}` runs several times, so there is no one `{reference.output}`"
            listed = f"steps.{reference.step}[*].{reference.output}"
            yield rule.at(reference.loc, message, help=f"write `{listed}` for the list of all")
        elif reference.is_spread and reference.step not in many:
            message = f"`{reference.step}` runs once, so there is no list of `{reference.output}`"
            yield rule.at(reference.loc, message, help=f"write `steps.{reference.step}.{reference.output}`")
        elif reference.is_spread:
            yield from _list_wanted(rule, subject, reference, where, argument, use)
    for output in subject.pipeline.outputs:
        for reference in output.references:
            if reference.output and reference.is_spread != (reference.step in many):
                other = f"steps.{reference.step}{'' if reference.is_spread else '[*]'}.{reference.output}"
                yield rule.at(
                    reference.loc, f"`{reference}` is not what `{reference.step}` leaves", help=f"write `{other}`"
                )


def _list_wanted(
    rule: Rule, subject: Subject, reference: Reference, where: str, argument: Argument | None, use: StepUse
) -> Iterator[Finding]:
    """Find a list of artifacts that goes into an input of one."""
    interface = subject.graph.interfaces.get(use.name)
    declared = interface.input(argument.name) if interface and argument and where == "with" else None
    if declared and not declared.many:
        yield rule.at(reference.loc, f"input `{declared.name}` of `{use.name}` takes one artifact, not a list",
                      help="choose one with a step `uses: select`, or read an input that is `many`")  # fmt: skip
