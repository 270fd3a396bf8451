"""Text to tree: YAML as values that know where they stand. The only door to yaml.

Built straight from libyaml's events, so that one pass checks every limit before anything is composed: the composing
loaders crash, hang or explode on hostile input that events survive. Scalars are those of YAML 1.2's core schema, as
editors read them; anything that two readers could see differently is refused.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from collections.abc import Mapping as Map
from typing import TypeAlias

import yaml

from pipec.diagnostics import MAX_ALIKE, START, Finding, Loc, Note, Rule, Source, Span, bounded, has_error
from pipec.record import frozen, mutable
from pipec.schema import findings as kinds
from pipec.schema import hidden, scalar, syntax
from pipec.values import Json

MAX_BYTES = 8 << 20
MAX_NODES = 250_000  # read in a second; a pipeline of 10,000 steps has half of it
MAX_DEPTH = 64
MAX_DOCUMENTS = 64
MAX_KEY = 1024  # characters, as libyaml has it for keys that no `?` announces

# A line of a directive: before the first document, or after a line `...`, which ends one even inside of a text.
_DIRECTIVE = re.compile(r"(?:\A|^\.\.\.(?:[ \t][^\n]*)?\r?\n)(?:[ \t]*(?:#[^\n]*)?\r?\n)*(%)", re.MULTILINE)
_MARKS = {"&": re.compile(r"&[^\s,\[\]{}]+"), "!": re.compile(r"!(?:<[^>]*>|[^\s,\[\]{}]*)")}


@frozen
class Scalar:
    """A leaf. is_quoted: written with quotes or as a block. is_plain: a `${{` in it is text, no expression."""

    value: None | bool | int | float | str
    loc: Loc
    is_quoted: bool = False
    is_plain: bool = False


@frozen
class Sequence:
    """A list."""

    items: tuple[Tree, ...]
    loc: Loc


@frozen
class Entry:
    """One key of a mapping and what stands under it."""

    key: str
    key_loc: Loc
    value: Tree


@frozen
class Mapping:
    """Keys and values in the file's order, each key once."""

    entries: tuple[Entry, ...]
    loc: Loc

    def entry(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)

    def get(self, key: str) -> Tree | None:
        entry = self.entry(key)
        return entry.value if entry else None


Tree: TypeAlias = Scalar | Sequence | Mapping


def as_json(tree: Tree) -> Json:
    """Return the tree as plain data."""
    match tree:
        case Scalar(value):
            return value
        case Sequence(items):
            return [as_json(item) for item in items]
        case Mapping(entries):
            return {entry.key: as_json(entry.value) for entry in entries}


def of_json(value: Json, loc: Loc) -> Tree:
    """Return plain data as a tree, all of it standing at one place."""
    if isinstance(value, Map):
        return Mapping(tuple(Entry(key, loc, of_json(below, loc)) for key, below in value.items()), loc)
    if isinstance(value, list | tuple):
        return Sequence(tuple(of_json(item, loc) for item in value), loc)
    assert value is None or isinstance(value, bool | int | float | str), f"tree.of_json got {type(value).__name__}"
    return Scalar(value, loc, isinstance(value, str))


class _Dumper(yaml.SafeDumper):
    """Writes block style and quotes every text that some reader could take for something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    is_word = _WORD.fullmatch(text) and text.lower() not in _WORDS_OF_YAML_1_1
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_word else '"')


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS_OF_YAML_1_1 = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_Dumper.add_representer(str, _represent_text)


def dump(value: Json) -> str:
    """Return plain data as a YAML document that YAML 1.1 and 1.2 readers see alike."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text


def read(source: Source) -> tuple[tuple[Tree, ...], tuple[Finding, ...]]:
    """Return the documents of a text, or what keeps it from being read. Never raises for any text."""
    if found := _unreadable(source):
        return (), (found,)
    return _Reader(source).documents()


