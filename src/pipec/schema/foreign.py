"""YAML that others wrote, as plain data whose parts can be found again: what compilers of pipelines emit.

Reads as the API server's YAML 1.2 reader does: `1e-3` is a number and `yes` is text. Unlike `tree`, it takes aliases
and files of many megabytes. It must not know what a document means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import yaml

from pipec.diagnostics import START, Finding, Loc, Rule, Source, Span
from pipec.record import frozen, mutable

MAX_BYTES = 64 << 20  # twice what the API server takes, so that the finding can say so
MAX_DIGITS = 400  # what has more is beyond any double, and Python writes out no number without end
MAX_DEPTH = 100
MAX_VALUES = 5_000_000  # with aliases written out: a short file can hold any number

_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")  # go-yaml v3, resolve.go
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    "-.inf": float("-inf"), ".nan": float("nan"), ".NaN": float("nan"),
}  # fmt: skip


@mutable
class Marks:
    """Where a value stands, and the parts of it. keys: where the key of each part stands; a list has none."""

    span: Span
    parts: dict[str | int, Marks] = field(default_factory=dict)
    keys: dict[str | int, Span] = field(default_factory=dict)


@frozen
class Document:
    """One document: plain data, and where its parts stand."""

    value: Any
    marks: Marks

    def span(self, path: tuple[str | int, ...]) -> Span:
        """Return where a part stands: a text itself, a collection by its key, and what is missing by what lacks it."""
        found, last = self.marks, _first(self.marks)
        for part in path:
            below = found.parts.get(part)
            if below is None:
                return last
            last = found.keys.get(part) or _first(below)
            found = below
        return found.span if path and not found.parts else last


def _first(marks: Marks) -> Span:
    return next(iter(marks.keys.values()), marks.span)


def read(source: Source, unreadable: Rule) -> tuple[tuple[Document, ...], tuple[Finding, ...]]:
    """Return the documents of a text, or why it cannot be read. unreadable: the kind that this is. Never raises."""
    try:
        return tuple(_documents(source.text)), ()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        span = _span_of(mark, mark) if mark else START
        told = (fault.problem or fault.context or "it cannot be parsed").replace("`", "'")
        return (), (unreadable.at(Loc(source.path, span), f"this is not YAML: {told}"),)
    except yaml.reader.ReaderError as fault:
        at = Loc(source.path, _span_at(source.text, chr(fault.character)))
        return (), (unreadable.at(at, f"this is not YAML: the character U+{fault.character:04X} may not stand in it"),)
    except _Refused as fault:
        return (), (unreadable.at(Loc(source.path, fault.span), fault.message),)


class _Refused(Exception):
    """A text is YAML that is not read."""

    def __init__(self, span: Span, message: str) -> None:
        super().__init__(message)
        self.span, self.message = span, message


@mutable
class _Open:
    """A collection that is being read. size: of all that is in it, with aliases written out."""

    value: Any
    marks: Marks
    anchor: str | None
    size: int = 1
    key: str | None = None


def _documents(text: str) -> Iterator[Document]:
    stack: list[_Open] = []
    anchors: dict[str, tuple[Any, Marks, int]] = {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(text.removeprefix("\ufeff"), Loader=loader):
        done: tuple[Any, Marks, int] | None = None
        if isinstance(event, yaml.ScalarEvent):
            if stack and isinstance(stack[-1].value, dict) and stack[-1].key is None:
                _key(stack[-1], event)
                continue
            done = (event.value if event.style else plain(event.value)), Marks(_span(event)), 1
            if event.anchor:
                anchors[event.anchor] = done
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise _Refused(_span(event), f"the alias `{event.anchor}` stands for nothing before it")
            done = anchors[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append(_opened(event, len(stack) + 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            top = stack.pop()
            done = top.value, top.marks, top.size
            if top.anchor:
                anchors[top.anchor] = done
        elif isinstance(event, yaml.DocumentStartEvent):
            anchors.clear()
        if done and stack:
            _put(stack[-1], done, event)
        elif done:
            yield Document(done[0], done[1])


def _opened(event: yaml.CollectionStartEvent, depth: int) -> _Open:
    if depth > MAX_DEPTH:
        raise _Refused(_span(event), f"values are nested more than {MAX_DEPTH} deep")
    return _Open({} if isinstance(event, yaml.MappingStartEvent) else [], Marks(_span(event)), event.anchor)


def _key(top: _Open, event: yaml.ScalarEvent) -> None:
    name = str(event.value)
    if name in top.value:
        raise _Refused(_span(event), f"the key `{name}` stands twice")
    top.key = name
    top.marks.keys[name] = _span(event)


def _put(top: _Open, done: tuple[Any, Marks, int], event: yaml.Event) -> None:
    value, marks, size = done
    top.size += size
    if top.size > MAX_VALUES:
        raise _Refused(_span(event), f"the file holds more than {MAX_VALUES:,} values")
    if isinstance(top.value, list):
        top.marks.parts[len(top.value)] = marks
        top.value.append(value)
        return
    if top.key is None:
        raise _Refused(_span(event), "a key must be text")
    top.value[top.key], top.marks.parts[top.key], top.key = value, marks, None


def plain(text: str) -> Any:
    """Return what an unquoted scalar is to a YAML 1.2 reader."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    if _INT.fullmatch(text):
        digits = text.replace("_", "").lower()
        if len(digits) > MAX_DIGITS:
            return float("-inf" if digits[0] == "-" else "inf")
        try:
            return int(digits, 8 if re.fullmatch(r"[-+]?0[0-7]+", digits) else 0)
        except ValueError:  # `08`, which is a float there
            pass
    return float(text) if _FLOAT.fullmatch(text) else text


def _span_at(text: str, character: str) -> Span:
    before, _, _ = text.partition(character)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Span(line, column, line, column + 1)


def _span(event: yaml.Event) -> Span:
    return _span_of(event.start_mark, event.end_mark)


def _span_of(start: Any, end: Any) -> Span:
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
