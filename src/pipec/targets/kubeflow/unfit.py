"""What Kubeflow cannot hand to a step of the user's own image as the engine hands it over, refused at its place.

Facts are those of the backend's driver and launcher, 2.3 to 2.17, which put values into a container's arguments: texts,
whole numbers and booleans as they are, other numbers and lists in Go's spelling, which is not the engine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial

from pipec.compiler.plan import Plan, Task
from pipec.steps.declare import CallerError
from pipec.steps.interface import Container, Kind, Parameter
from pipec.targets.base import Feature, Refusal, Use
from pipec.targets.cluster import GATES, variables
from pipec.targets.kubeflow.foreign import arguments_kept, foreign_arguments, imports, pieces
from pipec.targets.kubeflow.ir import MOUNTED
from pipec.values import (
    Attachment,
    ConfigRef,
    EachRef,
    ImageFile,
    ItemRef,
    Literal,
    MatrixRef,
    OutputRef,
    ParameterRef,
    RunRef,
    SecretRef,
    Text,
    Value,
)

# What the driver, the launcher, Argo, Kubernetes or the API server would take for their own in an argument. Nothing can
# be written for these that comes out as it was: the text goes through two pods, and each takes `$$` for `$`.
# A `$(...)` that names no variable stays as it is.
_TEMPLATE = re.compile(r"\{\{|\[\[(?=[A-Za-z])|\$\((?=[A-Za-z_][\w.-]*[)\0])|\$\$|[{$]\0|\$\([\w.-]*\0")
_CONDITION = re.compile(r'\s*\{"(IfPresent|Concat)":')
_OWN = "kubeflow would read `{{`, `[[`, `$(` or `$$` here as its own"
_ELSEWHERE = "leave them out, or keep that text in a file of the image"
_LIBRARY = "hand it to a step of the library"
_TEXTS = "hand its texts, whole numbers or booleans over one by one"


def refuse_foreign(plan: Plan, task: Task, tasks: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield what of a step of the user's own image Kubeflow cannot say; of other steps nothing. tasks: all, by name."""
    container = task.interface.container
    if container is None:
        return
    yield from _inputs(plan, task, tasks)
    yield from _variables(task)
    if task.retry.attempts > 1 and task.interface.role in GATES:
        use = Use(Feature.RETRY, task.step, ("retry",))
        yield Refusal(use, f"kubeflow would try `{task.step}` again after it refused", "leave `retry` out")
    wrong = [*_parameters(plan, task, tasks, container)]
    yield from wrong
    if not wrong:
        yield from _arguments(task, container)


def refuse_passed(plan: Plan) -> Iterator[Refusal]:
    """Yield the places that read what a step of the user's own image passes on: nothing there would write it."""
    passed = {
        OutputRef(task.name, output.name): f"{task.step}.{output.name}"
        for task in plan.tasks
        if task.interface.container
        for output in task.interface.outputs
        if output.same_as
    }
    advice = "read what that step is given, and say `needs`"
    for task in plan.tasks if passed else ():
        for name, values in task.inputs:
            for value in values:
                if isinstance(value, OutputRef) and value in passed:
                    use = Use(Feature.FOREIGN_IMAGE, task.step, ("with", name))
                    yield Refusal(use, f"kubeflow cannot pass on `{passed[value]}`", advice)
    for name, handed in plan.outputs:
        if isinstance(handed, OutputRef) and handed in passed:
            use = Use(Feature.FOREIGN_IMAGE, None, ("outputs", name))
            yield Refusal(use, f"kubeflow cannot pass on `{passed[handed]}`", "give out what that step is given")


def _inputs(plan: Plan, task: Task, tasks: Mapping[str, Task]) -> Iterator[Refusal]:
    for name, values in task.inputs:
        for value in values:
            if isinstance(value, EachRef):
                use = Use(Feature.FAN_IN, task.step, ("with", name))
                yield Refusal(use, f"kubeflow cannot name the files of a list to `{task.step}`", _LIBRARY)
            elif not isinstance(value, OutputRef):
                yield from _location(plan, task, name, value)
            elif _may_be_absent(task, value, tasks[value.task]):
                yield Refusal(
                    Use(Feature.OPTIONAL_INPUT, task.step, ("with", name)),
                    f"kubeflow cannot drop the arguments for `{name}` where `{tasks[value.task].step}` wrote nothing",
                    "leave the input out, or read it in a step of the library",
                )
    for each in imports(task, task.name):
        if each.name in tasks:
            use = Use(Feature.METADATA, tasks[each.name].step, ())
            message = f"kubeflow needs the name `{each.name}` for bringing data to `{task.step}`"
            yield Refusal(use, message, "give the step another name")


def _may_be_absent(task: Task, reference: OutputRef, producer: Task) -> bool:
    """Say whether an artifact may not be there when its reader starts; the arguments are made before."""
    output = producer.interface.output(reference.output)
    is_soft = any(need.soft and need.task == reference.task for need in task.needs)
    skips = producer.when is not None or producer.continue_on_error
    return (output is not None and output.optional) or (is_soft and skips)


