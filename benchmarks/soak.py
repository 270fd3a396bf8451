"""What takes too long for CI: hostile texts, release safety against brute force, and runs that are killed.

    python benchmarks/soak.py [--seconds 600] [--seed 1] [--inputs N] [--save]

Prints what was done and what failed; exits with 1 if anything did. A case is told by the seed and its number: see
`tests/mutate.py`, `tests/strategies.py` and `tests/oracle.py`. With `--inputs` nothing is done but to judge so many
inputs by check and both compiles, on all cores. `--save` writes what was done into benchmarks/results/soak.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import fuzz  # noqa: E402
import mutate  # noqa: E402
import oracle  # noqa: E402
import strategies  # noqa: E402

from pipec.engine.journal import read  # noqa: E402
from pipec.engine.outcome import Record  # noqa: E402

SHARES = {"texts": 0.2, "inputs": 0.2, "releases": 0.2, "kills": 0.4}
CHUNK = 1000  # inputs that one process judges at a time
N_ELSEWHERE = 200  # texts answered again by a process with other hashes
MAX_FAILURES = 20  # told of each campaign
PIPEC = (sys.executable, "-m", "pipec")
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

# Steps that take a moment each, side by side and in a row, so that a kill falls everywhere.
CUTS = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: cuts}
steps:
  ingest: {uses: ingest, with: {source: rows.csv}}
  cut: {uses: split, with: {data: "${{ steps.ingest.data }}", seed: 1}}
  left: {uses: split, with: {data: "${{ steps.cut.train }}", seed: 2}}
  right: {uses: split, with: {data: "${{ steps.cut.test }}", seed: 3}, needs: [ingest]}
  last: {uses: split, with: {data: "${{ steps.left.train }}", seed: 4}, needs: [right], when: steps.ingest.n_rows > 10}
  never: {uses: split, with: {data: "${{ steps.left.test }}", seed: 5}, when: failed(cut)}
outputs: {n: "${{ steps.ingest.n_rows }}"}
"""


