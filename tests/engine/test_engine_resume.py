from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from engine_bench import Bench, Diary, bench, five, looped, parameter, plan, states, task

from pipec.compiler.plan import Need, Plan
from pipec.condition import Compare, Status
from pipec.engine import files
from pipec.engine.history import runs, show, why
from pipec.engine.journal import read
from pipec.engine.outcome import EngineError, State
from pipec.engine.process import MARK, family
from pipec.engine.replay import replay, stands
from pipec.steps.interface import Kind
from pipec.values import Literal, OutputRef, ParameterRef, RunRef

KILLER = Path(__file__).with_name("killed_engine.py")


def journal(shop: Bench, run_id: str) -> Path:
    return shop.home / "runs" / run_id / "journal.jsonl"


def test_resuming_does_what_failed_and_what_was_skipped_and_nothing_else(shop: Bench) -> None:
    first = shop.run(five(fails=1))
    assert states(first)["last"] == "skipped"
    second = shop.run(five(fails=1), resume=first.run_id)
    assert Counter(shop.ledger) == {"ingest": 1, "left": 1, "right": 1, "join": 2, "last": 1}
    assert (second.run_id, second.status) == (first.run_id, "succeeded")
    assert [t.name for t in second.tasks if t.is_kept] == ["ingest", "left", "right"]
    assert second.outputs == {"n": 2}


def test_a_resumed_run_leaves_the_trace_of_an_uninterrupted_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = bench(tmp_path / "one"), bench(tmp_path / "two")
    straight = one.run(five())
    (two.base / "ledger.txt").touch()
    failed = two.run(five(fails=1))
    resumed = two.run(five(fails=1), resume="latest")
    assert resumed.run_id == failed.run_id
    assert json.dumps(resumed.trace()) == json.dumps(straight.trace())


def test_resuming_a_finished_run_does_nothing(shop: Bench) -> None:
    first = shop.run(five())
    again = shop.run(five(), resume=first.run_id)
    assert len(shop.ledger) == 5
    assert again.trace() == first.trace()


def test_a_refusal_stands_when_resumed(shop: Bench) -> None:
    first = shop.run(five(fails=9, code=3))
    again = shop.run(five(fails=9, code=3), resume=first.run_id)
    assert (again.status, Counter(shop.ledger)["join"]) == ("refused", 1)


def test_a_damaged_artifact_is_made_again_by_its_producer_alone(shop: Bench) -> None:
    first = shop.run(five())
    stored = first.task("left").artifacts["out"].digest.removeprefix("sha256:")
    damaged = shop.home / "artifacts" / "sha256" / stored[:2] / stored
    damaged.chmod(0o644)
    damaged.write_text("flipped", encoding="utf-8")
    diary = Diary()
    again = shop.run(five(), diary, resume=first.run_id)
    assert shop.ledger[5:] == ["left"]
    assert "`left` is done again: its output `out` is damaged or gone from the store" in diary.lines
    assert again.trace() == first.trace()


def test_an_artifact_damaged_within_a_run_is_never_used(shop: Bench) -> None:
    class Vandal(Diary):
        def started(self, task: str, attempt: int) -> None:
            if task == "wait":
                for path in (shop.home / "artifacts" / "sha256").glob("??/*"):
                    path.chmod(0o644)
                    path.write_text("flipped", encoding="utf-8")

    used = plan(
        task("make", writes=["data"], say={"text": "a"}),
        task("wait", needs=["make"]),
        task("use", needs=["wait"], reads={"data": OutputRef("make", "data")}),
    )
    outcome = shop.run(used, Vandal())
    assert states(outcome)["use"] == "failed"
    assert outcome.task("use").reason.startswith("`steps.make.data` is damaged or gone from ")
    healed = shop.run(used, resume="latest")
    assert (healed.status, shop.ledger) == ("succeeded", ["make", "wait", "make", "use"])


def test_a_changed_step_is_done_again_with_what_follows_and_named(shop: Bench) -> None:
    first = shop.run(five())
    changed = plan(*(
        task("left", reads={"data": OutputRef("ingest", "data")}, writes=["out"], cache=False, say={"extra": 1})
        if t.name == "left" else t for t in five().tasks
    ), outputs=five().outputs)  # fmt: skip
    diary = Diary()
    shop.run(changed, diary, resume=first.run_id)
    assert shop.ledger[5:] == ["left", "join", "last"]
    notes = [line for line in diary.lines if "again" in line]
    assert notes == [
        "`left` is done again: `parameters.extra` is new",
        "`join` is done again: it follows `left`",
        "`last` is done again: it follows `join`",
    ]


