"""A task that reports, as a container runs it: it ends with 0, and what is left says how the step ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import reported
import supervised

from pipec.steps.command import REASON, STATE, Order, Report, ReportedNeed
from pipec.values import Literal, OutputRef

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: orphans fall to whoever asks for them")

DATA = (("data", (OutputRef("make", "data"),)),)


def run(root: Path, act: str, values: dict[str, Any] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a probe that reports. More than what `reported.run` takes goes into its order."""
    call = {name: more.pop(name) for name in ("before", "env", "small") if name in more}
    return reported.run(root, order(root, act, **more), values, artifacts=made(root), **call)


def order(root: Path, act: str, **fields: Any) -> Order:
    return reported.order(act, {"to": Literal(str(root)), **fields.pop("parameters", {})}, inputs=DATA, **fields)


def made(root: Path) -> dict[str, Any]:
    return {"output-make-data": {"uri": str(root / "data")}}


def test_a_success_tells_its_state_beside_its_outputs(tmp_path: Path) -> None:
    done = run(tmp_path, "well")
    assert (done.returncode, done.stderr) == (0, "")
    assert reported.told(tmp_path) == ("succeeded", "")
    assert reported.small(tmp_path)["size"] == "3"
    told = reported.output(tmp_path)
    assert (told["parameterValues"][STATE], told["parameterValues"][REASON]) == ("succeeded", "")
    assert sorted(told["artifacts"]) == ["folder", "note", "same"]


def test_a_skip_leaves_placeholders_of_the_right_type_and_no_artifact(tmp_path: Path) -> None:
    done = run(tmp_path, "well", {"state-x": "skipped"}, report=Report((ReportedNeed("x"),)))
    assert (done.returncode, done.stderr) == (0, "t (probe@1): skipped: `x` was skipped\n")
    assert reported.told(tmp_path) == ("skipped", "`x` was skipped")
    assert reported.small(tmp_path) == reported.BLANK
    assert reported.output(tmp_path) == {
        "artifacts": {},
        "parameterValues": {"size": 0, "seen": {}, STATE: "skipped", REASON: "`x` was skipped"},
    }
    assert not (tmp_path / "out").exists()


ENDS = [
    ("refuse", "refused", "the rows say no: bring others"),
    ("caller", "failed", "the words are wrong"),
    ("again", "failed", "nobody has answered"),
    ("kill", "failed", "it was killed by someone (SIGKILL), not for memory that is counted here: run it again"),
    ("segv", "failed", "it was ended by SIGSEGV: set PIPEC_DEBUG=1 to see where, or run it again"),
]


@pytest.mark.parametrize(("act", "state", "reason"), ENDS, ids=[act for act, _, _ in ENDS])
def test_however_the_step_ends_the_task_ends_with_0_and_tells(
    act: str, state: str, reason: str, tmp_path: Path
) -> None:
    done = run(tmp_path, act)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, f"t (probe@1): {reason}")
    assert reported.told(tmp_path) == (state, reason)
    assert reported.small(tmp_path) == reported.BLANK
    assert reported.output(tmp_path)["artifacts"] == {}


def test_arguments_that_cannot_be_worked_with_are_told_too(tmp_path: Path) -> None:
    done = run(tmp_path, "well", report=Report((ReportedNeed("x"),)))
    reason = "the caller does not say how `x` ended: compile and deploy the pipeline again"
    assert (done.returncode, done.stderr) == (0, f"probe: {reason}\n")
    assert reported.told(tmp_path) == ("failed", reason)


def test_an_order_of_another_version_is_told_too(tmp_path: Path) -> None:
    argv = reported.command(tmp_path, order(tmp_path, "well"))
    argv[argv.index("--order") + 1] = '{"format": "0"}'
    done = subprocess.run(argv, env=supervised.environ(tmp_path), capture_output=True, text=True, check=False)
    reason = "the order has format 0, this image reads 1: compile again"
    assert (done.returncode, done.stderr) == (0, f"probe: {reason}\n")
    assert reported.told(tmp_path) == ("failed", reason)
    assert reported.small(tmp_path) == reported.BLANK


def test_where_nobody_asks_for_its_state_the_exit_code_is_the_end(tmp_path: Path) -> None:
    assert run(tmp_path, "refuse", small=()).returncode == 3
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("act", ["again-then-well", "kill-then-well"])
def test_what_may_heal_is_tried_again_in_the_same_pod(act: str, tmp_path: Path) -> None:
    done = run(tmp_path, act, attempts=3)
    assert done.returncode == 0
    assert (tmp_path / "tries").read_text() == "2"
    assert reported.told(tmp_path) == ("succeeded", "")
    assert reported.small(tmp_path)["size"] == "3"


