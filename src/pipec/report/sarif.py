"""Findings as a log of SARIF 2.1.0 (OASIS), the form that code scanning and editors take.

Rules are described in the log itself, with their whole page: there is no site that a `helpUri` could name. No text of a
file is in it: a reader has the file. Braces stay as they are written, though section 3.11.5 would have them doubled: no
message here has `arguments`, without which no reader looks for placeholders, and a doubled `${{` could not be pasted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from pipec import __version__
from pipec.diagnostics import STDIN, Finding, Ignored, Loc, Note, Rule, Severity
from pipec.report.page import markdown, page
from pipec.report.style import visible
from pipec.report.view import View, details, fingerprints

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "pipec/v1"  # the version counts up when what is hashed changes

Object = dict[str, object]


def render(view: View) -> str:
    """Return findings, and those that are ignored as suppressed ones, as a SARIF log."""
    told: list[tuple[Finding, Severity, Ignored | None]] = [
        *((diagnostic.finding, diagnostic.severity, None) for diagnostic in view.diagnostics),
        *((ignored.finding, severity, ignored) for ignored, severity in view.ignored),
    ]
    rules = sorted({finding.rule.code: finding.rule for finding, _, _ in told}.values(), key=lambda rule: rule.code)
    at = {rule.code: index for index, rule in enumerate(rules)}
    prints = fingerprints(finding for finding, _, _ in told)
    run = {
        "tool": {"driver": {"name": "pipec", "version": __version__, "rules": [_rule(rule) for rule in rules]}},
        "columnKind": "unicodeCodePoints",
        "artifacts": [_artifact(path) for path in view.files],
        "results": [
            {
                **_result(finding, severity, at),
                "partialFingerprints": {FINGERPRINT: key},
                "suppressions": _suppressed(by),
            }
            for (finding, severity, by), key in zip(told, prints, strict=True)
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule) -> Object:
    parts = page(rule)
    why = f"Why: {parts.why}" if parts.why else ""
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": parts.summary},
        "fullDescription": {"text": "\n\n".join(filter(None, (parts.summary, why)))},
        "help": {"text": rule.doc.strip(), "markdown": markdown(rule)},
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _artifact(path: str) -> Object:
    return {"location": {"uri": uri(path)}, "roles": ["standardStream" if path == STDIN else "analysisTarget"]}


def _result(finding: Finding, severity: Severity, at: Mapping[str, int]) -> Object:
    result: Object = {
        "ruleId": finding.rule.code,
        "ruleIndex": at[finding.rule.code],
        "level": severity.value,
        "message": _message("\n".join(_lines(finding))),
        "locations": [{"physicalLocation": _physical(finding.loc)}],
    }
    if related := list(_related(finding.notes)):
        result["relatedLocations"] = related
    return result


def _lines(finding: Finding) -> Iterator[str]:
    """Yield the message, then what has no place of its own in the log: notes without one, and help."""
    yield visible(finding.message)
    yield from details(finding, is_placed=False)


def _related(notes: Iterable[Note]) -> Iterator[Object]:
    for note in notes:
        if note.loc is not None:
            yield {"physicalLocation": _physical(note.loc), "message": _message(visible(note.message))}


def _message(text: str) -> Object:
    # `[words](target)` is a link, even in plain text (section 3.11.6), and messages quote what strangers wrote.
    return {"text": text.replace("](", "\\](")}


def _suppressed(by: Ignored | None) -> list[Object]:
    """Return who answered for a finding: an empty list says that nobody did."""
    if by is None:
        return []
    return [
        {
            "kind": "inSource" if by.loc.path == by.finding.loc.path else "external",
            "justification": visible(by.reason),
            "location": {"physicalLocation": _physical(by.loc)},
        }
    ]


def _physical(loc: Loc) -> Object:
    span = loc.span
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"artifactLocation": {"uri": uri(loc.path)}, "region": region}


def uri(path: str) -> str:
    """Return a path as a URI reference, byte for byte: relative as it is given, or `file:` where it is absolute.

    Standard input is `%3Cstdin%3E`, which is legal and decodes to the name it has elsewhere.
    """
    quoted = quote(path.encode("utf-8", "surrogateescape"))
    return f"file://{quoted}" if path.startswith("/") else quoted