def test_a_changed_parameter_redoes_only_who_reads_it(shop: Bench) -> None:
    def two(n: int) -> Plan:
        return plan(
            task("a", say={"text": ParameterRef("p")}, writes=["x"], cache=False),
            task("b", writes=["y"], cache=False),
            parameters=(parameter("p", default="one"), parameter("q", Kind.INTEGER, default=n)),
        )

    first = shop.run(two(1), parameters={"p": "two"})
    shop.run(two(2), resume=first.run_id)  # what was given stays given
    assert Counter(shop.ledger) == {"a": 1, "b": 1}
    diary = Diary()
    shop.run(two(2), diary, resume=first.run_id, parameters={"p": "three"})
    assert Counter(shop.ledger) == {"a": 2, "b": 1}
    assert '`a` is done again: `parameters.text` is "three", was "two"' in diary.lines


def test_the_moment_of_the_trigger_is_kept(shop: Bench) -> None:
    dated = plan(task("a", writes=["x"], say={"text": RunRef("date"), "fails": 1}))
    shop.run(dated, scheduled_at="2026-11-23T03:00:00Z")
    resumed = shop.run(dated, resume="latest", scheduled_at="2027-01-01T00:00:00Z")
    assert shop.text(resumed, "a", "x") == "x:2026-11-23"


def test_finals_conclude_a_resumed_run_too(shop: Bench) -> None:
    concluded = plan(
        task("work", say={"fails": 1}), task("notify", is_final=True, say={"text": RunRef("outcome")}, writes=["mail"])
    )
    shop.run(concluded)
    resumed = shop.run(concluded, resume="latest")
    assert shop.text(resumed, "notify", "mail") == "mail:succeeded"
    shop.run(concluded, resume="latest")
    assert shop.ledger == ["work", "notify", "work", "notify"]


def test_a_rollback_that_is_no_longer_called_for_is_skipped(shop: Bench) -> None:
    guarded = plan(
        task("deploy", say={"fails": 1}),
        task("rollback", needs=[Need("deploy", soft=True)], when=Status("failed", "deploy")),
    )
    assert states(shop.run(guarded)) == {"deploy": "failed", "rollback": "succeeded"}
    assert states(shop.run(guarded, resume="latest")) == {"deploy": "succeeded", "rollback": "skipped"}


def test_a_run_of_another_pipeline_is_not_resumed(shop: Bench) -> None:
    first = shop.run(plan(task("a")))
    with pytest.raises(EngineError, match=f"run {first.run_id} is of pipeline `wine`, not of `beer`"):
        shop.run(Plan(pipeline="beer", tasks=(task("a"),)), resume=first.run_id)
    with pytest.raises(EngineError, match="pipeline `beer` has no run to resume"):
        shop.run(Plan(pipeline="beer", tasks=(task("a"),)), resume="latest")


@pytest.mark.parametrize("run_id", ["nope", "../../etc", "20260101T000000000Z-abcdef"])
def test_a_run_that_is_not_there_is_told(shop: Bench, run_id: str) -> None:
    with pytest.raises(EngineError, match="no run `"):
        shop.run(plan(task("a")), resume=run_id)


def test_a_damaged_journal_stops_with_its_place(shop: Bench) -> None:
    first = shop.run(plan(task("a")))
    path = journal(shop, first.run_id)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(EngineError, match=r"is damaged at byte \d+ \(record \d\)"):
        shop.run(plan(task("a")), resume=first.run_id)
    assert [each.status for each in runs(shop.home)] == ["damaged"]


def finished(path: Path) -> set[str]:
    return {name for name, ending in replay("r", read(path)).endings.items() if stands(ending)}


def test_a_journal_cut_anywhere_resumes_without_redoing_what_it_tells_of(tmp_path: Path) -> None:
    whole = bench(tmp_path)
    straight = whole.run(five())
    path = journal(whole, straight.run_id)
    data = path.read_bytes()
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]
    for place in sorted({0, *ends, *(end - 1 for end in ends), *(end - 40 for end in ends)}):
        path.write_bytes(data[:place])
        done = finished(path)
        (whole.base / "ledger.txt").unlink()
        resumed = whole.run(five(), resume=straight.run_id)
        assert sorted(whole.ledger) == sorted({t.name for t in five().tasks} - done), f"cut at {place}"
        assert resumed.trace() == straight.trace(), f"cut at {place}"
        (whole.base / "ledger.txt").touch()


