from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from engine_bench import Bench, Diary, bench, parameter, plan, states, task

from pipec.compiler.plan import Need
from pipec.condition import Compare, Status
from pipec.engine.outcome import EngineError
from pipec.steps.interface import Container, Kind, Resources, Retry
from pipec.values import Json, Literal, OutputRef, ParameterRef, RunRef, SecretRef, Text


def test_data_flows_from_step_to_step_by_digest(shop: Bench) -> None:
    outcome = shop.run(
        plan(
            task("ingest", writes=["data"], say={"text": "rows"}),
            task("train", reads={"data": OutputRef("ingest", "data")}, writes=["model"], values={"f1": 0.5}),
            outputs=(("model", OutputRef("train", "model")), ("f1", OutputRef("train", "f1"))),
        )
    )
    assert (outcome.status, outcome.exit_code, outcome.message) == ("succeeded", 0, "")
    assert shop.text(outcome, "train", "model") == "model:data:rows"
    assert outcome.outputs["f1"] == 0.5
    assert outcome.task("train").inputs == {"data": (outcome.task("ingest").artifacts["data"].digest,)}


def test_the_same_content_of_two_runs_is_one_object(shop: Bench) -> None:
    for name in ("a", "b"):
        shop.run(plan(task(name, writes=["data"], folders=["more"], say={"text": "same"}, cache=False)))
    objects = list((shop.home / "artifacts" / "sha256").glob("??/*"))
    assert len(objects) == 2
    assert {oct(p.stat().st_mode & 0o777) for p in objects} == {"0o444", "0o555"}


def test_a_failure_stops_what_depends_on_it_and_nothing_else(shop: Bench) -> None:
    outcome = shop.run(
        plan(
            task("bad", writes=["data"], say={"fails": 9, "cause": "no rows: fill the table"}),
            task("after", reads={"data": OutputRef("bad", "data")}),
            task("later", needs=["after"]),
            task("aside", values={"n": 1}),
        ),
        file="wine.yaml",
    )
    assert states(outcome) == {"bad": "failed", "after": "skipped", "later": "skipped", "aside": "succeeded"}
    assert [t.reason for t in outcome.tasks] == ["no rows: fill the table", "`bad` failed", "`after` was skipped", ""]
    log = shop.home / "runs" / outcome.run_id / str(outcome.task("bad").log)
    assert outcome.exit_code == 4
    assert outcome.message.split("\n") == [
        "step `bad` failed: no rows: fill the table",
        f"  log: {log}",
        "  not run because of it: after, later",
        f"mend the cause, then go on with `pipec run wine.yaml --resume {outcome.run_id}`; "
        "finished steps are not done again",
    ]
    assert log.read_text(encoding="utf-8") == "no rows: fill the table\n"


def test_a_refusal_ends_the_run_as_refused_and_is_never_tried_again(shop: Bench) -> None:
    gate = task("gate", attempts=3, say={"fails": 9, "code": 3, "cause": "f1 is 0.4, below 0.9"})
    outcome = shop.run(plan(gate, task("deploy", needs=["gate"])))
    assert (outcome.status, outcome.exit_code, shop.ledger) == ("refused", 3, ["gate"])
    assert outcome.task("deploy").reason == "`gate` was refused"


@pytest.mark.parametrize(
    ("say", "n_started", "state"),
    [
        ({"fails": 2, "code": 75}, 3, "succeeded"),
        ({"fails": 2, "code": 137}, 3, "succeeded"),
        ({"fails": 2, "signal": 9}, 3, "succeeded"),
        ({"fails": 2, "signal": 11}, 3, "succeeded"),
        ({"fails": 3, "code": 75}, 3, "failed"),
        ({"fails": 1, "code": 1}, 1, "failed"),
        ({"fails": 1, "code": 2}, 1, "failed"),
        ({"fails": 1, "code": 3}, 1, "refused"),
    ],
    ids=str,
)
def test_only_what_may_heal_is_tried_again(shop: Bench, say: dict[str, int], n_started: int, state: str) -> None:
    outcome = shop.run(plan(task("flaky", attempts=3, say=say)))
    assert (len(shop.ledger), states(outcome)["flaky"]) == (n_started, state)
    assert outcome.task("flaky").attempts == n_started


