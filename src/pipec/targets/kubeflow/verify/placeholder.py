"""Placeholders: whether what stands between `{{$` and `}}` is something that the driver or the launcher replaces there.

Facts are those of the backend's driver and launcher of 2.17: what they do not know stays in the text as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pipec.record import frozen
from pipec.targets.kubeflow.findings import DOUBTFUL, PLACEHOLDER
from pipec.targets.kubeflow.verify.document import declared
from pipec.targets.kubeflow.verify.fault import Fault, Path, Spec, shown, unknown

# One that names an input or an output: as the launcher writes it, and as it may be meant.
_PORT = re.compile(r"\.(inputs|outputs)\.(parameters|artifacts)\['([^']+)'\](.*)", re.DOTALL)
_TAILS = {
    ("inputs", "parameters"): ("",),
    ("outputs", "parameters"): (".output_file",),
    ("inputs", "artifacts"): (".path", ".uri", "", ".name", ".metadata"),
    ("outputs", "artifacts"): (".path", ".uri", "", ".name", ".metadata"),
}
# Replaced where one of them is the whole constant of a task's input, and nowhere else.
_RUN = frozenset(
    f".pipeline_{name}"
    for name in ("job_name", "job_resource_name", "job_uuid", "task_name", "task_uuid", "job_create_time_utc",
                 "job_schedule_time_utc")
)  # fmt: skip
WORKSPACE = ".workspace_path"
_KINDS = ("IfPresent", "Concat")
_IF_PRESENT = re.compile(r'"InputName": "([^"]*)"')
_WHOLE_INPUT = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


@frozen
class Ports:
    """What a text may name: the declared inputs and outputs of a component."""

    inputs: Mapping[str, Mapping[str, Spec]]
    outputs: Mapping[str, Mapping[str, Spec]]

    @classmethod
    def of(cls, component: Spec) -> Ports:
        kinds = ("parameters", "artifacts")
        return cls(
            {kind: declared(component, "input", kind) for kind in kinds},
            {kind: declared(component, "output", kind) for kind in kinds},
        )


def _bodies(text: str) -> Iterator[str]:
    """Yield what stands between `{{$` and the next `}}`. By hand: a pattern would look for the end from every start."""
    start = text.find("{{$")
    while start >= 0 and (end := text.find("}}", start)) >= 0:
        yield text[start + 3 : end]
        start = text.find("{{$", end)


def _is_open(text: str) -> bool:
    """Say whether a placeholder for an input or an output begins after the last end of one."""
    rest = text[text.rfind("}}") + 1 :]
    return "{{$.inputs." in rest or "{{$.outputs." in rest


def argument(text: str, ports: Ports, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with the placeholders of one element of `command` or `args`."""
    yield from _structured(text, ports, path)
    for body in _bodies(text):
        if body in ("", WORKSPACE):
            continue
        if body in _RUN:
            yield Fault(
                PLACEHOLDER,
                path,
                f"`{{{{${body}}}}}` is replaced only where it is the whole constant of an input",
                "give it to an input, and name that input here",
            )
        else:
            yield from _port(body, ports, path)
    if _is_open(text):
        yield Fault(PLACEHOLDER, path, f"the placeholder in `{shown(text)}` has no end", "close it with `}}`")


def _port(body: str, ports: Ports, path: Path) -> Iterator[Fault]:
    found = _PORT.fullmatch(body)
    if not found:
        yield Fault(PLACEHOLDER, path, f"nothing replaces `{_written(body)}`", "such as `{{$.inputs.parameters['x']}}`")
        return
    side, kind, name, tail = found.groups()
    known = (ports.inputs if side == "inputs" else ports.outputs)[kind]
    if name not in known:
        message = f"the component has no {side[:-1]} {kind[:-1]} `{name}`"
        yield unknown(PLACEHOLDER, path, message, name, {*known})
    tails = _TAILS[side, kind]
    if tail not in tails and not (kind == "artifacts" and tail.startswith(".metadata['")):
        wanted = f"{{{{$.{side}.{kind}['{name}']{tails[0]}}}}}"
        yield Fault(PLACEHOLDER, path, f"nothing replaces `{_written(body)}`", f"write `{wanted}`")


def _written(body: str) -> str:
    return shown(f"{{{{${body}}}}}")


