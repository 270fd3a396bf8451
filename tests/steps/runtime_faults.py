"""What may happen inside a step's process, on request. Not a test module: the probe's worse half."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipec.steps.declare import Context, Refused, StepError, TryAgain

SLEEP = ["sleep", "600"]
HOARD = "held = [bytearray(16 << 20) for _ in range(64)]"  # 1 GiB, touched


def act(name: str, to: Path, context: Context) -> None:
    """Do what `name` says, if it is a fault; `to`: a folder for notes to the test."""
    match name:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segv":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "talk":
            _talk(context)
        case "leak":
            _leak()
        case "orphan" | "orphan-refuse":
            _leave_behind(to)
            if name == "orphan-refuse":
                raise Refused("the rows say no: bring others")
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (to / "child").write_text(str(subprocess.Popen(SLEEP, start_new_session=True).pid))
            context.log("waiting")
            time.sleep(600)
        case "wait-beside":
            (to / "worker").write_text(str(os.getpid()))
            context.log("waiting")
            time.sleep(600)
        case "flood":
            _flood()
        case "hoard":
            exec(HOARD)
        case "hoard-child":
            subprocess.run([sys.executable, "-c", HOARD], check=True)
        case "again-then-kill":
            if _try(to / "tries"):
                os.kill(os.getpid(), signal.SIGKILL)
        case "again-then-well":
            _try(to / "tries")
        case "kill-then-well" if not _tried(to / "tries"):
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep-then-well" if not _tried(to / "tries"):
            time.sleep(600)


def _talk(context: Context) -> None:
    context.log("noted")
    for number in range(2):
        print("said", number)
    print("no end", end="")
    os.write(2, b"\xff\xfe bytes\n")
    for percent in range(100):
        os.write(2, b"\r %d%%" % percent)
    os.write(2, b"\n\x1b[1mafter the bar\x1b[0m\n")


def _leak() -> None:
    known = [os.environ["PIPEC_SECRET_A"], Path(os.environ["PIPEC_SECRET_B_FILE"]).read_text().strip()]
    said = " ".join([*known, os.environ["TOKEN"]])
    print("out:", said)
    print("err:", said, file=sys.stderr)
    raise StepError(f"cannot log in with {said}: log in again")


def _leave_behind(to: Path) -> None:
    """Start a process in a session of its own whose parent ends at once; both hold this process's streams."""
    script = f'sleep 600 & echo -n $! > "{to}/grandchild"; echo -n $$ > "{to}/child"; exec sleep 600'
    subprocess.Popen(["sh", "-c", script], start_new_session=True)
    while not ((to / "child").exists() and (to / "child").read_text()):
        time.sleep(0.01)


def _flood() -> None:
    line = b"x" * 63 + b"\n"
    block = line * 16384  # 1 MiB
    for _ in range(1024):
        with contextlib.suppress(InterruptedError):
            left = memoryview(block)
            while left:
                left = left[os.write(1, left) :]
    raise Refused("the rows say no: bring others")


def _try(path: Path) -> int:
    """Return how often this was tried before; the first time, nobody has answered."""
    n_tries = _tried(path)
    if not n_tries:
        raise TryAgain("nobody has answered")
    return n_tries


def _tried(path: Path) -> int:
    n_tries = int(path.read_text()) if path.exists() else 0
    path.write_text(str(n_tries + 1))
    return n_tries