def killed(shop: Bench, when: str, n: int, what: str = "five") -> int:
    """Run a plan in an engine that kills itself at the n-th record; return its exit code."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(KILLER.parent)])}
    arguments = [sys.executable, str(KILLER), str(shop.base.parent), when, str(n), what]
    return subprocess.run(arguments, env=environ, check=False, cwd=KILLER.parents[2]).returncode


@pytest.mark.parametrize("when", ["before", "torn", "after"])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 8, 11])
def test_a_run_killed_at_any_record_resumes_with_no_finished_step_redone(shop: Bench, when: str, n: int) -> None:
    assert killed(shop, when, n) == -signal.SIGKILL
    is_over = (when, n) == ("after", 11)  # it died with everything said
    assert [each.status for each in runs(shop.home)] == ["succeeded" if is_over else "interrupted"]
    run_id = runs(shop.home)[0].run_id
    done, before = finished(journal(shop, run_id)), Counter(shop.ledger)
    resumed = shop.run(five(), resume=run_id)
    assert {name for name in done if Counter(shop.ledger)[name] != before[name]} == set()
    assert (resumed.status, show(shop.home, run_id).status) == ("succeeded", "succeeded")
    assert max(Counter(shop.ledger).values()) <= 2
    work = shop.home / "runs" / run_id / "work"
    assert [path for task_folder in work.iterdir() for path in task_folder.iterdir()] == []


def loops(shop: Bench, run_id: str) -> set[str]:
    """The loops that a journal says have ended: they run no process, so nothing of theirs is in the ledger."""
    return {name for name in finished(journal(shop, run_id)) if name == "score"}


@pytest.mark.parametrize(("when", "n"), [("after", 3), ("torn", 6), ("before", 8), ("after", 11), ("after", 17)])
def test_a_run_killed_in_a_loop_resumes_with_no_finished_iteration_redone(shop: Bench, when: str, n: int) -> None:
    assert killed(shop, when, n, "looped") == -signal.SIGKILL
    run_id = runs(shop.home)[0].run_id
    done, before = finished(journal(shop, run_id)) - loops(shop, run_id), Counter(shop.ledger)
    resumed = shop.run(looped(), resume=run_id)
    assert {name for name in done if Counter(shop.ledger)[name] != before[name]} <= {"tell"}
    assert (resumed.status, show(shop.home, run_id).status) == ("succeeded", "succeeded")
    assert shop.text(resumed, "merge", "all") == "all:out:rows:aout:rows:bout:rows:c"
    assert show(shop.home, run_id).trace() == resumed.trace()


def test_a_journal_cut_anywhere_in_a_loop_resumes_without_redoing_what_it_tells_of(tmp_path: Path) -> None:
    whole = bench(tmp_path)
    straight = whole.run(looped())
    path = journal(whole, straight.run_id)
    data = path.read_bytes()
    for place in [n + 1 for n, byte in enumerate(data) if byte == ord("\n")]:
        path.write_bytes(data[:place])
        done = finished(path) - loops(whole, straight.run_id)
        (whole.base / "ledger.txt").unlink()
        resumed = whole.run(looped(), resume=straight.run_id)
        (whole.base / "ledger.txt").open("a").close()
        everything = {t.name for t in straight.tasks if not t.is_loop}
        assert sorted(whole.ledger) == sorted(everything - done), f"cut at {place}"
        assert resumed.trace() == straight.trace(), f"cut at {place}"


def test_resuming_a_finished_loop_does_nothing(shop: Bench) -> None:
    first = shop.run(looped())
    n_done = len(shop.ledger)
    again = shop.run(looped(), resume=first.run_id)
    assert (len(shop.ledger), again.trace()) == (n_done, first.trace())
    assert again.task("score").is_kept


def test_an_iteration_that_failed_is_done_again_and_the_others_are_kept(shop: Bench) -> None:
    first = shop.run(looped(fails=1))
    assert Counter(states(first).values()) == {"failed": 4, "succeeded": 5, "skipped": 2}
    second = shop.run(looped(fails=1), resume="latest")
    counts = Counter(shop.ledger)
    assert (second.status, {counts[f"score-{n}.a"] for n in range(3)}) == ("succeeded", {1})
    assert {counts[f"score-{n}.b"] for n in range(3)} == {2}


def test_a_longer_list_adds_iterations_and_redoes_who_follows_the_loop(shop: Bench) -> None:
    first = shop.run(looped(items=["a"]))
    n_done = len(shop.ledger)
    second = shop.run(looped(items=["a", "b"]), resume=first.run_id)
    assert set(shop.ledger[n_done:]) == {"list", "score-0.a", "score-0.b", "score-1.a", "score-1.b", "merge", "last",
                                         "tell"}  # fmt: skip
    assert shop.text(second, "merge", "all") == "all:out:rows:aout:rows:b"
    third = shop.run(looped(items=["a"]), resume=first.run_id)
    assert [task.name for task in third.tasks] == [task.name for task in first.tasks]
    assert [task.name for task in show(shop.home, first.run_id).tasks] == [task.name for task in first.tasks]


def test_a_step_that_outlived_its_engine_is_ended_before_it_is_done_again(shop: Bench) -> None:
    first = shop.run(plan(task("a", say={"fails": 1})))
    orphan_mark = shop.home / "runs" / first.run_id / "work" / "a" / "9.9"
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={**os.environ, MARK: str(orphan_mark)}, start_new_session=True,
    )  # fmt: skip
    while not family(str(orphan_mark)):
        pass  # its environment shows once it has begun
    shop.run(plan(task("a", say={"fails": 1})), resume=first.run_id)
    assert orphan.wait(5) == -signal.SIGKILL


def test_attempts_go_on_counting_after_a_kill(shop: Bench) -> None:
    flaky = plan(task("a", attempts=3, say={"fails": 2, "code": 75}))
    straight = shop.run(flaky)
    path = journal(shop, straight.run_id)
    lines = path.read_bytes().splitlines(keepends=True)
    types = [record["type"] for record in read(path)]
    path.write_bytes(b"".join(lines[: types.index("attempt") + 1]))
    (shop.base / "ledger.txt").write_text("a\n", encoding="utf-8")
    resumed = shop.run(flaky, resume=straight.run_id)
    assert resumed.task("a").attempts == 3
    assert len(shop.ledger) == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_an_interrupted_run_ends_its_steps_and_can_be_resumed(shop: Bench, number: signal.Signals, code: int) -> None:
    class Interrupter(Diary):
        def tick(self) -> None:
            if "slow" in shop.ledger and "sent" not in self.lines:
                self.lines.append("sent")
                os.kill(os.getpid(), number)

    slow = plan(task("done"), task("slow", needs=["done"], say={"until": "go"}), task("after", needs=["slow"]))
    outcome = shop.run(slow, Interrupter())
    assert (outcome.status, outcome.exit_code) == ("interrupted", code)
    assert states(outcome) == {"done": "succeeded", "slow": "waiting", "after": "waiting"}
    assert outcome.message == f"the run was interrupted; go on with `pipec run FILE --resume {outcome.run_id}`"
    assert family(str(shop.home / "runs") + "/") == []
    assert show(shop.home, "latest").exit_code == code
    assert states(show(shop.home, "latest")) == states(outcome)
    assert why(shop.home, "latest", "slow").split("\n")[0] == "`slow` was interrupted"
    (shop.base / "go").touch()
    resumed = shop.run(slow, resume="latest")
    assert (resumed.status, Counter(shop.ledger)["done"]) == ("succeeded", 1)


def test_what_an_engine_leaves_open_is_nothing(shop: Bench) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    shop.run(five())
    before = handles()
    shop.run(five())
    assert handles() == before


def test_a_full_disk_fails_the_step_and_resuming_finishes(shop: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = files.seal

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "seal", full)
    first = shop.run(five())
    assert first.task("ingest").reason.startswith("the engine could not go on: No space left on device: ")
    monkeypatch.setattr(files, "seal", seal)
    assert shop.run(five(), resume="latest").status == "succeeded"


def test_a_journal_that_cannot_be_written_stops_the_run_and_its_steps(
    shop: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, n_synced = os.fsync, []

    def failing(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().name == "journal.jsonl":
            n_synced.append(handle)
            if len(n_synced) > 4:
                raise OSError(5, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(EngineError, match="cannot be written: Input/output error; mend that and resume the run"):
        shop.run(five())
    monkeypatch.undo()
    assert family(str(shop.home / "runs") + "/") == []
    assert shop.run(five(), resume="latest").status == "succeeded"


def test_an_unused_condition_value_is_no_reason_to_redo(shop: Bench) -> None:
    gated = plan(task("score", values={"f1": 0.5}), task(
        "after", soft=["score"], when=Compare(">", OutputRef("score", "f1"), Literal(0.1)), cache=False))  # fmt: skip
    shop.run(gated)
    kept = shop.run(gated, resume="latest")
    assert [t.state for t in kept.tasks if t.is_kept] == [State.SUCCEEDED, State.SUCCEEDED]
