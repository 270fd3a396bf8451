"""Whether a task that reports runs: rules 1 and 2, answered in its container from what Kubeflow hands it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import reported
import runtime_probe as probes

from pipec.compiler.plan import Need, Task
from pipec.condition import AllOf, Compare, Condition, Holds, Not, Status
from pipec.engine.outcome import State, TaskOutcome
from pipec.engine.state import Facts, judge
from pipec.steps import store
from pipec.steps.command import Call, Order, Report, ReportedNeed
from pipec.steps.declare import CallerError, StepError
from pipec.steps.decode import decode_arguments
from pipec.steps.executor import Skipped
from pipec.values import Absent, EachRef, Gather, Literal, OutputRef, ParameterRef, Text
from pipec.verdict import Skip

READY = ""


@pytest.fixture(autouse=True)
def _probe(monkeypatch: pytest.MonkeyPatch) -> None:
    probes.register(monkeypatch)


def decoded(order: Order, values: dict[str, Any] | None = None, **more: Any) -> Call:
    return decode_arguments(reported.words(Path("/nowhere"), order, values, **more), {}, store.read_text)


def why_not(report: Report, values: dict[str, Any] | None = None, **fields: Any) -> str:
    """Return why a task does not run, or an empty text if it does."""
    artifacts = fields.pop("artifacts", {})
    try:
        decoded(reported.order(report=report, **fields), values, artifacts=artifacts)
    except Skipped as skip:
        return skip.reason
    return READY


def needs(*listed: ReportedNeed) -> Report:
    return Report(tuple(listed))


def by_the_engine(need: ReportedNeed, state: str, *, is_forgiven: bool) -> str:
    """Return why the engine does not run a task with this need, or an empty text."""
    task = Task(name="t", step="t", interface=reported.INTERFACE,
                needs=(Need(need.task, soft=need.soft, forgiving=need.forgiving, any_of=need.any_of),))  # fmt: skip
    ending = TaskOutcome(name="x", step="x", state=State(state), is_forgiven=is_forgiven)
    verdict = judge(task, Facts(run_id="r", scheduled_at="", parameters={}, endings={"x": ending}))
    return verdict.reason if isinstance(verdict, Skip) else READY


HARD, SOFT, FORGIVING = ReportedNeed("x"), ReportedNeed("x", soft=True), ReportedNeed("x", forgiving=True)


@pytest.mark.parametrize(
    ("need", "state", "reason"),
    [
        (HARD, "succeeded", READY),
        (HARD, "failed", "`x` failed"),
        (HARD, "refused", "`x` was refused"),
        (HARD, "skipped", "`x` was skipped"),
        (SOFT, "succeeded", READY),
        (SOFT, "failed", "`x` failed"),
        (SOFT, "refused", "`x` was refused"),
        (SOFT, "skipped", READY),
        (FORGIVING, "succeeded", READY),
        (FORGIVING, "failed", READY),
        (FORGIVING, "refused", READY),
        (FORGIVING, "skipped", "`x` was skipped"),
    ],
    ids=str,
)
def test_what_a_need_lets_pass(need: ReportedNeed, state: str, reason: str) -> None:
    assert why_not(needs(need), {"state-x": state}) == reason


@pytest.mark.parametrize("any_of", ["", "step"])
@pytest.mark.parametrize("is_forgiven", [False, True], ids=["counts", "forgiven"])
@pytest.mark.parametrize("state", ["succeeded", "failed", "refused", "skipped"])
def test_the_container_judges_as_the_engine_does(state: str, is_forgiven: bool, any_of: str) -> None:
    for soft, forgiving in product([False, True], repeat=2):
        need = ReportedNeed("x", soft=soft, forgiving=forgiving, any_of=any_of)
        forgiven = ("x",) if is_forgiven else ()
        found = why_not(needs(need), {"state-x": state}, forgiven=forgiven)
        assert found == by_the_engine(need, state, is_forgiven=is_forgiven), need


@pytest.mark.parametrize(("need", "reason"), [(HARD, "`x` failed"), (SOFT, READY), (FORGIVING, "`x` failed")], ids=str)
def test_a_failure_that_is_forgiven_looks_like_a_skip(need: ReportedNeed, reason: str) -> None:
    assert why_not(needs(need), {"state-x": "failed"}, forgiven=("x",)) == reason


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("succeeded", "failed", READY),
        ("skipped", "succeeded", READY),
        ("skipped", "skipped", "`cells` was skipped"),
        ("failed", "skipped", "`cells` failed"),
        ("refused", "refused", "`cells` failed"),
    ],
)
def test_of_the_cells_of_a_step_one_must_have_succeeded(first: str, second: str, reason: str) -> None:
    both = needs(*(ReportedNeed(name, soft=True, forgiving=True, any_of="cells") for name in ("c-0", "c-1")))
    assert why_not(both, {"state-c-0": first, "state-c-1": second}) == reason


@pytest.mark.parametrize(
    ("when", "values", "reason"),
    [
        (Status("failed", "x"), {"state-x": "failed"}, READY),
        (Status("failed", "x"), {"state-x": "refused"}, READY),
        (Status("failed", "x"), {"state-x": "skipped"}, "`when` is false"),
        (Not(Status("succeeded", "x")), {"state-x": "succeeded"}, "`when` is false"),
        (Status("skipped", "x"), {"state-x": "skipped"}, READY),
        (Compare(">", OutputRef("x", "rate"), Literal(2)), {"state-x": "succeeded", "output-x-rate": 3.0}, READY),
        (Compare("==", OutputRef("x", "n"), ParameterRef("n")), {"output-x-n": 3.0, "parameter-n": 3}, READY),
        (Holds(ParameterRef("on")), {"parameter-on": False}, "`when` is false"),
    ],
    ids=str,
)
def test_when_is_answered_from_states_and_values(when: Condition, values: dict[str, Any], reason: str) -> None:
    assert why_not(Report(when=when), values) == reason


def test_naming_a_task_in_a_status_takes_the_place_of_the_need_on_it() -> None:
    assert why_not(Report((HARD,), Status("failed", "x")), {"state-x": "failed"}) == READY


def test_a_forgiven_failure_counts_as_a_skip_in_when_too() -> None:
    when = AllOf((Status("skipped", "x"), Not(Status("failed", "x"))))
    assert why_not(Report(when=when), {"state-x": "failed"}, forgiven=("x",)) == READY


@pytest.mark.parametrize(
    ("when", "values", "message"),
    [
        (Holds(OutputRef("x", "on")), {"state-x": "skipped", "output-x-on": True},
         "`steps.x.on` is absent: `x` was skipped"),
        (Holds(ParameterRef("on")), {"parameter-on": None}, "`parameters.on` has no value"),
        (Holds(ParameterRef("on")), {"parameter-on": "no"}, "`no` is a text, not true or false"),
        (Compare("<", OutputRef("x", "n"), Literal(1)), {"output-x-n": "2"}, "`2` is a text, but `1` is a number"),
    ],
    ids=str,
)  # fmt: skip
def test_a_when_without_an_answer_is_a_failure(when: Condition, values: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError, match=f"^`when` cannot be answered: {message}$") as fault:
        why_not(Report(when=when), values)
    assert fault.value.exit_code == 1


def test_a_placeholder_of_a_task_that_did_not_succeed_is_no_value() -> None:
    items = Gather((OutputRef("x", "n"), OutputRef("y", "n")))
    order = reported.order("well", {"list": items}, report=needs(SOFT))
    call = decoded(order, {"state-x": "skipped", "output-x-n": 0, "output-y-n": 4.0})
    assert call.parameters["list"] == [4.0]


def test_a_value_that_must_be_there_and_is_not_is_told() -> None:
    order = reported.order("well", {"to": Text((Literal("n="), OutputRef("x", "n")))}, report=needs(SOFT))
    with pytest.raises(Absent, match=r"^steps\.x\.n$"):
        decoded(order, {"state-x": "skipped", "output-x-n": 0})


MADE = {"output-x-note": {"uri": "s3://b/note", "metadata": {"digest": "sha256:1"}}}
LEFT = {"output-x-note": {"uri": "s3://b/note", "metadata": {}}}  # the launcher hands on what was declared
READS = (("data", (OutputRef("x", "note"),)),)


@pytest.mark.parametrize(("state", "n_given"), [("succeeded", 1), ("skipped", 0)])
def test_an_optional_input_is_absent_where_its_producer_was_skipped(state: str, n_given: int) -> None:
    artifacts = MADE if n_given else LEFT
    call = decoded(reported.order(report=needs(SOFT), inputs=READS), {"state-x": state}, artifacts=artifacts)
    assert len(call.inputs["data"]) == n_given


def test_a_list_input_that_came_to_nothing_leaves_nothing_to_do() -> None:
    many = ReportedNeed("x", soft=True, forgiving=True)
    order = reported.order(report=needs(many), inputs=(("models", (OutputRef("x", "model"),)),), step="select@1")
    with pytest.raises(Skipped) as skip:
        decoded(order, {"state-x": "failed"}, artifacts={})
    assert skip.value.reason == "nothing was left for `models`"


def test_a_required_input_that_is_absent_is_a_failure() -> None:
    order = reported.order(report=Report(), inputs=(("data", (OutputRef("x", "rows"),)),), step="split@1")
    with pytest.raises(StepError, match=r"^input `data` reads `steps\.x\.rows`, which is absent$"):
        decoded(order, {"state-x": "skipped"})


def test_a_loop_that_failed_with_nothing_to_show_feeds_nobody() -> None:
    inputs = (("many", (EachRef("x", "note"),)),)
    assert why_not(needs(FORGIVING), {"state-x": "failed"}, inputs=inputs) == "`x` failed"
    some = {"each-x-note": MADE["output-x-note"]}
    assert why_not(needs(FORGIVING), {"state-x": "failed"}, inputs=inputs, artifacts=some) == READY


@pytest.mark.parametrize("values", [{}, {"state-x": "done"}], ids=str)
def test_a_state_that_nobody_tells_is_the_callers_fault(values: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match="deploy the pipeline again"):
        why_not(needs(HARD), values)
