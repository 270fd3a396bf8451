"""Whole-process CPU of pipec beside what it is held against, alternated in one run.

    python benchmarks/bench.py [--save]

Prints each command's CPU seconds (user and system, median of the rounds) and the ratios that matter. Machines differ
and are noisy: read the ratios. Exits with 1 where planning grows far faster than a pipeline. `--save` writes
benchmarks/results/bench.json.

What is installed has its bytecode beside it, kfp's as well as pipec's: so processes here write what this working tree
lacks, whatever PYTHONDONTWRITEBYTECODE says, and the first round, which does that, is not counted.
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
ROUNDS = int(os.environ.get("PIPEC_ROUNDS", "5"))  # one says that all of it runs, and no more
ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

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


# Text to plan in one process, its start and imports not counted: what grows with the pipeline; and the MiB it took.
PLAN = """
import gc, resource, sys, time
from pathlib import Path
from pipec import api
api.check(api.Request(path=Path(sys.argv[1])))
gc.collect(); gc.disable()
began = time.process_time()
checked = api.check(api.Request(path=Path(sys.argv[2])))
took = time.process_time() - began
assert checked.units[0].plan or sys.argv[3:], checked.report.findings[:3]
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
SIZES = (1000, 3000, 10_000)
MAX_PLAN_S, MAX_SLOPE = 0.4, 1.15  # for the first of them, and over all
# With every rule at work, and with a mistake in most steps: CPU seconds for the first and the last size, and MiB.
MAX_CHECK_S, MAX_LAST_S, MAX_MIB = 1.5, 15, 500
CELLS = "  m%d: {uses: split, matrix: {axes: {seed: [%s]}}, with: {data: s3://bucket/rows.parquet, seed: %s}}\n"


# The life of one model, in ten steps: what the rules follow models, data, gates, conditions and places through.
LIFE = """
  in%(n)d: {uses: ingest, with: {source: "s3://b/%(n)d.parquet", personal: %(personal)s}, env: {DAY: "${{ run.date }}"}}
  val%(n)d: {uses: validate-data, with: {data: "${{ steps.in%(n)d.data }}", expectations: rows.yaml}}
  cut%(n)d: {uses: split, with: {data: "${{ steps.val%(n)d.data }}", seed: %(n)d}}
  fit%(n)d:
    uses: train
    with: {data: "${{ steps.cut%(n)d.train }}", target: y%(wrong)s}
    resources: {cpu: 2, memory: 4Gi}
    retry: {attempts: 2}
    timeout: 1h
  tst%(n)d:
    uses: evaluate
    with: {model: "${{ steps.fit%(n)d.model }}", data: "${{ steps.cut%(n)d.test }}", gates: [{metric: f1_macro, minimum: %(least)s}]}
  app%(n)d: {uses: approve, with: {model: "${{ steps.tst%(n)d.model }}", evidence: "${{ steps.tst%(n)d.report }}"}}
  dep%(n)d: {uses: deploy, with: {model: "${{ steps.app%(n)d.model }}", approval: "${{ steps.app%(n)d.approval }}", name: m%(n)d}}
  mon%(n)d:
    uses: monitor
    with: {endpoint: "${{ steps.dep%(n)d.endpoint }}", reference: "${{ steps.cut%(n)d.train }}", batch: s3://new/%(n)d.csv}
  say%(n)d:
    uses: notify
    when: steps.in%(n)d.n_rows > parameters.least and steps.%(asked)s%(n)d.n_rows < 100
    with: {channel: ml, message: "rows: ${{ steps.in%(n)d.n_rows }}"}
  bak%(n)d: {uses: %(last)s, when: failed(mon%(n)d), with: {endpoint: "${{ steps.dep%(n)d.endpoint }}", name: m%(n)d}}
"""  # noqa: E501
PARAMETER = "parameters: {least: {type: integer, default: 3, minimum: 1}}\n"
ROWS = "expectations: [{type: expect_column_to_exist, column: y}]\n"
RIGHT = {"personal": "false", "wrong": "", "least": "0.9", "asked": "in", "last": "rollback"}
WRONG = {"personal": "true", "wrong": ", epochz: 3", "least": "0", "asked": "inn", "last": "rolback"}


def lives(steps: int, said: dict[str, str] = RIGHT) -> str:
    """Return a pipeline of many models, each with its whole life."""
    return HEADER.replace("steps:\n", PARAMETER + "steps:\n") + "".join(
        LIFE % {"n": n, **said} for n in range(steps // 10)
    )


def mistakes(steps: int) -> str:
    """Return the same with a mistake in most steps."""
    return lives(steps, WRONG)


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
        f"{shape}: {figures['1000']} s for 1,000, slope {figures['log-log slope']}, {figures['MiB']} MiB"
        for shape, figures in grown.items()
        if figures["1000"] > 2 * (MAX_CHECK_S if SHAPES[shape] in (lives, mistakes) else MAX_PLAN_S)
        or figures[str(SIZES[-1])] > 2 * MAX_LAST_S
        or figures["MiB"] > MAX_MIB
        or figures["log-log slope"] > MAX_SLOPE + 0.15
    ]


