from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from engine_bench import plan, task

from pipec.compiler.plan import Need, Plan
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.engine.outcome import State, Stored, TaskOutcome
from pipec.engine.state import Facts, Frontier, judge, outcome_of
from pipec.values import Absent, EachRef, Gather, Json, ListOf, Literal, OutputRef, ParameterRef, RunRef, resolve
from pipec.verdict import Fail, Fault, Ready, Skip, Verdict, compare, holds

S, F, R, K = State.SUCCEEDED, State.FAILED, State.REFUSED, State.SKIPPED


def frontier(graph: Plan) -> Frontier:
    return Frontier(((place,), task) for place, task in enumerate(graph.tasks))


def ending(name: str, state: State, *, values: Mapping[str, Json] | None = None, forgiven: bool = False) -> TaskOutcome:
    return TaskOutcome(name=name, step=name, state=state, values=values or {}, is_forgiven=forgiven)


def facts(*endings: TaskOutcome, **parameters: Json) -> Facts:
    return Facts(run_id="r", scheduled_at="2026-11-23T03:00:00Z", parameters=parameters,
                 endings={each.name: each for each in endings}, outcome="failed")  # fmt: skip


HARD, SOFT = Need("x"), Need("x", soft=True)


@pytest.mark.parametrize(
    ("need", "state", "forgiven", "verdict"),
    [
        (HARD, S, False, Ready()),
        (HARD, F, False, Skip("`x` failed")),
        (HARD, R, False, Skip("`x` was refused")),
        (HARD, K, False, Skip("`x` was skipped")),
        (SOFT, S, False, Ready()),
        (SOFT, K, False, Ready()),
        (SOFT, F, False, Skip("`x` failed")),
        (SOFT, R, False, Skip("`x` was refused")),
        # continue_on_error makes a failure look like a skip, which only a soft edge lets pass
        (HARD, F, True, Skip("`x` failed")),
        (SOFT, F, True, Ready()),
        (SOFT, R, True, Ready()),
        (Need("x", order_only=True), F, True, Skip("`x` failed")),
        (Need("x", forgiving=True), F, False, Ready()),
        (Need("x", forgiving=True), R, False, Ready()),
        (Need("x", forgiving=True), K, False, Skip("`x` was skipped")),
        (Need("x", soft=True, forgiving=True), K, False, Ready()),
    ],
    ids=str,
)
def test_rule_1_what_a_need_lets_pass(need: Need, state: State, forgiven: bool, verdict: Verdict) -> None:
    assert judge(task("a", needs=[need]), facts(ending("x", state, forgiven=forgiven))) == verdict


def test_the_reason_of_a_skip_is_the_first_need_in_the_plan_however_early_it_ended() -> None:
    both = task("a", needs=["y", "x"])
    assert judge(both, facts(ending("y", F), ending("x", R))) == Skip("`x` was refused")


@pytest.mark.parametrize(
    ("first", "second", "forgiving", "verdict"),
    [
        (S, K, False, Ready()),
        (K, S, False, Ready()),
        (K, K, False, Skip("`train` was skipped")),
        (S, F, False, Skip("`train-1` failed")),
        (S, F, True, Ready()),
        (K, F, True, Skip("`train` failed")),
        (K, R, True, Skip("`train` failed")),
    ],
)
def test_rule_9_of_the_cells_of_a_step_one_must_have_succeeded(
    first: State, second: State, forgiving: bool, verdict: Verdict
) -> None:
    needs = [Need(f"train-{n}", soft=True, forgiving=forgiving, any_of="train") for n in range(2)]
    assert judge(task("a", needs=needs), facts(ending("train-0", first), ending("train-1", second))) == verdict


def wrote(name: str, *outputs: str) -> TaskOutcome:
    stored = {output: Stored("Dataset", f"sha256:{name}") for output in outputs}
    return TaskOutcome(name=name, step=name, state=S, artifacts=stored)


CELLS = [OutputRef("x", "out"), OutputRef("y", "out")]


@pytest.mark.parametrize("given", [CELLS, Gather(tuple(CELLS)), ListOf(tuple(CELLS))], ids=["each", "gather", "list"])
def test_a_list_of_artifacts_for_which_nothing_was_left_skips_its_reader(given: object) -> None:
    needs = [Need(name, soft=True) for name in "xy"]
    reader = task("a", reads={"models": given}, many=["models"], needs=needs)
    assert judge(reader, facts(ending("x", K), ending("y", K))) == Skip("nothing was left for `models`")
    assert judge(reader, facts(wrote("x"), wrote("y"))) == Skip("nothing was left for `models`")
    assert judge(reader, facts(ending("x", K), wrote("y", "out"))) == Ready()
    optional = task("a", reads={"models": given}, many=["models"], optional=["models"], needs=needs)
    assert judge(optional, facts(ending("x", K), ending("y", K))) == Ready()


