"""How the words of JSON Schema are judged where jsonschema's own way takes too long for a text from a stranger.

Its patterns go back, and its `enum` and `uniqueItems` compare everything with everything. `$` in its patterns also
stands before a last line end, which would let a name end with one (Python's `re`; ECMA-262 says otherwise). And it
judges keys in the order of their hashes, so that the first hundred faults would not be the same everywhere.
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
    fits = _fits_own if is_own else is_found

    def pattern(validator: Any, wanted: str, instance: Json, schema: Json) -> Iterator[str]:
        if isinstance(instance, str) and not fits(wanted, instance):
            yield "pattern"

    return {"pattern": pattern, "enum": _enum, "uniqueItems": _unique, "additionalProperties": _additional}


def _fits_own(pattern: str, text: str) -> bool:
    return bool(_own(pattern).search(text))


@cache
def _own(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern))


def _enum(validator: Any, allowed: list[Json], instance: Json, schema: Mapping[str, Json]) -> Iterator[str]:
    if isinstance(instance, str) and instance in allowed[:50]:
        return
    if _same(instance) not in _choices(allowed):
        yield "enum"


def _unique(validator: Any, wanted: bool, instance: Json, schema: Json) -> Iterator[str]:
    if wanted and isinstance(instance, list) and len({_same(item) for item in instance}) < len(instance):
        yield "uniqueItems"


def _additional(
    validator: Any, wanted: bool | Mapping[str, Json], instance: Any, schema: Mapping[str, Json]
) -> Iterator[Any]:
    known: Any = schema.get("properties", {})
    extras = [key for key in instance if key not in known] if isinstance(instance, dict) else []
    if isinstance(wanted, Mapping):
        for key in extras:
            yield from validator.descend(instance[key], wanted, path=key)
    elif not wanted and extras:
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
