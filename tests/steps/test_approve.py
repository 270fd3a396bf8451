from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from given import context, step

from pipec import digest
from pipec.steps.approve import FORM, Approve
from pipec.steps.declare import CallerError, Refused, TryAgain, interface_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Any folder: approve looks at digests, not inside."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.json").write_text("{}")
    return tmp_path / "m"


def decision(said: str = "approve", **changes: object) -> str:
    body = {"format_version": "1.0", "decision": said, "by": "ana@example.org", "at": datetime.now(UTC).isoformat()}
    return json.dumps(body | changes)


def evidence(path: Path, about: Path, **changes: object) -> Path:
    body = {"model": digest.of_path(about), "verdict": "passed", "gates": [{"metric": "r2", "passed": True}]}
    path.write_text(json.dumps(body | changes))
    return path


def test_the_interface_passes_the_model_on_and_knows_people():
    interface = interface_of(Approve)
    assert next((o.name, o.same_as) for o in interface.outputs) == ("model", "model")
    assert interface.input("evidence").optional
    assert interface.parameter("approvers").people
    assert interface.role == "approve"


def test_an_inline_decision_becomes_an_approval_over_the_digests(model: Path, tmp_path: Path):
    report = evidence(tmp_path / "report", model)
    ask = step(Approve, tmp_path / "out", model=model, evidence=report, approvers=["ana@example.org"], valid_hours=24)
    ask.run(context(decision=f"json:{decision(reason='fine')}", environment="prod"))
    body = json.loads((tmp_path / "out" / "approval").read_text())
    assert (ask.decision, ask.approved_by) == ("approve", "ana@example.org")
    assert body["subject"] == {"model": digest.of_path(model), "evidence": digest.of_path(report)}
    facts = {"environment": "prod", "run_id": "run-1", "pipeline": "wine", "reason": "fine", "signature": None}
    assert {name: body[name] for name in facts} == facts
    at, until = (datetime.fromisoformat(body[field]) for field in ("at", "until"))
    assert until - at == timedelta(hours=24)


@pytest.mark.parametrize("where", ["path", "relative", "url"])
def test_a_decision_is_read_where_the_context_says(where: str, model: Path, tmp_path: Path):
    place = {
        "path": str(tmp_path / "decision.json"),
        "relative": "decision.json",
        "url": f"memory://{uuid.uuid4().hex}/decision.json",
    }[where]
    if where == "url":
        fsspec.filesystem("memory").pipe_file(place.removeprefix("memory:/"), decision().encode())
    else:
        (tmp_path / "decision.json").write_text(decision())
    ask = step(Approve, tmp_path / "out", model=model)
    ask.run(context(decision=place, base=str(tmp_path)))
    assert ask.approved_by == "ana@example.org"


def test_a_decision_that_comes_while_waiting_is_taken(model: Path, tmp_path: Path):
    log: list[str] = []
    ask = step(Approve, tmp_path / "out", model=model, message="is it good?")
    timer = threading.Timer(0.1, lambda: (tmp_path / "decision.json").write_text(decision()))
    timer.start()
    ask.run(context(log, decision=str(tmp_path / "decision.json"), wait_s=30))
    timer.join()
    assert log[0] == "is it good?"
    assert log[1] == f"waiting for {FORM} at {tmp_path / 'decision.json'}"
    assert log[2].startswith("approved by ana@example.org until ")


def test_no_decision_yet_tells_how_to_decide(model: Path, tmp_path: Path):
    with pytest.raises(TryAgain) as told:
        step(Approve, tmp_path / "out", model=model).run(context(decision=str(tmp_path / "none"), task="approve"))
    assert str(told.value) == "nobody has decided about `approve` of run run-1 yet: decide, then go on with it"
    assert not (tmp_path / "out" / "approval").exists()


@pytest.mark.parametrize(
    ("text", "fault", "message"),
    [
        (decision("reject"), Refused, "`ana@example.org` rejected the model"),
        (decision(by="eve@example.org"), Refused, "`eve@example.org` may not decide here: ask one of ana@example.org"),
        (decision("maybe"), CallerError, "a decision needs"),
        ("yes", CallerError, "is not one that `pipec approve` writes"),
    ],
)
def test_any_other_decision_ends_the_step(text, fault, message, model: Path, tmp_path: Path):
    ask = step(Approve, tmp_path / "out", model=model, approvers=["ana@example.org"])
    with pytest.raises(fault, match=message):
        ask.run(context(decision=f"json:{text}"))
    assert not (tmp_path / "out" / "approval").exists()


def test_nowhere_to_decide_is_the_callers_fault(model: Path, tmp_path: Path):
    with pytest.raises(CallerError, match="nobody can decide here"):
        step(Approve, tmp_path / "out", model=model).run(context())
    with pytest.raises(CallerError, match="`there` is relative, and here is no project folder"):
        step(Approve, tmp_path / "out", model=model).run(context(decision="there"))


def test_gates_approve_alone_only_if_asked_and_passed(model: Path, tmp_path: Path):
    ask = step(Approve, tmp_path / "out", model=model, evidence=evidence(tmp_path / "r", model), mode="automatic")
    ask.run(context())
    assert ask.approved_by == "automatic"
    for changes in ({"verdict": "failed"}, {"gates": []}, {"model": "sha256:0"}):
        ask.evidence = evidence(tmp_path / "r", model, **changes)
        with pytest.raises(Refused):
            ask.run(context())
    ask.evidence = None
    with pytest.raises(CallerError, match="`mode: automatic` needs `evidence`"):
        ask.run(context())
