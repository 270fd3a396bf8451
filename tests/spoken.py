"""What can be held mechanically of what is said about a text: the house's rules for messages, and where they point."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pipec.diagnostics import START, Finding, Loc, Span

_QUOTED = re.compile(r"`[^`]*`")
# In our own words; between backticks stands what somebody typed.
_FORBIDDEN = re.compile(
    r"\b([Ii]nvalid|[Ii]llegal|[Ff]ailed to|[Uu]nable to|[Pp]lease|[Ss]orry|additional properties|does not match|"
    r"str|int|float|bool|dict|tuple|NoneType|None|True|False|Traceback|\w*Exception|\w*Error|object at)\b|!|#/"
)
_NOTHING_SHOWN = re.compile(r"(?:^|[\s(])``(?:[\s,).]|$)")


def faults(finding: Finding, texts: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield what is wrong with how a finding is told. texts: the lines of the files, by path."""
    said = {"message": finding.message, "help": finding.help}
    said |= {f"note {at}": note.message for at, note in enumerate(finding.notes)}
    for where, text in said.items():
        for fault in broken(text) if text or where == "message" else ():
            yield f"{finding.rule.code} {where}: {fault}: {text!r}"
    for loc in (finding.loc, *(note.loc for note in finding.notes if note.loc)):
        for fault in _misplaced(loc, texts):
            yield f"{finding.rule.code} at {loc.span}: {fault}"


def broken(text: str) -> Iterator[str]:
    """Yield what is wrong with one line of ours."""
    ours = _QUOTED.sub("`", text)
    if not re.match(r"[a-z0-9`$(#]", text):
        yield "begins with a capital"
    if text.endswith(".") and not text.endswith("..."):
        yield "ends with a full stop"
    if "\n" in text or text != text.strip():
        yield "is no single line"
    if found := _FORBIDDEN.search(ours):
        yield f"says {found[0]!r}"
    if _NOTHING_SHOWN.search(text):
        yield "shows nothing between backticks"
    if text.count("`") % 2 and len(text) < 900:
        yield "has a backtick without its other"
    if "  " in ours:
        yield "has two spaces"


def _misplaced(loc: Loc, texts: Mapping[str, list[str]]) -> Iterator[str]:
    if loc.span == START:
        return  # it is about the file as a whole
    line, column, end_line, end_column = loc.span
    lines = texts.get(loc.path)
    if lines is None:
        yield f"no text of {loc.path} is at hand"
        return
    if not 1 <= line <= end_line <= len(lines) or not 1 <= column <= len(lines[line - 1]) + 1:
        yield "outside of the text"
    elif end_column > len(lines[end_line - 1]) + 2:
        yield "ends behind its line"
    elif (line, column) >= (end_line, end_column):
        yield "points at nothing"


def at(line: int, column: int, width: int) -> Loc:
    """Return a place on one line."""
    return Loc("p.yaml", Span(line, column, line, column + width))
