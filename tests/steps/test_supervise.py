"""The process that looks after a step: what it carries, hands on, ends and tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import runtime_probe as probes
import supervised
from needs import missing

from pipec.steps.lines import LOG_LIMIT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: orphans fall to whoever asks for them")


def ended(root: Path) -> tuple[str, str]:
    told = probes.result(root)
    return told["outcome"], told["message"]


def gone(root: Path, *names: str) -> bool:
    """Say whether the processes whose numbers the probe wrote down are gone."""
    return not any(Path(f"/proc/{(root / name).read_text()}").exists() for name in names)


@pytest.mark.parametrize(
    ("act", "code", "message"),
    [
        ("kill", 137, "it was killed by someone (SIGKILL), not for memory that is counted here: run it again"),
        ("segv", 139, "it was ended by SIGSEGV: set PIPEC_DEBUG=1 to see where, or run it again"),
        ("abort", 134, "it was ended by SIGABRT: set PIPEC_DEBUG=1 to see where, or run it again"),
    ],
)
def test_a_step_that_died_has_its_end_told(act: str, code: int, message: str, tmp_path: Path) -> None:
    done = supervised.run(tmp_path, act)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (code, f"t (probe@1): {message}")
    assert ended(tmp_path) == ("failed", message)


def test_where_native_code_died_is_shown_to_those_who_ask(tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "segv", env={"PIPEC_DEBUG": "1"})
    assert "Fatal Python error: Segmentation fault" in done.stderr.splitlines()
    assert done.stderr.splitlines()[-1].startswith("t (probe@1): it was ended by SIGSEGV")


def test_the_result_of_an_earlier_attempt_does_not_speak_for_one_that_died(tmp_path: Path) -> None:
    assert supervised.run(tmp_path, "well").returncode == 0
    assert ended(tmp_path) == ("succeeded", "")
    assert supervised.run(tmp_path, "kill").returncode == 137
    assert ended(tmp_path)[0] == "failed"


@pytest.mark.parametrize(("act", "code"), [("well", 0), ("refuse", 3), ("caller", 2), ("bug", 1)])
def test_what_a_step_says_of_its_own_end_stands(act: str, code: int, tmp_path: Path) -> None:
    done = supervised.run(tmp_path, act)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (1 if code else 0)
    assert probes.result(tmp_path)["outcome"] == {0: "succeeded", 3: "refused"}.get(code, "failed")


def test_both_streams_come_through_as_lines(tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "talk")
    assert done.stdout == "said 0\nsaid 1\nno end\n"
    assert done.stderr.splitlines() == ["[t] noted", "\ufffd\ufffd bytes", " 0%", " 99%", "after the bar"]


def test_secrets_do_not_come_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("tiger-42\n")
    env = {"PIPEC_SECRET_A": "hunter2", "PIPEC_SECRET_B_FILE": str(tmp_path / "file"), "TOKEN": "t0ken-t0ken"}
    done = supervised.run(tmp_path, "leak", env=env, hidden=["TOKEN"])
    assert done.stdout == "out: *** *** ***\n"
    assert done.stderr.splitlines()[0] == "err: *** *** ***"
    assert done.stderr.splitlines()[-1] == "t (probe@1): cannot log in with *** *** ***: log in again"
    assert ended(tmp_path) == ("failed", "cannot log in with *** *** ***: log in again")


def test_what_a_step_leaves_running_is_ended_and_told(tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "orphan", parameters={"to": str(tmp_path)})
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "t (probe@1): the step left `sleep` running, now ended: let it wait for what it starts"
    ]
    assert gone(tmp_path, "child", "grandchild")
    assert ended(tmp_path) == ("succeeded", "")


def test_the_cause_stays_the_last_line_after_what_was_left_running(tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "orphan-refuse", parameters={"to": str(tmp_path)})
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "t (probe@1): the rows say no: bring others"
    assert gone(tmp_path, "child", "grandchild")


def started(root: Path, act: str, **env: str) -> subprocess.Popen[str]:
    """Start the probe and return once it says that it waits."""
    process = subprocess.Popen(
        supervised.command(root, act, parameters={"to": str(root)}), env=supervised.environ(root, **env),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "[t] waiting\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_step_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path, "wait") as process:
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (128 + number, "probe: stopped before it was done: run it again\n")
    assert supervised.left(tmp_path) == ["t/result.json"]
    assert ended(tmp_path) == ("failed", "it was stopped before it was done: run it again")


def test_a_step_that_is_deaf_is_killed_after_the_grace(tmp_path: Path) -> None:
    with started(tmp_path, "deaf", PIPEC_GRACE_S="0.2") as process:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    message = "it was asked to stop, and was killed when it did not: run it again"
    assert (process.returncode, rest) == (137, f"t (probe@1): {message}\n")
    assert ended(tmp_path) == ("failed", message)
    assert gone(tmp_path, "child")


def test_a_step_ends_when_who_looks_after_it_is_gone(tmp_path: Path) -> None:
    with started(tmp_path, "wait-beside") as process:
        worker = int((tmp_path / "worker").read_text())
        process.kill()
        process.communicate(timeout=60)
    for _ in range(6000):
        if not Path(f"/proc/{worker}").exists():
            break
        os.sched_yield()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_gigabyte_of_log_fills_neither_memory_nor_the_log(tmp_path: Path) -> None:
    code = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open('peak', 'w')); sys.exit(code)"
    )
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        argv = [sys.executable, "-c", code, *supervised.command(tmp_path, "flood")]
        code_ = subprocess.call(argv, env=supervised.environ(tmp_path), stdout=out, stderr=err, cwd=tmp_path)
    assert code_ == 3
    said = (tmp_path / "out").read_bytes()
    assert LOG_LIMIT - 100 < len(said) <= LOG_LIMIT
    lost, last = (tmp_path / "err").read_text().splitlines()
    cause = "t (probe@1): the rows say no: bring others"
    assert lost == f"[{(1 << 30) - len(said) + len(cause) + 1} more bytes were not kept]"
    assert last == cause
    peak_kib = int((tmp_path / "peak").read_text())
    assert peak_kib < 100 << 10  # of both processes, the larger: the interpreter and what the runtime imports


@pytest.mark.parametrize("act", ["hoard", "hoard-child"])
def test_a_step_that_outgrows_its_memory_has_that_told(act: str, group: Path, tmp_path: Path) -> None:
    enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    done = supervised.run(tmp_path, act, before=enter)
    message = "it was killed, out of memory: it may use 64 MiB: give it more under `resources`, or less to do"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (137, f"t (probe@1): {message}")
    assert ended(tmp_path) == ("failed", message)


def test_as_the_first_process_of_a_container_it_reaps_and_obeys(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        missing("the right to make a namespace for processes (`unshare --pid`)")
    done = supervised.run(tmp_path, "orphan", before=unshare, parameters={"to": str(tmp_path)})
    assert done.returncode == 0
    assert "the step left `sleep` running, now ended" in done.stderr


def test_an_engine_that_looks_after_the_process_gets_it_alone(tmp_path: Path) -> None:
    done = supervised.run(tmp_path, "kill", env={"PIPEC_ATTEMPT": "here"})
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "t" / "result.json").exists()


def test_a_result_that_cannot_be_written_leaves_the_cause_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = supervised.run(tmp_path, "kill", result=str(tmp_path / "file" / "result.json"))
    first, last = done.stderr.splitlines()
    assert first.startswith("t (probe@1): the result could not be written either: ")
    assert last.startswith("t (probe@1): it was killed by someone")
    assert done.returncode == 137


def test_an_attempt_of_many_is_told_as_the_one_that_died(tmp_path: Path) -> None:
    """Three attempts inside one container, as Kubeflow's gates make them: the second dies."""
    done = supervised.run(tmp_path, "again-then-kill", parameters={"to": str(tmp_path)}, attempts=3, backoff_s=0.0)
    assert done.returncode == 137
    assert ended(tmp_path)[1].startswith("it was killed by someone")
    assert json.loads((tmp_path / "tries").read_text()) == 2


def test_a_step_that_was_started_to_outlast_a_hangup_does(tmp_path: Path) -> None:
    """`nohup` lets SIGHUP pass by; SIGTERM is heard all the same."""
    argv = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *supervised.command(tmp_path, "wait")]
    env = supervised.environ(tmp_path)
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "[t] waiting\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
