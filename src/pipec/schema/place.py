"""Where a piece of a scalar's value stands in its file.

The value and its source differ by quotes, escapes, folding and indentation, but for white space their characters come
in the same order. So the source is read as its style says, and characters are counted. Knows nothing of expressions.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from pipec.diagnostics import Loc, Source, Span

# Runs are short, so that finding one character in a line of megabytes costs little.
_PLAIN = re.compile(r"\S{1,256}")
_SINGLE = re.compile(r"''|[^'\s]{1,256}")
_DOUBLE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)|[^\\\s]{1,256}")
# Escapes that mean white space. Of the others with one character, `"`, `/` and `\` mean themselves; the rest means what
# the reader refuses (PIPE004), so no place is asked for in it.
_WHITE = "tnr_ \t"


class _Run(NamedTuple):
    """Characters of a source line. text: what they mean; of an escape, another text than they are."""

    line: int
    column: int
    width: int
    text: str


class Places:
    """Finds pieces of the scalars of one source; those of one scalar are best asked for in a row."""

    def __init__(self, source: Source) -> None:
        self.lines = source.text.removeprefix("\ufeff").split("\n")
        self.loc: Loc | None = None
        self.runs: list[_Run] = []
        self.starts: list[int] = []  # how many characters stand before each run
        self.counted = (0, 0)  # an offset in the value, and how many characters stand before it

    def of(self, loc: Loc, text: str, start: int, end: int) -> Loc:
        """Return where `text[start:end]` stands. text: the value of the scalar at `loc`.

        What is missing at the end is told at the last character. Where the source says something else than the value,
        the whole scalar is the place.
        """
        piece = text[start:end].rstrip()
        if not piece.strip():
            start = max(0, len(text[:start].rstrip()) - 1)
            piece = text[start : start + 1]
        if self.loc != loc:
            self._open(loc)
        first = self._n_before(text, start)
        last = first + len("".join(piece.split())) - 1
        begins, ends = self._nth(first), self._nth(last)
        if not piece or not (begins and ends and begins.text == piece[0] and ends.text == piece[-1]):
            return loc
        return Loc(loc.path, Span(begins.line, begins.column, ends.line, ends.column + ends.width))

    def _open(self, loc: Loc) -> None:
        self.loc, self.counted = loc, (0, 0)
        self.runs = list(self._runs(loc.span))
        self.starts, total = [], 0
        for run in self.runs:
            self.starts.append(total)
            total += len(run.text)

    def _n_before(self, text: str, offset: int) -> int:
        """Return how many characters stand before an offset; what was counted before is not counted again."""
        at, count = self.counted if self.counted[0] <= offset else (0, 0)
        count += len("".join(text[at:offset].split()))
        self.counted = (offset, count)
        return count

    def _nth(self, number: int) -> _Run | None:
        """Return one character of the source, counted from 0."""
        at = bisect_right(self.starts, number) - 1
        if at < 0 or number - self.starts[at] >= len(self.runs[at].text):
            return None
        run, inside = self.runs[at], number - self.starts[at]
        if run.width != len(run.text):
            return run
        return _Run(run.line, run.column + inside, 1, run.text[inside])

    def _runs(self, span: Span) -> Iterator[_Run]:
        """Yield what a scalar's source means, without white space."""
        line = self.lines[span.line - 1] if span.line <= len(self.lines) else ""
        style = line[span.column - 1 : span.column]
        is_block, is_quoted = style in ("|", ">"), style in ("'", '"')
        pattern = {"'": _SINGLE, '"': _DOUBLE}.get(style, _PLAIN)
        for number in range(span.line + is_block, min(span.end_line, len(self.lines)) + 1):
            line = self.lines[number - 1]
            left = span.column - 1 + is_quoted if number == span.line else 0
            right = span.end_column - 1 - is_quoted if number == span.end_line else len(line)
            for found in pattern.finditer(line, left, right):
                meant = _meaning(found[0], style)
                if meant:
                    yield _Run(number, found.start() + 1, len(found[0]), meant)


def _meaning(written: str, style: str) -> str:
    """Return what some characters of a source mean, or an empty text for white space."""
    if style == "'" and written == "''":
        return "'"
    if style != '"' or not written.startswith("\\"):
        return written
    code, digits = written[1], written[2:]
    meant = chr(int(digits, 16)) if digits else code
    return "" if code in _WHITE or meant.isspace() else meant
