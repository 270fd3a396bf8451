from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest
from engine_bench import Bench, Diary, bench, plan, states, task

from pipec.compiler.plan import Plan
from pipec.engine import decision
from pipec.engine.history import decide, show, why
from pipec.engine.outcome import EngineError
from pipec.steps.interface import Role
from pipec.values import Literal, OutputRef


def release(text: str = "weights") -> Plan:
    return plan(
        task("train", writes=["model"], say={"text": text}),
        task("approve", reads={"model": OutputRef("train", "model")}, writes=["approval"], role=Role.APPROVE),
        task("deploy", reads={"approval": OutputRef("approve", "approval")}, role=Role.DEPLOY),
        task("aside", values={"n": 1}),
        task("notify", is_final=True),
    )


def test_an_approval_parks_the_run_and_the_rest_goes_on(shop: Bench) -> None:
    outcome = shop.run(release(), file="wine.yaml")
    assert (outcome.status, outcome.exit_code) == ("parked", 75)
    assert states(outcome) == {
        "train": "succeeded", "approve": "parked", "deploy": "waiting", "aside": "succeeded", "notify": "waiting",
    }  # fmt: skip
    assert outcome.message.split("\n") == [
        "step `approve` waits for a person: nobody has decided yet",
        f"  next: `pipec approve {outcome.run_id} approve --as NAME`, or with `--reject`",
        f"then go on with `pipec run wine.yaml --resume {outcome.run_id}`",
    ]
    assert why(shop.home, "latest", "deploy") == (
        "`deploy` has not run\n  it waits for `approve`, which waits for a person"
    )


def test_an_approved_run_goes_on_when_resumed(shop: Bench) -> None:
    parked = shop.run(release())
    decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="fine")
    resumed = shop.run(release(), resume=parked.run_id)
    assert resumed.status == "succeeded"
    assert Counter(shop.ledger) == {"train": 1, "approve": 2, "deploy": 1, "aside": 1, "notify": 1}
    assert resumed.trace()["steps"]["approve"]["decisions"] == [  # type: ignore[index,call-overload]
        {"decision": "approve", "by": "ana", "reason": "fine"}
    ]


def test_a_rejection_refuses_the_run(shop: Bench) -> None:
    parked = shop.run(release())
    decide(shop.home, "latest", "approve", by="bo", approve=False, reason="too slow")
    resumed = shop.run(release(), resume=parked.run_id)
    assert (resumed.status, resumed.exit_code) == ("refused", 3)
    assert states(resumed)["deploy"] == "skipped"
    assert "  reject by bo: too slow" in why(shop.home, "latest", "approve").split("\n")
    assert why(shop.home, "latest", "deploy").split("\n") == [
        "`deploy` was skipped: `approve` was refused",
        "  `approve` was refused: it was rejected",
    ]


def test_the_decision_is_a_document_that_the_step_can_read(shop: Bench) -> None:
    parked = shop.run(release())
    decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="")
    path = shop.home / "runs" / parked.run_id / "decisions" / "approve.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {**written, "at": ""} == {
        "format_version": "1.0", "decision": "approve", "by": "ana", "at": "", "reason": "",
    }  # fmt: skip


def test_the_same_decision_again_is_harmless_and_another_is_refused(shop: Bench) -> None:
    parked = shop.run(release())
    for _ in range(2):
        decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="fine")
    with pytest.raises(EngineError, match="`approve` was decided before: approve by ana"):
        decide(shop.home, parked.run_id, "approve", by="ana", approve=False, reason="")
    with pytest.raises(EngineError, match="`approve` was decided before: approve by ana"):
        decide(shop.home, parked.run_id, "approve", by="bo", approve=True, reason="")


@pytest.mark.parametrize(
    ("step", "by", "message"),
    [
        ("train", "ana", "`train` is not an approval: nobody can decide it"),
        ("sign", "ana", "has no step `sign`; it has `approve`, `aside`, `deploy`, `notify`, `train`"),
        ("approve", " ", "a decision needs the name of who takes it"),
    ],
)
def test_what_cannot_be_decided_is_told(shop: Bench, step: str, by: str, message: str) -> None:
    shop.run(release())
    with pytest.raises(EngineError, match=message):
        decide(shop.home, "latest", step, by=by, approve=True, reason="")


def test_nobody_can_decide_what_was_not_shown_yet(shop: Bench) -> None:
    shop.run(plan(task("train", say={"fails": 1}), task("approve", needs=["train"], role=Role.APPROVE)))
    with pytest.raises(EngineError, match="`approve` has nothing to decide: it was skipped"):
        decide(shop.home, "latest", "approve", by="ana", approve=True, reason="")


