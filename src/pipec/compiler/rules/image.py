"""`PIPE420`, `PIPE421`: what a step needs of the image it runs in, as far as `pipec.lock` says what that holds."""

from __future__ import annotations

from collections.abc import Iterator

from pipec.compiler.rule import Subject, rule
from pipec.contents import Contents
from pipec.diagnostics import Finding, Rule, suggest
from pipec.digest import shortened
from pipec.schema.lock import LOCK_FILE
from pipec.steps.interface import Interface
from pipec.values import Literal


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
        theirs, ours = shortened(held.interface), shortened(interface.digest)
        return f"the interface of its `{interface.name}` is {theirs}, not {ours}"
    return ""


def _advice(interface: Interface, contents: Contents) -> str:
    larger = {"core": "`light` or `gpu`", "light": "`gpu`"}.get(contents.variant)
    if larger and interface.name not in contents.steps:
        return f"it is of variant `{contents.variant}`: take one of {larger} for this step, and run `pipec image lock`"
    built = f"use pipec {contents.pipec}, which it was built by"
    return f"build the image again with this pipec and run `pipec image lock`, or {built}"


@rule("PIPE421", "missing-function", needs_order=True)
def missing_function(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A step names a function of the team that its image does not have.

    Why: the step would import it, and stop, after everything before it has run. It is asked of the images of which
    `pipec.lock` says what they hold; for a target, an image must be one of them.

    Bad:
        # the image was built with a folder that holds churn/model.py, which defines `build`
        train: {uses: train, with: {factory: "churn.model:bild"}}

    Fix:
        train: {uses: train, with: {factory: "churn.model:build"}}
    """
    for use in subject.pipeline.steps:
        interface, contents = subject.graph.interfaces.get(use.name), subject.contents(use)
        for parameter in interface.parameters if interface and contents else ():
            argument = use.argument(parameter.name) if parameter.factory else None
            name = argument.value.value if argument and isinstance(argument.value, Literal) else None
            if argument and contents and isinstance(name, str) and (told := _missing(name, contents)):
                why, advice = told
                message = f"by {LOCK_FILE} `{subject.image(use)}` has {why}"
                yield rule.at(argument.node.loc, message, help=advice)


def _missing(name: str, contents: Contents) -> tuple[str, str] | None:
    """Return what an image lacks of `module:function`, and what to do; None if it lacks nothing."""
    module, colon, function = name.partition(":")
    defined = contents.functions.get(module)
    if not colon or (defined is not None and function in defined):
        return None  # of another form is told with the value
    again = "put it there: `pipec image build --with`, then `pipec image lock`"
    if defined is None:
        return f"no module `{module}`", f"{suggest(module, contents.functions)}; or {again}"
    return f"no function `{function}` in `{module}`", f"{suggest(function, defined)}; or {again}"
