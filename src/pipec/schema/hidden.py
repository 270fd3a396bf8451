"""Characters that a reader of a text cannot see, or would see as something else."""

from __future__ import annotations

import re
import unicodedata

from pipec.diagnostics import Finding, Loc, Source, Span
from pipec.schema import findings as kinds

# What a reader of the text cannot see, or would see as something else (Trojan Source, CVE-2021-42574).
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufdd0-\ufdef"
    "\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
# A carriage return alone ends a line for libyaml and for no diff; every place below it would be told a line too low.
_HIDDEN_IN_TEXT = re.compile(_HIDDEN.pattern + "|\r(?!\n)")


def in_text(source: Source) -> Finding | None:
    """Return the finding about the first of them in a text."""
    body = source.text.removeprefix("\ufeff")
    found = _HIDDEN_IN_TEXT.search(body)
    if found is None:
        return None
    before = body[: found.start()]
    line, column = before.count("\n") + 1, found.start() - before.rfind("\n")
    loc = Loc(source.path, Span(line, column, line, column + 1))
    return kinds.HIDDEN_CHARACTER.at(loc, _told(found[0]), help="remove it, or write it as an escape in data")


def message(value: str) -> str:
    """Return what to say of a value that has one, by an escape; empty if it has none."""
    found = _HIDDEN.search(value)
    return _told(found[0]) if found else ""


def _told(char: str) -> str:
    name = unicodedata.name(char, "a control character").lower()
    return f"a character that cannot be seen stands here: U+{ord(char):04X}, {name}"
