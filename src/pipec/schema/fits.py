"""Whether a value surely fits a schema: asked first, so that a right document needs no validator at all.

Loading jsonschema takes longer than judging a usual pipeline. This walk knows the words that pipec's schemas are
written in, and answers `False` at any other and at all that is not plainly right: then jsonschema judges, and every
finding comes from there. So it must know nothing of findings, and may err on that side only. Draft 2020-12: a boolean
is no number, `1.0` is an integer, and a word that is about another type holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any

from pipec.schema.expressions import has_expression
from pipec.schema.keywords import extras, is_one_of, is_unique, matcher
from pipec.schema.pattern import PatternError
from pipec.values import Json


def surely_fits(value: Json, wanted: Mapping[str, Any], *, is_own: bool, expressions: bool) -> bool:
    """Say whether jsonschema would surely find nothing; `False` says nothing.

    is_own: the schema is one of pipec's, whose patterns are known. expressions: a text that holds one may stand for
    anything, so that nothing that jsonschema found of that text itself would count.
    """
    try:
        return _Walk(wanted, matcher(is_own=is_own), expressions=expressions).fits(wanted, value)
    except PatternError:
        return False


class _Walk:
    """A way through one schema. What a part of it says is read once, and only where a value leads there."""

    def __init__(self, root: Mapping[str, Any], matches: Callable[[str, str], bool], *, expressions: bool) -> None:
        self.root, self.matches, self.expressions = root, matches, expressions
        self._read: dict[int, tuple[tuple[_Word, Any], ...]] = {}  # by identity: the root keeps its parts

    def fits(self, schema: Any, value: Any) -> bool:
        if schema is True:
            return True
        if not isinstance(schema, Mapping):  # `false`: of a list's items, a fault of the list and not of the item
            return False
        if self.expressions and isinstance(value, str) and has_expression(value):
            return True
        words = self._read.get(id(schema))
        if words is None:
            words = self._read[id(schema)] = tuple(_words(schema, is_root=schema is self.root))
        return all(word(self, bound, value, schema) for word, bound in words)

    def strictly(self, schema: Any, value: Any) -> bool:
        """Say the same where a fault would be one of what is around: there a text is what it is."""
        if not self.expressions:
            return self.fits(schema, value)
        return _Walk(self.root, self.matches, expressions=False).fits(schema, value)


_Word = Callable[[_Walk, Any, Any, Mapping[str, Any]], bool]


def _words(schema: Mapping[str, Any], *, is_root: bool) -> Iterator[tuple[_Word, Any]]:
    for name, bound in schema.items():
        if word := _WORDS.get(name):
            yield word, bound
        elif not (name in _SILENT or name.startswith("x-") or (is_root and name in _OF_ROOTS)):
            yield _unknown, bound


def _unknown(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return False


def _type(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(bound, str):
        return _is(value, bound)
    return any(_is(value, name) for name in bound)


def _is(value: Any, name: str) -> bool:
    match name:
        case "string":
            return isinstance(value, str)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
        case _:
            return name == "null" and value is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ref(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    name = bound.removeprefix("#/$defs/")
    return name != bound and walk.fits(walk.root.get("$defs", {}).get(name), value)


def _properties(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    return all(walk.fits(bound[key], below) for key, below in value.items() if key in bound)


def _additional(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if bound is True or not isinstance(value, dict):
        return True
    more = extras(value, schema)
    return not more or (bound is not False and all(walk.fits(bound, value[key]) for key in more))


def _names(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return not isinstance(value, dict) or all(walk.strictly(bound, key) for key in value)


def _required(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return not isinstance(value, dict) or all(key in value for key in bound)


def _items(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return not isinstance(value, list) or all(walk.fits(bound, item) for item in value)


def _unique(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return not bound or not isinstance(value, list) or is_unique(value)


def _any_of(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return any(walk.strictly(one, value) for one in bound)


def _enum(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return is_one_of(value, bound)


def _const(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return isinstance(bound, str) and isinstance(value, str) and value == bound


def _pattern(walk: _Walk, bound: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    return not isinstance(value, str) or walk.matches(bound, value)


def _number(holds: Callable[[Any, Any], bool]) -> _Word:
    """Return the word that compares a number with a bound; what is not a number for both, such as NaN, is unsure."""
    return lambda walk, bound, value, schema: not _is_number(value) or holds(value, bound)


def _counted(kind: type[str] | type[list[Any]] | type[dict[str, Any]], holds: Callable[[Any, Any], bool]) -> _Word:
    return lambda walk, bound, value, schema: not isinstance(value, kind) or holds(len(value), bound)


_WORDS: Mapping[str, _Word] = {
    "type": _type, "$ref": _ref, "properties": _properties, "additionalProperties": _additional,
    "propertyNames": _names, "required": _required, "items": _items, "uniqueItems": _unique, "anyOf": _any_of,
    "enum": _enum, "const": _const, "pattern": _pattern,
    "minimum": _number(ge), "maximum": _number(le), "exclusiveMinimum": _number(gt), "exclusiveMaximum": _number(lt),
    "minLength": _counted(str, ge), "maxLength": _counted(str, le), "minItems": _counted(list, ge),
    "maxItems": _counted(list, le), "minProperties": _counted(dict, ge), "maxProperties": _counted(dict, le),
}  # fmt: skip
_SILENT: Sequence[str] = ("title", "description", "default", "examples", "$comment", "$defs")
_OF_ROOTS: Sequence[str] = ("$schema", "$id")  # further down, they would change what `$ref` and the words mean
