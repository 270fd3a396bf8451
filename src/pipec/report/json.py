"""Findings as one JSON document of our own; minor versions only add."""

from __future__ import annotations

import json

from pipec.diagnostics import Finding, Loc, Severity
from pipec.report.view import View

FORMAT_VERSION = "1.1"  # 1.1 added `ignored`


def render(view: View) -> str:
    """Return findings as one JSON document."""
    body = {
        "format_version": FORMAT_VERSION,
        "findings": [_object(diagnostic.finding, diagnostic.severity) for diagnostic in view.diagnostics],
        "ignored": [
            {**_object(ignored.finding, severity), "reason": ignored.reason, "ignored_at": _located(ignored.loc)}
            for ignored, severity in view.ignored
        ],
    }
    return json.dumps(body, indent=2) + "\n"


def _object(finding: Finding, severity: Severity) -> dict[str, object]:
    return {
        "code": finding.rule.code,
        "name": finding.rule.name,
        "severity": severity.value,
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