def test_any_failure_of_a_foreign_image_is_tried_again(shop: Bench) -> None:
    flaky = task("flaky", attempts=2, say={"fails": 1, "code": 1})
    foreign = replace(flaky.interface, container=Container(command=("c",)))
    assert shop.run(plan(replace(flaky, interface=foreign))).task("flaky").attempts == 2


def test_the_wait_doubles_between_attempts(shop: Bench) -> None:
    waits = []

    class Waits(Diary):
        def retrying(self, task: str, reason: str, wait_s: float) -> None:
            waits.append(wait_s)

    flaky = task("flaky", say={"fails": 3, "code": 75})
    shop.run(plan(replace(flaky, retry=Retry(attempts=4, backoff_s=0))), Waits())
    assert waits == [0, 0, 0]
    again = replace(task("again", say={"fails": 1, "code": 75}), retry=Retry(attempts=2, backoff_s=1))
    shop.run(plan(again), Waits())
    assert waits[3:] == [1.0]


def test_a_memory_kill_is_told_as_one(shop: Bench) -> None:
    outcome = shop.run(plan(task("big", say={"fails": 1, "signal": 9})))
    assert outcome.task("big").reason == "it was killed, most likely out of memory: it may use 2048 MiB"


def test_a_step_that_outlasts_its_timeout_is_ended_with_its_family(shop: Bench) -> None:
    outcome = shop.run(plan(task("slow", timeout_s=1, say={"until": "never", "deaf": True, "child": True})))
    assert outcome.task("slow").reason == "it took longer than its timeout of 1 s: give it a longer `timeout`"
    child = int((shop.base / "slow.child").read_text(encoding="utf-8"))
    assert not _is_running(child)


def test_what_a_step_leaves_running_is_ended(shop: Bench) -> None:
    outcome = shop.run(plan(task("untidy", say={"child": True})))
    assert outcome.status == "succeeded"
    assert not _is_running(int((shop.base / "untidy.child").read_text(encoding="utf-8")))


