"""Findings as a JUnit report: a suite for each file, a case for each finding, one that passed for a clean file.

There is no standard of it but what readers agree on: `testsuites`, `testsuite`, `testcase`, `failure`, `system-out`. A
warning is a case that passed and says so, because a failed one fails a build.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pipec.diagnostics import Diagnostic, Severity
from pipec.report.style import visible
from pipec.report.text import paragraph
from pipec.report.view import View, label

CLEAN = "no findings"
# What XML 1.0 has no place for, not even as a reference (section 2.2): the rest of it is made visible before.
_TEXT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", 0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}
# A reader makes a space of each end of a line in an attribute.
_ATTRIBUTE = {**_TEXT, ord('"'): "&quot;", ord("\n"): "&#10;", ord("\t"): "&#9;"}


def render(view: View) -> str:
    """Return findings as an XML document."""
    found: dict[str, list[Diagnostic]] = {path: [] for path in view.files}
    for diagnostic in view.diagnostics:
        found[diagnostic.finding.loc.path].append(diagnostic)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {_attributes(name='pipec', **_counts(found.values()))}>",
        *(line for path, diagnostics in found.items() for line in _suite(path, diagnostics)),
        "</testsuites>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _suite(path: str, diagnostics: list[Diagnostic]) -> Iterator[str]:
    yield f"  <testsuite {_attributes(name=visible(path), **_counts([diagnostics]))}>"
    if not diagnostics:
        yield f"    <testcase {_attributes(classname=visible(path), name=CLEAN)}/>"
    names: Counter[str] = Counter()
    for diagnostic in diagnostics:
        yield from _case(path, diagnostic, names)
    yield "  </testsuite>"


def _case(path: str, diagnostic: Diagnostic, names: Counter[str]) -> Iterator[str]:
    """Yield one finding. names: those taken so far: readers know a case by its class and name."""
    finding, span = diagnostic.finding, diagnostic.finding.loc.span
    name = f"{label(finding)} at {span.line}:{span.column}"
    names[name] += 1
    if names[name] > 1:
        name = f"{name} ({names[name]})"
    text = _escaped(paragraph(diagnostic))
    yield f"    <testcase {_attributes(classname=visible(path), name=name, file=visible(path), line=span.line)}>"
    if diagnostic.severity is Severity.ERROR:
        about = _attributes(message=visible(finding.message), type=finding.rule.code)
        yield f"      <failure {about}>{text}</failure>"
    else:
        yield f"      <system-out>{text}</system-out>"
    yield "    </testcase>"


def _counts(suites: Iterable[list[Diagnostic]]) -> dict[str, int]:
    known = list(suites)
    failures = sum(one.severity is Severity.ERROR for diagnostics in known for one in diagnostics)
    return {
        "tests": sum(max(1, len(diagnostics)) for diagnostics in known),
        "failures": failures,
        "errors": 0,
        "skipped": 0,
    }


def _attributes(**values: str | int) -> str:
    return " ".join(f'{name}="{str(value).translate(_ATTRIBUTE)}"' for name, value in values.items())


def _escaped(text: str) -> str:
    return text.translate(_TEXT)
