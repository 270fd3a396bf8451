"""Compiling to Kubeflow beside kfp's own compiler, as whole processes that take turns, and emission alone.

    python benchmarks/kubeflow.py [--save]

Prints CPU seconds (medians), their ratios, and the most memory that compiling takes. `--save` writes
benchmarks/results/kubeflow.json. Both have their bytecode, as both have where they are installed (see bench.py).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import ENVIRON, KFP, ROOT, ROUNDS, chain, measure, tell

RESULTS = ROOT / "benchmarks" / "results" / "kubeflow.json"
TARGETS = {100: 0.25, 1000: 0.2}  # at most so much of kfp's CPU
EMIT_S, MOST_MIB = 0.15, 100
# Emission after the plan, many times in one process: the least is what it costs, the rest is the machine's.
EMIT = """
import sys, time
from pathlib import Path
from pipec import api
from pipec.targets import kubeflow
from pipec.targets.base import Options
checked, _ = api.compile_(api.Request(path=Path(sys.argv[1]), target="kubeflow", options={"size_limit": "none"}))
plan, found = checked.units[0].plan, []
for _ in range(20):
    begun = time.process_time()
    kubeflow.emit(plan, Options())
    found.append(time.process_time() - begun)
print(min(found))
"""


def most_mib(command: list[str]) -> float:
    """Return the most memory that a process held."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    found = subprocess.check_output([sys.executable, "-c", script, *command], cwd=ROOT, env=ENVIRON, text=True)
    return round(int(found) / (2**20 if sys.platform == "darwin" else 2**10), 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "chain.py")
        script.write_text(KFP, encoding="utf-8")
        for steps, most in TARGETS.items():
            source = Path(folder, f"chain{steps}.yaml")
            source.write_text(chain(steps), encoding="utf-8")
            compiling = [sys.executable, "-m", "pipec", "compile", str(source), "-t", "kubeflow"]
            compiling += ["-O", "size_limit=none", "-o", str(Path(folder, "out"))]
            found = measure(
                {
                    f"pipec compiles {steps} steps": compiling,
                    f"kfp compiles {steps} steps": [sys.executable, str(script), str(steps), f"{folder}/kfp.yaml"],
                },
                min(3, ROUNDS),
            )
            seconds |= found
            ours, theirs = found.values()
            ratios[f"{steps} steps, pipec / kfp (at most {most})"] = round(ours / theirs, 3)
        emitting = [sys.executable, "-c", EMIT, str(source)]
        emitted = [float(subprocess.check_output(emitting, cwd=ROOT, env=ENVIRON)) for _ in range(min(3, ROUNDS))]
        memory = most_mib(compiling)
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu_s": seconds,
        "ratios": ratios,
        f"emission of 1,000 tasks after the plan, CPU s (at most {EMIT_S})": round(statistics.median(emitted), 4),
        f"compiling 1,000 steps, MiB (at most {MOST_MIB})": memory,
    }
    tell(figures, RESULTS, save=options.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
