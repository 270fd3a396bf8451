"""Runs the five steps, or the loop, of `engine_bench.py` in an engine that kills itself at a record of its journal.

Arguments: the bench's folder; `before`, `torn` or `after` the record's bytes are written; which record; which plan.
"""

import os
import signal
import sys
from pathlib import Path

from engine_bench import bench, five, looped

from pipec.engine.journal import Journal

folder, when, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
write = Journal._write


def dying(self: Journal, line: bytes) -> None:
    if len(self.records) == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    if len(self.records) == number and when == "torn":
        write(self, line[: len(line) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, line)
    if len(self.records) == number:
        os.kill(os.getpid(), signal.SIGKILL)


Journal._write = dying  # type: ignore[method-assign]
bench(folder).run({"five": five, "looped": looped}[sys.argv[4]]())
