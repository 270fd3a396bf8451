"""Findings as annotations of a pull request: workflow commands, which GitHub's runner reads in a step's log.

The runner keeps ten annotations of a kind for each step and forgets the others, so no more are sent: what is left is
counted in a notice, and follows as plain lines of the log. Escapes are those of the runner's own toolkit: `%` and ends
of lines in a message, `:` and `,` too in a property.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipec.diagnostics import STDIN, Diagnostic, Severity
from pipec.report.style import visible
from pipec.report.view import View, details, label, place

MOST = 10  # annotations of one kind
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(view: View) -> str:
    """Return findings as workflow commands, the worst first."""
    by_kind = [[one for one in view.diagnostics if one.severity is severity] for severity in Severity]
    lines = [_annotation(one) for kind in by_kind for one in kind[:MOST]]
    if more := [(len(kind) - MOST, kind[0].severity) for kind in by_kind if len(kind) > MOST]:
        counts = " and ".join(f"+{n} more {severity}{'s' if n > 1 else ''}" for n, severity in more)
        lines.append(f"::notice title=pipec::{counts}: told below, in the log of this step")
        lines += [_plain(one) for kind in by_kind for one in kind[MOST:]]
    return "".join(f"{line}\n" for line in lines)


def _annotation(diagnostic: Diagnostic) -> str:
    finding = diagnostic.finding
    properties = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in _properties(diagnostic))
    # Standard input is no file of the repository: without one the annotation stands at the run, and says the place.
    where = f"{place(finding.loc)}: " if finding.loc.path == STDIN else ""
    message = "\n".join((f"{where}{visible(finding.message)}", *details(finding)))
    return f"::{diagnostic.severity} {properties}::{message.translate(_DATA)}"


def _properties(diagnostic: Diagnostic) -> Iterator[tuple[str, str]]:
    path, span = diagnostic.finding.loc
    if path != STDIN:
        yield "file", visible(path)
        yield "line", str(span.line)
        if span.line == span.end_line:  # columns of an annotation over several lines are refused (checks API)
            yield "col", str(span.column)
        yield "endLine", str(span.end_line)
        if span.line == span.end_line:
            yield "endColumn", str(span.end_column)
    yield "title", label(diagnostic.finding)


def _plain(diagnostic: Diagnostic) -> str:
    """Return a finding as a line that the runner does not take for a command, whatever a path or message begins with.

    It takes `::` at the beginning of a line for one, and the older `##[` anywhere.
    """
    finding = diagnostic.finding
    text = f"- {place(finding.loc)}: {diagnostic.severity}: {visible(finding.message)} [{label(finding)}]"
    return text.replace("##[", "## [")