def _location(plan: Plan, task: Task, name: str, value: Value) -> Iterator[Refusal]:
    refusal = partial(Refusal, Use(Feature.LOCATION_INPUT, task.step, ("with", name)))
    defaults = {parameter.name: parameter.default for parameter in plan.parameters}
    match value:
        case Literal(known):
            place = str(known)
        case ParameterRef(parameter):
            place = str(defaults.get(parameter) or MOUNTED[0])  # of what a run is given instead nothing is known
        case _:
            yield refusal(f"kubeflow cannot put the location of `{name}` together", "write it out, or give a parameter")
            return
    if "://" in place and not place.startswith(MOUNTED):  # others are paths, which are refused for every step
        schemes = ", ".join(f"`{scheme}`" for scheme in sorted(MOUNTED))
        yield refusal(f"kubeflow cannot bring `{place}` to a step of your own image", f"give a location at {schemes}")
    elif _TEMPLATE.search(place):
        yield refusal(_OWN, "rename what lies there")


def _variables(task: Task) -> Iterator[Refusal]:
    try:
        known = variables(task)
    except TypeError:  # no text at all, as every target says
        return
    for name, text in known.items():
        if _TEMPLATE.search(text) or "\0" in text:
            yield Refusal(Use(Feature.ENV, task.step, ("env", name)), _OWN, _ELSEWHERE)


def _parameters(plan: Plan, task: Task, tasks: Mapping[str, Task], container: Container) -> Iterator[Refusal]:
    """Yield the parameters that no argument can carry as they are. What no argument names does not matter."""
    given = dict(task.parameters)
    slots = (slot for argument in arguments_kept(task, container) for slot in argument.slots)
    for name in dict.fromkeys(slot.name for slot in slots if slot.root == "parameters"):
        declared = task.interface.parameter(name)
        assert declared is not None, f"an argument names parameter `{name}` (manifest should have stopped it)"
        use = Use(Feature.FOREIGN_IMAGE, task.step, ("with", name))
        found = _value(plan, tasks, given[name]) or _literal(declared, given[name])
        if found:
            yield Refusal(use, *found)


def _value(plan: Plan, tasks: Mapping[str, Task], value: Value) -> tuple[str, str] | None:
    """Return why a value cannot become a part of an argument, and what to do, or None."""
    match value:
        case Attachment(name, _) | ImageFile(name, _):
            return f"kubeflow cannot bring `{name}` into a step of your own image", "put the file into the image"
        case Literal():
            return None
        case Text(parts):
            return next((found for part in parts if (found := _value(plan, tasks, part))), None)
        case ParameterRef() | OutputRef() | RunRef("id") | RunRef("scheduled_at"):
            return _kind(plan, tasks, value)
        case ConfigRef(name) | SecretRef(name):
            return f"kubeflow cannot put `{name}` into the arguments of your own image", "give it under `env`"
        case ItemRef() | EachRef() | MatrixRef():
            return "kubeflow cannot put what a loop is about into the arguments of your own image", _LIBRARY
        case RunRef():
            return "kubeflow cannot cut the date from a time in an argument", "give `run.scheduled_at`"
        case _:
            return "kubeflow cannot put a list or an object of what is known later into an argument", _TEXTS


def _kind(
    plan: Plan, tasks: Mapping[str, Task], reference: ParameterRef | OutputRef | RunRef
) -> tuple[str, str] | None:
    """Return why a value known at run time cannot stand in an argument: Go spells its kind in another way."""
    match reference:
        case ParameterRef(name):
            kind = next(parameter.kind for parameter in plan.parameters if parameter.name == name)
            advice = f"declare `{name}` with `const: true`"
        case OutputRef(task, output):
            made = tasks[task].interface.output(output)
            kind = made.type if made and isinstance(made.type, Kind) else Kind.STRING
            advice = f"let `{tasks[task].step}` write `{output}` as a string, and take it as one"
        case RunRef():
            return None
    if kind is Kind.NUMBER:
        return "kubeflow writes numbers in another way: `1e-05` as `0.00001`", advice
    if kind in (Kind.LIST, Kind.OBJECT):
        return "kubeflow writes lists and objects in another way, with other spaces and numbers", advice
    return None


def _literal(parameter: Parameter, value: Value) -> tuple[str, str] | None:
    """Return why what is known of a value cannot stand in an argument."""
    try:
        texts = [part if isinstance(part, str) else "\0" for part in pieces(parameter, value)]
    except CallerError as fault:
        return str(fault), "leave it out"
    return (_OWN, _ELSEWHERE) if _is_taken("".join(texts)) else None


def _arguments(task: Task, container: Container) -> Iterator[Refusal]:
    """Yield what the manifest's own texts hold, alone or together with what is given to them."""
    use = Use(Feature.FOREIGN_IMAGE, task.step, ("uses",))
    said = [part for each in container.args for word in each.words for part in word if isinstance(part, str)]
    if any("\0" in text for text in (*container.command, *said)):
        yield Refusal(use, f"the command of `{task.step}` holds a character that no argument can carry", "leave it out")
    for text in (*container.command, *foreign_arguments(task, container, lambda hole: "\0")):
        if _is_taken(text):
            yield Refusal(use, f"in an argument of `{task.step}`, {_OWN}", _ELSEWHERE)
            return


def _is_taken(text: str) -> bool:
    return bool(_TEMPLATE.search(text) or _CONDITION.match(text))