def test_a_loop_is_read_as_the_list_of_what_its_iterations_left_in_order() -> None:
    endings = [wrote("s-0", "out"), ending("s-1", F), wrote("s-2", "out"), ending("s", F)]
    loops = {"s": tuple({"out": OutputRef(f"s-{n}", "out")} for n in range(3))}
    known = replace(facts(*endings), loops=loops)
    assert list(known.present(EachRef("s", "out"))) == [OutputRef("s-0", "out"), OutputRef("s-2", "out")]
    reader = task("a", reads={"models": EachRef("s", "out")}, many=["models"], needs=[Need("s", forgiving=True)])
    assert judge(reader, known) == Ready()
    assert judge(reader, replace(known, loops={"s": ()})) == Skip("`s` failed")


def test_a_list_of_small_outputs_leaves_out_what_is_absent() -> None:
    loops = {"s": tuple({"v": OutputRef(f"s-{n}", "v")} for n in range(3))}
    endings = [ending("s-0", S, values={"v": 1}), ending("s-1", F), ending("s-2", S, values={"v": 3})]
    known = replace(facts(*endings, ending("t", K)), loops=loops)
    assert resolve(EachRef("s", "v"), known.lookup) == [1, 3]
    assert resolve(Gather((OutputRef("s-1", "v"), OutputRef("s-2", "v"))), known.lookup) == [3]
    with pytest.raises(Absent, match=r"`steps\.t\[\*\]\.v` is absent: `t` was skipped"):
        resolve(EachRef("t", "v"), known.lookup)


def test_an_output_left_unwritten_fails_who_must_have_it() -> None:
    reader = task("a", reads={"data": OutputRef("x", "extra")})
    told = Fail("input `data` reads `steps.x.extra`, which `x` left unwritten")
    assert judge(reader, facts(wrote("x"))) == told
    assert judge(task("a", reads=dict.fromkeys(["data"], OutputRef("x", "extra")), optional=["data"]),
                 facts(wrote("x"))) == Ready()  # fmt: skip


def test_when_is_asked_before_what_there_is_to_read() -> None:
    reader = task("a", reads={"data": OutputRef("x", "extra")}, when=Holds(Literal(False)))
    assert judge(reader, facts(wrote("x"))) == Skip("`when` is false")


@pytest.mark.parametrize(
    ("asked", "state", "forgiven", "verdict"),
    [
        ("succeeded", S, False, Ready()),
        ("succeeded", F, False, Skip("`when` is false")),
        ("failed", F, False, Ready()),
        ("failed", R, False, Ready()),
        ("failed", F, True, Skip("`when` is false")),
        ("failed", K, False, Skip("`when` is false")),
        ("skipped", K, False, Ready()),
        ("skipped", F, True, Ready()),
        ("skipped", S, False, Skip("`when` is false")),
    ],
)
def test_rule_2_a_status_function_asks_instead_of_rule_1(
    asked: str, state: State, forgiven: bool, verdict: Verdict
) -> None:
    asking = task("a", needs=[SOFT], when=Status(asked, "x"))
    assert judge(asking, facts(ending("x", state, forgiven=forgiven))) == verdict


def test_rule_2_other_needs_keep_rule_1() -> None:
    asking = task("a", needs=[SOFT, "y"], when=Status("failed", "x"))
    assert judge(asking, facts(ending("x", F), ending("y", F))) == Skip("`y` failed")


V = OutputRef("x", "v")


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        (Compare("==", V, Literal(3)), Ready()),
        (Compare("==", V, Literal(3.0)), Ready()),
        (Compare("!=", V, Literal(3)), Skip("`when` is false")),
        (Compare("in", V, Literal([1, 3])), Ready()),
        (Not(Compare(">", V, Literal(3))), Ready()),
        (AllOf((Compare(">=", V, Literal(3)), Compare("<=", V, Literal(3)))), Ready()),
        (AnyOf((Compare("<", V, Literal(3)), Holds(Literal(True)))), Ready()),
        (Compare("==", V, Literal("3")),
         Fail("`when` cannot be answered: `3` is a number, but `3` is a text")),
        (Compare("==", V, Literal(True)),
         Fail("`when` cannot be answered: `3` is a number, but `True` is a boolean")),
        (Holds(V), Fail("`when` cannot be answered: `3` is a number, not true or false")),
        (Compare("==", OutputRef("x", "gone"), Literal(3)),
         Fail("`when` cannot be answered: `steps.x.gone` is absent")),
        (Compare("==", ParameterRef("p"), Literal(3)),
         Fail("`when` cannot be answered: `parameters.p` has no value")),
        (Compare("==", RunRef("date"), Literal("2026-11-23")), Ready()),
        (Compare("in", Literal("a"), Literal("abc")),
         Fail("`when` cannot be answered: `in` looks into a list, and `abc` is a text")),
        (Compare("<", Literal([1]), Literal([2])),
         Fail("`when` cannot be answered: `<` compares numbers or texts, and `[1]` is a list")),
        (Compare("<", Literal(True), Literal(True)),
         Fail("`when` cannot be answered: `<` compares numbers or texts, and `True` is a boolean")),
        (Compare("<", Literal("a"), Literal("b")), Ready()),
    ],
)  # fmt: skip
def test_rule_2_when_is_answered_by_value_or_fails(condition: Condition, verdict: Verdict) -> None:
    asking = task("a", needs=["x"], when=condition)
    assert judge(asking, facts(ending("x", S, values={"v": 3}))) == verdict