def test_an_attempt_that_takes_too_long_is_ended_and_tried_again(tmp_path: Path) -> None:
    done = run(tmp_path, "sleep-then-well", attempts=2, report=Report(timeout_s=10))
    assert reported.told(tmp_path) == ("succeeded", "")
    assert done.stderr.splitlines() == [
        "probe: stopped before it was done: run it again",
        "t (probe@1): it took longer than its timeout of 10 s: give it a longer `timeout`",
    ]


def test_the_last_attempt_that_takes_too_long_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "deaf", report=Report(timeout_s=3), env={"PIPEC_GRACE_S": "0.2"})
    assert done.returncode == 0
    assert reported.told(tmp_path) == (
        "failed", "it took longer than its timeout of 3 s: give it a longer `timeout`"
    )  # fmt: skip


@pytest.mark.parametrize("act", ["refuse", "caller", "bug"])
def test_what_cannot_heal_is_not_tried_again(act: str, tmp_path: Path) -> None:
    done = run(tmp_path, act, attempts=3)
    assert len(done.stderr.splitlines()) == 1


def test_the_last_of_several_attempts_is_told(tmp_path: Path) -> None:
    run(tmp_path, "again-then-kill", attempts=2)
    assert reported.told(tmp_path)[1].startswith("it was killed by someone")


def test_an_attempt_out_of_memory_is_told_as_that(group: Path, tmp_path: Path) -> None:
    enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    done = run(tmp_path, "hoard", before=enter, attempts=2)
    reason = "it was killed, out of memory: it may use 64 MiB: give it more under `resources`, or less to do"
    assert (done.returncode, reported.told(tmp_path)) == (0, ("failed", reason))
    assert done.stderr.splitlines() == [f"t (probe@1): {reason}"] * 2


def test_secrets_do_not_stand_in_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("tiger-42\n")
    env = {"PIPEC_SECRET_A": "hunter2", "PIPEC_SECRET_B_FILE": str(tmp_path / "file"), "TOKEN": "t0ken-t0ken"}
    run(tmp_path, "leak", env=env, hidden=("TOKEN",))
    assert reported.told(tmp_path) == ("failed", "cannot log in with *** *** ***: log in again")


@contextmanager
def started(root: Path, line: str, act: str, **fields: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a probe that reports, and wait until it has said a line."""
    argv = reported.command(root, order(root, act, **fields), artifacts=made(root))
    with subprocess.Popen(argv, env=supervised.environ(root), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == line
        yield process


def test_a_stop_from_outside_is_no_end_of_the_task(tmp_path: Path) -> None:
    with started(tmp_path, "[t] waiting\n", "wait", attempts=3) as process:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (143, "probe: stopped before it was done: run it again\n")
    assert not (tmp_path / "small").exists()


def test_a_stop_between_two_attempts_ends_the_waiting(tmp_path: Path) -> None:
    with started(tmp_path, "t (probe@1): nobody has answered\n", "again", attempts=2, backoff_s=600) as process:
        while is_handing_on(process.pid):
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (143, "probe: stopped before it was tried again: run it again\n")


def is_handing_on(pid: int) -> bool:
    """Say whether a process has a handler for SIGTERM: the one that looks after a step does until that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_plain_order_leaves_what_it_left_before(tmp_path: Path) -> None:
    for act, code in (("well", 0), ("refuse", 3), ("kill", 137), ("again", 75)):
        assert run(tmp_path, act, report=None, small=(), attempts=1).returncode == code
    assert reported.output(tmp_path)["parameterValues"] == {
        "size": 3, "seen": {"attached": None, "number": 1.0, "many": 0, "threads": 1},
    }  # fmt: skip
    assert not (tmp_path / "root").exists()


def test_work_done_before_is_taken_with_its_outputs_for_kubeflow(tmp_path: Path) -> None:
    assert run(tmp_path, "spare", {"run-id": "one"}, cache=True).returncode == 0
    first = reported.output(tmp_path)
    (tmp_path / "executor_output.json").unlink()
    done = run(tmp_path, "spare", {"run-id": "two"}, cache=True)
    assert done.stderr == "[t] taken from run one: nothing that it is made of has changed\n"
    assert reported.output(tmp_path) == first
    assert json.loads((tmp_path / "small/seen").read_text())["number"] == 1.0
