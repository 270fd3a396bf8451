"""Findings as a Code Quality report: what GitLab asks of an issue, and fingerprints that stay."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from samples import ERROR, SAMPLES, WARNING, finding

from pipec import report
from pipec.diagnostics import Finding, Report

# What GitLab's documentation asks of each issue; anything else in it is left unread.
ISSUE = {
    "type": "object",
    "required": ["description", "check_name", "fingerprint", "severity", "location"],
    "properties": {
        "description": {"type": "string", "minLength": 1},
        "check_name": {"type": "string"},
        "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
        "location": {
            "type": "object",
            "required": ["path", "lines"],
            "properties": {
                "path": {"type": "string", "pattern": "^[^\n]+$"},
                "lines": {"type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer"}}},
            },
        },
    },
}


def issues(whole: Report, *, strict: bool = False) -> Any:
    return json.loads(report.render(whole, "gitlab", strict=strict))


def prints(*findings: Finding) -> list[str]:
    return [issue["fingerprint"] for issue in issues(Report(findings))]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_issue_has_what_gitlab_asks_for_and_a_fingerprint_of_its_own(name: str) -> None:
    found = issues(SAMPLES[name].report, strict=SAMPLES[name].strict)
    jsonschema.validate(found, {"type": "array", "items": ISSUE})
    assert len({issue["fingerprint"] for issue in found}) == len(found) == len(SAMPLES[name].report.findings)


def test_an_issue_says_what_is_wrong_and_what_to_do() -> None:
    (issue,) = issues(SAMPLES["one-error"].report)
    assert issue.pop("fingerprint")
    assert issue == {
        "check_name": "PIPE901 self-wait",
        "description": "`a` waits for itself; write `needs: []`",
        "severity": "critical",
        "location": {"path": "p.yaml", "lines": {"begin": 2, "end": 2}},
    }


def test_strict_makes_a_minor_issue_a_critical_one() -> None:
    whole = SAMPLES["warnings"].report
    assert {issue["severity"] for issue in issues(whole)} == {"minor"}
    assert {issue["severity"] for issue in issues(whole, strict=True)} == {"critical"}


def test_a_fingerprint_stays_when_lines_move() -> None:
    assert prints(finding(ERROR, 2), finding(ERROR, 5)) == prints(finding(ERROR, 40), finding(ERROR, 41))


def test_a_fingerprint_is_of_code_path_message_and_number_among_equals() -> None:
    one = finding(ERROR, 2)
    others = [finding(WARNING, 2), finding(ERROR, 2, path="q.yaml"), finding(ERROR, 2, "`b` waits for itself")]
    assert len({*prints(one), *(prints(other)[0] for other in others), *prints(one, finding(ERROR, 3))}) == 5


def test_a_fingerprint_is_the_same_in_sarif() -> None:
    whole = SAMPLES["forty"].report
    results = json.loads(report.render(whole, "sarif"))["runs"][0]["results"]
    assert [result["partialFingerprints"]["pipec/v1"] for result in results] == prints(*whole.findings)
