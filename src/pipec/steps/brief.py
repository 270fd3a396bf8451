"""An order as it stands in a DAG file, where people read it: what is special of a call, and nothing that its step says.

    pipec-step split@1:c40dc8ed8fc9 '{"data": {"$output": "validate.data"}, "seed": 7}' --pipeline=wine --task=split ...

What the step's interface declares stays out: defaults, which names are inputs, whether a cache may answer. The image's
own interface says it again, once the mark behind the version has told that it is the one compiled against. Names that
begin with `$` are not the step's: `$threads`. Knows no caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipec import digest
from pipec.steps.command import FORMAT, Ended, Order, devices_of, guarded
from pipec.steps.declare import CallerError
from pipec.steps.interface import Interface, Missing
from pipec.values import Json, ListOf, Literal, ObjectOf, OutputRef, Reference, Value, decode, encode, substitute

MARK_LENGTH = 12  # hexadecimal digits: two interfaces of one step and version share them once in 10^14
_NAMED = re.compile(r"([^@:]+)@([^@:]+):([0-9a-f]+)\Z")
_ENCODER = json.JSONEncoder(allow_nan=False)


def mark(interface: Interface) -> str:
    """Return what tells an interface, and the form of orders, from others."""
    return digest.of_value([FORMAT, interface.digest]).removeprefix("sha256:")[:MARK_LENGTH]


def brief_name(interface: Interface) -> str:
    """Return what `pipec-step` is first called with: the step, its version and the mark of its interface."""
    return f"{interface.name}@{interface.version}:{mark(interface)}"


def brief_text(order: Order, interface: Interface, task: str) -> str:
    """Return what of an order its step does not say, as one JSON text that no template engine on its way reads.

    task: what the caller calls the task by itself. Pipeline and environment are the caller's to say, too.
    """
    body: dict[str, Json] = dict(_given(order, interface))
    if order.task != task:
        body["$task"] = order.task
    if order.threads != 1:
        body["$threads"] = order.threads
    if order.wait_s:
        body["$wait_s"] = order.wait_s
    if not order.cache and not interface.always_runs:
        body["$cache"] = False
    if order.env:
        body["$env"] = order.env
    if order.hidden:
        body["$hidden"] = list(order.hidden)
    if order.devices:
        body["$devices"] = list(order.devices)
    if order.ends:
        body["$ends"] = [end.task for end in order.ends]
    if order.forgiven:
        body["$forgiven"] = list(order.forgiven)
    return guarded(_ENCODER.encode(body))


def _given(order: Order, interface: Interface) -> Iterator[tuple[str, Json]]:
    """Yield what a step is called with, in the order of its interface, without what it would take by itself."""
    inputs, parameters = dict(order.inputs), dict(order.parameters)
    for declared in interface.inputs:
        if values := inputs.get(declared.name):
            written = [_written(value) for value in values]
            yield declared.name, written[0] if len(written) == 1 and not isinstance(written[0], list) else written
    for parameter in interface.parameters:
        if parameter.name in parameters:
            value = _written(parameters[parameter.name])
            # As text: `True == 1` and `1 == 1.0`, which are not the same to a step.
            if parameter.is_required or _ENCODER.encode(value) != _ENCODER.encode(parameter.default):
                yield parameter.name, value


def _written(value: Value) -> Json:
    """Return a value as `encode` does, but lists and objects as they are, and outputs as `task.output`."""
    match value:
        case Literal(known) if _holds_form(known):
            return {"$literal": known}
        case OutputRef(task, output):
            return {"$output": f"{task}.{output}"}
        case ListOf(items):
            return [_written(item) for item in items]
        case ObjectOf(fields) if not _is_form(dict(fields)):
            return {name: _written(item) for name, item in fields}
        case _:
            return encode(value)


def _read(written: Json) -> Value:
    """Return the value that `_written` wrote. Raises ValueError."""
    match written:
        case {"$output": str(place), **rest} if not rest:
            task, _, output = place.rpartition(".")
            return OutputRef(task, output)
        case Mapping() if _is_form(written):
            return decode(written)
        case Mapping():
            return substitute(ObjectOf(tuple((name, _read(item)) for name, item in written.items())), _unknown)
        case list():
            return substitute(ListOf(tuple(_read(item) for item in written)), _unknown)
        case _:
            return Literal(written)


def _unknown(reference: Reference) -> None:
    """Leave every reference where it is: what is plain without them becomes plain."""


def _is_form(value: Mapping[str, object]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _holds_form(known: Json) -> bool:
    """Say whether a value of the user has something in it that looks like a form of ours."""
    match known:
        case Mapping():
            return _is_form(known) or any(map(_holds_form, known.values()))
        case list() | tuple():
            return any(map(_holds_form, known))
        case _:
            return False


def split_name(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the step that is called, and the other arguments; what marks its interface is among them."""
    name, *rest = arguments
    if _NAMED.match(name):
        return name.partition("@")[0], ["--step", name, *rest]
    return name, rest


def parse_brief(named: str, text: str, interface: Interface, *, pipeline: str, environment: str, task: str) -> Order:
    """Return the order that `brief_text` wrote. Raises CallerError at any other text.

    named: what `brief_name` wrote. interface: of the step as this image has it; another mark becomes another digest, so
    that the step refuses to start.
    """
    found = _NAMED.match(named)
    if found is None:
        raise CallerError(f"`{named}` does not say a step, its version and its interface: compile the pipeline again")
    is_known = found[3] == mark(interface)
    try:
        body = json.loads(text)
        return Order(
            pipeline=pipeline,
            task=body.get("$task", task),
            step=f"{found[1]}@{found[2]}",
            interface=interface.digest if is_known else f"sha256:{found[3]}",
            parameters=tuple(_parameters(interface, body)),
            inputs=tuple((i.name, _values(body[i.name])) for i in interface.inputs if i.name in body),
            environment=environment,
            threads=body.get("$threads", 1),
            wait_s=body.get("$wait_s", 0),
            cache=body.get("$cache", not interface.always_runs),
            env=body.get("$env", ""),
            hidden=tuple(body.get("$hidden", ())),
            devices=devices_of(body.get("$devices")),
            ends=tuple(Ended(each) for each in body.get("$ends", ())),
            forgiven=tuple(body.get("$forgiven", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CallerError(f"the order of `{named}` is not one that pipec wrote ({fault}): compile again") from fault


def _values(written: Json) -> tuple[Value, ...]:
    return tuple(_read(each) for each in written) if isinstance(written, list) else (_read(written),)


def _parameters(interface: Interface, body: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield every parameter that is given or has a default; one that is missing is the runtime's to tell."""
    for parameter in interface.parameters:
        if parameter.name in body:
            yield parameter.name, _read(body[parameter.name])
        elif not isinstance(parameter.default, Missing):
            yield parameter.name, Literal(parameter.default)
