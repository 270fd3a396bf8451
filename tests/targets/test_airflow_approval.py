"""An approval on Airflow, as Jinja renders it and the approve step reads it: what was shown, who answered, and when."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import plans
import pytest
from plans import HOSTILE
from test_airflow import FORMS, SHOWN, USERS, decoded, docker, emitted, rendered, tasks_of

from pipec.compiler.plan import Plan
from pipec.steps.ml.fault import DataFault
from pipec.steps.release import approval
from pipec.targets.airflow import TARGET
from pipec.targets.base import refusals
from pipec.values import Literal

ANA = {"id": "12", "name": "ana"}
AT = "2026-11-23 10:00:00.5+00:00"
APPROVERS = ["ana@example.org", "bo@example.org"]


def answer(chosen: str, user: dict[str, str] | None) -> dict[str, Any]:
    return {"chosen_options": [chosen], "responded_at": AT, "responded_by_user": user}


def said(chosen: str, user: dict[str, str] | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the decision document that the step is given."""
    call = decoded("approve", answer(chosen, user), settings)
    assert call.decision is not None
    found: dict[str, Any] = json.loads(call.decision.removeprefix("json:"))
    return found


@pytest.mark.parametrize(
    ("chosen", "user", "settings", "decision", "by"),
    [
        pytest.param("Approve", ANA, USERS, "approve", "ana@example.org", id="yes"),
        pytest.param("Reject", {"id": "13", "name": "bo"}, USERS, "reject", "bo@example.org", id="no"),
        pytest.param("Approve", {"id": "99", "name": "ana@example.org"}, USERS, "approve",
                     "ana@example.org (airflow user 99)", id="a stranger with an approver's name"),
        pytest.param("Approve", {"id": "7", "name": "eve$$'{{"}, {}, "approve", "eve$$'{{", id="without a table"),
        pytest.param("Reject", None, USERS, "expired", "", id="nobody"),
        pytest.param("Reject", None, {}, "expired", "", id="nobody, without a table"),
    ],
)  # fmt: skip
def test_an_answer_becomes_the_decision_that_the_step_reads(
    chosen: str, user: dict[str, str] | None, settings: dict[str, Any], decision: str, by: str
) -> None:
    assert said(chosen, user, settings) == {
        "format_version": "1.0", "decision": decision, "by": by, "at": "2026-11-23T10:00:00.5+00:00",
        "subject": SHOWN["subject"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "user", "told"),
    [
        ("Reject", ANA, "`ana@example.org` rejected the model: change it and run the pipeline again"),
        ("Approve", {"id": "9", "name": "eve"},
         "`eve (airflow user 9)` may not decide here: ask one of ana@example.org, bo@example.org"),
        ("Reject", None, "nobody answered in time, so nothing is approved: run the pipeline again, and decide"),
    ],
    ids=["no", "stranger", "nobody"],
)  # fmt: skip
def test_all_but_an_approver_s_yes_is_refused(chosen: str, user: dict[str, str] | None, told: str) -> None:
    decision = approval.parse_decision(json.dumps(said(chosen, user, USERS)))
    with pytest.raises(DataFault) as fault:
        approval.check_decision(decision, APPROVERS, SHOWN["subject"], datetime.now(UTC))
    assert str(fault.value) == told


def test_what_was_not_shown_is_not_sealed() -> None:
    decision = approval.parse_decision(json.dumps(said("Approve", ANA, USERS)))
    approval.check_decision(decision, APPROVERS, SHOWN["subject"], datetime.now(UTC))
    with pytest.raises(DataFault, match="the decision is about another model"):
        approval.check_decision(decision, APPROVERS, {"model": "sha256:x", "evidence": None}, datetime.now(UTC))


@pytest.mark.parametrize(("form", "place"), [("kubernetes", "/airflow/xcom/return.json"), ("docker", "-")])
def test_the_subject_is_asked_of_the_step_s_own_order(form: str, place: str) -> None:
    found = tasks_of(emitted(plans.wine(), FORMS[form]))
    key = "arguments" if form == "kubernetes" else "command"
    subject = found["approve-subject"]
    assert subject[key][:2] == ["--subject", found["approve"][key][0]]
    assert json.loads(subject[key][2]) == {**json.loads(found["approve"][key][1]), "$task": "approve"}
    assert subject[key][-2:] == ["--xcom", place]
    assert subject["do_xcom_push"] is True


def test_a_person_is_asked_between_what_is_shown_and_what_is_sealed() -> None:
    text = emitted(plans.wine(), FORMS["kubernetes"])
    human = tasks_of(text)["approve-decision"]
    assert human["assigned_users"] == [
        {"id": "12", "name": "ana@example.org"},
        {"id": "13", "name": "bo@example.org"},
    ]
    assert (human["defaults"], human["response_timeout"]) == ("Reject", timedelta(days=7))
    assert human["retries"] == 1
    assert "evaluate >> approve_subject >> approve_decision >> approve >> deploy\n" in text


@pytest.mark.parametrize("text", ["is it good {", *HOSTILE], ids=range(len(HOSTILE) + 1))
@pytest.mark.parametrize("form", ["kubernetes", "docker"])
def test_a_person_reads_the_message_as_it_was_written_and_then_the_digests(form: str, text: str) -> None:
    plan = with_message(text)
    body = tasks_of(emitted(plan, FORMS[form]))["approve-decision"]["body"]
    who = "Who may decide: ana@example.org, bo@example.org."
    asked = text or "The steps before this one say what is released."
    assert rendered(body) == f"{asked}\n\n{who}\n\nWhat is approved:\n\n{SHOWN['shown']}"


def with_message(text: str) -> Plan:
    plan = plans.wine()
    task = plan.task("approve")
    asking = replace(task, parameters=(*task.parameters, ("message", Literal(text))), description="")
    return replace(plan, tasks=tuple(asking if each is task else each for each in plan.tasks))


@pytest.mark.parametrize("half", ["subject", "decision"])
def test_a_step_called_as_a_part_of_an_approval_is_refused(half: str) -> None:
    plan = plans.wine()
    other = replace(plan.tasks[0], name=f"approve-{half}", step=f"approve-{half}", env=())
    found = [(each.use.step, each.use.field) for each in refusals(TARGET, replace(plan, tasks=(*plan.tasks, other)),
                                                                  docker())]  # fmt: skip
    assert found == [("approve", ("uses",))]
