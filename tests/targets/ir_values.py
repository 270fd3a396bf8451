"""Values as Kubeflow's driver and launcher carry them: all numbers are doubles, and text is made of them as Go does.

Apart from the runner because none of this knows tasks. Read from backend/src/v2 of kubeflow/pipelines: metadata/
converter.go, driver/resolve.go, driver/util.go, component/launcher_v2.go, expression/expression.go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import celpy
from celpy import celtypes

Value = Any  # a google.protobuf.Value: None, str, bool, float, list or dict
Spec = dict[str, Any]

_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}")
_VARIABLE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_TRUTHS = {**dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
           **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)}  # fmt: skip


class Fault(Exception):
    """What makes a driver or a launcher fail. The message is one line."""


def carried(value: Any) -> Value:
    """Return a JSON value as a protobuf Value holds it."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return float(value)
        case list() | tuple():
            return [carried(item) for item in value]
        case dict():
            return {str(key): carried(item) for key, item in value.items()}
    raise AssertionError(f"no JSON value: {value!r}")


def as_json(value: Value) -> str:
    """Return the JSON text of a value, whole numbers without a fraction."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _plain(value: Value) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) < 1e21:
            return int(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return value


def as_text(value: Value) -> str:
    """Return what stands for a value in text: strings raw, the absent one empty, all others as JSON."""
    return value if isinstance(value, str) else "" if value is None else as_json(value)


def of_text(text: str, kind: str) -> Value:
    """Return the value that the file of an output parameter holds."""
    try:
        match kind:
            case "STRING":
                return text
            case "NUMBER_INTEGER":
                return float(int(text.strip()))
            case "NUMBER_DOUBLE":
                return float(text.strip())
            case "BOOLEAN":
                return _TRUTHS[text.strip()]
            case "LIST" | "STRUCT":
                return fit(carried(json.loads(text)), kind, "its file")
    except (ValueError, KeyError):
        pass
    raise Fault(f"{text[:80]!r} is no {kind}")


_KINDS: dict[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (float,), "NUMBER_DOUBLE": (float,), "BOOLEAN": (bool,), "LIST": (list,), "STRUCT": (dict,),
    "TASK_FINAL_STATUS": (dict,),
}  # fmt: skip


def fit(value: Value, kind: str, name: str) -> Value:
    """Return a value as a parameter of a type takes it: STRING takes anything as its text, others what fits."""
    if kind == "STRING":
        return as_text(value)
    if not isinstance(value, _KINDS[kind]):
        raise Fault(f"input parameter {name} is of type {kind} and got {as_json(value)[:80]}")
    return value


def items(value: Value) -> list[Value]:
    """Return what a loop goes over: a list, or the JSON text of one."""
    found = carried(json.loads(value)) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise Fault(f"{as_json(found)[:80]} cannot be iterated")
    return found


def expanded(text: str, env: Mapping[str, str]) -> str:
    """Return a text of a pod as Kubernetes hands it on: `$(NAME)` of a variable it has is replaced, `$$` is a `$`."""
    return _VARIABLE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)


def filled(text: str, executor_input: Spec) -> str:
    """Return an argument with its placeholders replaced; one that is not known stays as it is.

    The driver replaces parameters first. The launcher then puts in `{{$}}`, and looks for all others again, also in
    what was just put in, in any order: here in a fixed one.
    """
    values = executor_input["inputs"]["parameterValues"]
    text = _PARAMETER.sub(lambda m: as_text(values[m[1]]) if m[1] in values else m[0], text)
    text = text.replace("{{$}}", as_json(executor_input))
    for placeholder, value in sorted(_placeholders(executor_input)):
        text = text.replace(placeholder, value)
    return text


def _placeholders(executor_input: Spec) -> list[tuple[str, str]]:
    given, wanted = executor_input["inputs"], executor_input["outputs"]
    found = [(f"{{{{$.inputs.parameters['{name}']}}}}", as_text(v)) for name, v in given["parameterValues"].items()]
    for side, artifacts in (("inputs", given["artifacts"]), ("outputs", wanted["artifacts"])):
        for name, listed in artifacts.items():
            for what in ("uri", "path") if listed["artifacts"] else ():  # a place here is its own path
                found.append((f"{{{{$.{side}.artifacts['{name}'].{what}}}}}", listed["artifacts"][0]["uri"]))
    for name, at in wanted["parameters"].items():
        found.append((f"{{{{$.outputs.parameters['{name}'].output_file}}}}", at["outputFile"]))
    return found


def holds(condition: str, parameters: Mapping[str, Value]) -> bool:
    """Return what a trigger policy's condition says; an error in it, or an answer that is no boolean, is a Fault."""
    answer = _evaluated(condition, {"inputs": {"parameter_values": dict(parameters)}})
    if not isinstance(answer, celtypes.BoolType):
        raise Fault(f"the condition {condition} is no boolean")
    return bool(answer)


def selected(value: Value, selector: str) -> Value:
    """Return the part of a value that a parameter expression selector names."""
    kinds = {str: "string_value", bool: "bool_value", float: "number_value", list: "list_value", dict: "struct_value"}
    answer = _evaluated(selector, {kinds[type(value)]: value, "string_value": as_text(value)})
    return carried(json.loads(json.dumps(answer, cls=celpy.CELJSONEncoder)))


def _evaluated(text: str, names: Spec) -> Any:
    environment = celpy.Environment()
    try:
        program = environment.program(environment.compile(text), functions=_FUNCTIONS)
        answer = program.evaluate(celpy.json_to_cel(names))
    except (celpy.CELParseError, celpy.CELEvalError) as fault:
        raise Fault(f"{text} cannot be answered: {str(fault.args[0]).splitlines()[0]}") from None
    return answer


def _parse_json(text: Any) -> Any:
    try:
        return celpy.json_to_cel(carried(json.loads(text)))
    except ValueError:
        return celpy.CELEvalError(f"{text[:80]!r} is not JSON")


def _equal(left: Any, right: Any) -> Any:
    """Compare as cel-go does: numbers of all types by value, other types that differ are not equal."""
    if isinstance(left, celpy.CELEvalError) or isinstance(right, celpy.CELEvalError):
        return left if isinstance(left, celpy.CELEvalError) else right
    return celtypes.BoolType(_native(left) == _native(right))


def _native(value: Any) -> Any:
    """Return a value that Python compares as cel-go does; a boolean must not pass for a number."""
    match value:
        case celtypes.BoolType():
            return ("bool", bool(value))
        case celtypes.IntType() | celtypes.UintType() | celtypes.DoubleType():
            return float(value)
        case celtypes.ListType():
            return [_native(item) for item in value]
        case celtypes.MapType():
            return {str(key): _native(item) for key, item in value.items()}
        case None:
            return None
    return str(value)


def _is_in(item: Any, within: Any) -> Any:
    if isinstance(item, celpy.CELEvalError) or isinstance(within, celpy.CELEvalError):
        return item if isinstance(item, celpy.CELEvalError) else within
    listed: Sequence[Any] = list(within)
    return celtypes.BoolType(any(_native(item) == _native(each) for each in listed))


def _not_equal(left: Any, right: Any) -> Any:
    answer = _equal(left, right)
    return answer if isinstance(answer, celpy.CELEvalError) else celtypes.BoolType(not answer)


_FUNCTIONS = {"parseJson": _parse_json, "_==_": _equal, "_!=_": _not_equal, "_in_": _is_in}
