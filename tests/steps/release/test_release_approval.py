from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release import approval

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MODEL = "sha256:" + "a" * 64
SUBJECT = {"model": MODEL, "evidence": None}


def decision(**changes: object) -> str:
    body = {
        "format_version": "1.0",
        "decision": "approve",
        "by": "ana@example.org",
        "at": NOW.isoformat(),
        "reason": "",
    }
    return json.dumps(body | changes)


def statement(**changes: object) -> str:
    facts = {"environment": "prod", "pipeline": "wine", "run_id": "r"}
    return json.dumps(approval.statement(approval.parse_decision(decision()), SUBJECT, facts, 168) | changes)


def test_a_statement_tells_what_is_covered_by_whom_and_until_when():
    assert json.loads(statement()) == {
        "format_version": "0.1", "kind": "Approval", "subject": {"model": MODEL, "evidence": None},
        "environment": "prod", "pipeline": "wine", "run_id": "r", "decision": "approve", "by": "ana@example.org",
        "at": "2026-11-23T12:00:00+00:00", "until": "2026-11-30T12:00:00+00:00", "reason": "", "signature": None,
    }  # fmt: skip


def test_an_approval_holds_for_its_model_its_environment_and_its_time():
    assert approval.verify(statement(), MODEL, "prod", NOW + timedelta(hours=167))["by"] == "ana@example.org"


@pytest.mark.parametrize(
    ("text", "model", "environment", "later", "message"),
    [
        (statement(decision="reject"), MODEL, "prod", 1, "the approval says no"),
        (statement(), "sha256:" + "b" * 64, "prod", 1, "the approval covers another model"),
        (statement(), MODEL, "dev", 1, "the approval is for environment `prod`, not `dev`"),
        (statement(), MODEL, "prod", 169, "the approval held from 2026-11-23T12:00:00"),
        (statement(), MODEL, "prod", -1, "the approval held from 2026-11-23T12:00:00"),
        (statement(kind="Report"), MODEL, "prod", 1, "has format 0.1"),
        (statement(format_version="1.0"), MODEL, "prod", 1, "has format 1.0"),
        (statement(subject={}), MODEL, "prod", 1, "`model` is missing"),
        (statement(until="soon"), MODEL, "prod", 1, "Invalid isoformat"),
        (statement(until="2026-12-01T00:00:00"), MODEL, "prod", 1, "is not one that an approve step writes"),
        ("{", MODEL, "prod", 1, "is not one that an approve step writes"),
    ],
)
def test_any_other_approval_is_refused(text, model, environment, later, message):
    with pytest.raises(DataFault, match=message):
        approval.verify(text, model, environment, NOW + timedelta(hours=later))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yes", "is not one that `pipec approve` writes"),
        ("[]", "is not one that `pipec approve` writes"),
        (decision(format_version="2.0"), "the decision has format 2.0, this version reads 1.0: decide again"),
        (decision(decision="maybe"), "a decision needs"),
        (decision(by=" "), "a decision needs"),
        (decision(at="2026-11-23T12:00:00"), "a time with its zone"),
        (json.dumps({"format_version": "1.0"}), "`decision` is missing"),
    ],
)
def test_a_malformed_decision_is_told(text, message):
    with pytest.raises(AskFault, match=message):
        approval.parse_decision(text)


def test_a_decision_of_a_later_minor_format_is_read():
    assert approval.parse_decision(decision(format_version="1.7", nonce="x")).by == "ana@example.org"


@pytest.mark.parametrize(
    ("changes", "approvers", "message"),
    [
        ({"by": "eve@example.org"}, ["bo@example.org", "ana@example.org"],
         "`eve@example.org` may not decide here: ask one of ana@example.org, bo@example.org"),
        ({"decision": "reject", "reason": "too slow"}, [],
         r"`ana@example.org` rejected the model \(too slow\): change it and run the pipeline again"),
        ({"at": "2026-11-23T13:00:00Z"}, [], "which is yet to come: check the clocks"),
        ({"subject": {"model": "sha256:other", "evidence": None}}, [], "about another model or other evidence"),
    ],
)  # fmt: skip
def test_a_decision_that_does_not_count_is_refused(changes, approvers, message):
    with pytest.raises(DataFault, match=message):
        approval.check_decision(approval.parse_decision(decision(**changes)), approvers, SUBJECT, NOW)


@pytest.mark.parametrize("changes", [{}, {"subject": None}, {"subject": SUBJECT}], ids=["unsaid", "none", "same"])
def test_a_yes_to_what_is_asked_counts(changes):
    approval.check_decision(approval.parse_decision(decision(**changes)), ["ana@example.org"], SUBJECT, NOW)


PASSED = {"model": MODEL, "verdict": "passed", "gates": [{"metric": "f1", "passed": True}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": []}, "the evidence has no gate"),
        ({"verdict": "failed"}, "a gate of the evidence failed"),
        ({"gates": [{"metric": "f1", "passed": False}]}, "a gate of the evidence failed"),
        ({"model": "sha256:0"}, "the evidence is about another model"),
        ({"model": None}, "the evidence is about another model"),
    ],
)
def test_only_passed_gates_on_this_model_approve_by_themselves(changes, message):
    approval.check_evidence(PASSED, MODEL, automatic=True)
    with pytest.raises(DataFault, match=message):
        approval.check_evidence(PASSED | changes, MODEL, automatic=True)


def test_a_person_may_overrule_a_gate_but_not_approve_on_evidence_of_another_model():
    approval.check_evidence(PASSED | {"verdict": "failed"}, MODEL, automatic=False)
    with pytest.raises(DataFault, match="the evidence is about another model"):
        approval.check_evidence(PASSED | {"model": "sha256:0"}, MODEL, automatic=False)
