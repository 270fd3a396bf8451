"""Findings as people and machines read them, a module to a form. Pure: values in, text out; callers print."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipec.diagnostics import Report, Severity
from pipec.report import github, gitlab, json, junit, sarif, text
from pipec.report.style import Role, painter
from pipec.report.view import View, view

_FORMS: Mapping[str, Callable[[View], str]] = {
    "json": json.render, "sarif": sarif.render, "github": github.render, "gitlab": gitlab.render, "junit": junit.render,
}  # fmt: skip
FORMATS = ("text", *_FORMS)
_ROLES = {Severity.ERROR: Role.ERROR, Severity.WARNING: Role.WARNING}


def render(report: Report, form: str, *, strict: bool = False, is_colored: bool = False) -> str:
    """Return a report in one of FORMATS, ending with a newline unless it is empty. Only text is ever coloured."""
    seen = view(report, strict=strict)
    return text.render(seen, painter(is_colored=is_colored)) if form == "text" else _FORMS[form](seen)


def summary(report: Report, *, strict: bool = False, is_colored: bool = False) -> str:
    """Return how many findings there are, in a few words."""
    paint = painter(is_colored=is_colored)
    severities = [finding.severity(strict=strict) for finding in report.findings]
    counts = [(severities.count(severity), severity) for severity in Severity]
    told = [paint(f"{n} {severity}{'s' if n > 1 else ''}", _ROLES[severity]) for n, severity in counts if n]
    ignored = [f"{len(report.ignored)} ignored"] if report.ignored else []
    return ", ".join((*(told or ["no findings"]), *ignored))