def _structured(text: str, ports: Ports, path: Path) -> Iterator[Fault]:
    """Yield what is wrong with an argument that is made from parts, as kfp writes it: `{"IfPresent": ...}`."""
    kind = next((kind for kind in _KINDS if re.match(rf'\s*\{{\s*"{kind}"\s*:', text)), "")
    if not kind:
        return
    if not text.startswith(f'{{"{kind}": '):
        # The driver wants no space before the colon, kfp's local runner one after it.
        yield Fault(
            PLACEHOLDER, path, f"not every runner knows `{kind}` in this spelling", f'begin with `{{"{kind}": `'
        )
        return
    try:
        parts = json.loads(text)
        wrong = [*_part(parts, ports, path)]
    except (ValueError, RecursionError):
        yield Fault(PLACEHOLDER, path, f"`{kind}` is not followed by JSON", "write it as JSON in one argument")
        return
    yield from wrong or _doubtful(text, ports, path)


def _doubtful(text: str, ports: Ports, path: Path) -> Iterator[Fault]:
    """Yield what kfp writes and its local runner reads, and the driver of 2.17 has no code for."""
    advice = "write both cases as arguments of their own"
    if '{"Concat": ' in text:
        yield Fault(DOUBTFUL, path, "the driver of 2.17 leaves `Concat` as it is", "put the placeholders into one text")
    elif "{{$.outputs" in text:
        yield Fault(DOUBTFUL, path, "the driver of 2.17 leaves `IfPresent` as it is where an output is named", advice)
    for name in _IF_PRESENT.findall(text):
        if name in ports.inputs["artifacts"]:
            yield Fault(DOUBTFUL, path, f"to the driver of 2.17 the artifact `{name}` is never present", advice)


def _part(part: object, ports: Ports, path: Path) -> Iterator[Fault]:
    match part:
        case str():
            return
        case {"Concat": list() as items, **rest} if not rest:
            for item in items:
                yield from _part(item, ports, path)
        case {"IfPresent": {"InputName": str() as name, "Then": then, **rest}} if not rest.keys() - {"Else"}:
            known = {**ports.inputs["parameters"], **ports.inputs["artifacts"]}
            if name not in known:
                yield unknown(PLACEHOLDER, path, f"the component has no input `{name}`", name, {*known})
            for branch in (then, rest.get("Else", "")):
                for item in branch if isinstance(branch, list) else [branch]:
                    yield from _part(item, ports, path)
        case _:
            yield Fault(
                PLACEHOLDER, path, f"`{shown(part)}` is no part of an argument",
                'text, `{"Concat": [...]}` or `{"IfPresent": {"InputName": ..., "Then": ...}}`',
            )  # fmt: skip


def field(text: str, known: frozenset[str], path: Path) -> Iterator[Fault]:
    """Yield what is wrong with a placeholder in an image or an amount: one input's, and nothing beside it."""
    if "{{$" not in text:
        return
    found = _WHOLE_INPUT.fullmatch(text)
    if not found:
        message = f"`{shown(text)}` must be one input parameter and nothing else"
        yield Fault(PLACEHOLDER, path, message, "such as `{{$.inputs.parameters['x']}}`")
    elif found[1] not in known:
        yield unknown(PLACEHOLDER, path, f"no task gives an input `{found[1]}`", found[1], known)


def variable(text: str, path: Path) -> Iterator[Fault]:
    """Yield a placeholder in a variable, where neither the driver nor the launcher looks."""
    if any(True for _ in _bodies(text)):
        message = f"nothing replaces `{shown(text)}` in a variable"
        yield Fault(PLACEHOLDER, path, message, "pass it in `args`, or as a secret or a config map")


def constant(value: object, known: frozenset[str], path: Path) -> Iterator[Fault]:
    """Yield what is wrong with the placeholders of a task's constant. known: the inputs of the task."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from constant(below, known, (*path, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from constant(below, known, (*path, number))
    elif isinstance(value, str) and "{{$" in value:
        yield from _constant(value, known, path)


def _constant(text: str, known: frozenset[str], path: Path) -> Iterator[Fault]:
    for body in _bodies(text):
        found = _PORT.fullmatch(body)
        if found and found[1] == "inputs" and found[2] == "parameters" and not found[4]:
            if found[3] not in known:
                yield unknown(PLACEHOLDER, path, f"the task has no input `{found[3]}`", found[3], known)
        elif body in _RUN:
            if text != f"{{{{${body}}}}}":
                message = f"`{{{{${body}}}}}` is replaced only where it is the whole constant"
                yield Fault(PLACEHOLDER, path, message, "give it to an input of its own")
        elif body != WORKSPACE:
            message = f"nothing replaces `{_written(body)}` in a constant"
            yield Fault(PLACEHOLDER, path, message, "such as `{{$.inputs.parameters['x']}}`")
