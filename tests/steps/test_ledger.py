"""What the tasks of a run leave in its folder, and what a final step makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import reported
import runtime_probe as probes

from pipec import digest
from pipec.condition import Compare, Condition, Status
from pipec.steps import runtime, store
from pipec.steps.command import Call, Ended, Location, Order, Report
from pipec.steps.declare import CallerError, StepError
from pipec.steps.decode import decode_arguments
from pipec.steps.executor import Skipped
from pipec.steps.ledger import Ledger
from pipec.values import Gather, Literal, OutputRef, RunRef

RUN = "root/runs/p/r"


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes.register(monkeypatch)


def decoded(root: Path, order: Order, values: dict[str, Any] | None = None, **more: Any) -> Call:
    words = reported.words(root, order, {"run-id": "r", **(values or {})}, small=(), **more)
    return decode_arguments(words, {}, store.read_text)


def did(root: Path, act: str, ledger: str, *, is_last: bool = True) -> int:
    """Run the probe with a ledger; return its exit code."""
    (root / "data").write_text("rows")
    order = reported.order(act, ledger=ledger, report=None, inputs=(("data", (OutputRef("make", "data"),)),))
    call = decoded(root, order, artifacts={"output-make-data": {"uri": str(root / "data")}})
    return runtime.execute(call, is_last=is_last)


def left(root: Path) -> list[str]:
    return probes.visible(root / RUN) if (root / RUN).exists() else []


def test_a_whole_ledger_holds_results_and_where_artifacts_lie(tmp_path: Path) -> None:
    assert did(tmp_path, "spare", "all") == 0
    told = reported.result(tmp_path)
    assert (told["outcome"], told["values"]["size"]) == ("succeeded", 3)
    places = json.loads((tmp_path / RUN / "t/places.json").read_text())
    assert places == {name: str(tmp_path / "out" / name) for name in ("folder", "note", "same", "spare")}


def test_a_whole_ledger_holds_bad_ends_too_and_the_newest_counts(tmp_path: Path) -> None:
    assert did(tmp_path, "again", "all", is_last=False) == 75
    assert reported.result(tmp_path)["message"] == "nobody has answered"
    assert did(tmp_path, "well", "all") == 0
    assert reported.result(tmp_path)["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("acts", "outcome"),
    [
        (["well"], ""),
        (["refuse"], "refused"),
        (["bug", "well"], "failed"),
        (["bug", "refuse"], "failed"),
        (["refuse", "bug"], "failed"),
    ],
    ids=str,
)
def test_a_ledger_of_bad_ends_keeps_the_gravest_of_those_who_share_it(
    acts: list[str], outcome: str, tmp_path: Path
) -> None:
    for act in acts:
        did(tmp_path, act, "bad")
    assert (reported.result(tmp_path)["outcome"] if left(tmp_path) else "") == outcome


def test_an_attempt_that_another_follows_is_no_bad_end(tmp_path: Path) -> None:
    did(tmp_path, "again", "bad", is_last=False)
    assert left(tmp_path) == []
    did(tmp_path, "again", "bad")
    assert reported.result(tmp_path)["outcome"] == "failed"


def test_a_ledger_without_a_place_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="`--root` and the input `run-id` must say where"):
        decoded(tmp_path, reported.order(ledger="all", report=None), {"run-id": ""})


def test_a_task_that_was_killed_has_its_end_in_the_ledger(tmp_path: Path) -> None:
    order = reported.order("kill", ledger="all", report=None)
    assert reported.run(tmp_path, order, {"run-id": "r"}, small=()).returncode == 137
    assert reported.result(tmp_path)["message"].startswith("it was killed by someone")


def test_a_task_that_could_not_read_its_call_has_its_end_in_the_ledger(tmp_path: Path) -> None:
    order = reported.order("well", ledger="bad", report=None, inputs=(("data", (RunRef("word"),)),))
    assert reported.run(tmp_path, order, {"run-id": "r"}, small=()).returncode == 2
    message = "the caller gave no input `run-word`: compile and deploy the pipeline again"
    assert (reported.result(tmp_path)["outcome"], reported.result(tmp_path)["message"]) == ("failed", message)


# a -> b -> c, and d which may be skipped
ENDS = (Ended("a"), Ended("b", ("a",)), Ended("c", ("b",)), Ended("d", ("a",), is_conditional=True))


def keep(root: Path, **outcomes: str) -> None:
    """Leave a result of each task, as the runtime writes it."""
    for task, outcome in outcomes.items():
        place = root / RUN / task
        place.mkdir(parents=True, exist_ok=True)
        body = {"outcome": outcome, "values": {"rate": 0.5}, "artifacts": {"note": {"digest": "sha256:1"}}}
        (place / "result.json").write_text(json.dumps(body))
        (place / "places.json").write_text('{"note": "s3://b/note"}')


def final(root: Path, when: Condition | None = None, values: dict[str, Any] | None = None, **fields: Any) -> Call:
    report = Report(when=when) if when else None
    return decoded(root, reported.order(ends=ENDS, report=report, task="tell", **fields), values)


WELL = dict.fromkeys("abcd", "succeeded")


@pytest.mark.parametrize(
    ("outcomes", "status", "outcome"),
    [
        (WELL, "SUCCEEDED", "succeeded"),
        (WELL, "FAILED", "failed"),
        ({**WELL, "b": "failed", "d": "refused"}, "SUCCEEDED", "failed"),
        ({**WELL, "d": "refused"}, "SUCCEEDED", "refused"),
        ({**WELL, "d": "refused"}, "FAILED", "refused"),
        ({"a": "succeeded", "b": "succeeded", "c": "succeeded"}, "SUCCEEDED", "succeeded"),
        ({"a": "succeeded", "b": "succeeded"}, "SUCCEEDED", "failed"),
        ({"a": "succeeded", "b": "refused"}, "FAILED", "refused"),
        ({}, "SUCCEEDED", "failed"),
    ],
    ids=str,
)
def test_what_a_run_came_to(outcomes: dict[str, str], status: str, outcome: str, tmp_path: Path) -> None:
    keep(tmp_path, **outcomes)
    call = final(tmp_path, values={"final-status": {"state": status}}, parameters={"to": RunRef("outcome")})
    assert (call.outcome, call.parameters["to"]) == (outcome, outcome)


def test_a_status_may_come_as_text_and_a_run_without_one_is_judged_by_its_ledger(tmp_path: Path) -> None:
    keep(tmp_path, **WELL)
    assert final(tmp_path, values={"final-status": '{"state": "FAILED"}'}).outcome == "failed"
    assert final(tmp_path).outcome == "succeeded"


@pytest.mark.parametrize("outcomes", [{**WELL, "b": "failed"}, {**WELL, "b": "refused"}], ids=str)
def test_what_is_forgiven_does_not_fail_a_run(outcomes: dict[str, str], tmp_path: Path) -> None:
    keep(tmp_path, **outcomes)
    assert final(tmp_path, forgiven=("b",)).outcome == "succeeded"
    assert final(tmp_path, Status("skipped", "b"), forgiven=("b",)).task == "tell"


@pytest.mark.parametrize(
    ("when", "is_run"),
    [
        (Status("failed", "b"), False),
        (Status("failed", "c"), True),  # it died: `b`, which it needs, succeeded, and it left no word
        (Status("skipped", "d"), True),
        (Status("succeeded", "a"), True),
        (Compare("<", OutputRef("a", "rate"), Literal(1)), True),
        (Compare(">", OutputRef("a", "rate"), Literal(1)), False),
        (Compare("==", RunRef("outcome"), Literal("failed")), True),
    ],
    ids=str,
)
def test_when_of_a_final_step_is_answered_from_the_ledger(when: Condition, is_run: bool, tmp_path: Path) -> None:
    keep(tmp_path, a="succeeded", b="succeeded")
    if is_run:
        assert final(tmp_path, when).task == "tell"
        return
    with pytest.raises(Skipped) as skip:
        final(tmp_path, when)
    assert skip.value.reason == "`when` is false"


def test_a_value_of_a_task_that_did_not_succeed_is_absent_for_a_final_step(tmp_path: Path) -> None:
    keep(tmp_path, **{**WELL, "b": "failed"})
    with pytest.raises(StepError, match=r"`steps\.b\.rate` is absent: `b` failed"):
        final(tmp_path, Compare("<", OutputRef("b", "rate"), Literal(1)))


def test_inputs_of_a_final_step_are_found_where_the_run_left_them(tmp_path: Path) -> None:
    keep(tmp_path, **{**WELL, "b": "failed"})
    given = tuple(OutputRef(task, "note") for task in "abc")
    call = final(
        tmp_path, inputs=(("data", given[:1]), ("many", (Gather(given),)), ("none", (OutputRef("a", "other"),)))
    )
    there = Location("s3://b/note", "sha256:1")
    assert call.inputs == {"data": (there,), "many": (there, there), "none": ()}


def test_a_final_step_that_runs_ends_as_any_and_one_that_is_skipped_with_0(tmp_path: Path) -> None:
    keep(tmp_path, **WELL)
    (tmp_path / "note").write_text("noted")
    (tmp_path / RUN / "a/places.json").write_text(json.dumps({"note": str(tmp_path / "note")}))
    body = reported.result(tmp_path, task="a")
    body["artifacts"]["note"]["digest"] = digest.of_path(tmp_path / "note")
    (tmp_path / RUN / "a/result.json").write_text(json.dumps(body))
    for act, state, code, size in (("well", "succeeded", 0, "3"), ("refuse", "succeeded", 3, "3"),
                                   ("well", "failed", 0, "0")):  # fmt: skip
        order = reported.order(act, ends=ENDS, report=Report(when=Status(state, "a")), task="tell",
                               inputs=(("data", (OutputRef("a", "note"),)),))  # fmt: skip
        assert reported.run(tmp_path, order, {"run-id": "r"}, small=()).returncode == code
        assert reported.small(tmp_path)["size"] == size


def test_a_damaged_result_is_told(tmp_path: Path) -> None:
    ledger = Ledger("f", ENDS, (), lambda place: "{" if place == "f/a/result.json" else None)
    with pytest.raises(StepError, match="what `a` left in the run's folder is damaged"):
        ledger.state("a")
