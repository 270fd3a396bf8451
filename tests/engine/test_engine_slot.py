"""How many runs of a pipeline go on at once, told with engines that are processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bench import Bench, Diary, plan, task

from pipec.compiler.plan import Concurrency, Plan
from pipec.engine.history import runs
from pipec.steps.interface import Role

HOLDER = Path(__file__).with_name("holding_engine.py")
Process = subprocess.Popen[bytes]


def limited(on_conflict: str, maximum: int = 1, *, role: Role | None = None) -> Plan:
    return plan(task("next", role=role), concurrency=Concurrency(maximum=maximum, on_conflict=on_conflict))


class Engines:
    """Engines that hold a slot until they are told to go on, or killed."""

    def __init__(self, shop: Bench) -> None:
        self.shop = shop
        self.processes: list[Process] = []

    def start(self, maximum: int = 1) -> Process:
        n_before = len(self.shop.ledger)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(HOLDER.parent)])}
        arguments = [sys.executable, str(HOLDER), str(self.shop.base.parent), str(maximum)]
        process = subprocess.Popen(arguments, env=environ, cwd=HOLDER.parents[2])
        self.processes.append(process)
        while len(self.shop.ledger) == n_before:
            assert process.poll() is None
        return process


@pytest.fixture
def engines(shop: Bench) -> Iterator[Engines]:
    started = Engines(shop)
    yield started
    (shop.base / "go").touch()
    for process in started.processes:
        process.kill()
        process.wait()


def test_one_run_too_many_is_not_started_and_recorded_nowhere(shop: Bench, engines: Engines) -> None:
    holder = engines.start()
    (running,) = runs(shop.home)
    outcome = shop.run(limited("skip"))
    assert (outcome.status, outcome.exit_code, outcome.run_id) == ("skipped", 0, "")
    assert outcome.message == (
        f"pipeline `wine` has at most 1 run at once, and run {running.run_id} in process {holder.pid} goes on: "
        "nothing was started"
    )
    assert (len(runs(shop.home)), shop.ledger) == (1, ["hold"])


def test_a_run_that_queues_waits_until_there_is_room(shop: Bench, engines: Engines) -> None:
    class Opener(Diary):
        def note(self, text: str) -> None:
            super().note(text)
            (shop.base / "go").touch()

    holder = engines.start()
    (running,) = runs(shop.home)
    diary = Opener()
    assert shop.run(limited("queue"), diary).status == "succeeded"
    assert diary.lines[0] == (
        f"pipeline `wine` has at most 1 run at once: waiting for run {running.run_id} in process {holder.pid}"
    )
    assert [one.status for one in runs(shop.home)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_and_nothing_was_started(
    shop: Bench, engines: Engines, number: signal.Signals, code: int
) -> None:
    class Leaver(Diary):
        def note(self, text: str) -> None:
            os.kill(os.getpid(), number)

    engines.start()
    outcome = shop.run(limited("queue"), Leaver())
    assert (outcome.status, outcome.exit_code) == ("interrupted", code)
    assert outcome.message.endswith("nothing was started")
    assert (len(runs(shop.home)), shop.ledger) == (1, ["hold"])


def test_a_run_that_cancels_asks_the_oldest_to_end_and_takes_its_place(shop: Bench, engines: Engines) -> None:
    first, second = engines.start(2), engines.start(2)
    diary = Diary()
    outcome = shop.run(limited("cancel", 2), diary)
    assert outcome.status == "succeeded"
    assert (first.wait(), second.poll()) == (143, None)
    assert [one.status for one in runs(shop.home)] == ["succeeded", "running", "interrupted"]
    assert diary.lines[1].endswith(f"in process {first.pid} to end")


def test_a_dead_engine_holds_no_slot(shop: Bench, engines: Engines) -> None:
    holder = engines.start()
    holder.kill()
    holder.wait()
    assert shop.run(limited("skip")).status == "succeeded"


def test_as_many_run_as_may_and_other_pipelines_do_not_count(shop: Bench, engines: Engines) -> None:
    engines.start(2)
    assert shop.run(limited("skip", 2)).status == "succeeded"
    engines.start(2)
    assert shop.run(limited("skip", 2)).status == "skipped"
    assert shop.run(limited("skip", 1)).status == "skipped"
    other = Plan(pipeline="beer", tasks=(task("next"),), concurrency=Concurrency(on_conflict="skip"))
    assert shop.run(other).status == "succeeded"


def test_a_resumed_run_takes_a_slot_too(shop: Bench, engines: Engines) -> None:
    first = shop.run(limited("skip", role=Role.APPROVE))
    assert first.status == "parked"  # and its process has let go of the slot
    engines.start()
    resumed = shop.run(limited("skip", role=Role.APPROVE), resume=first.run_id)
    assert (resumed.status, resumed.run_id) == ("skipped", first.run_id)
    assert [one.status for one in runs(shop.home)] == ["running", "parked"]


def test_a_fault_frees_the_slot(shop: Bench) -> None:
    class Breaker(Diary):
        def begin(self, run_id: str, n_tasks: int) -> None:
            raise RuntimeError("a fault of the view")

    with pytest.raises(RuntimeError):
        shop.run(limited("skip"), Breaker())
    check = (
        "import sys; from pathlib import Path; from pipec.engine.lock import holder; print(holder(Path(sys.argv[1])))"
    )
    environ = {**os.environ, "PYTHONPATH": "src"}
    slot = str(shop.home / "slots" / "wine" / "0")
    told = subprocess.check_output([sys.executable, "-c", check, slot], env=environ, cwd=HOLDER.parents[2], text=True)
    assert told == "None\n"
