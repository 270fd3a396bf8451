"""The limits of a matrix (rule 9): how many cells at once, and none more once one has failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from engine_bench import Bench, Diary, Watch, plan, states, task

from pipec.compiler.plan import Group, Plan, Task
from pipec.condition import Compare
from pipec.engine.outcome import TaskOutcome
from pipec.steps.interface import Retry
from pipec.values import Literal

STOPPED = "`train-1` failed, and `fail_fast` starts no further one"


def matrix(*cells: Task, max_parallel: int | None = None, fail_fast: bool = True) -> Plan:
    return plan(*cells, groups=(Group(name="train", max_parallel=max_parallel, fail_fast=fail_fast),))


def cell(number: int, **more: object) -> Task:
    return task(f"train-{number}", step="train", group="train", **more)  # type: ignore[arg-type]


def test_no_more_cells_run_at_once_than_are_allowed(shop: Bench) -> None:
    watch = Watch()
    outcome = shop.run(matrix(*(cell(n) for n in range(6)), max_parallel=2), watch, jobs=6)
    assert (outcome.status, watch.peak <= 2) == ("succeeded", True)
    assert sorted(shop.ledger) == [f"train-{n}" for n in range(6)]


def test_a_cell_that_waits_for_its_next_attempt_leaves_its_place_to_another(shop: Bench) -> None:
    first = replace(cell(0, say={"fails": 1, "code": 75}), retry=Retry(attempts=2, backoff_s=1))
    outcome = shop.run(matrix(first, cell(1), max_parallel=1))
    assert (outcome.status, shop.ledger) == ("succeeded", ["train-0", "train-1", "train-0"])


def test_a_matrix_in_the_cells_of_another_has_its_limit_in_each(shop: Bench) -> None:
    cells = [
        task(f"m-{n}.inner-{i}", step="m.inner", group=f"m-{n}.inner", say={"meet": 2} if i == 0 else {})
        for n in range(2)
        for i in range(3)
    ]
    watch = Watch()
    made = plan(*cells, groups=(Group(name="m.inner", max_parallel=1),))
    assert shop.run(made, watch, jobs=6).status == "succeeded"  # the first of each meet
    assert watch.peak == 2


def test_a_limited_matrix_leaves_others_alone(shop: Bench) -> None:
    others = [task(f"t{n}", say={"meet": 3}) for n in range(2)]
    assert shop.run(matrix(cell(0, say={"meet": 3}), cell(1), *others, max_parallel=1)).status == "succeeded"


@pytest.mark.parametrize("code", [1, 3], ids=["failed", "refused"])
def test_after_a_failure_no_further_cell_starts(shop: Bench, code: int) -> None:
    cells = [cell(n, say={"fails": int(n == 1), "code": code}) for n in range(5)]
    outcome = shop.run(matrix(*cells), jobs=1)
    assert shop.ledger == ["train-0", "train-1"]
    assert list(states(outcome).values())[2:] == ["skipped"] * 3
    past = "failed" if code == 1 else "was refused"
    assert {one.reason for one in outcome.tasks[2:]} == {f"`train-1` {past}, and `fail_fast` starts no further one"}
    assert outcome.trace()["steps"]["train"]["state"] == ("failed" if code == 1 else "refused")  # type: ignore[index,call-overload]


def test_held_cells_are_skipped_too_and_the_run_ends(shop: Bench) -> None:
    outcome = shop.run(matrix(*(cell(n, say={"fails": int(n == 1)}) for n in range(5)), max_parallel=1))
    assert (shop.ledger, outcome.tasks[4].reason) == (["train-0", "train-1"], STOPPED)


def test_a_forgiven_failure_stops_no_cell(shop: Bench) -> None:
    cells = [cell(n, say={"fails": int(n == 0)}, continue_on_error=True) for n in range(3)]
    outcome = shop.run(matrix(*cells), jobs=1)
    assert (outcome.status, len(shop.ledger)) == ("succeeded", 3)
    assert outcome.trace()["steps"]["train"]["state"] == "succeeded"  # type: ignore[index,call-overload]


def test_without_fail_fast_every_cell_runs(shop: Bench) -> None:
    cells = [cell(n, say={"fails": int(n == 0)}) for n in range(3)]
    assert shop.run(matrix(*cells, fail_fast=False), jobs=1).status == "failed"
    assert len(shop.ledger) == 3


def test_a_cell_that_is_being_tried_again_goes_on_after_another_failed(shop: Bench) -> None:
    again = replace(cell(0, say={"fails": 1, "code": 75}), retry=Retry(attempts=2, backoff_s=1))
    outcome = shop.run(matrix(again, cell(1, say={"fails": 1}), cell(2)), jobs=1)
    assert states(outcome) == {"train-0": "succeeded", "train-1": "failed", "train-2": "skipped"}


def test_a_cell_that_would_be_judged_later_is_skipped_and_its_own_reason_comes_first(shop: Bench) -> None:
    inner = [
        task("train-0.a", step="train.a", group="train", say={"fails": 1}),
        task("train-0.b", step="train.b", group="train", needs=["train-0.a"]),
        task("train-1.a", step="train.a", group="train", say={"until": "go"}),
        task("train-1.b", step="train.b", group="train", needs=["train-1.a"]),
        task("train-1.c", step="train.c", group="train", needs=["train-1.a"],
             when=Compare("==", Literal(1), Literal("1"))),
    ]  # fmt: skip

    class Opener(Diary):
        def ended(self, outcome: TaskOutcome) -> None:
            super().ended(outcome)
            if outcome.name == "train-0.a":  # not before: the other cell would have gone on
                (shop.base / "go").touch()

    outcome = shop.run(matrix(*inner), Opener(), jobs=2)
    stopped = "`train-0.a` failed, and `fail_fast` starts no further one"
    assert [one.reason for one in outcome.tasks[1:]] == ["`train-0.a` failed", "", stopped, stopped]
    trace = outcome.trace()["steps"]["train"]  # type: ignore[index,call-overload]
    assert (trace["state"], list(trace["tasks"])) == ("failed", [one.name for one in inner])


def test_resuming_after_a_refusal_starts_no_cell_that_had_not_begun(shop: Bench) -> None:
    made = matrix(*(cell(n, say={"fails": int(n == 3), "code": 3}) for n in range(8)))
    first = shop.run(made, jobs=1)
    path = shop.home / "runs" / first.run_id / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    refused = next(n for n, line in enumerate(lines) if b'"state":"refused"' in line)
    path.write_bytes(b"".join(lines[: refused + 1]))  # as if it had been killed before it could skip the others
    resumed = shop.run(made, resume=first.run_id, jobs=4)
    assert Counter(shop.ledger) == {f"train-{n}": 1 for n in range(4)}
    assert resumed.trace() == first.trace()


def test_a_thousand_cells_held_to_one_at_a_time_are_all_looked_at(shop: Bench) -> None:
    never = Compare("==", Literal(1), Literal(2))
    cells = [cell(n, when=None if n % 100 == 0 else never) for n in range(1000)]
    outcome = shop.run(matrix(*cells, max_parallel=1))
    assert Counter(states(outcome).values()) == {"succeeded": 10, "skipped": 990}
