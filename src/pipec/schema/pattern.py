"""Regular expressions of users, matched in time that grows with the text alone. The only door to re2.

A pull request may declare a `pattern` and a value. A matcher that goes back, such as Python's, can be made to work on
forty letters for years; RE2 walks all ways at once (R. Cox, Regular Expression Matching in the Wild, 2010) and refuses
what that cannot do: looking around, and referring back to a group.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MAX_LENGTH = 1000  # characters of a pattern; what it stands for is bounded by the memory below
MAX_MEMORY = 1 << 20  # bytes that a compiled pattern and its states may take


class PatternError(ValueError):
    """The text is no pattern that is matched here; the message goes on after `the pattern`."""


def is_found(pattern: str, text: str) -> bool:
    """Say whether a pattern matches anywhere in a text. `$` is the end of the text alone (ECMA-262)."""
    return _compiled(pattern).search(text) is not None


def check(pattern: str) -> None:
    """Raise PatternError if a text is no pattern."""
    _compiled(pattern)


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    import re2  # lazily: few documents declare a pattern

    if len(text) > MAX_LENGTH:
        raise PatternError(f"is longer than {MAX_LENGTH:,} characters")
    options = re2.Options()
    options.log_errors, options.max_mem = False, MAX_MEMORY
    try:
        return re2.compile(text, options=options)
    except re2.error as fault:
        why = fault.args[0]
        raise PatternError(f"cannot be used: {why.decode() if isinstance(why, bytes) else why}") from None
