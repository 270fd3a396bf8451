"""Runs one step, which ends when the file `go` is there, in an engine of its own. Arguments: the folder, and how many.

The pipeline is the one of `test_engine_slot.py`, so that the run takes one of its slots.
"""

import sys
from pathlib import Path

from engine_bench import bench, plan, task

from pipec.compiler.plan import Concurrency

held = plan(task("hold", say={"until": "go"}), concurrency=Concurrency(maximum=int(sys.argv[2])))
sys.exit(bench(Path(sys.argv[1])).run(held).exit_code)
