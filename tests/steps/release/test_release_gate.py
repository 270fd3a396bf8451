"""What waits below an artifact root for a person, and what the person leaves there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.release import gate, place
from pipec.steps.release.approval import parse_decision
from pipec.steps.release.gate import Request
from pipec.steps.release.place import Place

ASKED = Request(
    pipeline="wine", run_id="r:1", task="approve", environment="prod", subject={"model": "sha256:1", "evidence": None},
    approvers=("ana", "bo"), message="look at the report",
)  # fmt: skip
AT = "2026-11-30T12:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Place:
    return place.at(str(tmp_path))


def put(store: Place, request: Request = ASKED, run: str = "r_1") -> str:
    folder = f"runs/{request.pipeline}/{run}/{request.task}"
    store.create(f"{folder}/request.json", request.text().encode())
    return folder


def decided(store: Place, folder: str, **more: object) -> Mapping[str, object]:
    given = {"by": "ana", "approve": True, "at": AT, "reason": ""} | more
    gate.decide(store, folder, ASKED, **given)  # type: ignore[arg-type]
    body: Mapping[str, object] = json.loads(store.read(f"{folder}/decision.json") or b"")
    return body


def test_a_request_comes_back_as_it_was_written() -> None:
    assert gate.parse(ASKED.text()) == ASKED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": "1.0"}', ASKED.text().replace("approvers", "x")])
def test_another_text_is_no_request(text: str) -> None:
    with pytest.raises(AskFault, match="no request that an approve step wrote"):
        gate.parse(text)


def test_a_request_of_a_later_form_is_told_as_that() -> None:
    with pytest.raises(AskFault, match=r"has format 2\.0, this version reads 1\.0"):
        gate.parse(ASKED.text().replace('"1.0"', '"2.0"'))


def test_a_request_is_found_by_run_and_step(store: Place) -> None:
    folder = put(store)
    assert gate.find(store, "r_1", "approve") == (folder, ASKED)


def test_what_waits_is_listed_where_nothing_of_that_name_does(store: Place) -> None:
    put(store)
    done = put(store, replace(ASKED, run_id="r2"), "r2")
    decided(store, done)
    with pytest.raises(AskFault) as told:
        gate.find(store, "r_9", "approve")
    assert str(told.value) == "`approve` of run r_9 waits for nobody there: these do: `approve` of run r:1"


def test_where_nothing_waits_at_all_that_is_said(store: Place) -> None:
    with pytest.raises(AskFault, match="waits for nobody there: nothing does"):
        gate.find(store, "r_1", "approve")


def test_two_pipelines_with_such_a_run_must_be_told_apart(store: Place) -> None:
    put(store)
    put(store, replace(ASKED, pipeline="beer"))
    with pytest.raises(AskFault, match=r"several pipelines have such a run \(beer, wine\): say which with --pipeline"):
        gate.find(store, "r_1", "approve")
    assert gate.find(store, "r_1", "approve", "beer")[1].pipeline == "beer"


@pytest.mark.parametrize(("approve", "said"), [(True, "approve"), (False, "reject")])
def test_a_decision_is_what_the_step_that_waits_reads(store: Place, approve: bool, said: str) -> None:
    folder = put(store)
    decided(store, folder, approve=approve, reason="checked")
    found = parse_decision((store.read(f"{folder}/decision.json") or b"").decode())
    assert (found.decision, found.by, found.reason, found.subject) == (said, "ana", "checked", dict(ASKED.subject))
    assert found.at.isoformat() == AT


def test_who_may_not_decide_leaves_nothing(store: Place) -> None:
    folder = put(store)
    with pytest.raises(DataFault, match="`eve` may not decide here: ask one of ana, bo"):
        decided(store, folder, by="eve")
    assert store.read(f"{folder}/decision.json") is None


def test_a_decision_is_made_once(store: Place) -> None:
    folder = put(store)
    decided(store, folder)
    with pytest.raises(DataFault, match="`ana` has said yes already, and a decision is not changed"):
        decided(store, folder, by="bo", approve=False)
    assert decided(store, folder)["by"] == "ana"  # the very same again is no second decision


def test_rubbish_in_the_place_of_a_decision_is_told(store: Place) -> None:
    folder = put(store)
    store.create(f"{folder}/decision.json", b"\xff")
    with pytest.raises(DataFault, match="something that is no decision lies in its place"):
        decided(store, folder)
