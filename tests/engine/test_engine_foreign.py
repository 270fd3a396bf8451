"""Steps in any language, run by the engine through the real step runtime: their commands are scripts of `sh`."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_bench import Bench, Diary, plan, states
from foreign_bench import foreign, out

from pipec.compiler.plan import Task
from pipec.engine.history import why
from pipec.engine.launcher import ProcessLauncher
from pipec.engine.outcome import RunOutcome
from pipec.engine.process import family
from pipec.steps.interface import (
    Container,
    Dataset,
    Input,
    Interface,
    Kind,
    Slot,
    Words,
)
from pipec.values import OutputRef, SecretRef

LAUNCHER = ProcessLauncher()  # one for all: it digests the whole library once


@pytest.fixture
def bench(shop: Bench) -> Bench:
    return Bench(shop.base, replace(shop.options, launcher=LAUNCHER))


def only(bench: Bench, given: Task, **more: Any) -> tuple[str, str, int]:
    """Run one task, and return its state, the reason and how often it was tried."""
    outcome = bench.run(plan(given), **more).task(given.name)
    return outcome.state.value, outcome.reason, outcome.attempts


def counting(bench: Bench, rest: str) -> str:
    """Return a script that notes that it ran."""
    return f"echo ran >> {bench.base}/ledger.txt; {rest}"


def test_outputs_of_every_kind_come_into_the_run(bench: Bench) -> None:
    kinds = {
        "text": (Kind.STRING, "two words"), "whole": (Kind.INTEGER, 3), "number": (Kind.NUMBER, 0.5),
        "flag": (Kind.BOOLEAN, True), "names": (Kind.LIST, ["a", 1]), "map": (Kind.OBJECT, {"a": None}),
    }  # fmt: skip
    script = (
        'echo rows > "$0"; echo two words > "$1"; echo 3 > "$2"; echo 0.5 > "$3"; echo true > "$4"; '
        'echo "[\\"a\\", 1]" > "$5"; echo "{\\"a\\": null}" > "$6"'
    )
    values = {name: kind for name, (kind, _) in kinds.items()}
    made = foreign("score", script, out("rows"), *(out(name) for name in kinds), writes=["rows"], values=values)
    outcome = bench.run(plan(made))
    assert states(outcome) == {"score": "succeeded"}, outcome.task("score").reason
    assert outcome.task("score").values == {name: value for name, (_, value) in kinds.items()}
    assert bench.text(outcome, "score", "rows") == "rows\n"


def read_parts(bench: Bench, n_failing: int) -> RunOutcome:
    """Run two steps, of which `n_failing` skip, and one that reads what they left."""
    write = 'echo "$1" > "$0"'
    made = [foreign(name, write, out("rows"), name, writes=["rows"]) for name in ("one", "two")]
    for number in range(n_failing):
        made[number] = replace(made[number], continue_on_error=True, interface=broken(made[number].interface))
    inputs = [Input(name="parts", type=Dataset, many=True, optional=True),
              Input(name="extra", type=Dataset, optional=True)]  # fmt: skip
    read = foreign(
        "read", 'echo "$#" > "$0"; for each; do test -f "$each" && cat "$each" >> "$0"; done; true', out("rows"),
        ["--parts", Slot("inputs", "parts")], ["--extra", Slot("inputs", "extra")], writes=["rows"], inputs=inputs,
        given={"parts": (OutputRef("one", "rows"), OutputRef("two", "rows"))},
    )  # fmt: skip
    return bench.run(plan(*made, read))


def broken(interface: Interface) -> Interface:
    return replace(interface, container=Container(command=("false",)))


@pytest.mark.parametrize(("n_failing", "text"), [(0, "3\none\ntwo\n"), (1, "2\ntwo\n"), (2, "0\n")])
def test_a_list_becomes_many_arguments_and_an_absent_input_takes_its_group_along(
    bench: Bench, n_failing: int, text: str
) -> None:
    assert bench.text(read_parts(bench, n_failing), "read", "rows") == text


@pytest.mark.parametrize(
    ("rest", "ended"),
    [
        ("echo too few rows >&2; exit 3", ("refused", "too few rows", 1)),
        ("exit 2", ("failed", "it ended with exit code 2 and said nothing", 1)),
        ("echo no luck >&2; exit 7", ("failed", "no luck", 3)),
        ("exit 75", ("failed", "it ended with exit code 75 and said nothing", 3)),
        ("kill -KILL $$", ("failed", "it was killed, most likely out of memory: it may use 2048 MiB "
                           "(it was ended by SIGKILL)", 3)),
    ],
    ids=str,
)  # fmt: skip
def test_exit_codes_say_whether_to_try_again(bench: Bench, rest: str, ended: tuple[str, str, int]) -> None:
    assert only(bench, foreign("score", counting(bench, rest), attempts=3)) == ended
    assert len(bench.ledger) == ended[2]


def test_what_heals_succeeds_at_last(bench: Bench) -> None:
    script = counting(bench, f'test $(wc -l < {bench.base}/ledger.txt) -ge 3 && echo rows > "$0"')
    assert only(bench, foreign("score", script, out("rows"), writes=["rows"], attempts=4)) == ("succeeded", "", 3)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (":", "the step ended without writing output `rows`: mend the step"),
        (': > "$0"; : > "$0.log"', "the step wrote `rows.log`, which it does not declare: mend the step"),
    ],
    ids=["nothing", "something else"],
)
def test_what_a_command_leaves_must_be_what_it_declares(bench: Bench, script: str, reason: str) -> None:
    assert only(bench, foreign("score", script, out("rows"), writes=["rows"])) == ("failed", reason, 1)


def test_a_program_that_is_not_there_is_told(bench: Bench) -> None:
    made = foreign("score", "")
    made = replace(made, interface=replace(made.interface, container=Container(command=("no-such-program",))))
    state, reason, _ = only(bench, made)
    remedy = "install it, or run where the step's image has it"
    assert (state, reason) == ("failed", f"`no-such-program` is not installed here: {remedy}")


@pytest.mark.parametrize(
    "text", ["", "a b", "$(id)`id`;|&<>*?", "'\"\\\n\t", "${{ x }}{{ y }}", "é☃𐍈", "--x=-"], ids=repr
)
def test_a_text_arrives_byte_for_byte(bench: Bench, text: str) -> None:
    made = foreign(
        "score", 'printf %s "$1" > "$0"', out("rows"), Slot("parameters", "text"), writes=["rows"],
        parameters={"text": text},
    )  # fmt: skip
    assert bench.text(bench.run(plan(made)), "score", "rows") == text


def log_of(bench: Bench) -> list[str]:
    (log,) = bench.home.rglob("*.log")
    return log.read_text(encoding="utf-8").splitlines()


def test_all_that_it_says_is_in_the_log(bench: Bench) -> None:
    only(bench, foreign("score", "echo out; echo said >&2; exit 3"))
    assert sorted(log_of(bench)) == ["out", "said", "score (score@1): said"]


def test_a_secret_is_neither_in_the_log_nor_in_the_reason(bench: Bench) -> None:
    made = foreign("score", 'echo "it is $TOKEN" >&2; exit 3', env=(("TOKEN", SecretRef("token")),))
    assert only(bench, made, secrets={"token": "hunter2"}) == ("refused", "it is ***", 1)
    assert log_of(bench) == ["it is ***", "score (score@1): it is ***"]


def test_the_same_command_is_not_run_twice_and_another_one_is(bench: Bench) -> None:
    script = counting(bench, 'echo rows > "$0"')

    def run(**fields: Any) -> bool:
        changed = replace(made, interface=replace(made.interface, container=replace(container, **fields)))
        return bench.run(plan(changed)).task("score").is_cached

    made = foreign("score", script, out("rows"), writes=["rows"], image="registry.example/score:1")
    container = made.interface.container
    assert container is not None
    assert [run(), run()] == [False, True]
    assert not run(command=("sh", "-ec", script))
    told = why(bench.home, "latest", "score").split("\n")[1]
    assert "`command`" in told and "`interface` changed" in told
    assert not run(args=(*container.args, Words((("more",),))))
    assert not run(image="registry.example/score:2")
    assert "`image` is registry.example/score:2, was registry.example/score:1" in why(bench.home, "latest", "score")
    assert run()


def test_a_changed_program_is_run_again(bench: Bench) -> None:
    program = bench.base / "score.sh"
    made = foreign("score", "", out("rows"), writes=["rows"])
    container = Container(command=("sh", str(program)), args=(Words(((out("rows"),),)),))
    made = replace(made, interface=replace(made.interface, container=container))
    program.write_text('echo one > "$1"')
    assert [bench.run(plan(made)).task("score").is_cached for _ in range(2)] == [False, True]
    program.write_text('echo two > "$1"')
    assert bench.text(bench.run(plan(made)), "score", "rows") == "two\n"


DEAF = "trap '' TERM; echo $$ > {pid}; while :; do sleep 0.05; done"


def is_running(pid: Path) -> bool:
    """Say whether the process goes on; one that ended may still be listed until somebody asks for its exit code."""
    try:
        return Path(f"/proc/{int(pid.read_text())}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_timeout_ends_the_command_too(bench: Bench) -> None:
    pid = bench.base / "pid"
    state, reason, _ = only(bench, foreign("score", DEAF.format(pid=pid), timeout_s=3))
    assert (state, reason) == ("failed", "it took longer than its timeout of 3 s: give it a longer `timeout`")
    assert not is_running(pid)


def test_a_runner_that_is_killed_leaves_no_command_behind(bench: Bench) -> None:
    """The command has a group of its own; the engine finds it by the attempt's mark."""
    pid = bench.base / "pid"
    marks: list[str] = []

    class Kills(Diary):
        def started(self, task: str, attempt: int) -> None:
            threading.Thread(target=kill).start()

    def kill() -> None:
        while not (pid.exists() and pid.read_text()):
            pass
        environ = Path(f"/proc/{int(pid.read_text())}/environ").read_bytes().split(b"\0")
        marks.extend(entry.decode().partition("=")[2] for entry in environ if entry.startswith(b"PIPEC_ATTEMPT="))
        parent = Path(f"/proc/{int(pid.read_text())}/stat").read_text().split()[3]
        os.kill(int(parent), 9)

    outcome = bench.run(plan(foreign("score", DEAF.format(pid=pid))), Kills())
    assert states(outcome) == {"score": "failed"}
    assert not is_running(pid)
    assert family(marks[0]) == []
