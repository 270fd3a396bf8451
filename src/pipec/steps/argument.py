"""Values as a step takes them: the declared kind, within the declared bounds, the same whoever called.

Engines disagree about numbers (Kubeflow carries every one as a double), so 10.0 for a whole number becomes 10 here.
Written out rather than asked of jsonschema: a step needs the few keywords that `declare.param` and manifests can write,
no import of a validator at each start, and words for people.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping

from pipec.steps.declare import CallerError
from pipec.steps.interface import Interface, Parameter
from pipec.values import Json, as_text

WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "an object",
}  # fmt: skip

_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "maximum": ("at most", operator.le),
    "exclusiveMinimum": ("above", operator.gt),
    "exclusiveMaximum": ("below", operator.lt),
}


def arguments(interface: Interface, given: Mapping[str, Json]) -> dict[str, Json]:
    """Return every parameter of the step by name: as given, or its default. Raises CallerError."""
    for name in given:
        if interface.parameter(name) is None:
            known = ", ".join(sorted(p.name for p in interface.parameters)) or "none"
            raise CallerError(f"there is no parameter `{name}`; there are: {known}")
    return {parameter.name: _argument(parameter, given) for parameter in interface.parameters}


def as_argument(value: Json, name: str) -> str:
    """Return a parameter as it stands in the arguments of a command. Raises CallerError where it cannot stand there."""
    match value:
        case str() | bool() | int() | float():
            text = as_text(value)
        case _:
            # Keys in order: calls and Kubeflow lose that of the user, and all must hand over the same text.
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise CallerError(f"parameter `{name}` holds a character that no argument can carry")
    return text


def argument_name(parameter: str) -> str:
    """Return what the text is called that a task leaves for an argument of another (`hand.py`)."""
    return f"argument-{parameter}"


def _argument(parameter: Parameter, given: Mapping[str, Json]) -> Json:
    if parameter.name not in given:
        if not isinstance(parameter.default, (str, int, float, list, dict, tuple, type(None))):
            raise CallerError(f"parameter `{parameter.name}` is missing: give it a value")
        return parameter.default
    return taken(parameter, given[parameter.name])


def taken(parameter: Parameter, value: Json) -> Json:
    """Return a value as the step is given it for a parameter. Raises CallerError."""
    if (value is None and parameter.default is None) or parameter.path:
        return value
    try:
        return conform(value, parameter.schema, f"`{parameter.name}`")
    except CallerError as fault:
        if parameter.secret:  # the message would show the value
            raise CallerError(f"the secret given for `{parameter.name}` is not of the declared form") from None
        raise fault


def conform(value: Json, schema: Mapping[str, Json], name: str) -> Json:
    """Return `value` as its schema's type has it. name: what messages call it. Raises CallerError."""
    typed = _typed(value, schema.get("type"), name)
    choices = schema.get("enum")
    if isinstance(choices, list) and typed not in choices:
        allowed = ", ".join(f"`{choice}`" for choice in choices)
        raise CallerError(f"{name} is `{typed}`, but must be one of {allowed}")
    match typed:
        case bool() | None:
            return typed
        case int() | float():
            _check_number(typed, schema, name)
        case str():
            _check_text(typed, schema, name)
        case list():
            return _list(typed, schema, name)
        case Mapping():
            return _object(typed, schema, name)
    return typed


def _typed(value: Json, kind: Json, name: str) -> Json:
    """Return the value with its numbers in one form; without a kind, whole floats become whole numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise CallerError(f"{name} must be a finite number")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_whole = is_number and float(value) == int(value)  # type: ignore[arg-type]
    fits = {
        "string": isinstance(value, str), "integer": is_whole, "number": is_number, "boolean": isinstance(value, bool),
        "array": isinstance(value, (list, tuple)), "object": isinstance(value, Mapping),
    }  # fmt: skip
    if isinstance(kind, str) and not fits[kind]:
        raise CallerError(f"{name} needs {WORDS[kind]}, but got {_shown(value)}")
    if is_number and isinstance(value, (int, float)):
        return float(value) if kind == "number" else int(value) if is_whole else value
    return list(value) if isinstance(value, tuple) else value


def _check_number(value: float, schema: Mapping[str, Json], name: str) -> None:
    for keyword, (words, holds) in _BOUNDS.items():
        bound = schema.get(keyword)
        if isinstance(bound, (int, float)) and not holds(value, bound):
            raise CallerError(f"{name} is {value}, but must be {words} {bound}")


def _check_text(value: str, schema: Mapping[str, Json], name: str) -> None:
    _check_length(len(value), schema.get("minLength"), schema.get("maxLength"), name, "characters")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        raise CallerError(f"{name} is {_shown(value)}, which does not match `{pattern}`")


def _list(value: list[Json], schema: Mapping[str, Json], name: str) -> Json:
    _check_length(len(value), schema.get("minItems"), schema.get("maxItems"), name, "items")
    inner = _schema(schema.get("items"))
    return [conform(item, inner, f"{name}[{place}]") for place, item in enumerate(value)]


def _object(value: Mapping[str, Json], schema: Mapping[str, Json], name: str) -> Json:
    known = _schema(schema.get("properties"))
    required = schema.get("required")
    for key in required if isinstance(required, list) else ():
        if key not in value:
            raise CallerError(f"{name} has no `{key}`")
    for key in value:
        if schema.get("additionalProperties") is False and key not in known:
            raise CallerError(f"{name} has no field `{key}`; it has: {', '.join(sorted(known))}")
    return {key: conform(item, _schema(known.get(key)), f"{name}.{key}") for key, item in value.items()}


def _schema(declared: Json) -> Mapping[str, Json]:
    return declared if isinstance(declared, Mapping) else {}


def _check_length(length: int, least: Json, most: Json, name: str, unit: str) -> None:
    if isinstance(least, int) and length < least:
        raise CallerError(f"{name} has {length} {unit}, but needs at least {least}")
    if isinstance(most, int) and length > most:
        raise CallerError(f"{name} has {length} {unit}, but may have at most {most}")


def _shown(value: Json) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f"`{value[:60]}`, which is text"
        case int() | float():
            return f"{value}"
        case Mapping():
            return "an object"
        case _:
            return "a list"