def test_of_two_people_at_once_one_decides(shop: Bench) -> None:
    parked = shop.run(release())
    faults: list[str] = []
    come = threading.Barrier(8)

    def vote(n: int) -> None:
        come.wait()
        try:
            decide(shop.home, parked.run_id, "approve", by=f"p{n}", approve=n % 2 == 0, reason="")
        except EngineError as fault:
            faults.append(str(fault))

    threads = [threading.Thread(target=vote, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults) == 7
    assert len(list((shop.home / "runs" / parked.run_id / "decisions").iterdir())) == 1


def test_approve_as_decides_in_passing_and_leaves_the_trace_of_a_decision_by_hand(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = bench(tmp_path / "one"), bench(tmp_path / "two")
    straight = one.run(release(), approve_as="ana")
    parked = two.run(release())
    decide(two.home, parked.run_id, "approve", by="ana", approve=True, reason="")
    assert straight.status == "succeeded"
    assert json.dumps(two.run(release(), resume="latest").trace()) == json.dumps(straight.trace())


def test_an_approval_is_never_taken_from_the_cache(shop: Bench) -> None:
    shop.run(release(), approve_as="ana")
    again = shop.run(release())
    assert (again.status, Counter(shop.ledger)["train"]) == ("parked", 1)


def test_a_decision_about_another_model_does_not_count(shop: Bench) -> None:
    parked = shop.run(release("old"))
    decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="")
    resumed = shop.run(release("new"), resume=parked.run_id)
    assert (resumed.status, states(resumed)["deploy"]) == ("parked", "waiting")
    decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="")
    assert shop.run(release("new"), resume=parked.run_id).status == "succeeded"


def test_a_decision_placed_before_anything_was_shown_does_not_count(shop: Bench) -> None:
    class Forger(Diary):
        def begin(self, run_id: str, n_tasks: int) -> None:
            decision.write(shop.home / "runs" / run_id / "decisions" / "approve.json", by="eve", approve=True)

    assert shop.run(release(), Forger()).status == "parked"


def test_a_decision_that_comes_while_the_rest_runs_is_used_at_once(shop: Bench) -> None:
    class Approver(Diary):
        def tick(self) -> None:
            if not self.lines.count("decided") and show(shop.home, "latest").task("approve").state == "parked":
                decide(shop.home, "latest", "approve", by="ana", approve=True, reason="")
                self.lines.append("decided")

    both = plan(
        task("approve", role=Role.APPROVE),
        task("deploy", needs=["approve"], say={"touch": "go"}),
        task("long", say={"until": "go"}),
    )
    assert shop.run(both, Approver()).status == "succeeded"


def test_an_acknowledged_decision_needs_no_journal(shop: Bench) -> None:
    """The engine may be dead: the file alone carries the decision to the next one."""
    parked = shop.run(release())
    before = (shop.home / "runs" / parked.run_id / "journal.jsonl").read_bytes()
    decide(shop.home, parked.run_id, "approve", by="ana", approve=True, reason="")
    assert (shop.home / "runs" / parked.run_id / "journal.jsonl").read_bytes() == before


def test_a_failure_beside_a_parked_step_is_told_too(shop: Bench) -> None:
    outcome = shop.run(plan(task("bad", say={"fails": 1}), task("approve", role=Role.APPROVE)))
    assert outcome.exit_code == 75
    assert outcome.message.split("\n")[0] == "step `bad` failed: it broke: mend it"


def test_who_may_not_decide_leaves_the_question_open(shop: Bench) -> None:
    guarded = plan(task("approve", role=Role.APPROVE, say={"approvers": ["ana"]}))
    shop.run(guarded)
    decide(shop.home, "latest", "approve", by="eve", approve=True, reason="")
    refused = shop.run(guarded, resume="latest")
    assert (refused.status, refused.task("approve").reason) == ("refused", "`eve` may not decide here")
    assert refused.message.split("\n")[2:] == [
        f"  next: `pipec approve {refused.run_id} approve --as NAME`, or with `--reject`",
        f"then go on with `pipec run FILE --resume {refused.run_id}`",
    ]
    decide(shop.home, "latest", "approve", by="ana", approve=True, reason="")
    assert shop.run(guarded, resume="latest").status == "succeeded"


def test_an_automatic_approval_needs_no_reader_of_the_decision(shop: Bench) -> None:
    unread = plan(task("approve", reads={"data": Literal("none")}, role=Role.APPROVE, say={"fails": 1, "code": 3}))
    assert shop.run(unread).status == "refused"
