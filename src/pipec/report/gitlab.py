"""Findings as a Code Quality report of GitLab, which compares those of two branches by their fingerprints."""

from __future__ import annotations

import json

from pipec.diagnostics import Diagnostic, Severity
from pipec.report.style import visible
from pipec.report.view import View, fingerprints

# GitLab knows info, minor, major, critical, blocker. An error stops the compiler; no finding of ours is above it.
_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor"}


def render(view: View) -> str:
    """Return findings as a JSON list. Standard input keeps its name as its path: a text, which links to no file."""
    prints = fingerprints(diagnostic.finding for diagnostic in view.diagnostics)
    body = [_issue(diagnostic, key) for diagnostic, key in zip(view.diagnostics, prints, strict=True)]
    return json.dumps(body, indent=2) + "\n"


def _issue(diagnostic: Diagnostic, fingerprint: str) -> dict[str, object]:
    finding, span = diagnostic.finding, diagnostic.finding.loc.span
    return {
        "check_name": f"{finding.rule.code} {finding.rule.name}",
        "description": visible("; ".join(filter(None, (finding.message, finding.help)))),
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[diagnostic.severity],
        "location": {"path": visible(finding.loc.path), "lines": {"begin": span.line, "end": span.end_line}},
    }
