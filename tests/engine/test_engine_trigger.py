"""What the end of a run starts (rule 13): which triggers are due, what they hand over, and when they rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_bench import Bench, loop, parameter, plan, task

from pipec.commands.chain import first, follow, gravest
from pipec.compiler.plan import After, Plan
from pipec.condition import Compare, Holds, Status
from pipec.engine.history import runs
from pipec.engine.journal import read
from pipec.engine.outcome import EngineError
from pipec.engine.progress import Silent
from pipec.engine.run import Ended, conclude
from pipec.engine.trigger import Start, asked, claim, due
from pipec.steps.interface import Kind, Role
from pipec.values import EachRef, Literal, OutputRef, ParameterRef, RunRef, Text, Value


def ended(shop: Bench, made: Plan, **more: object) -> Ended:
    return conclude(made, replace(shop.options, **more), Silent())  # type: ignore[arg-type]


def monitored(**say: object) -> Plan:
    """A pipeline that watches: a drift is a small output, and a fault of `watch` is up to the test."""
    return plan(
        task("watch", values={"drift": 0.5}, say=say),  # type: ignore[arg-type]
        loop("score", ["a", "b"], task("score", values={"f1": 1}), outputs={"f1": OutputRef("score", "f1")}),
        parameters=(parameter("region", default="eu"),),
    )


def retrain(*after: After) -> Plan:
    return Plan(pipeline="retrain", tasks=(task("fit"),), after=after)


def parameters(finished: Ended, *after: After) -> list[dict[str, object]]:
    assert finished.facts
    return [dict(start.parameters) for start in due(finished.outcome, finished.facts, retrain(*after)).starts]


@pytest.mark.parametrize(
    ("after", "is_due"),
    [
        (After(pipeline="wine"), False),
        (After(pipeline="wine", outcome="failed"), True),
        (After(pipeline="wine", outcome="any"), True),
        (After(pipeline="beer", outcome="any"), False),
        (After(pipeline="wine", step="watch", outcome="failed"), True),
        (After(pipeline="wine", step="watch", outcome="refused"), False),
        (After(pipeline="wine", step="score"), True),
        (After(pipeline="wine", step="score", outcome="any"), True),
        (After(pipeline="wine", outcome="any", when=Status("failed", "watch")), True),
        (After(pipeline="wine", outcome="any", when=Holds(Literal(False))), False),
        (After(pipeline="wine", outcome="any", when=Compare("==", ParameterRef("region"), Literal("eu"))), True),
        (After(pipeline="wine", outcome="any", when=Compare("==", RunRef("outcome"), Literal("failed"))), True),
    ],
    ids=str,
)
def test_a_trigger_is_about_a_pipeline_an_end_and_what_the_run_knew(shop: Bench, after: After, is_due: bool) -> None:
    assert len(parameters(ended(shop, monitored(fails=1)), after)) == is_due


def test_a_trigger_hands_over_what_the_run_made(shop: Bench) -> None:
    given: tuple[tuple[str, Value], ...] = (
        ("drift", OutputRef("watch", "drift")), ("scores", EachRef("score", "f1")),
        ("why", Text((Literal("drift in "), ParameterRef("region")))),
    )  # fmt: skip
    after = After(pipeline="wine", parameters=given)
    assert parameters(ended(shop, monitored()), after) == [{"drift": 0.5, "scores": [1, 1], "why": "drift in eu"}]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (After(pipeline="wine", outcome="any", parameters=(("drift", OutputRef("watch", "drift")),)),
         "parameter `drift`: `steps.watch.drift` is absent: `watch` failed"),
        (After(pipeline="wine", outcome="any", when=Compare(">", OutputRef("watch", "drift"), Literal(0.1))),
         "`when` cannot be answered: `steps.watch.drift` is absent: `watch` failed"),
        (After(pipeline="wine", step="gone"), "run RUN had no step `gone`"),
    ],
    ids=["parameter", "when", "step"],
)  # fmt: skip
def test_a_trigger_without_an_answer_does_not_fire_and_says_why(shop: Bench, after: After, why: str) -> None:
    finished = ended(shop, monitored(fails=1))
    assert finished.facts
    found = due(finished.outcome, finished.facts, retrain(after))
    why = why.replace("RUN", finished.outcome.run_id)
    assert (found.starts, found.notes) == ((), (f"`retrain` is not started after `wine`: {why}",))


NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)


def test_a_trigger_rests_for_its_cooldown(tmp_path: Path) -> None:
    start = Start(pipeline="retrain", parameters={}, reason="", trigger="t", cooldown_s=60)
    assert claim(tmp_path, start, NOW) == ""
    assert claim(tmp_path, start, NOW + timedelta(seconds=59)) == (
        "it was last started so at 2026-11-23T03:00:00Z, and rests for 60 s"
    )
    assert claim(tmp_path, replace(start, trigger="u"), NOW) == ""
    assert claim(tmp_path, start, NOW + timedelta(seconds=60)) == ""
    assert claim(tmp_path, start, NOW - timedelta(days=1)) == ""  # a clock set back does not keep it from starting
    assert claim(tmp_path, replace(start, cooldown_s=0), NOW) == ""


@pytest.mark.parametrize("text", ["", "2026-", "\x00"])
def test_a_torn_moment_is_none(tmp_path: Path, text: str) -> None:
    start = Start(pipeline="retrain", parameters={}, reason="", trigger="t", cooldown_s=60)
    (tmp_path / "cooldown" / "retrain").mkdir(parents=True)
    (tmp_path / "cooldown" / "retrain" / "t").write_text(text, encoding="utf-8")
    assert claim(tmp_path, start, NOW) == ""
    assert claim(tmp_path, start, NOW) != ""


@dataclass
class Chain:
    """A file's pipelines, run one after another as the command line does."""

    shop: Bench
    plans: list[Plan]
    notes: list[str] = field(default_factory=list)

    def run(self, *requests: tuple[str, dict[str, object], str], **more: object) -> list[int]:
        first_run = ended(self.shop, self.plans[0], **more)
        return self.follow(first_run, *requests)

    def follow(self, first_run: Ended, *requests: tuple[str, dict[str, object], str]) -> list[int]:
        def begin(made: Plan, by: object, start: Start) -> Ended:
            return ended(self.shop, made, parameters=start.parameters, triggered_by=by)

        def wanted(by: Ended) -> list[tuple[str, dict[str, object], str]]:
            return list(requests) if by is first_run else []

        return follow(first_run, self.plans, self.shop.home, begin, self.notes.append, wanted)  # type: ignore[arg-type]