SHAPES = {
    "steps in a chain": chain,
    "cells of matrices": cells,
    "steps of nested pipelines": nested,
    "whole lives of models, every rule at work": lives,
    "the same with a mistake in most steps": mistakes,
}


def growth(folder: Path) -> dict[str, dict[str, float]]:
    """Return the CPU seconds from text to plan by shape and number of tasks, and how steeply they grow."""
    inner = "".join(NEXT % (i, i - 1, "train", i) for i in range(1, 10))
    first = '  s0: {uses: split, with: {data: "${{ inputs.rows }}", seed: 0}}\n'
    head = HEADER.replace("{name: chain}\n", "{name: ten}\ninputs: {rows: {type: Dataset}}\n")
    ten = head + first + inner + 'outputs: {rows: "${{ steps.s9.train }}"}\n'
    (folder / "ten.yaml").write_text(ten, encoding="utf-8")
    (folder / "warm.yaml").write_text(chain(3), encoding="utf-8")
    (folder / "rows.yaml").write_text(ROWS, encoding="utf-8")
    found: dict[str, dict[str, float]] = {}
    for shape, make in SHAPES.items():
        took: dict[int, float] = {}
        most = 0.0
        for size in SIZES:
            (folder / "grown.yaml").write_text(make(size), encoding="utf-8")
            command = [sys.executable, "-c", PLAN, str(folder / "warm.yaml"), str(folder / "grown.yaml")]
            command += ["wrong"] * (make is mistakes)
            rounds = [subprocess.check_output(command, cwd=ROOT, env=ENVIRON, text=True).split() for _ in range(3)]
            took[size] = min(float(cpu) for cpu, _ in rounds)
            most = max(most, *(float(mib) for _, mib in rounds))
        slope = math.log(took[SIZES[-1]] / took[SIZES[0]]) / math.log(SIZES[-1] / SIZES[0])
        found[shape] = {
            **{str(size): round(value, 3) for size, value in took.items()},
            "log-log slope": round(slope, 3),
            "MiB": most,
        }
    return found


def cpu_seconds(command: list[str]) -> float:
    """Return user and system seconds of one process and its children. Raises if it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT, env=ENVIRON)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def tell(figures: dict[str, object], results: Path, *, save: bool) -> None:
    """Print figures, and keep them if they are to be."""
    text = json.dumps(figures, indent=2)
    print(text)
    if save:
        results.write_text(text + "\n", encoding="utf-8")


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
        thirty = Path(folder, "thirty.yaml")
        thirty.write_text(lives(30), encoding="utf-8")
        Path(folder, "rows.yaml").write_text(ROWS, encoding="utf-8")
        small = measure(
            {
                "python -c pass": [sys.executable, "-c", "pass"],
                "check": [*pipec, "check", str(EXAMPLE)],
                "check of 30 steps": [*pipec, "check", str(thirty)],
            },
            ROUNDS,
        )
        # One graph of so many steps is more than a backend stores as it comes; here its time counts.
        written = ("compile", str(source), "-t", "kubeflow", "-O", "size_limit=none")
        large = measure(
            {
                "compile": [*pipec, *written, "-o", str(Path(folder, "out"))],
                "kfp": [sys.executable, str(script), str(STEPS), str(Path(folder, "kfp.yaml"))],
            },
            3,
        )
        grown = growth(Path(folder))
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "cpu_s": {**small, f"check and compile {STEPS} steps to Kubeflow": large["compile"],
                  f"kfp compiles the same {STEPS} tasks": large["kfp"]},
        "text to plan, CPU s by number of tasks (1,000: at most 0.4, with every rule at work 1.5; 10,000: at most 15, "
        "and 500 MiB; slope at most 1.15)": grown,
        "ratios": {
            "check of the example / python -c pass (at most 60)": round(small["check"] / small["python -c pass"], 1),
            "check of 30 steps / python -c pass (at most 60)": round(
                small["check of 30 steps"] / small["python -c pass"], 1
            ),
            "pipec / kfp, whole process (at most 0.25)": round(large["compile"] / large["kfp"], 3),
        },
    }  # fmt: skip
    tell(figures, RESULTS, save=options.save)
    for shape in far_off(grown):
        print(f"too slow: {shape}", file=sys.stderr)
    return 1 if far_off(grown) else 0


if __name__ == "__main__":
    sys.exit(main())
