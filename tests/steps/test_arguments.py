"""What Airflow's arguments mean: what earlier tasks left, how Airflow saw them end, and what of it a step is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import reported

from pipec.steps import store
from pipec.steps.arguments import ended
from pipec.steps.command import Call, Ended, Location, Order, order_text
from pipec.steps.declare import StepError
from pipec.steps.decode import decode_arguments
from pipec.values import Absent, EachRef, Gather, ItemRef, Literal, OutputRef, ParameterRef, RunRef, Text

ENDS = (Ended("a"), Ended("b", ("a",)), Ended("c", ("b",)))
WELL = {"a": "success", "b": "success", "c": "success"}


def keep(root: Path, **outcomes: str) -> None:
    """Leave a result of each task, as the runtime writes it."""
    for task, outcome in outcomes.items():
        place = root / "runs/p/r" / task
        place.mkdir(parents=True, exist_ok=True)
        body = {"outcome": outcome, "values": {"rate": 0.5}, "artifacts": {"note": {"digest": f"sha256:{task}"}}}
        (place / "result.json").write_text(json.dumps(body))


def called(root: Path, states: dict[str, str] | None = None, *more: str, **fields: Any) -> Call:
    order: Order = reported.order(report=None, task="t", **fields)
    words = ["--order", order_text(order), "--root", str(root), "--run", "r", *more]
    told = [] if states is None else ["--ends", json.dumps(states)]
    return decode_arguments([*words, *told], {}, store.read_text)


def there(root: Path, task: str) -> Location:
    return Location(f"{root}/runs/p/r/{task}/note", f"sha256:{task}")


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_a_task_that_did_not_succeed_left_nothing(outcome: str, tmp_path: Path) -> None:
    keep(tmp_path, a=outcome)
    assert called(tmp_path, inputs=(("data", (OutputRef("a", "note"),)),)).inputs == {"data": ()}
    with pytest.raises(Absent) as fault:
        called(tmp_path, parameters={"number": OutputRef("a", "rate")})
    past = {"failed": "failed", "refused": "was refused"}[outcome]
    assert fault.value.args == ("steps.a.rate", f": `a` {past}")


@pytest.mark.parametrize("word", ["failed", "skipped", "upstream_failed", "removed", "running"])
def test_airflow_s_word_counts_before_what_an_earlier_attempt_left(word: str, tmp_path: Path) -> None:
    keep(tmp_path, a="succeeded", b="succeeded")
    inputs = (("many", (OutputRef("a", "note"), OutputRef("b", "note"))),)
    assert called(tmp_path, {**WELL, "a": word}, inputs=inputs).inputs == {"many": (there(tmp_path, "b"),)}


def test_cells_that_left_nothing_are_left_out_and_the_rest_keeps_its_order(tmp_path: Path) -> None:
    keep(tmp_path, a="succeeded", b="failed", c="succeeded")
    cells = tuple(OutputRef(task, "note") for task in "cba")
    rates = Gather(tuple(OutputRef(task, "rate") for task in "abc"))
    call = called(tmp_path, inputs=(("many", (Gather(cells),)),), parameters={"to": rates})
    assert call.inputs == {"many": (there(tmp_path, "c"), there(tmp_path, "a"))}
    assert call.parameters["to"] == [0.5, 0.5]


def test_an_input_whose_parameter_has_no_value_is_absent(tmp_path: Path) -> None:
    inputs = (("data", (ParameterRef("at"),)),)
    assert called(tmp_path, None, "--parameters", '{"at": null}', inputs=inputs).inputs == {"data": ()}
    given = called(tmp_path, None, "--parameters", '{"at": "s3://b/x"}', inputs=inputs)
    assert given.inputs == {"data": (Location("s3://b/x"),)}


@pytest.mark.parametrize(
    ("ends", "outcome"),
    [
        (WELL, "succeeded"),
        ({**WELL, "c": "skipped"}, "succeeded"),
        ({**WELL, "b": "failed", "c": "upstream_failed"}, "failed"),
        ({**WELL, "a": "failed"}, "refused"),
        ({**WELL, "a": "failed", "b": "failed"}, "failed"),
        ({"a": "success"}, "succeeded"),
        ({**WELL, "b": "skipped", "b-subject": "failed", "b-decision": "upstream_failed"}, "failed"),
        ({**WELL, "b": "upstream_failed", "b-inputs": "success", "b-run": "failed"}, "failed"),
        ({**WELL, "b": "upstream_failed", "b-inputs": "failed", "b-run": "upstream_failed"}, "failed"),
        ({**WELL, "a": "success", "b": "skipped", "b-run": "failed"}, "succeeded"),  # a step of its own
    ],
    ids=str,
)
def test_what_a_run_came_to_by_airflow_s_words(ends: dict[str, str], outcome: str, tmp_path: Path) -> None:
    keep(tmp_path, a="refused", b="succeeded", c="succeeded")
    call = called(tmp_path, ends, ends=ENDS, parameters={"to": Text((Literal("it "), RunRef("outcome")))})
    assert (call.outcome, call.parameters["to"]) == (outcome, f"it {outcome}")


def test_a_task_that_died_without_a_word_failed_the_run(tmp_path: Path) -> None:
    assert called(tmp_path, {**WELL, "a": "failed"}, ends=ENDS).outcome == "failed"


def test_a_forgiven_failure_does_not_fail_a_run(tmp_path: Path) -> None:
    ends = {**WELL, "b": "failed"}
    assert called(tmp_path, ends, ends=ENDS, forgiven=("b",)).outcome == "succeeded"
    assert called(tmp_path, ends, ends=ENDS, forgiven=("a",)).outcome == "failed"


def test_an_outcome_that_the_caller_says_stands(tmp_path: Path) -> None:
    assert called(tmp_path, WELL, "--outcome", "refused", ends=ENDS).outcome == "refused"


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"a": "success", "a-subject": "success", "a-decision": "success"}, "succeeded"),
        ({"a": "upstream_failed", "a-subject": "failed", "a-decision": "upstream_failed"}, "failed"),
        ({"a": "upstream_failed", "a-subject": "success", "a-decision": "failed"}, "failed"),
        ({"a": "skipped", "a-subject": "skipped", "a-decision": "skipped"}, "skipped"),
        ({"a": "upstream_failed", "a-subject": "upstream_failed", "a-decision": "upstream_failed"}, "skipped"),
    ],
    ids=str,
)
def test_an_approval_that_is_three_tasks_ends_as_one(told: dict[str, str], state: str) -> None:
    assert ended(told)["a"] == state


def test_a_damaged_result_of_another_task_is_told(tmp_path: Path) -> None:
    keep(tmp_path, a="succeeded")
    (tmp_path / "runs/p/r/a/result.json").write_text("{")
    with pytest.raises(StepError, match="what `a` left in the run's folder is damaged"):
        called(tmp_path, inputs=(("data", (OutputRef("a", "note"),)),))


def test_an_iteration_has_its_item_and_a_folder_of_its_own(tmp_path: Path) -> None:
    parameters = (("seed", ItemRef("seed", "each")), ("all", ItemRef("", "each")))
    call = called(tmp_path, None, "--item", '{"seed": 7}', "--iteration", "2", parameters=dict(parameters))
    assert (call.parameters["seed"], call.parameters["all"]) == (7, {"seed": 7})
    assert (call.task, call.outputs) == ("t-2", {"*": f"{tmp_path}/runs/p/r/t-2"})


def test_an_item_without_the_field_that_is_asked_for_fails_in_the_engine_s_words(tmp_path: Path) -> None:
    with pytest.raises(StepError) as fault:
        called(tmp_path, None, "--item", "3", "--iteration", "1", parameters={"seed": ItemRef("seed", "each")})
    assert str(fault.value) == "item 1 is a number, which has no field `seed`"


def test_what_a_loop_wrote_is_a_list_in_its_order_without_what_was_skipped(tmp_path: Path) -> None:
    keep(tmp_path, **{f"each-{number}": "succeeded" for number in range(3)})
    inputs = (("many", (EachRef("each", "note"),)),)
    states = {**WELL, "each_0": "success", "each_1": "success", "each_2": "skipped"}
    call = called(tmp_path, states, inputs=inputs, parameters={"rates": EachRef("each", "rate")})
    assert call.inputs == {"many": (there(tmp_path, "each-0"), there(tmp_path, "each-1"))}
    assert call.parameters["rates"] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("states", "found"),
    [
        pytest.param({"each": "skipped", "each-items": "success"}, [], id="nothing to go over"),
        pytest.param({"each": "skipped", "each-items": "skipped"}, None, id="skipped as a whole"),
        pytest.param({"each_0": "skipped", "each_1": "skipped"}, None, id="each skipped"),
    ],
)
def test_an_empty_loop_leaves_an_empty_list_and_a_skipped_one_nothing(
    states: dict[str, str], found: list[float] | None, tmp_path: Path
) -> None:
    if found is None:
        with pytest.raises(Absent):
            called(tmp_path, states, parameters={"rates": EachRef("each", "rate")})
        return
    assert called(tmp_path, states, parameters={"rates": EachRef("each", "rate")}).parameters["rates"] == found


def test_a_loop_ended_as_the_gravest_of_its_iterations(tmp_path: Path) -> None:
    keep(tmp_path, **{"each-1": "refused"})
    states = {**WELL, "each_0": "success", "each_1": "failed"}
    call = called(tmp_path, states, ends=(Ended("each"),), parameters={"outcome": RunRef("outcome")})
    assert call.parameters["outcome"] == "refused"
