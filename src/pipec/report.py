"""Findings as people and machines read them. Pure: values in, text out; who prints is the command line."""

from __future__ import annotations

import json

from pipec.diagnostics import Diagnostic, Loc, Note, Report, Severity

FORMATS = ("text", "json")
FORMAT_VERSION = "1.0"
MAX_LINE = 240  # characters of a source line that are shown: twice what people write


def render(report: Report, form: str, *, strict: bool = False) -> str:
    """Return a report in one of FORMATS, ending with a newline unless it is empty."""
    diagnostics = report.diagnostics(strict=strict)
    return as_json(diagnostics) if form == "json" else as_text(diagnostics)


def as_text(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return findings with the lines they speak of, carets, notes and help."""
    return "\n".join(_paragraph(diagnostic) for diagnostic in diagnostics)


def summary(report: Report, *, strict: bool = False) -> str:
    """Return how many findings there are, in a few words."""
    severities = [diagnostic.severity for diagnostic in report.diagnostics(strict=strict)]
    counts = [(severities.count(severity), severity.value) for severity in Severity]
    return ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n) or "no findings"


def _paragraph(diagnostic: Diagnostic) -> str:
    finding, span = diagnostic.finding, diagnostic.finding.loc.span
    head = f"{_place(finding.loc)}: {diagnostic.severity}: {finding.message} [{finding.rule.code} {finding.rule.name}]"
    gutter = " " * len(str(span.line))
    lines = [head]
    if diagnostic.line.strip():
        end = span.end_column if span.end_line == span.line else len(diagnostic.line) + 1
        text, column = _window(diagnostic.line, span.column)
        width = max(1, min(end - span.column, len(text) + 1 - column))
        lead = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
        lines += [f"{gutter} |", f"{span.line} | {text}", f"{gutter} | {lead}{'^' * width}"]
    lines += [f"{gutter} = note: {_note(note)}" for note in finding.notes]
    if finding.help:
        lines.append(f"{gutter} = help: {finding.help}")
    return "\n".join(lines) + "\n"


def _window(line: str, column: int) -> tuple[str, int]:
    """Return the part of a line around `column`, and the column in it: a document may be one line of megabytes."""
    if len(line) <= MAX_LINE:
        return line, column
    start = max(0, min(column - 1 - MAX_LINE // 4, len(line) - MAX_LINE))
    before, after = "..." * (start > 0), "..." * (start + MAX_LINE < len(line))
    return f"{before}{line[start : start + MAX_LINE]}{after}", column - start + len(before)


def _place(loc: Loc) -> str:
    return f"{loc.path}:{loc.span.line}:{loc.span.column}"


def _note(note: Note) -> str:
    return f"{_place(note.loc)}: {note.message}" if note.loc else note.message


def as_json(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return findings as one JSON document; minor versions only add."""
    body = {"format_version": FORMAT_VERSION, "findings": [_object(diagnostic) for diagnostic in diagnostics]}
    return json.dumps(body, indent=2) + "\n"


def _object(diagnostic: Diagnostic) -> dict[str, object]:
    finding = diagnostic.finding
    return {
        "code": finding.rule.code,
        "name": finding.rule.name,
        "severity": diagnostic.severity.value,
        **_located(finding.loc),
        "message": finding.message,
        "help": finding.help,
        "related": [{**(_located(note.loc) if note.loc else {}), "message": note.message} for note in finding.notes],
    }


def _located(loc: Loc) -> dict[str, object]:
    span = loc.span
    return {
        "path": loc.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
