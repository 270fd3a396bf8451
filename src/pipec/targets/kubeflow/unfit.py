"""What Kubeflow cannot hand to a step of the user's own image as the engine hands it over, refused at its place.

Facts are those of the backend's driver and launcher, 2.3 to 2.17, and of Kubernetes. What can be found out before such
a step starts is no refusal (`hand.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial

from pipec.compiler.plan import Plan, Task
from pipec.steps.declare import CallerError
from pipec.steps.interface import Container, Parameter
from pipec.targets.base import Feature, Refusal, Use
from pipec.targets.cluster import GATES, library_image, variables
from pipec.targets.kubeflow.foreign import foreign_arguments, imports, parameters_named, pieces
from pipec.targets.kubeflow.hand import given_by, handed, kinds
from pipec.targets.kubeflow.ir import MOUNTED
from pipec.values import (
    Attachment,
    EachRef,
    Gather,
    ImageFile,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    SecretRef,
    Text,
    Value,
    references,
)

# What the driver, the launcher, Argo, Kubernetes or the API server would take for their own in an argument. Nothing can
# be written for these that comes out as it was: the text goes through two pods, and each takes `$$` for `$`.
# A `$(...)` that names no variable stays as it is.
_TEMPLATE = re.compile(r"\{\{|\[\[(?=[A-Za-z])|\$\((?=[A-Za-z_][\w.-]*[)\0])|\$\$|[{$]\0|\$\([\w.-]*\0")
_CONDITION = re.compile(r'\s*\{"(IfPresent|Concat)":')
_OWN = "kubeflow would read `{{`, `[[`, `$(` or `$$` here as its own"
_ELSEWHERE = "leave them out, or keep that text in a file of the image"
_OR_LIBRARY = "leave it out, or do it in a step of the library"
_LIBRARY = "hand it to a step of the library"


def refuse_foreign(plan: Plan, task: Task, tasks: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield what of a step of the user's own image Kubeflow cannot say; of other steps nothing. tasks: all, by name."""
    container = task.interface.container
    if container is None:
        return
    yield from _inputs(plan, task, tasks)
    yield from _variables(task)
    if task.is_final:
        yield from _last(task, tasks)
    if task.retry.attempts > 1 and task.interface.role in GATES:
        use = Use(Feature.RETRY, task.step, ("retry",))
        yield Refusal(use, f"kubeflow would try `{task.step}` again after it refused", "leave `retry` out")
    wrong = [*_parameters(plan, task, tasks, container)]
    yield from wrong
    if not wrong:
        yield from _arguments(task, container, handed(task, kinds(plan, tasks)))


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
    for name, given in plan.outputs:
        if isinstance(given, OutputRef) and given in passed:
            use = Use(Feature.FOREIGN_IMAGE, None, ("outputs", name))
            yield Refusal(use, f"kubeflow cannot pass on `{passed[given]}`", "give out what that step is given")


def _inputs(plan: Plan, task: Task, tasks: Mapping[str, Task]) -> Iterator[Refusal]:
    for name, values in task.inputs:
        for value in values:
            if isinstance(value, EachRef):
                use = Use(Feature.FAN_IN, task.step, ("with", name))
                yield Refusal(use, f"kubeflow cannot name the files of a list to `{task.step}`", _LIBRARY)
            elif not isinstance(value, OutputRef):
                yield from _location(plan, task, name, value)
            elif _may_be_unwritten(value, tasks[value.task]):
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


