"""Whether the tests notice: changes one place of the compiler at a time and runs the tests that reach it.

    python benchmarks/mutation.py [--minutes 30] [--sample N] [--seed 1] [--only MODULE] [--processes 2] [--save]

Draws mutants evenly over the modules below, in an order that the seed says, and tries them in a copy of the project
until the time is over (`--minutes 0`: until all were tried, which takes hours). A mutant is killed if a test fails, or
takes far longer; the score is the share of killed ones, and nothing is forgiven. Exits with 1 below 85 %. `--save`
writes benchmarks/results/mutation.json and mutation-survivors.md, which gives each survivor with its reason from
benchmarks/mutation-reasons.json: {module: {function: what stands there => what stood there unnoticed: reason}}.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import coverage
from mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "pipec"
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
SURVIVORS = RESULTS.with_name("mutation-survivors.md")
REASONS = ROOT / "benchmarks" / "mutation-reasons.json"
WANTED = 0.85

AREAS = {
    "reader": [
        "schema/tree.py", "schema/check.py", "schema/judge.py", "schema/fits.py", "schema/place.py", "schema/ignore.py",
        "schema/secret.py",
    ],
    "expressions": [
        "schema/expressions.py", "schema/template.py", "condition.py", "schema/fold.py", "schema/matrix.py",
    ],
    "rules": [
        *sorted(f"compiler/rules/{path.name}" for path in PACKAGE.glob("compiler/rules/[a-z]*.py")),
        "compiler/cron.py", "compiler/device.py",
    ],
    "plan": [
        "compiler/graph.py", "compiler/lower.py", "compiler/plan.py", "compiler/spread.py", "compiler/flatten.py",
        "compiler/arguments.py",
    ],
}  # fmt: skip
# Those that run in one process: another one would not see which lines they reach. The second ones import kfp, which
# takes seconds, and are asked only about what the first ones did not notice.
TESTS = (
    ("tests/schema", "tests/compiler", "tests/report", "tests/test_ignores.py", "tests/test_mistakes.py",
     "tests/test_messages.py"),
    ("tests/targets",),
)  # fmt: skip
MARKS = "not airflow and not docker and not browser"
# A test that takes this many times its usual, and this many seconds more, runs in circles.
PATIENCE, GRACE_S = 3, 20


@dataclass(frozen=True, slots=True)
class Known:
    """What a run without mutants showed.

    reach: by module and line, the tests that run it. seconds: of each test. lookers: tests that run no line of pipec.
    """

    reach: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]
    lookers: frozenset[str]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, quickest first.

        Of what runs on import, they are all that reach the module, and those that run nothing: they look at it.
        """
        lines = self.reach.get(mutant.module, {})
        found = {test for line in mutant.lines for test in lines.get(line, ())} - {""}
        if not found:
            found = {test for tests in lines.values() for test in tests} - {""} | self.lookers
        return sorted(found, key=lambda test: (self.seconds.get(test, 0.0), test))


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: Mutant
    outcome: str  # killed, timed out or survived
    seconds: float


class Copy:
    """A copy of the project in which one mutant at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, source: Path, folder: Path) -> Copy:
        return cls(Path(shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".*", "build", "dist"))))

    def pytest(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join(str(self.folder / name) for name in ("src", "benchmarks"))
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--tb=short", "-m", MARKS,
             "-p", "pytest_timeout", "-p", "chosen", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0",
                 "CHOSEN_FOLDER": str(self.folder), **environ},
        )  # fmt: skip

    def measure(self) -> Known:
        """Run all tests as they are, and once more in the order that mutants will see."""
        ran = self.pytest(*TESTS[0], *TESTS[1])
        if ran.returncode:
            raise SystemExit(f"the tests fail without any change:\n{ran.stdout[-3000:]}{ran.stderr[-2000:]}")
        seconds: dict[str, float] = json.loads((self.folder / "seconds.json").read_text(encoding="utf-8"))
        data = coverage.CoverageData(str(self.folder / "coverage"))
        data.read()
        reach = {
            Path(file).relative_to(self.folder / "src" / "pipec").as_posix(): data.contexts_by_lineno(file)
            for file in data.measured_files()
        }
        busy = {test for lines in reach.values() for tests in lines.values() for test in tests}
        known = Known(reach, seconds, frozenset(seconds) - busy)
        if outcome := self.fails(sorted(seconds, key=lambda test: (seconds[test], test)), known):
            raise SystemExit(f"the tests depend on their order: {outcome}")
        return known

    def fails(self, tests: list[str], known: Known) -> str:
        """Run these tests up to the first that fails; return what happened, or nothing if all passed."""
        for stage in TESTS:
            chosen = [test for test in tests if test.startswith(stage)]
            if not chosen:
                continue
            (self.folder / "chosen.json").write_text(json.dumps(chosen), encoding="utf-8")
            limit = int(PATIENCE * sum(known.seconds[test] for test in chosen) + GRACE_S)
            # Without new bytecode: that of a mutant could pass for that of the next one.
            ran = self.pytest(*sorted({test.split("::")[0] for test in chosen}), CHOSEN_SECONDS=str(limit),
                              PYTHONDONTWRITEBYTECODE="1")  # fmt: skip
            if ran.returncode in (4, 5):
                raise AssertionError(f"pytest found none of its tests: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
            if ran.returncode:
                return "timed out" if ran.returncode < 0 else "killed"
        return ""

    def judge(self, mutant: Mutant, known: Known) -> Verdict:
        path, started = self.folder / "src" / "pipec" / mutant.module, time.monotonic()
        original, stat = path.read_text(encoding="utf-8"), path.stat()
        try:
            path.write_text(mutant.text, encoding="utf-8")
            os.utime(path, (stat.st_mtime, stat.st_mtime + 2))  # bytecode is told apart by whole seconds
            outcome = self.fails(known.tests(mutant), known) or "survived"
        finally:
            path.write_text(original, encoding="utf-8")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return Verdict(mutant, outcome, time.monotonic() - started)


def drawn(modules: list[str], sample: int, seed: int) -> Iterator[Mutant]:
    """Yield so many mutants, one of each module in turn; or all."""
    streams = [
        mutants(module, (PACKAGE / module).read_text(encoding="utf-8"), random.Random(f"{seed}:{module}"))
        for module in modules
    ]
    return islice(in_turn(streams), sample or None)


def in_turn(streams: list[Iterator[Mutant]]) -> Iterator[Mutant]:
    left = dict(enumerate(streams))
    for at in cycle(range(len(streams))):
        if not left:
            return
        if at in left:
            try:
                yield next(left[at])
            except StopIteration:
                del left[at]


def campaign(chosen: Iterator[Mutant], n_processes: int, minutes: float, folder: Path) -> list[Verdict]:
    """Try mutants until there are no more, or the time is over."""
    first = Copy.of(ROOT, folder / "0")
    known = first.measure()
    copies = [first, *(Copy.of(first.folder, folder / str(n)) for n in range(1, n_processes))]
    until = time.monotonic() + 60 * minutes if minutes else math.inf
    verdicts: list[Verdict] = []
    lock = threading.Lock()

    def work(copy: Copy) -> None:
        while time.monotonic() < until:
            with lock:
                mutant = next(chosen, None)
            if mutant is None:
                return
            verdict = copy.judge(mutant, known)
            with lock:
                verdicts.append(verdict)
                print(f"{verdict.outcome:9} {verdict.seconds:5.1f}s {mutant.module} {mutant.label}", flush=True)

    with ThreadPoolExecutor(n_processes) as pool:
        for done in [pool.submit(work, copy) for copy in copies]:
            done.result()
    return verdicts


def tally(verdicts: Iterable[Verdict]) -> dict[str, float]:
    """Return the counts and the score of these verdicts."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    score = round(1 - counts["survived"] / counts.total(), 4) if counts else 1.0
    return {
        "mutants": counts.total(),
        **{each: counts[each] for each in ("killed", "timed out", "survived")},
        "score": score,
    }


