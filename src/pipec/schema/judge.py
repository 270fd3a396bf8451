"""What a value has against a schema, as plain values. The only door to jsonschema.

It is loaded where something may be wrong, since most documents are right and loading it takes longer than judging them
(`fits.py`). It must know nothing of places and of what users are told: that is `check.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from pipec.schema.fits import surely_fits
from pipec.schema.keywords import judges
from pipec.values import Json


class Problem(NamedTuple):
    """One disagreement between a value and a schema, free of the validator that found it.

    path: keys and indices to the value. keyword, bound: the schema's word that failed, and what it says. names: whether
    it failed for a key rather than for a value.
    """

    path: tuple[str | int, ...]
    keyword: str
    bound: Any
    schema: Mapping[str, Any]
    instance: Json
    names: bool


def document_problems(value: Json, wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a document has against one of pipec's schemas."""
    if not surely_fits(value, wanted, is_own=True, expressions=False):
        yield from problems(value, wanted, is_own=True)


def value_problems(value: Json, wanted: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a value has against the schema of a parameter.

    Of a text that holds an expression, what is yielded is to be dropped: there may be some of it, or none.
    """
    if not surely_fits(value, wanted, is_own=False, expressions=True):
        yield from problems(value, wanted, is_own=False)


def schema_fault(wanted: Mapping[str, Any], plain: Mapping[str, Any]) -> Problem | None:
    """Return what is wrong with a schema that a user wrote. plain: the schema of schemas that surely are some."""
    if surely_fits(dict(wanted), plain, is_own=True, expressions=False):
        return None
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import SchemaError

    no_formats = FormatChecker(())  # Python's `re`, which would judge `pattern` here, is not what matches it
    try:
        Draft202012Validator.check_schema(wanted, format_checker=no_formats)
    except SchemaError as fault:
        return _problem(fault)
    return None


def problems(value: Json, wanted: Mapping[str, Any], *, is_own: bool) -> Iterator[Problem]:
    """Yield all that jsonschema finds. is_own: the schema is one of pipec's, whose patterns are known."""
    validator = _validator_class(is_own=True)(wanted) if is_own else _validator(json.dumps(wanted, sort_keys=True))
    yield from map(_problem, validator.iter_errors(value))


def _problem(error: Any) -> Problem:
    wanted = error.schema if isinstance(error.schema, Mapping) else {}
    path = tuple(error.absolute_path)
    names = "propertyNames" in error.absolute_schema_path
    return Problem(path, str(error.validator), error.validator_value, wanted, error.instance, names)


@lru_cache(maxsize=1024)
def _validator(text: str) -> Any:
    return _validator_class(is_own=False)(json.loads(text))


@cache
def _validator_class(*, is_own: bool) -> Any:
    """Return jsonschema's validator with some of its words judged otherwise."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def told(judge: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[ValidationError]]:
        return lambda *what: (ValidationError(f) if isinstance(f, str) else f for f in judge(*what))

    judged = judges(is_own=is_own)
    return extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {word: told(judge) for word, judge in judged.items()}
    )