def _last(task: Task, tasks: Mapping[str, Task]) -> Iterator[Refusal]:
    """Yield what a last step is told by the runtime in its container, which another image has not."""
    if task.when:
        use = Use(Feature.WHEN, task.step, ("when",))
        yield Refusal(use, f"kubeflow runs `{task.step}` whatever happened: it is in your own image", _OR_LIBRARY)
    if task.continue_on_error:
        use = Use(Feature.CONTINUE_ON_ERROR, task.step, ("continue_on_error",))
        yield Refusal(use, f"kubeflow fails the run if `{task.step}` does: it is in your own image", _OR_LIBRARY)
    for name, values in task.inputs:
        if any(isinstance(value, OutputRef) and not tasks[value.task].is_final for value in values):
            use = Use(Feature.FINALLY, task.step, ("with", name))
            message = f"kubeflow cannot hand `{name}` to `{task.step}` at the end of a run: it is in your own image"
            yield Refusal(use, message, _OR_LIBRARY)


def _may_be_unwritten(reference: OutputRef, producer: Task) -> bool:
    """Say whether a step that succeeded may have left an artifact out; the arguments are made before that is known."""
    output = producer.interface.output(reference.output)
    return output is not None and output.optional


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
    asked = handed(task, kinds(plan, tasks))
    for declared in parameters_named(task, container):
        use = Use(Feature.FOREIGN_IMAGE, task.step, ("with", declared.name))
        value = given[declared.name]
        found = _value(value) or _literal(declared, value, is_handed=declared.name in asked)
        if not found and declared.name in asked and library_image(tasks.values()) is None:
            found = (
                f"kubeflow finds `{declared.name}` out in a task of the step library, and no step here says its image",
                "use a step of the library in this pipeline too",
            )
        if found:
            yield Refusal(use, *found)


def _value(value: Value) -> tuple[str, str] | None:
    """Return why a value cannot become an argument, and what to do, or None."""
    if isinstance(value, ImageFile):
        return f"kubeflow cannot bring `{value.path}` into a step of your own image", "put the file into the image"
    for reference in references(value):
        if isinstance(reference, SecretRef):
            message = f"kubeflow cannot put `{reference.name}` into the arguments of your own image"
            return message, "give it under `env`"
    return None


def _literal(parameter: Parameter, value: Value, *, is_handed: bool) -> tuple[str, str] | None:
    """Return why what is known of a value cannot stand in an argument."""
    if is_handed:
        return (_OWN, _ELSEWHERE) if _is_taken(_sketch(value)) else None
    try:
        texts = [part if isinstance(part, str) else "\0" for part in pieces(parameter, value)]
    except CallerError as fault:
        return str(fault), "leave it out"
    return (_OWN, _ELSEWHERE) if _is_taken("".join(texts)) else None


def _sketch(value: Value) -> str:
    """Return what is known of a text that is put together in a run; a character that none holds stands for the rest."""
    match value:
        case Literal(known):
            return known if isinstance(known, str) else json.dumps(known, ensure_ascii=False)
        case Attachment(name, _):
            return f"\0/{name}"
        case Text(parts):
            return "".join(_sketch(part) for part in parts)
        case ListOf(parts) | Gather(parts):
            return f'["{"".join(f"{_sketch(part)} " for part in parts)}"]'
        case ObjectOf(fields):
            return f'{{"{"".join(f"{name} {_sketch(part)} " for name, part in fields)}"}}'
        case _:
            return "\0"


def _arguments(task: Task, container: Container, asked: tuple[str, ...]) -> Iterator[Refusal]:
    """Yield what the manifest's own texts hold, alone or together with what is given to them."""
    use = Use(Feature.FOREIGN_IMAGE, task.step, ("uses",))
    said = [part for each in container.args for word in each.words for part in word if isinstance(part, str)]
    if any("\0" in text for text in (*container.command, *said)):
        yield Refusal(use, f"the command of `{task.step}` holds a character that no argument can carry", "leave it out")
    told = given_by(task, asked, task.name)
    for text in (*container.command, *foreign_arguments(told, container, lambda hole: "\0")):
        if _is_taken(text):
            yield Refusal(use, f"in an argument of `{task.step}`, {_OWN}", _ELSEWHERE)
            return


def _is_taken(text: str) -> bool:
    return bool(_TEMPLATE.search(text) or _CONDITION.match(text))
