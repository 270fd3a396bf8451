from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Timer

import pytest

from pipec.engine.lock import hold, identity, is_held
from pipec.engine.outcome import EngineError


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, "r1"):
        assert is_held(path)
        with pytest.raises(EngineError, match=f"run r1 is already going on in process {os.getpid()}"), hold(path, "r1"):
            pass
    assert not is_held(path)


def test_of_many_that_come_at_once_one_wins(tmp_path: Path) -> None:
    for n in range(25):
        come, go = Barrier(4), Barrier(4)

        def take(path: Path, come: Barrier = come, go: Barrier = go) -> bool:
            come.wait()
            try:
                with hold(path, "r"):
                    go.wait()
                    return True
            except EngineError:
                go.wait()
                return False

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(take, [tmp_path / f"lock{n}"] * 4)) == 1


def test_a_live_process_with_the_written_identity_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path.write_text(json.dumps(identity(other.pid)), encoding="utf-8")
        assert is_held(path)
        with pytest.raises(EngineError, match=f"process {other.pid}"), hold(path, "r"):
            pass
        assert other.stdin
        other.stdin.close()


@pytest.mark.parametrize("field", ["start", "boot"])
def test_another_process_of_the_same_number_does_not_hold(tmp_path: Path, field: str) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({**identity(os.getppid()), field: "another"}), encoding="utf-8")
    with hold(path, "r"):
        assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": "x"}', json.dumps({"pid": 2**22 + 5, "start": "", "boot": ""})]
)
def test_a_lock_that_nobody_holds_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock"
    path.write_text(text, encoding="utf-8")
    with hold(path, "r"):
        assert is_held(path)


def test_a_lock_that_a_dead_engine_left_to_its_child_is_awaited(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"pid": 2**22 + 5, "start": "", "boot": ""}), encoding="utf-8")
    holding = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        Timer(0.2, child.kill).start()
        with hold(path, "r"):
            assert is_held(path)


def test_a_dead_process_that_nobody_has_reaped_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path.write_text(json.dumps(identity(other.pid)), encoding="utf-8")
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        with hold(path, "r"):
            assert is_held(path)
