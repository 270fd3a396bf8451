from __future__ import annotations

import json

import pytest
from engine_bench import Bench, Diary, plan, task

from pipec.engine.history import runs, show, why
from pipec.engine.journal import read
from pipec.engine.outcome import EngineError, TaskOutcome
from pipec.values import OutputRef


def test_runs_are_listed_newest_first_with_their_counts(shop: Bench) -> None:
    assert runs(shop.home) == ()
    first = shop.run(plan(task("a")))
    second = shop.run(plan(task("a"), task("b", say={"fails": 9}), task("c", needs=["b"])))
    listed = runs(shop.home)
    assert [each.run_id for each in listed] == [second.run_id, first.run_id]
    assert [each.status for each in listed] == ["failed", "succeeded"]
    assert listed[0].counts == {"succeeded": 1, "failed": 1, "skipped": 1}
    assert listed[0].pipeline == "wine"
    assert listed[0].started_at <= listed[0].ended_at


def test_what_is_shown_is_what_the_run_returned(shop: Bench) -> None:
    made = plan(
        task("a", writes=["data"], values={"n": 1}),
        task("bad", say={"fails": 1}),
        outputs=(("data", OutputRef("a", "data")),),
    )
    outcome = shop.run(made)
    shown = show(shop.home, outcome.run_id)
    assert json.dumps(shown.trace()) == json.dumps(outcome.trace())
    assert (shown.status, shown.message, shown.outputs) == (outcome.status, outcome.message, outcome.outputs)
    assert shown.exit_code == 4


def test_a_run_under_way_is_shown_as_running(shop: Bench) -> None:
    seen = []

    class Looker(Diary):
        def tick(self) -> None:
            if "wait" in shop.ledger and not seen:
                shown = show(shop.home, "latest")
                seen.append((shown.status, {each.name: each.state.value for each in shown.tasks}))
                (shop.base / "go").touch()

    shop.run(plan(task("wait", say={"until": "go"}), task("after", needs=["wait"])), Looker())
    assert seen == [("running", {"wait": "running", "after": "waiting"})]


def test_why_tells_attempts_and_the_log(shop: Bench) -> None:
    outcome = shop.run(plan(task("flaky", attempts=2, say={"fails": 9, "code": 75, "cause": "no server"})))
    told = why(shop.home, "latest", "flaky").split("\n")
    assert told == [
        "`flaky` failed: no server",
        "  not from the cache: it has no outputs, so it runs for its effect",
        "  attempt 1 failed: no server",
        f"  log: {shop.home / 'runs' / outcome.run_id / str(outcome.task('flaky').log)}",
    ]


def test_why_follows_a_skip_to_its_cause(shop: Bench) -> None:
    shop.run(plan(task("a", say={"fails": 1}), task("b", needs=["a"]), task("c", needs=["b"])))
    assert why(shop.home, "latest", "c").split("\n") == [
        "`c` was skipped: `b` was skipped",
        "  `b` was skipped: `a` failed",
        "  `a` failed: it broke: mend it",
    ]


def test_a_step_of_several_tasks_is_told_task_by_task(shop: Bench) -> None:
    shop.run(plan(task("fit-1", step="fit"), task("fit-2", step="fit", say={"fails": 1})))
    told = [line for line in why(shop.home, "latest", "fit").split("\n") if not line.startswith(" ")]
    assert told == ["`fit-1` succeeded", "`fit-2` failed: it broke: mend it"]
    trace = show(shop.home, "latest").trace()["steps"]["fit"]  # type: ignore[index,call-overload]
    assert (trace["state"], sorted(trace["tasks"])) == ("failed", ["fit-1", "fit-2"])


def test_questions_about_no_run_are_answered(shop: Bench) -> None:
    with pytest.raises(EngineError, match="no run `latest`: there are no runs in "):
        show(shop.home, "latest")
    run_id = shop.run(plan(task("a"))).run_id
    with pytest.raises(EngineError, match=f"no run `x\\?y`: the newest here is {run_id}"):
        why(shop.home, "x\ny", "a")
    with pytest.raises(EngineError, match=f"run {run_id} has no step `b`; it has `a`"):
        why(shop.home, run_id, "b")


def test_an_outcome_survives_the_journal(shop: Bench) -> None:
    outcome = shop.run(plan(task("a", writes=["data"], values={"n": 1})))
    records = read(shop.home / "runs" / outcome.run_id / "journal.jsonl")
    (end,) = [record for record in records if record["type"] == "end"]
    assert TaskOutcome.of_record(end["outcome"]).record() == outcome.task("a").record()
