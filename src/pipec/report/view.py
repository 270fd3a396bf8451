"""What every form of the findings is made from, and the few words that several of them share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipec.diagnostics import Diagnostic, Finding, Ignored, Loc, Note, Report, Severity
from pipec.digest import of_value
from pipec.record import frozen
from pipec.report.style import visible


@frozen
class View:
    """A report as its caller judges it. ignored: with the weight each would have. files: the paths of all it is about.

    All of them are sorted: by place, and paths as text.
    """

    diagnostics: tuple[Diagnostic, ...]
    ignored: tuple[tuple[Ignored, Severity], ...]
    files: tuple[str, ...]


def view(report: Report, *, strict: bool) -> View:
    """Return what the forms show of a report."""
    ignored = sorted(report.ignored, key=lambda one: (one.finding.loc, one.finding.rule.code, one.finding.message))
    found = [*report.findings, *(one.finding for one in ignored)]
    return View(
        report.diagnostics(strict=strict),
        tuple((one, one.finding.severity(strict=strict)) for one in ignored),
        tuple(sorted({source.path for source in report.sources} | {finding.loc.path for finding in found})),
    )


def place(loc: Loc) -> str:
    """Return a place as a person writes it, on one line whatever the path."""
    return f"{visible(loc.path)}:{loc.span.line}:{loc.span.column}"


def told(note: Note) -> str:
    """Return a note with its place, if it has one."""
    message = visible(note.message)
    return f"{place(note.loc)}: {message}" if note.loc else message


def label(finding: Finding) -> str:
    """Return what a finding is called: its code and the same in words."""
    return f"{finding.rule.code} {finding.rule.name}"


def details(finding: Finding, *, is_placed: bool = True) -> Iterator[str]:
    """Yield the lines below a finding's message: its notes, then its help. is_placed: with notes that have a place."""
    for note in finding.notes:
        if is_placed or note.loc is None:
            yield f"note: {told(note)}"
    if finding.help:
        yield f"help: {visible(finding.help)}"


def fingerprints(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return a digest of each finding that stays when lines move: of code, path, message and number among equals."""
    seen: dict[tuple[str, str, str], int] = {}
    made: list[str] = []
    for finding in findings:
        key = (finding.rule.code, finding.loc.path, finding.message)
        seen[key] = seen.get(key, 0) + 1
        made.append(of_value([*key, seen[key]]).removeprefix("sha256:"))
    return tuple(made)