@dataclass
class Tally:
    """What a campaign did, counted, and what went wrong, by case."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_mib: int = 0  # of the largest process, where it was measured

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.failures = [*self.failures, *other.failures][:MAX_FAILURES]
        self.peak_mib = max(self.peak_mib, other.peak_mib)

    def fail(self, case: str, wrong: str) -> None:
        self.counts["failures"] += 1
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(f"{case}: {wrong}")


def texts(seed: int, until: float, folder: Path) -> Tally:
    """Answer hostile texts, each twice, and some of them once more in a process with other hashes."""
    tally, place, digests = Tally(), project(folder), []
    while time.monotonic() < until or tally.counts["texts"] < N_ELSEWHERE:
        number = tally.counts["texts"]
        verdict = fuzz.judge(mutate.case(seed, number), place)
        tally.counts["texts"] += 1
        tally.counts["compiled"] += "compiled" in verdict.told
        for wrong in sorted(verdict.wrong):
            tally.fail(f"text {number}", wrong)
        if number < N_ELSEWHERE:
            digests.append(verdict.digest)
    if elsewhere(seed, place) != digests:
        tally.fail(f"texts 0 to {N_ELSEWHERE}", "a process with other hashes answered differently")
    return tally


def project(folder: Path) -> Path:
    return Path(shutil.copytree(mutate.EXAMPLES, folder / "project", ignore=shutil.ignore_patterns(".pipec")))


def elsewhere(seed: int, place: Path) -> list[str]:
    """Return the digests of the answers to the first texts in a process with another hash seed."""
    code = (
        "import sys; from pathlib import Path; import fuzz, mutate\n"
        f"for n in range({N_ELSEWHERE}):\n    print(fuzz.judge(mutate.case({seed}, n), Path(sys.argv[1])).digest)"
    )
    environ = {**ENVIRON, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}", "PYTHONHASHSEED": "12345"}
    return subprocess.check_output([sys.executable, "-c", code, str(place)], env=environ, text=True).split()


def inputs(seed: int, until: float, folder: Path, wanted: int = 0) -> Tally:
    """Judge inputs once by check and both compiles, on all cores; so many of them, or as many as there is time for."""
    tally, chunks = Tally(), itertools.count()
    workers = os.cpu_count() or 1
    places = [project(Path(tempfile.mkdtemp(dir=folder))) for _ in range(workers)]
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(chunk, seed, next(chunks), place): place for place in places}
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                place = running.pop(done)
                tally.add(done.result())
                begun = tally.counts["inputs"] + len(running) * CHUNK
                if begun < wanted if wanted else time.monotonic() < until:
                    running[pool.submit(chunk, seed, next(chunks), place)] = place
    return tally


def chunk(seed: int, number: int, place: Path) -> Tally:
    """Judge one chunk of inputs of all forms in this process, drawn by hypothesis."""
    tally = Tally()

    def judge(asked: mutate.Case) -> None:
        verdict = fuzz.judge_once(asked, place)
        tally.counts["inputs"] += 1
        tally.counts["compiled"] += "compiled" in verdict.told
        for wrong in sorted(verdict.wrong):
            tally.fail(f"chunk {number}: {asked.content[:2000]!r}", wrong)

    for form, (_, share) in strategies.FORMS.items():
        strategies.walk(form, round(CHUNK * share), judge, f"{seed}:{number}")
    tally.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return tally


def releases(seed: int, until: float, folder: Path) -> Tally:
    """Hold the release rules against the oracle, and runs of random pipelines against the rules."""
    tally = Tally()
    while time.monotonic() < until:
        number = tally.counts["pipelines"]
        wrong, codes = oracle.disagreements(seed, number)
        tally.counts["pipelines"] += 1
        tally.counts["random runs"] += oracle.N_WORLDS
        tally.counts.update(f"with {code}" for code in codes)
        for each in wrong:
            tally.fail(f"pipeline {number}", each)
    return tally


def kills(seed: int, until: float, folder: Path) -> Tally:
    """Kill runs at random moments, resume them until they end, and compare them with one that was left alone."""
    tally, home = Tally(), folder / "home"
    (folder / "pipec.yaml").write_text(
        "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\n", encoding="utf-8"
    )
    (folder / "cuts.yaml").write_text(CUTS, encoding="utf-8")
    (folder / "rows.csv").write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(200)), encoding="utf-8")
    started = time.monotonic()
    subprocess.run(command(folder, home), cwd=folder, env=ENVIRON, check=True, capture_output=True)
    whole, expected = time.monotonic() - started, trace(folder, home)
    while time.monotonic() < until:
        shutil.rmtree(home)  # with its cache
        number = tally.counts["runs"]
        tally.counts["runs"] += 1
        rng = random.Random(f"kills:{seed}:{number}")
        for wrong in killed(rng, folder, home, whole, tally.counts):
            tally.fail(f"run {number}", wrong)
        if (left := trace(folder, home)) != expected:
            tally.fail(f"run {number}", f"its trace differs: {json.dumps(left)[:300]}")
    return tally


def command(folder: Path, home: Path, *more: str) -> list[str]:
    return [*PIPEC, "run", str(folder / "cuts.yaml"), "--home", str(home), "--jobs", "2", *more]


def trace(folder: Path, home: Path) -> object:
    """Return the trace of the newest run, or what was said instead."""
    told = subprocess.run(
        [*PIPEC, "runs", "latest", "--home", str(home), "--format", "json"], cwd=folder, env=ENVIRON,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(told.stdout)["trace"] if told.returncode == 0 else told.stderr


def killed(rng: random.Random, folder: Path, home: Path, whole: float, counts: Counter[str]) -> list[str]:
    """Run the pipeline, killing its engine up to three times, then to its end; return what was wrong."""
    for _ in range(rng.randint(1, 3)):
        if interrupt(
            command(folder, home, *resumed(home)), folder, rng.uniform(0.1, whole), is_wide=rng.random() < 0.5
        ):
            counts["ended before the kill"] += 1
            break
        counts["kills"] += 1
    last = subprocess.run(
        command(folder, home, *resumed(home)), cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False
    )
    wrong = [f"the resumed run ended with {last.returncode}: {last.stderr[-300:]}"] if last.returncode else []
    journals = list(home.glob("runs/*/journal.jsonl"))
    if len(journals) != 1:
        return [*wrong, f"{len(journals)} runs where one was begun and resumed"]
    kept, redone = replayed(read(journals[0]))
    counts["steps kept over a kill"] += kept
    return wrong + [f"`{name}` was finished and done again" for name in redone]


def interrupt(arguments: list[str], folder: Path, after: float, *, is_wide: bool) -> bool:
    """Start a process and kill it after so many seconds, with its group if wide; say whether it had ended by then."""
    process = subprocess.Popen(
        arguments, cwd=folder, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        (os.killpg if is_wide else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def resumed(home: Path) -> list[str]:
    """Return how to go on: with the run that was begun, if the kill left one."""
    return ["--resume", "latest"] if list(home.glob("runs/*")) else []


def replayed(records: list[Record]) -> tuple[int, list[str]]:
    """Return how many finished steps later sessions found, and those that were started again all the same."""
    done: set[str] = set()
    kept, redone = 0, []
    for record in records:
        match record["type"]:
            case "session":
                kept += len(done)
            case "start" if record["task"] in done:
                redone.append(record["task"])
            case "end" if record["outcome"]["state"] == "succeeded":
                done.add(record["outcome"]["name"])
    return kept, redone


CAMPAIGNS: dict[str, Callable[[int, float, Path], Tally]] = {
    "texts": texts, "inputs": inputs, "releases": releases, "kills": kills,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for all campaigns together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=0, metavar="N", help="judge N inputs, and do nothing else")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    tallies: dict[str, Tally] = {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if options.inputs:
            tallies["inputs"] = inputs(options.seed, 0, Path(folder), options.inputs)
        for name, campaign in CAMPAIGNS.items() if not options.inputs else ():
            place = Path(tempfile.mkdtemp(dir=folder))
            tallies[name] = campaign(options.seed, time.monotonic() + SHARES[name] * options.seconds, place)
    failures = [f"{name}: {failure}" for name, tally in tallies.items() for failure in tally.failures]
    told = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - started),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "campaigns": {
            name: dict(sorted(tally.counts.items())) | ({"peak_mib": tally.peak_mib} if tally.peak_mib else {})
            for name, tally in tallies.items()
        },
        "failures": failures,
    }
    print(json.dumps(told, indent=2))
    if options.save:
        save("long walk" if options.inputs else "soak", told)
    return 1 if failures else 0


def save(part: str, told: dict[str, object]) -> None:
    """Write what was done beside what the other kind of call has done."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({**known, part: told}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
