"""Loops over lists that only a run knows (rule 9): what becomes of each item, of the loop and of those who read it."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace

import pytest
from engine_bench import Bench, Diary, Watch, loop, parameter, plan, states, task

from pipec.compiler.plan import Group, Need, Plan, Task
from pipec.condition import Compare, Status
from pipec.engine.history import decide, runs, show, why
from pipec.engine.loop import unroll
from pipec.engine.outcome import EngineError, RunOutcome
from pipec.engine.progress import Lines, Live
from pipec.steps.interface import Kind, Role
from pipec.values import EachRef, Gather, ItemRef, Json, Literal, OutputRef, ParameterRef, RunRef, Text, Value

NEVER = Compare("==", Literal(1), Literal(2))


def score(**more: object) -> Task:
    """The body of a loop over texts: it writes the item, and counts one."""
    say = {"text": ItemRef("", "score"), **more.pop("say", {})}  # type: ignore[dict-item]
    return task("score", writes=["rows"], values={"n": 1}, say=say, **more)  # type: ignore[arg-type]


OUTPUTS: dict[str, Value] = {"rows": OutputRef("score", "rows"), "n": OutputRef("score", "n")}


def scores(items: Value | Json, body: Task | None = None, **more: object) -> Task:
    return loop("score", items, body or score(), outputs=OUTPUTS, **more)  # type: ignore[arg-type]


def reader(**more: object) -> Task:
    return task("merge", reads={"parts": EachRef("score", "rows")}, many=["parts"], writes=["all"],
                say={"counts": EachRef("score", "n")}, **more)  # type: ignore[arg-type]  # fmt: skip


def test_each_item_is_an_iteration_and_what_they_left_is_read_in_order(shop: Bench) -> None:
    listed = task("list", values={"items": ["a", "b", "c"]}, say={"values": {"items": ["a", "b", "c"]}})
    handed = (("all", EachRef("score", "rows")), ("counts", EachRef("score", "n")))
    outcome = shop.run(plan(listed, scores(OutputRef("list", "items")), reader(), outputs=handed))
    assert [(one.name, one.step, one.state.value) for one in outcome.tasks] == [
        ("list", "list", "succeeded"), ("score", "score", "succeeded"), ("score-0", "score", "succeeded"),
        ("score-1", "score", "succeeded"), ("score-2", "score", "succeeded"), ("merge", "merge", "succeeded"),
    ]  # fmt: skip
    assert shop.text(outcome, "merge", "all") == "all:rows:arows:brows:c"
    assert outcome.task("merge").parts["parameters.counts"] == "[1,1,1]"
    assert outcome.outputs["counts"] == [1, 1, 1]
    assert [one["digest"] for one in outcome.outputs["all"]] == [  # type: ignore[union-attr,index,call-overload]
        outcome.task(f"score-{n}").artifacts["rows"].digest for n in range(3)
    ]
    assert "score" not in shop.ledger


def test_a_trace_tells_a_loop_as_one_step(shop: Bench) -> None:
    trace = shop.run(plan(scores(["a", "b"]))).trace()["steps"]
    assert list(trace["score"]) == ["state", "tasks"]  # type: ignore[index,call-overload]
    assert trace["score"]["state"] == "succeeded"  # type: ignore[index,call-overload]
    assert list(trace["score"]["tasks"]) == ["score-0", "score-1"]  # type: ignore[index,call-overload]


def test_an_empty_list_succeeds_and_leaves_its_readers_nothing(shop: Bench) -> None:
    outcome = shop.run(plan(scores([]), reader(), task("after", needs=["score"])))
    assert states(outcome) == {"score": "succeeded", "merge": "skipped", "after": "succeeded"}
    assert outcome.task("merge").reason == "nothing was left for `parts`"
    assert outcome.trace()["steps"]["score"] == {"state": "succeeded", "tasks": {}}  # type: ignore[index,call-overload]


def test_a_loop_that_is_skipped_has_no_iterations(shop: Bench) -> None:
    outcome = shop.run(plan(scores(["a"], when=NEVER), reader()))
    assert states(outcome) == {"score": "skipped", "merge": "skipped"}
    assert outcome.trace()["steps"]["score"] == {"state": "skipped", "tasks": {}}  # type: ignore[index,call-overload]


def test_a_loop_whose_iterations_were_all_skipped_is_skipped(shop: Bench) -> None:
    outcome = shop.run(plan(scores(["a", "b"], score(when=NEVER)), reader()))
    assert Counter(states(outcome).values()) == {"skipped": 4}
    assert outcome.task("score").reason == "every iteration was skipped"


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ("abc", "`for_each` needs a list, and `abc` is a text"),
        ({"a": 1}, "`for_each` needs a list, and `{'a': 1}` is an object"),
        (list(range(1001)), "`for_each` got 1001 items, and goes over 1000 at most: give it a shorter list"),
        (ParameterRef("p"), "`for_each`: `parameters.p` has no value"),
    ],
    ids=["text", "object", "long", "absent"],
)
def test_what_is_no_list_fails_the_loop(shop: Bench, items: object, reason: str) -> None:
    made = plan(scores(items), reader(), parameters=(parameter("p", Kind.LIST),))  # type: ignore[arg-type]
    outcome = shop.run(made)
    assert (states(outcome), outcome.task("score").reason) == ({"score": "failed", "merge": "skipped"}, reason)
    assert outcome.message.split("\n")[0] == f"step `score` failed: {reason}"
    assert shop.run(made, resume="latest").status == "failed"


def test_an_item_may_stand_anywhere_in_the_body(shop: Bench) -> None:
    items = [{"name": "a", "rows": 3, "tags": [1, 2]}, {"name": "b", "rows": 5, "tags": []}]
    body = task(
        "score", writes=["out"], values={"rows": 0}, env=(("NAME", ItemRef("name", "score")),),
        say={"text": Text((Literal("it is "), ItemRef("name", "score"))), "values": {"rows": 1},
             "tags": ItemRef("tags", "score"),
             "reveal": "NAME", "whole": ItemRef("", "score")},
        when=Compare(">", ItemRef("rows", "score"), Literal(4)),
    )  # fmt: skip
    outcome = shop.run(plan(loop("score", items, body)))
    assert states(outcome) == {"score": "succeeded", "score-0": "skipped", "score-1": "succeeded"}
    assert shop.text(outcome, "score-1", "out") == "out:it is b"
    assert outcome.task("score-1").parts["parameters.whole"] == '{"name":"b","rows":5,"tags":[]}'
    assert (shop.base / "score-1.revealed").read_text(encoding="utf-8") == "b"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"b": 1}, "item 1 has no field `a`; it has `b`"),
        ({}, "item 1 has no field `a`; it has none"),
        ("text", "item 1 is a text, which has no field `a`"),
        (None, "item 1 is null, which has no field `a`"),
    ],
    ids=str,
)
def test_a_field_that_an_item_lacks_fails_its_iteration(shop: Bench, item: Json, reason: str) -> None:
    inner = [
        task(
            "score.a",
            step="score.a",
            say={"x": ItemRef("a", "score")},
            when=Compare("==", ItemRef("a", "score"), Literal(1)),
        ),
        task("score.b", step="score.b", needs=["score.a"]),
    ]
    outcome = shop.run(plan(loop("score", [{"a": 1}, item], *inner, fail_fast=False)))
    assert states(outcome) == {
        "score": "failed", "score-0.a": "succeeded", "score-0.b": "succeeded", "score-1.a": "failed",
        "score-1.b": "skipped",
    }  # fmt: skip
    assert outcome.task("score-1.a").reason == reason
    assert outcome.task("score").reason == "`score-1.a` failed"


def test_after_a_failure_no_further_iteration_begins(shop: Bench) -> None:
    body = score(say={"fails": 1}, when=Compare("!=", ItemRef("", "score"), Literal("a")))
    outcome = shop.run(plan(scores(["a", "b", "c", "d"], body), reader()), jobs=1)
    assert (outcome.status, shop.ledger) == ("failed", ["score-1"])
    stopped = "`score-1` failed, and `fail_fast` starts no further one"
    assert [one.reason for one in outcome.tasks] == [
        "`score-1` failed", "`when` is false", "it broke: mend it", stopped, stopped, "`score` failed",
    ]  # fmt: skip
    assert outcome.message.split("\n")[0] == "step `score` (`score-1`) failed: it broke: mend it"
    assert outcome.message.split("\n")[2] == "  not run because of it: score-2, score-3, merge"


def test_an_iteration_that_began_goes_on_after_another_failed(shop: Bench) -> None:
    inner = [
        task("score.a", step="score.a", say={"fails": 1}, when=Compare("==", ItemRef("", "score"), Literal(0))),
        task("score.b", step="score.b", say={"until": "go"}, when=Compare("==", ItemRef("", "score"), Literal(1))),
        task("score.c", step="score.c", soft=["score.b"], when=Compare("==", ItemRef("", "score"), Literal(1))),
    ]

    class Opener(Diary):
        def ended(self, outcome: object) -> None:
            (shop.base / "go").touch()

    outcome = shop.run(plan(loop("score", [0, 1, 2], *inner)), Opener(), jobs=2)
    assert sorted(shop.ledger) == ["score-0.a", "score-1.b", "score-1.c"]
    assert states(outcome)["score-1.c"] == "succeeded"


def test_without_fail_fast_every_iteration_runs_and_the_rest_is_read(shop: Bench) -> None:
    body = score(say={"fails": Literal(9)}, when=Compare("in", ItemRef("", "score"), Literal(["b"])))
    good = replace(body, when=None, parameters=tuple(p for p in body.parameters if p[0] != "fails"))
    assert good.when is None
    mixed = loop(
        "score", ["a", "b", "c"],
        replace(good, name="score.good", step="score.good", when=Compare("!=", ItemRef("", "score"), Literal("b"))),
        replace(body, name="score.bad", step="score.bad"),
        outputs={"rows": OutputRef("score.good", "rows"), "n": OutputRef("score.good", "n")}, fail_fast=False,
    )  # fmt: skip
    forgiving = reader(needs=[Need("score", forgiving=True)])
    outcome = shop.run(plan(mixed, forgiving))
    assert (outcome.task("score").state, outcome.task("merge").state) == ("failed", "succeeded")
    assert shop.text(outcome, "merge", "all") == "all:rows:arows:c"


def test_iterations_are_limited_and_begin_in_order(shop: Bench) -> None:
    inner = [task("score.a", step="score.a"), task("score.b", step="score.b", needs=["score.a"])]
    watch = Watch()
    outcome = shop.run(plan(loop("score", list(range(4)), *inner, max_parallel=1)), watch, jobs=4)
    assert (outcome.status, watch.peak) == ("succeeded", 1)
    assert shop.ledger == [f"score-{n}.{part}" for n in range(4) for part in "ab"]


def test_a_refused_iteration_refuses_and_a_forgiven_one_counts_as_skipped(shop: Bench) -> None:
    refused = shop.run(plan(scores(["a"], score(say={"fails": 1, "code": 3}))))
    assert (refused.status, refused.task("score").reason) == ("refused", "`score-0` was refused")
    forgiven = shop.run(plan(scores(["x"], score(say={"fails": 9}, continue_on_error=True))))
    assert (forgiven.status, states(forgiven)) == ("succeeded", {"score": "skipped", "score-0": "failed"})
    carrier = shop.run(
        plan(scores(["y"], score(say={"fails": 9}), continue_on_error=True), task("after", soft=["score"]))
    )
    assert (carrier.status, states(carrier)["score"], states(carrier)["after"]) == ("succeeded", "failed", "succeeded")
    assert carrier.message.split("\n")[0] == (
        "step `score` (`score-0`) failed (the run goes on: `continue_on_error`): it broke: mend it"
    )


def nested(**more: object) -> Plan:
    """A loop over groups of items, whose body has a matrix, and a loop over the items of a group."""
    cells = [
        task(f"outer.cell-{n}", step="outer.cell", group="outer.cell", writes=["out"], say={"text": str(n)})
        for n in range(2)
    ]
    inner = loop(
        "outer.inner", ItemRef("items", "outer"),
        task("outer.inner", step="outer.inner", writes=["out"], say={"text": ItemRef("", "outer.inner")}),
        outputs={"out": OutputRef("outer.inner", "out")}, step="outer.inner", needs=["outer.cell-0"],
    )  # fmt: skip
    outer = loop(
        "outer", [{"items": ["a", "b"]}, {"items": []}, {"items": ["c"]}], *cells, inner,
        outputs={"inner": EachRef("outer.inner", "out"),
                 "cells": Gather(tuple(OutputRef(cell.name, "out") for cell in cells))}, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    last = task("last", reads={"a": EachRef("outer", "inner"), "b": EachRef("outer", "cells")}, many=["a", "b"],
                writes=["all"])  # fmt: skip
    return plan(outer, last, groups=(Group(name="outer.cell", max_parallel=1),))


def test_loops_and_matrices_may_stand_in_loops(shop: Bench) -> None:
    outcome = shop.run(nested())
    assert outcome.status == "succeeded"
    assert [one.name for one in outcome.tasks] == [
        "outer",
        "outer-0.cell-0", "outer-0.cell-1", "outer-0.inner", "outer-0.inner-0", "outer-0.inner-1",
        "outer-1.cell-0", "outer-1.cell-1", "outer-1.inner",
        "outer-2.cell-0", "outer-2.cell-1", "outer-2.inner", "outer-2.inner-0",
        "last",
    ]  # fmt: skip
    assert shop.text(outcome, "last", "all") == "all:out:aout:bout:c" + "out:0out:1" * 3
    trace = outcome.trace()["steps"]["outer"]  # type: ignore[index,call-overload]
    assert "outer-0.inner" not in trace["tasks"]
    assert (trace["state"], len(trace["tasks"])) == ("succeeded", 9)


def test_a_matrix_in_a_loop_has_its_limit_in_each_iteration(shop: Bench) -> None:
    watch = Watch()
    assert shop.run(nested(max_parallel=1), watch, jobs=4).status == "succeeded"
    assert watch.peak <= 3  # one cell, and both items of the loop inside


def test_names_and_references_move_into_the_iteration_and_others_stay() -> None:
    body = task(
        "s.b", step="s.b", reads={"x": OutputRef("s.a", "o"), "y": OutputRef("st", "o"), "z": EachRef("s.l", "o")},
        needs=[Need("s.m-0", any_of="s.m"), "st"], when=Status("failed", "s.a"),
    )  # fmt: skip
    (made,) = unroll(loop("s", [1], body, outputs={"o": OutputRef("s.b", "o"), "p": ParameterRef("p")}), [1])
    (moved,) = made.tasks
    assert (moved.name, moved.step, moved.when) == ("s-0.b", "s.b", Status("failed", "s-0.a"))
    assert moved.inputs == (
        ("x", (OutputRef("s-0.a", "o"),)), ("y", (OutputRef("st", "o"),)), ("z", (EachRef("s-0.l", "o"),)),
    )  # fmt: skip
    assert [(need.task, need.any_of) for need in moved.needs] == [
        ("s-0.a", ""), ("s-0.l", ""), ("s-0.m-0", "s-0.m"), ("st", ""),
    ]  # fmt: skip
    assert made.outputs == {"o": OutputRef("s-0.b", "o"), "p": ParameterRef("p")}


def test_a_loop_in_finally_runs_whatever_happened_and_knows_the_outcome(shop: Bench) -> None:
    body = task("tell", writes=["mail"], say={"text": Text((ItemRef("", "tell"), Literal(": "), RunRef("outcome")))})
    final = loop("tell", ["ana", "bo"], body, is_final=True)
    made = plan(task("bad", say={"fails": 1}), task("good"), final)
    outcome = shop.run(made)
    assert (outcome.status, shop.text(outcome, "tell-1", "mail")) == ("failed", "mail:bo: failed")
    resumed = shop.run(made, resume="latest")
    assert (resumed.status, shop.text(resumed, "tell-1", "mail")) == ("succeeded", "mail:bo: succeeded")
    done = len(shop.ledger)
    assert shop.run(made, resume="latest").trace() == resumed.trace()
    assert [name for name in shop.ledger[done:] if not name.startswith("tell")] == []


def approvals() -> Plan:
    body = task("sign", role=Role.APPROVE, reads={"data": OutputRef("make", "data")}, needs=["make"])
    return plan(
        task("make", writes=["data"]), loop("sign", ["a", "b"], body, needs=["make"]), task("after", needs=["sign"])
    )


def test_an_approval_inside_a_loop_parks_the_run_and_is_decided_by_its_name(shop: Bench) -> None:
    outcome = shop.run(approvals(), file="wine.yaml")
    assert (outcome.status, outcome.task("sign").state) == ("parked", "parked")
    assert outcome.message.split("\n") == [
        "step `sign` (`sign-0`) waits for a person: nobody has decided yet",
        "step `sign` (`sign-1`) waits for a person: nobody has decided yet",
        f"  next: `pipec approve {outcome.run_id} sign-0 --as NAME`, or with `--reject`",
        f"  next: `pipec approve {outcome.run_id} sign-1 --as NAME`, or with `--reject`",
        f"then go on with `pipec run wine.yaml --resume {outcome.run_id}`",
    ]
    shown = show(shop.home, "latest")
    assert json.dumps(shown.trace()) == json.dumps(outcome.trace())
    with pytest.raises(EngineError, match="step `sign` has several tasks: name one of sign-0, sign-1"):
        decide(shop.home, "latest", "sign", by="ana", approve=True, reason="")
    for name in ("sign-0", "sign-1"):
        decide(shop.home, "latest", name, by="ana", approve=True, reason="")
    resumed = shop.run(approvals(), resume="latest")
    assert (resumed.status, Counter(shop.ledger)["make"]) == ("succeeded", 1)


def test_what_is_shown_of_a_loop_is_what_the_run_returned(shop: Bench) -> None:
    body = score(say={"fails": 1})
    outcome = shop.run(plan(scores(["a", "b"], body, fail_fast=False), reader()))
    shown = show(shop.home, outcome.run_id)
    assert json.dumps(shown.trace()) == json.dumps(outcome.trace())
    assert [(one.name, one.state, one.reason) for one in shown.tasks] == [
        (one.name, one.state, one.reason) for one in outcome.tasks
    ]
    assert runs(shop.home)[0].counts == {"failed": 3, "skipped": 1}
    assert why(shop.home, "latest", "score-0").split("\n")[0] == "`score-0` failed: it broke: mend it"
    assert why(shop.home, "latest", "merge").split("\n") == [
        "`merge` was skipped: `score` failed", "  `score` failed: `score-0` failed",
        "  `score-0` failed: it broke: mend it",
    ]  # fmt: skip


def test_a_loop_under_way_is_shown_as_far_as_it_came(shop: Bench) -> None:
    seen: list[dict[str, str]] = []

    class Looker(Diary):
        def tick(self) -> None:
            if "score-0" in shop.ledger and not seen:
                seen.append({each.name: each.state.value for each in show(shop.home, "latest").tasks})
                (shop.base / "go").touch()

    shop.run(plan(scores(["a", "b"], score(say={"until": "go"}), max_parallel=1)), Looker())
    assert seen == [{"score": "running", "score-0": "running", "score-1": "waiting"}]


def test_progress_tells_of_iterations_as_they_come() -> None:
    stream = io.StringIO()
    view = Live(stream, is_colored=False)
    view.begin("r", 1)
    view.unrolled("score", 2, 2)
    assert stream.getvalue().endswith("0 of 3 done, 0.0 s\n")
    view.finish(RunOutcome(run_id="r", pipeline="p", status="succeeded"))


def test_a_pipe_gets_a_line_for_the_loop_and_each_iteration(shop: Bench) -> None:
    stream = io.StringIO()
    outcome = shop.run(plan(scores(["a"])), Lines(stream))
    lines = [line.partition(" in ")[0] for line in stream.getvalue().split("\n")]
    assert lines == [
        f"run {outcome.run_id}: 1 tasks", "score: 1 iteration", "score-0: started", "score-0: succeeded",
        "score: succeeded", f"run {outcome.run_id}: succeeded", "",
    ]  # fmt: skip


def test_a_loop_of_a_thousand_items_is_gone_through(shop: Bench) -> None:
    body = score(when=Compare("in", ItemRef("", "score"), Literal(["0", "999"])))
    outcome = shop.run(plan(scores([str(n) for n in range(1000)], body, max_parallel=3), reader()))
    assert Counter(states(outcome).values()) == {"succeeded": 4, "skipped": 998}
    assert shop.text(outcome, "merge", "all") == "all:rows:0rows:999"
