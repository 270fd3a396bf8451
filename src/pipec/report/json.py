"""Findings as one JSON document of our own; minor versions only add."""

from __future__ import annotations

import json

from pipec.diagnostics import Diagnostic, Loc

FORMAT_VERSION = "1.0"


def render(diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return findings as one JSON document."""
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
