"""`PIPE420`: what a step needs of the image it runs in, as far as `pipec.lock` says what that holds."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.contents import Contents
from pipec.diagnostics import Finding, Rule
from pipec.schema.lock import LOCK_FILE
from pipec.steps.interface import Interface

_SHORT = len("sha256:") + 12  # characters of a digest that people compare


@rule("PIPE420", "unfit-image")
def unfit_image(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step of the library runs in an image that lacks it, or has it with another interface.

    Why: the step would refuse to start, after everything before it has run. It is asked of the images of which
    `pipec.lock` says what they hold.

    Bad:
        # pipec.lock: the image was built by a pipec whose `train` had another interface
        image: registry.example/steps:1.3

    Fix:
        # built by this pipec, pushed, and locked: `pipec image lock`
        image: registry.example/steps:1.4
    """
    for use in subject.pipeline.steps:
        interface, contents = subject.graph.interfaces.get(use.name), subject.contents(use)
        if interface is None or contents is None or interface.container:
            continue
        if why := _unfit(interface, contents):
            message = f"`{subject.image(use)}` cannot run `{use.name}`: by {LOCK_FILE} {why}"
            yield rule.at(use.uses_loc, message, help=_advice(interface, contents))


def _unfit(interface: Interface, contents: Contents) -> str:
    """Return why a step of the library cannot run in an image that holds this, or an empty text."""
    held = contents.steps.get(interface.name)
    if held is None:
        return f"it has no step `{interface.name}`"
    if held.version != interface.version:
        return f"it has `{interface.name}@{held.version}`, and this is `{interface.name}@{interface.version}`"
    if held.interface != interface.digest:
        return f"the interface of its `{interface.name}` is {held.interface[:_SHORT]}, not {interface.digest[:_SHORT]}"
    return ""


def _advice(interface: Interface, contents: Contents) -> str:
    larger = {"core": "`light` or `gpu`", "light": "`gpu`"}.get(contents.variant)
    if larger and interface.name not in contents.steps:
        return f"it is of variant `{contents.variant}`: take one of {larger} for this step, and run `pipec image lock`"
    built = f"use pipec {contents.pipec}, which it was built by"
    return f"build the image again with this pipec and run `pipec image lock`, or {built}"
