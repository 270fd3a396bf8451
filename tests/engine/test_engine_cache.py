from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from engine_bench import Bench, StubLauncher, plan, task

from pipec.compiler.plan import Plan, Task
from pipec.engine import files
from pipec.engine.history import why
from pipec.engine.outcome import RunOutcome
from pipec.steps.interface import Endpoint, Input, Kind, Parameter, Role
from pipec.values import Literal, OutputRef, SecretRef


def two(text: str = "rows", epochs: int = 3) -> Plan:
    return plan(
        task("ingest", writes=["data"], say={"text": text}),
        task("train", reads={"data": OutputRef("ingest", "data")}, writes=["model"], values={"f1": 0.5},
             say={"epochs": epochs}),
    )  # fmt: skip


def cached(outcome: RunOutcome) -> list[str]:
    return [each.name for each in outcome.tasks if each.is_cached]


def test_the_same_work_is_not_done_twice(shop: Bench) -> None:
    first, second = shop.run(two()), shop.run(two())
    assert (cached(first), cached(second)) == ([], ["ingest", "train"])
    assert json.dumps(first.trace()) == json.dumps(second.trace())
    assert why(shop.home, "latest", "train").split("\n")[1] == "  from the cache: an earlier run did the same work"


def test_a_task_of_another_name_does_the_same_work(shop: Bench) -> None:
    shop.run(plan(task("a", writes=["data"])))
    outcome = shop.run(plan(task("b", writes=["data"])))
    assert (cached(outcome), outcome.task("b").step) == (["b"], "b")


def test_a_miss_says_which_part_differs(shop: Bench) -> None:
    first = shop.run(two(epochs=3))
    shop.run(two(epochs=4))
    told = why(shop.home, "latest", "train").split("\n")
    assert told[:2] == [
        "`train` succeeded",
        f"  not from the cache: `parameters.epochs` is 4, was 3 (since run {first.run_id})",
    ]
    assert why(shop.home, first.run_id, "ingest").split("\n")[1] == "  not from the cache: `stub@1` has not run before"


def test_changed_data_changes_what_reads_it(shop: Bench) -> None:
    shop.run(two("rows"))
    outcome = shop.run(two("more rows"))
    assert cached(outcome) == []
    assert "`inputs.data` changed" in why(shop.home, "latest", "train")


def test_work_that_comes_out_the_same_stops_the_change(shop: Bench) -> None:
    def run(extra: int) -> RunOutcome:
        make = task("make", writes=["data"], say={"extra": extra})  # reads nothing of `extra`
        return shop.run(plan(make, task("use", reads={"data": OutputRef("make", "data")}, writes=["out"])))

    run(1)
    assert cached(run(2)) == ["use"]


def test_changed_code_is_a_miss(shop: Bench) -> None:
    shop.run(two())
    assert cached(shop.run(two(), launcher=StubLauncher("stub 2"))) == []
    assert "`code` is stub 2, was stub 1" in why(shop.home, "latest", "train")


def test_changed_local_data_is_a_miss(shop: Bench) -> None:
    read = plan(task("read", reads={"data": Literal("wine.csv")}, writes=["copy"]))
    (shop.base / "wine.csv").write_text("a", encoding="utf-8")
    assert [cached(shop.run(read)), cached(shop.run(read))] == [[], ["read"]]
    (shop.base / "wine.csv").write_text("b", encoding="utf-8")
    assert cached(shop.run(read)) == []


def test_local_data_named_by_a_parameter_counts_too(shop: Bench) -> None:
    load = task("load", writes=["data"], say={"source": "wine.csv"})
    source = Parameter(name="source", kind=Kind.STRING, location=True)
    load = replace(load, interface=replace(load.interface, parameters=(source,)))
    (shop.base / "wine.csv").write_text("a", encoding="utf-8")
    assert [cached(shop.run(plan(load))), cached(shop.run(plan(load)))] == [[], ["load"]]
    (shop.base / "wine.csv").write_text("b", encoding="utf-8")
    assert cached(shop.run(plan(load))) == []


def _asks_a_server(given: Task) -> Task:
    return replace(given, interface=replace(given.interface, inputs=(Input(name="at", type=Endpoint, optional=True),)))


def _of_role(given: Task, role: Role) -> Task:
    return replace(given, interface=replace(given.interface, role=role))


def _of_the_world(given: Task) -> Task:
    return replace(given, interface=replace(given.interface, world=True))


def _of_the_team() -> Task:
    made = task("make", writes=["data"], say={"factory": "churn.model:build"})
    factory = Parameter(name="factory", kind=Kind.STRING, factory=True)
    return replace(made, interface=replace(made.interface, parameters=(factory,)))


MAKE = task("make", writes=["data"])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (replace(MAKE, cache=False), "it says `cache: false`"),
        (_of_role(MAKE, Role.DEPLOY), "a step of role `deploy` always runs"),
        (_of_the_world(MAKE), "it asks or changes what lies outside of the run"),
        (_of_the_team(), "it calls a function of yours, and what that does may have changed"),
        (replace(MAKE, is_final=True), "a `finally` step always runs"),
        (task("make"), "it has no outputs, so it runs for its effect"),
        (_asks_a_server(MAKE), "it asks a server"),
        (replace(MAKE, env=(("T", SecretRef("token")),)), "it uses a secret, and what that opens may change"),
        (task("make", reads={"data": Literal("gone.csv")}, optional=["data"], values={"n": 1}),
         "what lies at `data.0` is not known before it is read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_must_not_be_replayed_is_not(shop: Bench, given: Task, reason: str) -> None:
    (shop.base / "gone.csv").unlink(missing_ok=True)
    for _ in range(2):
        shop.run(plan(given), secrets={"token": "hunter2"})
    assert Counter(shop.ledger)["make"] == 2
    assert f"  not from the cache: {reason}" in why(shop.home, "latest", "make").split("\n")


def test_outputs_that_are_gone_or_damaged_are_made_again(shop: Bench) -> None:
    first = shop.run(two())
    stored = first.task("ingest").artifacts["data"].digest.removeprefix("sha256:")
    files.remove(shop.home / "artifacts" / "sha256" / stored[:2] / stored)
    outcome = shop.run(two())
    assert cached(outcome) == ["train"]
    told = why(shop.home, "latest", "ingest")
    assert f"its output `data` of run {first.run_id} is damaged or gone from the store" in told


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"check": "x"}'])
def test_a_damaged_entry_is_no_entry(shop: Bench, damage: bytes) -> None:
    shop.run(two())
    for entry in (shop.home / "cache").rglob("*.json"):
        entry.write_bytes(damage)
    outcome = shop.run(two())
    assert (outcome.status, cached(outcome)) == ("succeeded", [])


def test_a_failure_is_not_remembered(shop: Bench) -> None:
    flaky = plan(task("flaky", writes=["data"], say={"fails": 1}))
    assert [shop.run(flaky).status, shop.run(flaky).status] == ["failed", "succeeded"]
