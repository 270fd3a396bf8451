"""What pipec says about a user's text, as values.

The lowest room of the house: every stage returns findings of this form and none prints. It must not know YAML, rules or
terminals.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import NamedTuple

from pipec.record import frozen


class Severity(StrEnum):
    """How much a finding weighs: an error stops the stages that follow, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Ignorable(StrEnum):
    """Where somebody may answer for a finding, so that it counts no more.

    NOWHERE: nothing could be made of the text with it. LINE: on its line, or in the project's file. PROJECT: in the
    project's file alone, because a change of the pipeline must not bring its own permission.
    """

    NOWHERE = "nowhere"
    LINE = "on its line"
    PROJECT = "in the project's file"


class Span(NamedTuple):
    """A stretch of text: 1-based lines and columns in code points; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


START = Span(1, 1, 1, 1)
STDIN = "<stdin>"  # the path under which standard input is known
MAX_TEXT = 1000  # of a message: what a user wrote is quoted in it, and may be megabytes
MAX_LISTED = 20  # names in one help line: a document may hold thousands
MAX_GUESSES = 100  # words compared for one suggestion
MAX_WORD = 200  # letters of a word that a suggestion is looked for
MAX_ALIKE = 250  # findings told of one search; to tell thousands, each with a guess, takes seconds
_ENDS_OF_LINES = str.maketrans({"\n": "\\n", "\r": "\\r"})


class Loc(NamedTuple):
    """A span of a file, by the path under which the user knows that file."""

    path: str
    span: Span


@frozen
class Source:
    """A text as it was read, once; everything later speaks of this snapshot.

    path: as the user wrote it, with `/` between its parts; STDIN for standard input.
    """

    path: str
    text: str


@frozen
class Rule:
    """One kind of finding.

    code: `PIPE` and three digits, never reused. name: the same in words.
    doc: what `pipec explain` prints: one sentence, then the sections `Why:`, `Bad:` and `Fix:`.
    hides: what it points at must not be shown again, as the value of a secret.
    """

    code: str
    name: str
    doc: str
    severity: Severity = Severity.ERROR
    hides: bool = False
    ignorable: Ignorable = Ignorable.NOWHERE

    def at(self, loc: Loc, message: str, *, help: str = "", notes: Iterable[Note] = ()) -> Finding:  # noqa: A002
        """Return a finding of this kind at `loc`; its texts are made lines of bounded length."""
        told = tuple(Note(one_line(note.message), note.loc) for note in notes)
        return Finding(self, loc, one_line(message), one_line(help), told)

    @property
    def summary(self) -> str:
        """The first sentence of the page."""
        return self.doc.strip().split("\n", 1)[0]


@frozen
class Note:
    """A related place, or a remark without one, under a finding."""

    message: str
    loc: Loc | None = None


@frozen
class Finding:
    """One thing that is wrong at one place.

    message: lower case, no full stop, the user's words. help: what to write instead, fit to be pasted; empty if none.
    """

    rule: Rule
    loc: Loc
    message: str
    help: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.rule.severity is Severity.ERROR

    def severity(self, *, strict: bool = False) -> Severity:
        """Return how much it weighs for the caller: `strict` makes every warning an error."""
        return Severity.ERROR if strict else self.rule.severity


@frozen
class Diagnostic:
    """A finding as it is reported: judged by the caller's policy, and beside the line it speaks of."""

    finding: Finding
    severity: Severity
    line: str


@frozen
class Ignored:
    """A finding that somebody has answered for. reason: theirs. loc: where they said so."""

    finding: Finding
    reason: str
    loc: Loc


@frozen
class Report:
    """The findings of one call, sorted by place, and the texts they speak of. ignored: those that count no more."""

    findings: tuple[Finding, ...] = ()
    sources: tuple[Source, ...] = field(default=(), repr=False)
    ignored: tuple[Ignored, ...] = ()

    def diagnostics(self, *, strict: bool = False) -> tuple[Diagnostic, ...]:
        """Return the findings beside their source lines; `strict` makes every warning an error."""
        line = _lines(self)
        return tuple(Diagnostic(found, found.severity(strict=strict), line(found.loc)) for found in self.findings)


def joined(reports: Iterable[Report]) -> Report:
    """Return several reports as one: what they share, as a project's file, is told once."""
    whole = tuple(reports)
    ignored = {(one.loc, *_key(one.finding)): one for report in whole for one in report.ignored}
    return Report(
        ordered(finding for report in whole for finding in report.findings),
        tuple({source.path: source for report in whole for source in report.sources}.values()),
        tuple(ignored.values()),
    )