def _is_running(pid: int) -> bool:
    """A killed orphan may stay as a zombie where nobody reaps: it runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        ({"forgets": ["data"]}, "it ended well, but did not write its output `data`"),
        ({"silent": True}, "it ended well, but left no result that can be read (it must be JSON of finite numbers)"),
        ({"values": {}}, "it ended well, but its output `f1` is not of kind number"),
        ({"values": {"f1": "much"}}, "it ended well, but its output `f1` is not of kind number"),
    ],
    ids=["forgotten", "no result", "no value", "mistyped value"],
)
def test_a_step_that_breaks_its_promise_fails(shop: Bench, say: dict[str, object], reason: str) -> None:
    bad = task("bad", writes=["data"], values={"f1": 0.5}, say=say)  # type: ignore[arg-type]
    outcome = shop.run(plan(bad))
    assert (states(outcome)["bad"], outcome.task("bad").reason) == ("failed", reason)


def test_an_artifact_that_is_not_what_its_step_reported_fails_it(shop: Bench) -> None:
    outcome = shop.run(plan(task("bad", writes=["data"], say={"garbles": ["data"]})))
    assert outcome.task("bad").reason.startswith("`data` has digest sha256:")
    assert not list((shop.home / "artifacts").rglob("??/*"))


def test_a_condition_on_a_small_output_decides(shop: Bench) -> None:
    score = task("score", values={"f1": 0.7})
    high = task("high", soft=["score"], when=Compare(">", OutputRef("score", "f1"), Literal(0.9)))
    low = task("low", soft=["score"], when=Compare("<=", OutputRef("score", "f1"), Literal(0.9)))
    outcome = shop.run(plan(score, high, low))
    assert states(outcome) == {"score": "succeeded", "high": "skipped", "low": "succeeded"}
    assert outcome.task("high").reason == "`when` is false"


def test_a_condition_without_an_answer_fails_its_step(shop: Bench) -> None:
    score = task("score", values={"f1": "good"})
    gate = task("gate", soft=["score"], when=Compare(">", OutputRef("score", "f1"), Literal(0.9)))
    outcome = shop.run(plan(score, gate))
    assert outcome.task("gate").reason == "`when` cannot be answered: `good` is a text, but `0.9` is a number"
    assert outcome.exit_code == 4


def test_rollback_runs_when_a_deployment_failed(shop: Bench) -> None:
    rollback = task("rollback", needs=[Need("deploy", soft=True)], when=Status("failed", "deploy"))
    outcome = shop.run(plan(task("deploy", say={"fails": 1}), rollback))
    assert states(outcome) == {"deploy": "failed", "rollback": "succeeded"}
    assert outcome.status == "failed"


def test_what_a_success_left_unwritten_is_left_out_of_optional_inputs_and_stays_so_in_the_cache(shop: Bench) -> None:
    """The stub writes `data`, and not `more`."""
    reads = {"a": OutputRef("make", "data"), "b": OutputRef("make", "more")}
    wanted = plan(
        task("make", writes=["data"], spare=["more"], say={"text": "rows"}),
        task("use", reads=reads, optional=["b"], writes=["out"]),
        task("needs", reads={"b": OutputRef("make", "more")}, writes=["out"], cache=False),
        outputs=(("more", OutputRef("make", "more")), ("out", OutputRef("use", "out"))),
    )
    first, second = shop.run(wanted), shop.run(wanted)
    for outcome in (first, second):
        assert set(outcome.task("make").artifacts) == {"data"}
        assert shop.text(outcome, "use", "out") == "out:data:rows"
        assert outcome.task("needs").reason == "input `b` reads `steps.make.more`, which `make` left unwritten"
        assert set(outcome.outputs) == {"out"}
    assert [each.name for each in second.tasks if each.is_cached] == ["make", "use"]


@pytest.mark.parametrize("say", [{"forgets": ["data"]}, {"garbles": ["data"]}])
def test_an_optional_output_that_is_claimed_must_be_there_whole(say: dict[str, Json], shop: Bench) -> None:
    outcome = shop.run(plan(task("make", writes=["data"], spare=["data"], say=say)))
    assert states(outcome) == {"make": "failed"}


def test_an_absent_optional_input_is_left_out(shop: Bench) -> None:
    data = {"a": OutputRef("extra", "data"), "b": OutputRef("main", "data")}
    outcome = shop.run(
        plan(
            task("extra", writes=["data"], when=Compare("==", Literal(1), Literal(2))),
            task("main", writes=["data"], say={"text": "x"}),
            task("both", reads=data, optional=["a"], writes=["all"]),
        )
    )
    assert shop.ledger == ["main", "both"]
    assert outcome.task("both").inputs == {"a": (), "b": (outcome.task("main").artifacts["data"].digest,)}


def test_finals_run_whatever_happened_and_know_the_outcome(shop: Bench) -> None:
    said = Text((Literal("it "), RunRef("outcome")))
    data = {"a": OutputRef("bad", "data"), "b": OutputRef("good", "data")}
    outcome = shop.run(
        plan(
            task("bad", say={"fails": 1}),
            task("good", writes=["data"]),
            task("notify", is_final=True, writes=["mail"], say={"text": said}),
            task("tidy", is_final=True, reads=data, optional=["a", "b"], writes=["list"]),
        )
    )
    assert states(outcome) == {"bad": "failed", "good": "succeeded", "notify": "succeeded", "tidy": "succeeded"}
    assert shop.text(outcome, "notify", "mail") == "mail:it failed"
    assert shop.text(outcome, "tidy", "list") == "list:data:"


def test_a_forgiven_failure_does_not_fail_the_run(shop: Bench) -> None:
    outcome = shop.run(
        plan(
            task("extra", writes=["data"], say={"fails": 1}, continue_on_error=True),
            task("hard", reads={"data": OutputRef("extra", "data")}),
            task("soft", reads={"data": OutputRef("extra", "data")}, optional=["data"]),
        )
    )
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert states(outcome) == {"extra": "failed", "hard": "skipped", "soft": "succeeded"}


def test_parameters_are_given_values_or_defaults(shop: Bench) -> None:
    given = plan(
        task("say", writes=["x"], say={"text": Text((ParameterRef("who"), Literal(" "), ParameterRef("n")))}),
        parameters=(parameter("who", is_required=True), parameter("n", Kind.INTEGER, default=3)),
    )
    outcome = shop.run(given, parameters={"who": "ana"})
    assert shop.text(outcome, "say", "x") == "x:ana 3"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter `who` has no default: give `--set who=...`"),
        ({"whom": "x"}, "pipeline `wine` has no parameter `whom`: did you mean `who`?"),
        ({"who": 3}, "parameter `who` needs a value of kind string"),
    ],
    ids=["missing", "unknown", "mistyped"],
)
def test_a_run_with_wrong_parameters_does_not_begin(shop: Bench, given: dict[str, object], message: str) -> None:
    wrong = plan(task("a"), parameters=(parameter("who", is_required=True),))
    with pytest.raises(EngineError) as fault:
        shop.run(wrong, parameters=given)
    assert str(fault.value) == message
    assert shop.ledger == []


def test_a_secret_reaches_its_step_and_no_file(shop: Bench) -> None:
    canary = "c4n4ry-" + "x" * 9
    secret = task("load", say={"dsn": SecretRef("warehouse"), "reveal": "PIPEC_SECRET_WAREHOUSE"}, writes=["data"])
    other = task("other", env=(("TOKEN", SecretRef("token")),), say={"reveal": "TOKEN"})
    shop.run(plan(secret, other), secrets={"warehouse": canary, "token": canary + "2"})
    revealed = [(shop.base / f"{name}.revealed").read_text(encoding="utf-8") for name in ("load", "other")]
    assert revealed == [canary, canary + "2"]
    holding = [p for p in shop.home.rglob("*") if p.is_file() and canary in p.read_text(errors="replace")]
    assert holding == []


def test_a_missing_secret_is_named_before_anything_runs(shop: Bench) -> None:
    with pytest.raises(EngineError, match="secret `warehouse` has no value here"):
        shop.run(plan(task("load", say={"dsn": SecretRef("warehouse")})))


def test_steps_run_together_up_to_the_number_of_jobs(shop: Bench) -> None:
    # Each waits until all four are there: this ends only if they run at once.
    outcome = shop.run(plan(*(task(f"t{n}", say={"meet": 4}) for n in range(4))), jobs=4)
    assert outcome.status == "succeeded"


def test_a_step_larger_than_the_machine_runs_alone(shop: Bench) -> None:
    big = [replace(task(f"t{n}"), resources=Resources(cpu=512)) for n in range(3)]
    assert shop.run(plan(*big)).status == "succeeded"


def test_local_data_is_pinned_by_digest(shop: Bench) -> None:
    (shop.base / "wine.csv").write_text("a,b", encoding="utf-8")
    outcome = shop.run(plan(task("read", reads={"data": Literal("wine.csv")}, writes=["copy"])))
    assert outcome.task("read").parts["locations.data.0"] == outcome.task("read").inputs["data"][0]


def test_two_runs_of_one_plan_leave_equal_traces(tmp_path: Path) -> None:
    both = plan(
        task("ingest", writes=["data"], say={"text": "rows"}),
        task("bad", say={"fails": 9}),
        task("after", needs=["bad"]),
        task("fit-1", step="fit", reads={"data": OutputRef("ingest", "data")}, values={"f1": 0.5}),
        task("fit-2", step="fit", reads={"data": OutputRef("ingest", "data")}, values={"f1": 0.25}),
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = (bench(tmp_path / name).run(both) for name in ("one", "two"))
    assert first.run_id != second.run_id
    assert json.dumps(first.trace()) == json.dumps(second.trace())
    assert first.trace()["steps"]["after"] == {  # type: ignore[index,call-overload]
        "state": "skipped", "reason": "`bad` failed", "attempts": 0, "decisions": [], "values": {}, "artifacts": {},
    }  # fmt: skip
    assert str(tmp_path) not in json.dumps(first.trace())
    assert first.run_id not in json.dumps(first.trace())


def test_an_unwritable_home_is_refused_before_any_step(shop: Bench, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file", encoding="utf-8")
    with pytest.raises(EngineError, match="cannot be used"):
        shop.run(plan(task("a")))
    assert shop.ledger == []


def test_a_chain_of_many_skips_needs_no_deep_stack(shop: Bench) -> None:
    chain = [task("t0", say={"fails": 1})]
    chain += [task(f"t{n}", needs=[f"t{n - 1}"]) for n in range(1, 1500)]
    outcome = shop.run(plan(*chain))
    assert outcome.task("t1499").reason == "`t1498` was skipped"
