"""Findings as a person reads them: beside the line they speak of, with carets below it."""

from __future__ import annotations

from pipec.diagnostics import Diagnostic, Severity
from pipec.report.style import PLAIN, Paint, Role, visible
from pipec.report.view import View, label, place, told

MAX_LINE = 240  # characters of a source line that are shown: twice what people write


def render(view: View, paint: Paint) -> str:
    """Return findings with the lines they speak of, carets, notes and help."""
    return "\n".join(paragraph(diagnostic, paint) for diagnostic in view.diagnostics)


def paragraph(diagnostic: Diagnostic, paint: Paint = PLAIN) -> str:
    """Return one finding as lines, each with its end."""
    finding, span = diagnostic.finding, diagnostic.finding.loc.span
    role = Role.ERROR if diagnostic.severity is Severity.ERROR else Role.WARNING
    severity, message = paint(diagnostic.severity, role), paint(visible(finding.message), Role.MESSAGE)
    gutter = " " * len(str(span.line))
    bar, equals = paint(f"{gutter} |", Role.FRAME), paint(f"{gutter} =", Role.FRAME)
    lines = [f"{place(finding.loc)}: {severity}: {message} [{label(finding)}]"]
    if diagnostic.line.strip():
        end = span.end_column if span.end_line == span.line else len(diagnostic.line) + 1
        text, column = _window(diagnostic.line, span.column)
        width = max(1, min(end - span.column, len(text) + 1 - column))
        lead = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
        lines += [
            bar,
            f"{paint(f'{span.line} |', Role.FRAME)} {visible(text)}",
            f"{bar} {lead}{paint('^' * width, role)}",
        ]
    lines += [f"{equals} {paint('note', Role.NOTE)}: {told(note)}" for note in finding.notes]
    if finding.help:
        lines.append(f"{equals} {paint('help', Role.HELP)}: {visible(finding.help)}")
    return "\n".join(lines) + "\n"


def _window(line: str, column: int) -> tuple[str, int]:
    """Return the part of a line around `column`, and the column in it: a document may be one line of megabytes."""
    if len(line) <= MAX_LINE:
        return line, column
    start = max(0, min(column - 1 - MAX_LINE // 4, len(line) - MAX_LINE))
    before, after = "..." * (start > 0), "..." * (start + MAX_LINE < len(line))
    return f"{before}{line[start : start + MAX_LINE]}{after}", column - start + len(before)