def _lines(report: Report) -> Callable[[Loc], str]:
    """Return what gives the line a place is in, with `*` over whatever a rule of this report hides, once a line."""
    texts = {source.path: source.text.split("\n") for source in report.sources}
    hidden = _hidden((*report.findings, *(ignored.finding for ignored in report.ignored)))
    known: dict[tuple[str, int], str] = {}

    def line(loc: Loc) -> str:
        number = loc.span.line
        if (loc.path, number) not in known:
            lines = texts.get(loc.path, [])
            text = lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""
            known[loc.path, number] = _masked(text, number, hidden.get(loc.path, ()))
        return known[loc.path, number]

    return line


def _hidden(findings: Iterable[Finding]) -> dict[str, list[Span]]:
    """Return the spans of each file that must not be shown, sorted and apart."""
    found: dict[str, list[Span]] = {}
    for path, span in sorted(finding.loc for finding in findings if finding.rule.hides):
        spans = found.setdefault(path, [])
        if spans and span[:2] <= spans[-1][2:]:
            spans[-1] = Span(*spans[-1][:2], *max(spans[-1][2:], span[2:]))
        else:
            spans.append(span)
    return found


def _masked(text: str, number: int, spans: Sequence[Span]) -> str:
    """Return line `number` with `*` in place of each character of the spans; they are sorted and apart."""
    at = bisect_left(spans, number, key=lambda span: span.end_line)
    if at == len(spans) or spans[at].line > number:
        return text
    kept, end = [], 0
    while at < len(spans) and spans[at].line <= number:
        span = spans[at]
        start = span.column - 1 if span.line == number else 0
        kept.append(text[end:start])
        end = min(span.end_column - 1, len(text)) if span.end_line == number else len(text)
        kept.append("*" * (end - start))
        at += 1
    return "".join((*kept, text[end:]))


def one_line(text: str) -> str:
    """Return a text as a reader of lines may be given it: no line ends, and not longer than MAX_TEXT."""
    text = text.translate(_ENDS_OF_LINES)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def has_error(findings: Iterable[Finding]) -> bool:
    """Say whether a stage after these findings must not run."""
    return any(finding.is_error for finding in findings)


def bounded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the first findings of a search; the last of them says so where there are more, which are not looked for."""
    last: Finding | None = None
    for number, finding in enumerate(findings):
        if last and number == MAX_ALIKE:
            last = replace(last, notes=(*last.notes, Note("there are more like this, which are not told")))
            break
        if last:
            yield last
        last = finding
    if last:
        yield last


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by place, then code; the same set always in the same order, each once."""
    unique = {_key(finding): finding for finding in findings}
    return tuple(unique[key] for key in sorted(unique))


def _key(finding: Finding) -> tuple[Loc, str, str]:
    return finding.loc, finding.rule.code, finding.message


class Words(tuple[str, ...]):
    """Known words in order: where many are looked up among the same ones, they are sorted once."""

    __slots__ = ()

    @classmethod
    def of(cls, known: Iterable[str]) -> Words:
        return known if isinstance(known, Words) else cls(sorted(known))

    def __contains__(self, word: object) -> bool:
        at = bisect_left(self, word) if isinstance(word, str) else len(self)
        return at < len(self) and self[at] == word


def guess(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most likely meant, or None if none is close.

    Of very many words only those that sort near are tried: a document may hold thousands of names, all of them wrong.
    """
    if len(word) > MAX_WORD:
        return None
    from difflib import get_close_matches  # lazily: only a document with a mistake pays for it

    words = Words.of(known)
    at = bisect_left(words, word)
    near = words if len(words) <= MAX_GUESSES else words[max(0, at - MAX_GUESSES // 2) : at + MAX_GUESSES // 2]
    return next(iter(get_close_matches(word, near, n=1, cutoff=0.6)), None)


def suggest(word: str, known: Iterable[str], opening: str = "known:") -> str:
    """Return a help line: the nearest known name, if one is near, and all of them."""
    listed = Words.of(known)
    close = guess(word, listed)
    named = ", ".join(f"`{name}`" for name in listed[:MAX_LISTED])
    more = f" and {len(listed) - MAX_LISTED} more" if len(listed) > MAX_LISTED else ""
    hint = f"did you mean `{close}`? " if close else ""
    return hint + (f"{opening} {named}{more}" if listed else "none is declared")
