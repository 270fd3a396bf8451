"""What a task is given: lists of what others left, configs, and outputs that a success may leave unwritten."""

from __future__ import annotations

import pytest
from engine_bench import Bench, plan, states, task

from pipec.compiler.plan import Need, Plan, PlanParameter
from pipec.condition import Compare, Holds
from pipec.engine.outcome import EngineError
from pipec.steps.interface import Kind
from pipec.values import ConfigRef, Gather, Literal, OutputRef, ParameterRef, Text, Value


def cells(*fails: int) -> Plan:
    """Three cells of a matrix that write a model and a score, and a reader of both lists."""

    def listed(output: str) -> Value:
        return Gather(tuple(OutputRef(f"train-{n}", output) for n in range(3)))

    train = [
        task(f"train-{n}", step="train", writes=["model"], values={"f1": n}, say={"text": str(n), "fails": n in fails})
        for n in range(3)
    ]
    needs = [Need(f"train-{n}", soft=True, forgiving=True, any_of="train") for n in range(3)]
    best = task("best", reads={"models": listed("model")}, many=["models"], needs=needs, writes=["all"])
    count = task("count", say={"scores": listed("f1")}, needs=needs)
    return plan(*train, best, count, outputs=(("scores", listed("f1")), ("models", listed("model"))))


def test_a_list_of_cells_leaves_out_those_that_failed(shop: Bench) -> None:
    outcome = shop.run(cells(1))
    assert states(outcome)["best"] == "succeeded"
    assert shop.text(outcome, "best", "all") == "all:model:0model:2"
    assert outcome.task("count").parts["parameters.scores"] == "[0,2]"
    assert outcome.outputs["scores"] == [0, 2]
    models = [outcome.task(f"train-{n}").artifacts["model"].digest for n in (0, 2)]
    assert [model["digest"] for model in outcome.outputs["models"]] == models  # type: ignore[union-attr,index,call-overload]


def test_without_any_cell_their_readers_are_skipped(shop: Bench) -> None:
    outcome = shop.run(cells(0, 1, 2))
    assert {outcome.task(name).reason for name in ("best", "count")} == {"`train` failed"}
    assert outcome.outputs == {"scores": [], "models": []}


def test_a_config_is_a_value_and_a_part_of_the_work(shop: Bench) -> None:
    said = Text((Literal("in "), ConfigRef("region")))
    use = plan(
        task("a", say={"text": said}, writes=["x"]),
        task("b", env=(("REGION", ConfigRef("region")),), say={"reveal": "REGION"}, writes=["x"]),
        task("c", when=Compare("==", ConfigRef("region"), Literal("us"))),
    )
    outcome = shop.run(use, configs={"region": "eu"})
    assert shop.text(outcome, "a", "x") == "x:in eu"
    assert (shop.base / "b.revealed").read_text(encoding="utf-8") == "eu"
    shop.run(use, configs={"region": "us"})
    shop.run(use, configs={"region": "us"})
    assert sorted(shop.ledger) == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize(
    "user",
    [task("a", say={"x": ConfigRef("region")}), task("a", when=Compare("==", ConfigRef("region"), Literal("eu")))],
    ids=["parameter", "when"],
)
def test_a_missing_config_is_named_before_anything_runs(shop: Bench, user: object) -> None:
    with pytest.raises(EngineError) as fault:
        shop.run(plan(task("first"), user))  # type: ignore[arg-type]
    assert str(fault.value) == (
        "config `region` has no value here: say where it comes from in the environment's `configs`"
    )
    assert shop.ledger == []


def test_an_output_may_be_left_unwritten_where_its_step_says_so(shop: Bench) -> None:
    maker = task("make", writes=["data"], spare=["extra"], say={"text": "x"})
    both = {"a": OutputRef("make", "data"), "b": OutputRef("make", "extra")}
    outcome = shop.run(
        plan(
            maker,
            task("easy", reads=both, optional=["b"], writes=["out"]),
            task("hard", reads={"b": OutputRef("make", "extra")}),
        )
    )
    assert states(outcome) == {"make": "succeeded", "easy": "succeeded", "hard": "failed"}
    assert outcome.task("easy").inputs["b"] == ()
    assert outcome.task("hard").reason == "input `b` reads `steps.make.extra`, which `make` left unwritten"


def test_a_final_step_reads_what_there_is(shop: Bench) -> None:
    outcome = shop.run(
        plan(
            task("skipped", writes=["x"], when=Holds(Literal(False))),
            task("failed", writes=["x"], say={"fails": 1}),
            task("done", writes=["x"]),
            task("tidy", is_final=True, many=["all"], optional=["all"], writes=["list"],
                 reads={"all": Gather(tuple(OutputRef(name, "x") for name in ("skipped", "failed", "done")))},
                 soft=["skipped", "failed", "done"]),
        )
    )  # fmt: skip
    assert shop.text(outcome, "tidy", "list") == "list:x:"


def test_a_location_that_the_run_was_not_given_is_an_absent_input(shop: Bench) -> None:
    use = plan(
        task("a", reads={"rows": ParameterRef("rows")}, optional=["rows"], writes=["x"]),
        parameters=(PlanParameter(name="rows", kind=Kind.STRING, schema={"type": "string"}),),
    )
    outcome = shop.run(use)
    assert (states(outcome), shop.text(outcome, "a", "x")) == ({"a": "succeeded"}, "x:")
