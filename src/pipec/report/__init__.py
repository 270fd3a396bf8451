"""Findings as people and machines read them, a module to a form. Pure: values in, text out; callers print."""

from __future__ import annotations

from pipec.diagnostics import Report, Severity
from pipec.report import json, text

FORMATS = ("text", "json")


def render(report: Report, form: str, *, strict: bool = False) -> str:
    """Return a report in one of FORMATS, ending with a newline unless it is empty."""
    diagnostics = report.diagnostics(strict=strict)
    return json.render(diagnostics) if form == "json" else text.render(diagnostics)


def summary(report: Report, *, strict: bool = False) -> str:
    """Return how many findings there are, in a few words."""
    severities = [diagnostic.severity for diagnostic in report.diagnostics(strict=strict)]
    counts = [(severities.count(severity), severity.value) for severity in Severity]
    return ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n) or "no findings"
