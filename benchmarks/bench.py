"""Whole-process CPU of pipec beside what it is held against, alternated in one run.

    python benchmarks/bench.py [--save]

Prints each command's CPU seconds (user and system, median of the rounds) and the ratios that matter. Machines differ
and are noisy: read the ratios. Exits with 1 where planning grows far faster than a pipeline. `--save` writes
benchmarks/results/bench.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "bench.json"
EXAMPLE = ROOT / "examples" / "pipelines" / "wine.yaml"
STEPS = 1000
ROUNDS = 5

HEADER = (
    "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: chain}\nimage: registry.example/steps:1\nsteps:\n"
)
FIRST = '  s0: {uses: ingest, with: {source: "s3://bucket/rows.parquet"}}\n'
NEXT = '  s%d: {uses: split, with: {data: "${{ steps.s%d.%s }}", test_size: 0.01, seed: %d}}\n'

# The same tasks for kfp: one artifact in, two out, a number, and an order for the container.
KFP = """
import sys
from kfp import compiler, dsl

def component(index):
    def task(data: dsl.Input[dsl.Dataset], train: dsl.Output[dsl.Dataset], test: dsl.Output[dsl.Dataset],
             test_size: float, seed: int):
        return dsl.ContainerSpec(image="registry.example/steps:1", command=["pipec-step"],
                                 args=["split", "--data", data.path, "--train", train.path, "--test", test.path,
                                       "--test-size", test_size, "--seed", seed])
    task.__name__ = f"s{index}"
    return dsl.container_component(task)

@dsl.container_component
def s0(source: str, data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="registry.example/steps:1", command=["pipec-step"],
                             args=["ingest", "--source", source, "--data", data.path])

@dsl.pipeline(name="chain")
def chain():
    data = s0(source="s3://bucket/rows.parquet").outputs["data"]
    for index in range(1, int(sys.argv[1])):
        data = component(index)(data=data, test_size=0.01, seed=index).outputs["train"]

