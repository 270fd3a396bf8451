"""A cage for one call of the command line: a process of its own, killed at 2 s of CPU, its memory measured.

Run as a script it is the keeper: it imports the compiler once and forks for each call that it reads from standard
input, so that a call costs a fork rather than a start of Python. What a call opens, sends or allocates is then its own
doing and not that of imports: see `test_hostile_traces.py`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_S = 2
WALL_S = 30  # a call that sleeps or waits for a FIFO uses no CPU
MEMORY_MIB = 256
TESTS = Path(__file__).resolve().parents[1]
SOURCE = TESTS.parent / "src"
LATER = (
    "shutil", "jsonschema", "pipec.commands.compile", "pipec.targets.kubeflow.files", "pipec.targets.kubeflow.refusal",
    "pipec.targets.kubeflow.size", "pipec.targets.airflow.dag", "pipec.targets.airflow.refusal",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a call. code: its exit code, or minus the signal that ended it."""

    code: int
    out: str
    err: str
    memory_mib: float
    pid: int

    def broken(self, codes: Sequence[int] = (0, 1, 2)) -> list[str]:
        """Return which bounds the call broke. codes: the exit codes that are answers."""
        found = []
        if self.code == -signal.SIGXCPU:
            found.append(f"no answer after {CPU_S} s of CPU")
        elif self.code == -signal.SIGALRM:
            found.append(f"no answer after {WALL_S} s")
        elif self.code not in codes:
            found.append(f"exit code {self.code}: {self.err[-300:]}")
        if self.memory_mib > MEMORY_MIB:
            found.append(f"{self.memory_mib:.0f} MiB of memory")
        if "Traceback (most recent call last)" in self.out + self.err:
            found.append(f"a traceback: {self.err[-300:]}")
        return found


class Cage:
    """A keeper process. around: a command that it is started by, such as `strace`. main: what it calls."""

    def __init__(self, around: Sequence[str] = (), main: str = "pipec.cli") -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS, TESTS / "hostile")))}
        environ.pop("PIPEC_DEBUG", None)
        self.process = subprocess.Popen(
            [*around, sys.executable, __file__, main], env=environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def call(self, folder: Path, *arguments: str) -> Outcome:
        """Call the command line in a folder."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([str(folder), arguments]) + "\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        assert told, "the keeper itself has ended"
        return Outcome(**json.loads(told))

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def keep(main: str) -> None:
    """Answer calls until standard input ends."""
    from importlib import import_module

    command = import_module(main).main
    if main == "pipec.cli":  # what it would import at the first call, and where it writes or finds a mistake
        for name in LATER:
            import_module(name)
    scratch = os.memfd_create("out"), os.memfd_create("err")
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        for handle in scratch:
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
        pid = os.fork()
        if pid == 0:
            _bounded(folder, *scratch)
            os._exit(_code(command, arguments))
        _, status, used = os.wait4(pid, 0)
        out, err = (os.pread(handle, 1 << 24, 0).decode("utf-8", "replace") for handle in scratch)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": code, "out": out, "err": err, "memory_mib": used.ru_maxrss / 1024, "pid": pid}))
        sys.stdout.flush()


def _bounded(folder: str, out: int, err: int) -> None:
    """Make this process one that is killed when it takes too much."""
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    # Above what is allowed, which is measured, so that a bomb is told as one and does not take the machine.
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    signal.alarm(WALL_S)


def _code(command: object, arguments: list[str]) -> int:
    assert callable(command)
    try:
        code = int(command(arguments) or 0)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    keep(sys.argv[1])
