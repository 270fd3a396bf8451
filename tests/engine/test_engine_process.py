from __future__ import annotations

import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pipec.engine import process
from pipec.engine.process import Execution, Stop, execute, family
from pipec.tail import printable


def python(folder: Path, program: str, **more: object) -> Execution:
    base = Execution(
        argv=[sys.executable, "-I", "-S", "-c", program], environ={}, folder=folder, log=folder / "log",
        mark=str(folder / "mark"), grace_s=0.2,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def test_the_last_line_that_says_anything_is_the_cause(tmp_path: Path) -> None:
    said = "first\n\x1b[31mcause\x07: do this\x1b[0m\n\n  \n"
    program = f"import sys; print('out'); sys.stderr.write({said!r}); sys.exit(3)"
    end = execute(python(tmp_path, program), Stop())
    assert (end.code, end.cut, end.last_line) == (3, "", "cause : do this")


def test_a_progress_bar_is_not_the_cause(tmp_path: Path) -> None:
    end = execute(python(tmp_path, "import sys; sys.stderr.write('10%\\r20%\\rno space left')"), Stop())
    assert end.last_line == "no space left"


def test_a_line_without_end_and_of_any_bytes_is_told_in_bounds(tmp_path: Path) -> None:
    program = "import sys; sys.stderr.buffer.write(b'\\xff' + b'x' * 3_000_000)"
    end = execute(python(tmp_path, program), Stop())
    assert end.last_line == "\ufffd" + "x" * 496 + "..."


def test_a_log_is_capped_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 1000)
    end = execute(python(tmp_path, "print('x' * 4999)"), Stop())
    assert end.n_lost == 4000
    assert (tmp_path / "log").read_text(encoding="utf-8") == "x" * 1000 + "\n[4000 more bytes were not kept]\n"


def test_a_secret_is_not_in_the_log(tmp_path: Path) -> None:
    program = "import sys; print('hunter2'); sys.stderr.write('bad dsn hunter2')"
    end = execute(python(tmp_path, program, secrets=("hunter2",)), Stop())
    assert end.last_line == "bad dsn ***"
    assert "hunter2" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_deaf_process_is_killed_at_its_deadline(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    end = execute(python(tmp_path, program, timeout_s=0.3), Stop())
    assert (end.code, end.cut) == (-signal.SIGKILL, "timeout")


def test_a_process_may_clean_up_within_the_grace(tmp_path: Path) -> None:
    # Closed by name: what a handler raises while the collector closes a file is lost.
    program = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(9)); open('up', 'w').close(); time.sleep(600)"
    )
    stop = Stop()

    def end_when_up() -> None:
        while not (tmp_path / "up").exists():
            pass
        stop.gently.set()

    threading.Thread(target=end_when_up).start()
    end = execute(python(tmp_path, program, grace_s=30.0), stop)
    assert (end.code, end.cut) == (9, "stop")


def test_a_second_word_ends_the_grace(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    stop = Stop()
    stop.gently.set()
    stop.now.set()
    assert execute(python(tmp_path, program, grace_s=600.0), stop).code in (-signal.SIGKILL, -signal.SIGTERM)


def test_nothing_of_the_family_is_left(tmp_path: Path) -> None:
    child = "import time; time.sleep(600)"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)"
    end = execute(python(tmp_path, program), Stop())
    assert end.code == 0
    assert family(str(tmp_path / "mark")) == []


def test_the_families_below_a_folder_are_found(tmp_path: Path) -> None:
    running = python(
        tmp_path, "open('up', 'w').close(); import time; time.sleep(600)", mark=str(tmp_path / "work" / "a" / "1")
    )
    stop = Stop()
    thread = threading.Thread(target=execute, args=(running, stop))
    thread.start()
    while not (tmp_path / "up").exists():
        pass
    assert len(family(f"{tmp_path}/work/")) == 1
    assert family(str(tmp_path / "work")) == []
    stop.now.set()
    stop.gently.set()
    thread.join()


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        execute(python(tmp_path, "", argv=["/nowhere"]), Stop())


@pytest.mark.parametrize(
    ("raw", "line"),
    [(b"a\x1b]0;title\x07b", "ab"), (b"\xe2\x80\xaegnp", "gnp"), ("\x9b31m red", "31m red"), (b"a\tb", "a b")],
)
def test_what_is_printed_cannot_command_a_terminal(raw: bytes | str, line: str) -> None:
    assert printable(raw) == line