compiler.Compiler().compile(chain, sys.argv[2])
"""


# Text to plan in one process, its start and imports not counted: what grows with the pipeline.
PLAN = """
import gc, sys, time
from pathlib import Path
from pipec import api
api.check(api.Request(path=Path(sys.argv[1])))
gc.collect(); gc.disable()
began = time.process_time()
checked = api.check(api.Request(path=Path(sys.argv[2])))
took = time.process_time() - began
assert checked.units[0].plan, checked.report.findings[:3]
print(took)
"""
SIZES = (1000, 3000, 10_000)
MAX_PLAN_S, MAX_SLOPE = 0.4, 1.15  # for the first of them, and over all
CELLS = "  m%d: {uses: split, matrix: {axes: {seed: [%s]}}, with: {data: s3://bucket/rows.parquet, seed: %s}}\n"


def chain(steps: int) -> str:
    """Return a pipeline in which each step cuts the rows of the one before."""
    lines = [NEXT % (i, i - 1, "data" if i == 1 else "train", i) for i in range(1, steps)]
    return HEADER + FIRST + "".join(lines)


def cells(tasks: int) -> str:
    """Return a pipeline of matrices of ten cells each, which wait for each other."""
    listed = ", ".join(map(str, range(10)))
    rows = [CELLS % (i, listed, '"${{ matrix.seed }}"') for i in range(tasks // 10)]
    return HEADER + "".join(
        row.replace("}}\n", f"}}, needs: [m{i - 1}]}}\n") if i else row for i, row in enumerate(rows)
    )


def nested(tasks: int) -> str:
    """Return a pipeline that uses one of ten steps, again and again, each time with what the last one handed on."""
    use = '  p%d: {uses: ./ten.yaml, with: {rows: "%s"}}\n'
    given = ["s3://bucket/rows.parquet", *(f"${{{{ steps.p{i}.rows }}}}" for i in range(tasks // 10 - 1))]
    return HEADER + "".join(use % (i, rows) for i, rows in enumerate(given))


def far_off(grown: dict[str, dict[str, float]]) -> list[str]:
    """Return what is so far from its target that a noisy machine does not explain it."""
    return [
        f"{shape}: {figures['1000']} s for 1,000, slope {figures['log-log slope']}"
        for shape, figures in grown.items()
        if figures["1000"] > 2 * MAX_PLAN_S or figures["log-log slope"] > MAX_SLOPE + 0.15
    ]


def growth(folder: Path) -> dict[str, dict[str, float]]:
    """Return the CPU seconds from text to plan by shape and number of tasks, and how steeply they grow."""
    inner = "".join(NEXT % (i, i - 1, "train", i) for i in range(1, 10))
    first = '  s0: {uses: split, with: {data: "${{ inputs.rows }}", seed: 0}}\n'
    head = HEADER.replace("{name: chain}\n", "{name: ten}\ninputs: {rows: {type: Dataset}}\n")
    ten = head + first + inner + 'outputs: {rows: "${{ steps.s9.train }}"}\n'
    (folder / "ten.yaml").write_text(ten, encoding="utf-8")
    (folder / "warm.yaml").write_text(chain(3), encoding="utf-8")
    found: dict[str, dict[str, float]] = {}
    for shape, make in (
        ("steps in a chain", chain),
        ("cells of matrices", cells),
        ("steps of nested pipelines", nested),
    ):
        took: dict[int, float] = {}
        for size in SIZES:
            (folder / "grown.yaml").write_text(make(size), encoding="utf-8")
            command = [sys.executable, "-c", PLAN, str(folder / "warm.yaml"), str(folder / "grown.yaml")]
            took[size] = min(float(subprocess.check_output(command, cwd=ROOT)) for _ in range(3))
        slope = math.log(took[SIZES[-1]] / took[SIZES[0]]) / math.log(SIZES[-1] / SIZES[0])
        found[shape] = {
            **{str(size): round(value, 3) for size, value in took.items()},
            "log-log slope": round(slope, 3),
        }
    return found


def cpu_seconds(command: list[str]) -> float:
    """Return user and system seconds of one process and its children. Raises if it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Return each command's median, the commands taking turns so that a slow minute slows them all."""
    seen: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            seen[name].append(cpu_seconds(command))
    return {name: round(statistics.median(values[1:]), 4) for name, values in seen.items()}  # the first warms up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "chain.yaml"), Path(folder, "chain.py")
        source.write_text(chain(STEPS), encoding="utf-8")
        script.write_text(KFP, encoding="utf-8")
        pipec = [sys.executable, "-m", "pipec"]
        small = measure(
            {"python -c pass": [sys.executable, "-c", "pass"], "check": [*pipec, "check", str(EXAMPLE)]}, ROUNDS
        )
        large = measure(
            {
                "compile": [*pipec, "compile", str(source), "-t", "kubeflow", "-o", str(Path(folder, "out"))],
                "kfp": [sys.executable, str(script), str(STEPS), str(Path(folder, "kfp.yaml"))],
            },
            3,
        )
        grown = growth(Path(folder))
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu_s": {**small, f"check and compile {STEPS} steps to Kubeflow": large["compile"],
                  f"kfp compiles the same {STEPS} tasks": large["kfp"]},
        "text to plan, CPU s by number of tasks (1,000 steps: at most 0.4; slope at most 1.15)": grown,
        "ratios": {
            "check of the example / python -c pass (at most 60)": round(small["check"] / small["python -c pass"], 1),
            "pipec / kfp, whole process (at most 0.25)": round(large["compile"] / large["kfp"], 3),
        },
    }  # fmt: skip
    text = json.dumps(figures, indent=2)
    print(text)
    if options.save:
        RESULTS.write_text(text + "\n", encoding="utf-8")
    for shape in far_off(grown):
        print(f"too slow: {shape}", file=sys.stderr)
    return 1 if far_off(grown) else 0


if __name__ == "__main__":
    sys.exit(main())
