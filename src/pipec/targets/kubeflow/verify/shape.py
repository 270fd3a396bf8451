"""Whether a document is built of KFP's messages: every field known, every value of its type. The first check of all.

What comes after may read the document without looking. Must not know what a field means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipec.diagnostics import suggest
from pipec.targets.kubeflow.findings import SHAPE, WIRING
from pipec.targets.kubeflow.verify.fault import Fault, Path, shown
from pipec.targets.kubeflow.verify.table import MESSAGES, Type

MOST_EXACT = 2**53 - 1  # Value is a double
_WANTED = {
    "text": "text", "bool": "true or false", "double": "a number", "int32": "a whole number",
    "int64": "a whole number, as text", "duration": "a duration such as `30s`", "list": "a list", "map": "a mapping",
    "message": "a mapping", "struct": "a mapping",
}  # fmt: skip
LARGEST = 1e300  # near enough to the largest double, and no amount of anything
MOST_DIGITS = 20  # of a number of 64 bits, with its sign
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DURATION = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?s")
_BITS = {"int32": 31, "int64": 63}


def misshapen(value: object, message: str, path: Path) -> Iterator[Fault]:
    """Yield what keeps `value` from being a `message` of the table."""
    fields = MESSAGES[message]
    if not isinstance(value, dict):
        yield _mistyped(value, "message", path)
        return
    groups: dict[str, str] = {}
    for key, below in value.items():
        field = fields.get(key)
        if field is None:
            yield _unknown_field(key, message, (*path, key))
            continue
        if field.oneof and (first := groups.setdefault(field.oneof, key)) != key:
            yield Fault(SHAPE, (*path, key), f"`{first}` and `{key}` exclude each other", f"remove `{key}`")
        yield from _value(below, field.type, (*path, key))


def _unknown_field(key: str, message: str, path: Path) -> Fault:
    words = message.replace("-", " ")
    article = "an" if words[0] in "aeiou" else "a"
    return Fault(
        SHAPE, path, f"{article} {words} has no field `{shown(key)}`", suggest(key, MESSAGES[message], "it has:")
    )


def _value(value: object, type_: Type, path: Path) -> Iterator[Fault]:
    form = type_.form
    if value is None and form != "any":
        yield Fault(SHAPE, path, f"`{path[-1]}` says nothing", "remove it")
    elif form == "text":
        if not isinstance(value, str):
            yield _mistyped(value, form, path)
    elif form == "message":
        yield from misshapen(value, type_.name, path)
    elif form in ("list", "map"):
        yield from _items(value, type_, path)
    elif form == "enum":
        if value not in type_.words:
            yield Fault(
                SHAPE, path, f"`{path[-1]}` cannot be `{shown(value)}`", suggest(str(value), type_.words, "one of:")
            )
    elif not _is_scalar(value, form):
        yield _mistyped(value, form, path)
    elif form in ("any", "struct"):
        yield from _exact(value, path)


def _items(value: object, type_: Type, path: Path) -> Iterator[Fault]:
    assert type_.of, "shape._items got a collection of nothing"
    if type_.form == "list" and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _value(item, type_.of, (*path, number))
    elif type_.form == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _value(item, type_.of, (*path, key))
    else:
        yield _mistyped(value, type_.form, path)


def _is_scalar(value: object, form: str) -> bool:
    match form:
        case "bool":
            return isinstance(value, bool)
        case "double":
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
        case "int32" | "int64":
            return _is_whole(value, _BITS[form])
        case "duration":
            return isinstance(value, str) and _DURATION.fullmatch(value) is not None
        case "struct":
            return isinstance(value, Mapping)
        case _:
            return True


def _is_whole(value: object, bits: int) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_DIGITS and _WHOLE.fullmatch(value) is not None and abs(int(value)) <= 2**bits
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == int(value) and abs(value) <= 2**bits if abs(value) < float("inf") else False


def _mistyped(value: object, form: str, path: Path) -> Fault:
    is_text_there = form == "text" and not isinstance(value, list | dict)
    return Fault(
        SHAPE,
        path,
        f"`{_name(path)}` needs {_WANTED[form]}, not `{shown(value)}`",
        f'put it in quotes: `"{shown(value)}"`' if is_text_there else "",
    )


def _name(path: Path) -> str | int:
    """Return what a value is known by: its key, or that of the list it is in."""
    return next((part for part in reversed(path) if isinstance(part, str)), "the document")


def _exact(value: object, path: Path) -> Iterator[Fault]:
    """Yield the numbers of free data that would arrive as others."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _exact(below, (*path, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _exact(below, (*path, number))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value != value or abs(value) == float("inf"):
            yield Fault(WIRING, path, f"`{_name(path)}` is no number that JSON can say", "give it as text")
        elif isinstance(value, int) and abs(value) > MOST_EXACT:
            yield Fault(
                WIRING, path, f"`{value}` is beyond 2^53-1, and would arrive as another number", "give it as text"
            )