def comments(source: Source, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Loc]]:
    """Yield what a pattern that begins with `#` finds in the comments of a readable text, with its place.

    The parser drops comments; they are what no scalar covers.
    """
    body = source.text.removeprefix("\ufeff")
    matches = list(pattern.finditer(body))
    if not matches:
        return
    events = yaml.parse(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    marks = [(event.start_mark, event.end_mark) for event in events if isinstance(event, yaml.ScalarEvent)]
    ends = {start.index: end.index for start, end in marks if start and end}
    starts = sorted(ends)
    for match in matches:
        before = bisect_right(starts, match.start())
        if before and match.start() < ends[starts[before - 1]]:
            continue
        line, column = body.count("\n", 0, match.start()) + 1, match.start() - body.rfind("\n", 0, match.start())
        yield match, Loc(source.path, Span(line, column, line, column + len(match[0])))


def _unreadable(source: Source) -> Finding | None:
    """Say what makes a text unfit to be parsed at all."""
    if len(source.text.encode("utf-8", "replace")) > MAX_BYTES:
        return kinds.TOO_LARGE.at(
            Loc(source.path, START),
            f"the file is larger than {MAX_BYTES >> 20} MiB",
            help="move data into a file that a step reads",
        )
    if found := hidden.in_text(source):
        return found
    if directive := _DIRECTIVE.search(source.text.removeprefix("\ufeff")):  # libyaml compares each with all others
        loc = hidden.placed(source, directive.start(1))
        return kinds.TAG.at(loc, "directives are not read", help="remove the line, or put the text in quotes")
    return None


@mutable
class _Open:
    """A collection that is being read. key: the key whose value comes next, in a mapping."""

    is_mapping: bool
    start: Span
    items: list[Tree]
    entries: list[Entry]
    seen: dict[str, Loc]
    key: tuple[str, Loc] | None = None


class _Stop(Exception):
    """Reading cannot go on: the finding says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Finding] = []
        self.roots: list[Tree] = []
        self.stack: list[_Open] = []
        self.nodes = 0
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """The lines of the text, as the parser counts them; split once, and only for a text with a mistake."""
        if not self._lines:
            self._lines = self.source.text.removeprefix("\ufeff").split("\n")
        return self._lines

    def documents(self) -> tuple[tuple[Tree, ...], tuple[Finding, ...]]:
        try:
            for event in self._events():
                self._take(event)
                if len(self.found) > MAX_ALIKE:
                    break
        except _Stop as stop:
            self.found.append(stop.finding)
        if not self.roots and not self.found:
            self.found.append(
                kinds.EMPTY.at(
                    Loc(self.source.path, START),
                    "the file holds no document",
                    help="begin with `apiVersion: pipec/v1alpha1` and `kind: Pipeline`",
                )
            )
        return (() if has_error(self.found) else tuple(self.roots)), tuple(bounded(self.found))

    def _events(self) -> Iterator[yaml.Event]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self.source.text.removeprefix("\ufeff"), Loader=loader)
        except yaml.MarkedYAMLError as fault:
            raise _Stop(self._misread(fault)) from None
        except (yaml.YAMLError, RecursionError, UnicodeError) as fault:
            raise _Stop(self._at(kinds.SYNTAX, START, f"this is not YAML: {fault}")) from None

    def _misread(self, fault: yaml.MarkedYAMLError) -> Finding:
        mark, start = fault.problem_mark or fault.context_mark, fault.context_mark
        stop = self._marked(mark) if mark else START
        line = self.lines[stop.line - 1]
        told = syntax.told(
            fault.problem or "", fault.context or "", line[: stop.column - 1], line[stop.column - 1 :][:1]
        )
        began = Loc(self.source.path, self._marked(start)) if start and told.has_begun else None
        if began and told.is_at_start:
            return kinds.SYNTAX.at(began, told.message, help=told.help)
        notes = [Note("it begins here", began)] if began else []
        return kinds.SYNTAX.at(Loc(self.source.path, stop), told.message, help=told.help, notes=notes)

    def _marked(self, mark: yaml.Mark) -> Span:
        """Return where the parser stopped: libyaml ends a last line that has no end, and stops on the line after it."""
        lines = self.lines
        line, column = (mark.line, mark.column) if mark.line < len(lines) else (len(lines) - 1, len(lines[-1]))
        return Span(line + 1, column + 1, line + 1, column + 2)

    def _at(self, rule: Rule, span: Span, message: str, help: str = "") -> Finding:  # noqa: A002
        return rule.at(Loc(self.source.path, span), message, help=help)

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._refuse_extras(event)
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_extras(event)
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(event)
            case yaml.AliasEvent():
                raise _Stop(self._at(kinds.ALIAS, _span(event), "aliases are not read", "write the value out"))
            case yaml.DocumentStartEvent():
                self._document(event)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        if len(self.roots) >= MAX_DOCUMENTS:
            raise _Stop(
                self._at(
                    kinds.TOO_LARGE,
                    _span(event),
                    f"the file holds more than {MAX_DOCUMENTS} documents",
                    "move some into another file",
                )
            )

    def _refuse_extras(self, event: yaml.NodeEvent) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _Stop(
                self._at(
                    kinds.TOO_LARGE,
                    _span(event),
                    f"the file holds more than {MAX_NODES:,} values",
                    "move data into a file that a step reads",
                )
            )
        if event.anchor is not None:
            at = self._mark_of(event, "&")
            found = self._at(kinds.ALIAS, at, f"the anchor `&{event.anchor}` is not read", "remove it")
            self.found.append(found)
        if getattr(event, "tag", None) is not None:
            tag = str(getattr(event, "tag", "")).replace("tag:yaml.org,2002:", "!!")
            self.found.append(
                self._at(kinds.TAG, self._mark_of(event, "!"), f"the tag `{tag}` is not read", "remove it")
            )

    def _mark_of(self, event: yaml.NodeEvent, sign: str) -> Span:
        """Return the place of the anchor or the tag before a value; both may stand there, on its first line."""
        span = _span(event)
        found = _MARKS[sign].search(self.lines[span.line - 1], span.column - 1)
        if found is None:
            return span
        return Span(span.line, found.start() + 1, span.line, found.end() + 1)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        span, text = self._written(_span(event)), event.value
        if event.style == '"' and (message := hidden.message(text)):
            self.found.append(self._at(kinds.HIDDEN_CHARACTER, span, message, "remove it"))
        if self.stack and self.stack[-1].is_mapping and self.stack[-1].key is None:
            self._key(text, span, is_plain=not event.style)
            return
        quoted = bool(event.style)  # None, or empty text, is plain: the two parsers differ
        value = text if quoted else self._resolve(text, span)
        self._put(Scalar(value, Loc(self.source.path, span), quoted))

    def _written(self, span: Span) -> Span:
        """Return the place of a value; of one that is not written, what stands before it, so that there is a place."""
        if span[:2] != span[2:] or not self.stack:
            return span
        key = self.stack[-1].key
        return key[1].span if key else span._replace(column=max(span.column - 1, 1), end_column=max(span.column, 2))

    def _key(self, text: str, span: Span, *, is_plain: bool) -> None:
        top, loc = self.stack[-1], Loc(self.source.path, span)
        if is_plain and text == "<<":
            self.found.append(kinds.ALIAS.at(loc, "merge keys are not read", help="write the keys out"))
        if len(text) > MAX_KEY:
            fault = kinds.KEY.at(loc, f"a key is longer than {MAX_KEY:,} characters", help="make it a value")
            raise _Stop(fault)
        if is_plain and text in ("", "~", "null"):
            self.found.append(kinds.KEY.at(loc, "a key must be text", help=f'put it in quotes: `"{text}":`'))
        name = unicodedata.normalize("NFC", text)
        if name in top.seen:
            first = Note(f"`{name}` stands here first", top.seen[name])
            self.found.append(
                kinds.REPEATED_KEY.at(loc, f"the key `{name}` stands twice", help="keep one", notes=[first])
            )
        top.seen.setdefault(name, loc)
        top.key = (name, loc)

    def _resolve(self, text: str, span: Span) -> None | bool | int | float | str:
        value, told = scalar.resolve(text)
        self.found += [self._at(rule, span, message, advice) for rule, message, advice in told]
        return value

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        span, is_mapping = _span(event), isinstance(event, yaml.MappingStartEvent)
        if self.stack and self.stack[-1].is_mapping and self.stack[-1].key is None:
            raise _Stop(
                self._at(kinds.KEY, span, "a key must be text, not a list or a mapping", "write a word before the `:`")
            )
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop(
                self._at(
                    kinds.TOO_LARGE,
                    span,
                    f"values are nested more than {MAX_DEPTH} deep",
                    "move what lies deep into a file that a step reads",
                )
            )
        self.stack.append(_Open(is_mapping, span, [], [], {}))

    def _close(self, event: yaml.Event) -> None:
        top = self.stack.pop()
        last = top.entries[-1].value.loc.span if top.entries else top.items[-1].loc.span if top.items else None
        # A block collection's end has no width and lies before the next token, lines below; a flow's is its bracket.
        end = _span(event)
        is_block = end[:2] == end[2:]
        stop = (last.end_line, last.end_column) if is_block and last else (end.end_line, end.end_column)
        loc = Loc(self.source.path, Span(top.start.line, top.start.column, *stop))
        self._put(Mapping(tuple(top.entries), loc) if top.is_mapping else Sequence(tuple(top.items), loc))

    def _put(self, node: Tree) -> None:
        if not self.stack:
            self.roots.append(node)
            return
        top = self.stack[-1]
        if not top.is_mapping:
            top.items.append(node)
            return
        assert top.key is not None, "tree._put got a value without its key (_scalar and _open should have taken it)"
        top.entries.append(Entry(*top.key, node))
        top.key = None


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start and end, "tree._span got an event without marks (the parser should set both)"
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
