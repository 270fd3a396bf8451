"""How the words of JSON Schema are judged where jsonschema's own way takes too long for a text from a stranger.

Both who judge ask here: `judge.py` for jsonschema, and `fits.py`. jsonschema's patterns go back, and its `enum` and
`uniqueItems` compare everything with everything. `$` in its patterns also stands before a last line end, which would
let a name end with one (Python's `re`; ECMA-262 says otherwise). And it judges keys in the order of their hashes, so
that the first hundred faults would not be the same everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pipec.schema.pattern import is_found
from pipec.values import Json


def judges(*, is_own: bool) -> Mapping[str, Callable[..., Iterator[Any]]]:
    """Return the words that are judged here, by name. is_own: the schema is one of pipec's, whose patterns are known.

    Each yields a text for each fault, and the validator's own errors from further down.
    """
    matches = matcher(is_own=is_own)

    def pattern(validator: Any, wanted: str, instance: Json, schema: Json) -> Iterator[str]:
        if isinstance(instance, str) and not matches(wanted, instance):
            yield "pattern"

    return {"pattern": pattern, "enum": _enum, "uniqueItems": _unique, "additionalProperties": _additional}


def matcher(*, is_own: bool) -> Callable[[str, str], bool]:
    """Return what says whether a pattern, one of pipec's or a user's, is found in a text."""
    return _is_found_own if is_own else is_found


def is_one_of(instance: Json, allowed: list[Json]) -> bool:
    """Say whether a value is among the choices of an `enum`."""
    return (isinstance(instance, str) and instance in allowed[:50]) or _same(instance) in _choices(allowed)


def is_unique(items: list[Json]) -> bool:
    """Say whether no two items of a list are equal."""
    return len({_same(item) for item in items}) == len(items)


def extras(instance: Mapping[str, Json], schema: Mapping[str, Json]) -> list[str]:
    """Return the keys of an object that `additionalProperties` is about, in their order."""
    known: Any = schema.get("properties", {})
    return [key for key in instance if key not in known]


def _is_found_own(pattern: str, text: str) -> bool:
    return bool(_own(pattern).search(text))


@cache
def _own(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern))


def _enum(validator: Any, allowed: list[Json], instance: Json, schema: Mapping[str, Json]) -> Iterator[str]:
    if not is_one_of(instance, allowed):
        yield "enum"


def _unique(validator: Any, wanted: bool, instance: Json, schema: Json) -> Iterator[str]:
    if wanted and isinstance(instance, list) and not is_unique(instance):
        yield "uniqueItems"


def _additional(
    validator: Any, wanted: bool | Mapping[str, Json], instance: Any, schema: Mapping[str, Json]
) -> Iterator[Any]:
    more = extras(instance, schema) if isinstance(instance, dict) else []
    if isinstance(wanted, Mapping):
        for key in more:
            yield from validator.descend(instance[key], wanted, path=key)
    elif not wanted and more:
        yield "additionalProperties"


_KNOWN: dict[int, tuple[list[Json], frozenset[str]]] = {}


def _choices(allowed: list[Json]) -> frozenset[str]:
    """Return a list of choices as a set, made once. By identity, and so the list is kept with it."""
    known = _KNOWN.get(id(allowed))
    if known is None or known[0] is not allowed:
        if len(_KNOWN) >= 256:
            _KNOWN.clear()
        known = _KNOWN[id(allowed)] = (allowed, frozenset(map(_same, allowed)))
    return known[1]


def _same(value: Json) -> str:
    """Return a text that is equal for values that JSON Schema takes for equal: `1` and `1.0` are."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Json) -> Json:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
