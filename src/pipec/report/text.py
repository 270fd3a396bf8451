"""Findings as a person reads them: beside the line they speak of, with carets below it."""

from __future__ import annotations

from pipec.diagnostics import Diagnostic, Loc, Note

MAX_LINE = 240  # characters of a source line that are shown: twice what people write


def render(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return findings with the lines they speak of, carets, notes and help."""
    return "\n".join(_paragraph(diagnostic) for diagnostic in diagnostics)


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