def named(name: str, *after: After, **say: object) -> Plan:
    return Plan(pipeline=name, tasks=(task(f"{name}-step", say=say),), after=after)  # type: ignore[arg-type]


def test_a_chain_goes_on_in_the_order_of_the_file_and_starts_each_pipeline_once(shop: Bench) -> None:
    chain = Chain(shop, [
        named("a", After(pipeline="c")), named("b", After(pipeline="a")), named("c", After(pipeline="a")),
        named("d", After(pipeline="b"), After(pipeline="c")), named("e", After(pipeline="d", outcome="failed")),
    ])  # fmt: skip
    assert chain.run() == [0, 0, 0, 0]
    assert shop.ledger == ["a-step", "b-step", "c-step", "d-step"]
    assert chain.notes == [
        "`b` is next: `a` succeeded", "`c` is next: `a` succeeded", "`d` is next: `b` succeeded",
        "`a` is not started (`c` succeeded): it ran in this chain already",
        "`d` is not started (`c` succeeded): it ran in this chain already",
    ]  # fmt: skip


def test_a_triggered_run_says_by_which_run_and_has_its_parameters(shop: Bench) -> None:
    after = After(pipeline="wine", parameters=(("drift", OutputRef("watch", "drift")),))
    told = Plan(pipeline="retrain", tasks=(task("fit"),), after=(after,), parameters=(
        parameter("drift", Kind.NUMBER, is_required=True),
    ))  # fmt: skip
    Chain(shop, [monitored(), told]).run()
    second, one = runs(shop.home)
    assert (second.pipeline, second.triggered_by) == ("retrain", {"pipeline": "wine", "run": one.run_id})
    record = read(shop.home / "runs" / second.run_id / "journal.jsonl")[0]
    assert (record["triggered_by"], record["parameters"]) == (second.triggered_by, {"drift": 0.5})
    assert one.triggered_by is None


def test_a_run_that_waits_or_was_over_before_starts_nothing(shop: Bench) -> None:
    waiting = Plan(pipeline="a", tasks=(task("ask", role=Role.APPROVE),))
    chain = Chain(shop, [waiting, named("b", After(pipeline="a", outcome="any"))])
    assert chain.run() == [75]
    assert chain.run(resume="latest", approve_as="ana") == [0, 0]
    over = next(one.run_id for one in runs(shop.home) if one.pipeline == "a")
    assert chain.run(resume=over) == [0]


def test_a_pipeline_that_cannot_start_is_told_and_the_chain_goes_on(shop: Bench) -> None:
    needy = replace(named("b", After(pipeline="a")), parameters=(parameter("p", is_required=True),))
    chain = Chain(shop, [named("a"), needy, named("c", After(pipeline="a"), fails=1)])
    assert chain.run() == [0, 2, 4]
    assert chain.notes[1] == "`b` did not start: parameter `p` has no default: give `--set p=...`"


def test_a_trigger_that_rests_is_told(shop: Bench) -> None:
    chain = Chain(shop, [named("a"), named("b", After(pipeline="a", cooldown_s=3600))])
    assert chain.run() == [0, 0]
    assert chain.run() == [0]
    assert chain.notes[-1].startswith("`b` is not started (`a` succeeded): it was last started so at ")


def test_what_steps_ask_for_is_started_like_what_triggers_start(shop: Bench) -> None:
    chain = Chain(shop, [named("a"), replace(named("b"), parameters=(parameter("p", default=""),))])
    assert chain.run(("b", {"p": "x"}, "drift"), ("z", {}, "drift")) == [0, 0]
    run_id = runs(shop.home)[1].run_id
    assert chain.notes == [
        f"`b` is next: run {run_id} asked for it: drift",
        f"`z` is not started (run {run_id} asked for it: drift): the file has no such pipeline; it has `a`, `b`",
    ]
    assert asked(ended(shop, named("a")).outcome, []) == ()


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0], 0), ([0, 75, 0], 75), ([75, 3], 3), ([4, 3, 75], 4), ([4, 2], 2), ([0, 143], 143), ([4, 0], 4)],
    ids=str,
)
def test_of_a_chain_the_gravest_end_is_the_exit_code(codes: list[int], code: int) -> None:
    assert gravest(codes) == code


def test_a_person_starts_the_pipeline_that_no_other_starts() -> None:
    a, b, c = named("a"), named("b", After(pipeline="a")), named("c")
    assert first([a, b]) is a
    assert first([b]) is b
    assert first([a, b, c]) is None


def test_a_home_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "cooldown").write_text("a file", encoding="utf-8")
    with pytest.raises(EngineError, match="cannot be written"):
        claim(tmp_path, Start(pipeline="b", parameters={}, reason="", trigger="t", cooldown_s=1))
