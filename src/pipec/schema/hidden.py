"""Characters that a reader of a text cannot see, or would see as something else."""

from __future__ import annotations

import re
import unicodedata

from pipec.diagnostics import Finding, Loc, Source, Span
from pipec.schema import findings as kinds

# What a reader of the text cannot see, or would see as something else (Trojan Source, CVE-2021-42574): controls, marks
# of direction, what has no width, fillers, tags, and the code points that are no characters, two in each plane.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u3164"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
# A carriage return alone ends a line for libyaml and for no diff; every place below it would be told a line too low.
_HIDDEN_IN_TEXT = re.compile(_HIDDEN.pattern + "|\r(?!\n)")


def in_text(source: Source) -> Finding | None:
    """Return the finding about the first of them in a text."""
    body = source.text.removeprefix("\ufeff")
    found = _HIDDEN_IN_TEXT.search(body)
    if found is None:
        return None
    advice = "remove it, or write it as an escape in data"
    return kinds.HIDDEN_CHARACTER.at(placed(source, found.start()), _told(found[0]), help=advice)


def placed(source: Source, offset: int) -> Loc:
    """Return the place of a character of a text, not counting its mark of byte order."""
    before = source.text.removeprefix("\ufeff")[:offset]
    line, column = before.count("\n") + 1, offset - before.rfind("\n")
    return Loc(source.path, Span(line, column, line, column + 1))


def message(value: str) -> str:
    """Return what to say of a value that has one, by an escape; empty if it has none."""
    found = _HIDDEN.search(value)
    return _told(found[0]) if found else ""


def _told(char: str) -> str:
    name = unicodedata.name(char, "a control character").lower()
    return f"a character that cannot be seen stands here: U+{ord(char):04X}, {name}"