def survivors(verdicts: Iterable[Verdict]) -> dict[str, list[str]]:
    """Return the labels of those that no test noticed, by module, in the order of its text."""
    found: dict[str, list[str]] = {}
    for verdict in sorted(verdicts, key=lambda each: (each.mutant.module, each.mutant.lines)):
        if verdict.outcome == "survived":
            found.setdefault(verdict.mutant.module, []).append(verdict.mutant.label)
    return found


def explained(told: dict[str, Any]) -> tuple[str, int]:
    """Return the page that lists the survivors of a campaign with their reasons, and how many have none."""
    reasons: dict[str, dict[str, str]] = json.loads(REASONS.read_text(encoding="utf-8"))
    n_open = 0
    lines = [
        "# Mutants that no test noticed", "",
        "Function, what stands there, what stood there unnoticed, and why that may be. Written by",
        "`benchmarks/mutation.py`; the reasons are those of `benchmarks/mutation-reasons.json`.", "",
    ]  # fmt: skip
    for module, labels in told["survivors"].items():
        lines += [f"## {module}", ""]
        for label in labels:
            reason = reasons.get(module, {}).get(label)
            n_open += reason is None
            lines.append(f"- `` {label} ``\n  {reason or '**no reason yet**'}")
        lines.append("")
    return "\n".join(lines), n_open


def stale() -> Iterator[str]:
    """Yield what has a reason and no longer stands in its module."""
    reasons: dict[str, dict[str, str]] = json.loads(REASONS.read_text(encoding="utf-8"))
    for module, given in reasons.items():
        path = PACKAGE / module
        text = " ".join(path.read_text(encoding="utf-8").split()) if path.exists() else ""
        for label in given:
            if " ".join(label.split(": ", 1)[1].split(" => ")[0].split()) not in text:
                yield f"{module}: {label}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="for the mutants; 0 for no end")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants at most; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a module, as schema/tree.py")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--explain", action="store_true", help="write the page of the saved campaign anew")
    options = parser.parse_args()
    if options.explain:
        report(json.loads(RESULTS.read_text(encoding="utf-8")), save=True)
        return 0
    modules = options.only or [module for area in AREAS.values() for module in area]
    chosen = drawn(modules, options.sample, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = campaign(chosen, options.processes, options.minutes, Path(folder))
    told = {
        "tool": f"cosmic-ray {importlib.metadata.version('cosmic-ray')}",
        "seed": options.seed,
        "minutes": options.minutes or "no end",
        "sample": options.sample or "all",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "all": tally(verdicts),
        "changed texts left out": tally(each for each in verdicts if each.mutant.operator != "ChangeText"),
        "areas": {
            area: tally(each for each in verdicts if each.mutant.module in within) for area, within in AREAS.items()
        },
        "modules": {module: tally(each for each in verdicts if each.mutant.module == module) for module in modules},
        "survivors": survivors(verdicts),
    }
    report(told, save=options.save)
    return 0 if tally(verdicts)["score"] >= WANTED else 1


def report(told: dict[str, Any], *, save: bool) -> None:
    """Print a campaign with the reasons for its survivors, and keep both if wanted."""
    text = json.dumps(told, indent=2)
    page, n_open = explained(told)
    print(
        text, page, f"survivors without a reason: {n_open}", *(f"no longer there: {each}" for each in stale()), sep="\n"
    )
    if save:
        RESULTS.write_text(text + "\n", encoding="utf-8")
        SURVIVORS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