def test_what_decides_first_leaves_the_rest_unasked() -> None:
    known = facts(ending("x", K))
    absent = Compare(">", V, Literal(1))
    assert holds(AllOf((Status("succeeded", "x"), absent)), known) is False
    assert holds(AnyOf((Status("skipped", "x"), absent)), known) is True
    with pytest.raises(Fault, match=r"`steps\.x\.v` is absent: `x` was skipped"):
        holds(absent, known)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_gives_no_answer(number: float) -> None:
    with pytest.raises(Fault, match="not a finite number"):
        compare("<", number, 1)


def test_membership_is_by_value_and_kind() -> None:
    assert compare("in", 1, [1.0, "1"]) is True
    assert compare("in", "1", [1, "2"]) is False
    assert compare("in", "x", []) is False
    with pytest.raises(Fault, match="no item of the list is"):
        compare("in", True, [1, 0])


@pytest.mark.parametrize("state", [S, F, R, K])
def test_rule_10_a_final_step_runs_however_the_others_ended(state: State) -> None:
    final = task("a", needs=[Need("x", soft=True)], is_final=True)
    assert judge(final, facts(ending("x", state))) == Ready()


def test_rule_10_a_final_step_may_still_say_when() -> None:
    final = task("a", is_final=True, when=Compare("==", RunRef("outcome"), Literal("succeeded")))
    assert judge(final, facts()) == Skip("`when` is false")


def test_rule_10_tasks_of_one_final_step_keep_rule_1_among_themselves() -> None:
    inner = task("tidy.b", step="tidy.b", needs=["tidy.a", "x"], is_final=True)
    inside = TaskOutcome(name="tidy.a", step="tidy.a", state=F)
    assert judge(inner, facts(inside, ending("x", F))) == Skip("`tidy.a` failed")
    graph = plan(task("x"), task("tidy.a", is_final=True), inner)
    waiting = frontier(graph)
    assert waiting.first() == ["x"]
    assert waiting.end("x") == ["tidy.a"]
    assert waiting.end("tidy.a") == ["tidy.b"]


def test_a_final_step_whose_condition_has_no_answer_fails() -> None:
    final = task("a", is_final=True, when=Compare("==", V, Literal(3)))
    assert judge(final, facts(ending("x", F))) == Fail("`when` cannot be answered: `steps.x.v` is absent: `x` failed")


def test_tasks_that_come_later_wait_for_what_has_not_ended() -> None:
    waiting = frontier(plan(task("x"), task("y")))
    assert waiting.end("x") == []
    more = [((1, 0, 0), task("y-0", needs=["x"])), ((1, 0, 1), task("y-0.b", needs=["y-0"]))]
    assert waiting.add(more) == ["y-0"]
    assert waiting.end("y-0") == ["y-0.b"]


def test_finals_wait_for_everything_else_and_not_for_one_another() -> None:
    graph = plan(task("a"), task("b", needs=["a"]), task("f", is_final=True), task("g", is_final=True))
    waiting = frontier(graph)
    assert waiting.first() == ["a"]
    assert waiting.end("a") == ["b"]
    assert waiting.end("b") == ["f", "g"]
    assert waiting.end("g") == []


def test_a_plan_of_finals_only_runs_them() -> None:
    assert frontier(plan(task("f", is_final=True))).first() == ["f"]


def test_a_step_waits_for_every_step_that_its_condition_names() -> None:
    asking = task("a", when=AllOf((Status("failed", "x"), Compare("==", OutputRef("y", "v"), Literal(1)))))
    waiting = frontier(Plan(pipeline="p", tasks=(task("x"), task("y"), asking)))
    assert waiting.first() == ["x", "y"]
    assert waiting.end("x") == []
    assert waiting.end("y") == ["a"]


@pytest.mark.parametrize(
    ("endings", "outcome"),
    [
        ([], "succeeded"),
        ([ending("a", S), ending("b", K)], "succeeded"),
        ([ending("a", R), ending("b", F)], "failed"),
        ([ending("a", R), ending("b", S)], "refused"),
        ([ending("a", F, forgiven=True)], "succeeded"),
        ([ending("a", F), ending("b", State.PARKED)], "parked"),
    ],
    ids=str,
)
def test_a_run_is_what_its_worst_step_was(endings: list[TaskOutcome], outcome: str) -> None:
    assert outcome_of(endings) == outcome
