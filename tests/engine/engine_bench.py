"""Plans built by hand and a place to run them: shared by the engine's tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipec.compiler.plan import Loop, Need, Plan, PlanParameter, Task
from pipec.condition import Condition
from pipec.engine.launcher import After, Command, Start
from pipec.engine.outcome import RunOutcome, TaskOutcome
from pipec.engine.progress import Progress, Silent
from pipec.engine.run import RunOptions, run
from pipec.steps.interface import Dataset, Input, Interface, Kind, Output, Resources, Retry, Role
from pipec.values import EachRef, ItemRef, Json, Literal, OutputRef, Value, references

STUB = Path(__file__).with_name("stub_step.py")


@dataclass(frozen=True)
class StubLauncher:
    version: str = "stub 1"

    def code(self, task: Task) -> str:
        return self.version

    def refuse(self, task: Task, volumes: Mapping[str, str]) -> str:
        return ""

    def command(self, start: Start) -> Command:
        environ = {"PATH": "/usr/bin:/bin", **start.environ, **start.secrets}
        return Command([sys.executable, "-I", "-S", str(STUB), str(start.call_file)], environ, start.call)

    def after(self, start: Start, log: Path) -> After:
        return After()


def task(
    name: str, *, reads: Mapping[str, object] | None = None, writes: Sequence[str] = (), folders: Sequence[str] = (),
    values: Mapping[str, Json] | None = None, needs: Sequence[str | Need] = (), soft: Sequence[str] = (),
    optional: Sequence[str] = (), many: Sequence[str] = (), spare: Sequence[str] = (),
    say: Mapping[str, Value | Json] | None = None, role: Role | None = None,
    when: Condition | None = None, attempts: int = 1, step: str | None = None, **more: object,
) -> Task:  # fmt: skip
    """A task of the stub. reads: input -> value(s). values: its small outputs. say: what the stub is told to do.

    spare: outputs that are optional; the stub writes those that are among `writes` too.
    """
    told = {"writes": list(writes), "folders": list(folders), "values": dict(values or {}), **(say or {})}
    told = {key: value for key, value in told.items() if value != [] and value != {}}
    parameters = tuple((key, v if _is_value(v) else Literal(v)) for key, v in sorted(told.items()))  # type: ignore[arg-type]
    inputs = tuple((key, tuple(v) if isinstance(v, list) else (v,)) for key, v in sorted((reads or {}).items()))
    edges = {n if isinstance(n, Need) else Need(n, order_only=True) for n in needs} | {Need(n, soft=True) for n in soft}
    named = {edge.task for edge in edges}
    for key, given in inputs:
        found = {ref.task for value in given for ref in references(value) if isinstance(ref, OutputRef | EachRef)}
        edges |= {Need(n, soft=key in optional) for n in found - named}
    for _, value in parameters:
        edges |= {Need(r.task) for r in references(value) if isinstance(r, OutputRef | EachRef) and r.task not in named}
    interface = Interface(
        name="stub", version="1", summary="", role=role,
        inputs=tuple(Input(name=key, type=Dataset, optional=key in optional, many=key in many or len(g) > 1)
                     for key, g in inputs),
        outputs=tuple(Output(name=n, type=Dataset, optional=n in spare)
                      for n in dict.fromkeys([*writes, *folders, *spare]))
        + tuple(Output(name=n, type=kind_of(v)) for n, v in (values or {}).items()),
    )  # fmt: skip
    return Task(
        name=name, step=step or name, interface=interface, parameters=parameters, inputs=inputs,
        needs=tuple(sorted(edges, key=lambda edge: edge.task)), when=when,
        retry=Retry(attempts=attempts, backoff_s=0), resources=Resources(cpu=0.01), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def loop(
    name: str, items: Value | Json, *body: Task, outputs: Mapping[str, Value] | None = None,
    max_parallel: int | None = None, fail_fast: bool = True, **more: object,
) -> Task:  # fmt: skip
    """A task that goes over a list; by default its body is one task of the same name."""
    given = items if _is_value(items) else Literal(items)  # type: ignore[arg-type]
    found = {ref.task for ref in references(given) if isinstance(ref, OutputRef | EachRef)}  # type: ignore[arg-type]
    needs = sorted([*more.pop("needs", ()), *found])  # type: ignore[misc]
    made = Loop(
        items=given, body=body or (task(name),), outputs=tuple((outputs or {}).items()),  # type: ignore[arg-type]
        max_parallel=max_parallel, fail_fast=fail_fast,
    )  # fmt: skip
    return replace(task(name, needs=needs, **more), loop=made)  # type: ignore[arg-type]


def _is_value(value: object) -> bool:
    return type(value).__module__ == "pipec.values"


def kind_of(value: Json) -> Kind:
    kinds = {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.NUMBER, str: Kind.STRING, list: Kind.LIST}
    return kinds[type(value)]


def plan(*tasks: Task, **more: object) -> Plan:
    return Plan(pipeline="wine", tasks=tasks, **more)  # type: ignore[arg-type]


def five(**say: object) -> Plan:
    """Five steps in a diamond with a tail; nothing is taken from a cache, so the ledger tells what was done."""
    return plan(
        task("ingest", writes=["data"], say={"text": "rows"}, cache=False),
        task("left", reads={"data": OutputRef("ingest", "data")}, writes=["out"], cache=False),
        task("right", reads={"data": OutputRef("ingest", "data")}, folders=["out"], cache=False),
        task("join", reads={"a": OutputRef("left", "out"), "b": OutputRef("right", "out")}, values={"n": 2},
             say=say, cache=False),  # type: ignore[arg-type]
        task("last", needs=["join"], writes=["end"], cache=False),
        outputs=(("n", OutputRef("join", "n")),),
    )  # fmt: skip


def looped(*, items: Sequence[str] = ("a", "b", "c"), fails: int = 0) -> Plan:
    """A loop whose list a step makes, with two steps in its body; nothing is taken from a cache."""
    rows = {"data": OutputRef("score.a", "rows")}
    body = (
        task("score.a", step="score.a", writes=["rows"], say={"text": ItemRef("", "score")}, cache=False),
        task("score.b", step="score.b", reads=rows, writes=["out"], say={"fails": fails}, cache=False),
    )
    return plan(
        task("list", values={"items": list(items)}, cache=False),
        loop("score", OutputRef("list", "items"), *body, outputs={"out": OutputRef("score.b", "out")}, fail_fast=False),
        task("merge", reads={"parts": EachRef("score", "out")}, many=["parts"], writes=["all"], cache=False),
        task("last", needs=["score"], cache=False),
        task("tell", is_final=True),
    )


def parameter(name: str, kind: Kind = Kind.STRING, **more: object) -> PlanParameter:
    return PlanParameter(name=name, kind=kind, schema={"type": kind.json_type}, **more)  # type: ignore[arg-type]


@dataclass
class Diary(Silent):
    """Remembers what the engine told, in order."""

    lines: list[str] = field(default_factory=list)

    def started(self, task: str, attempt: int) -> None:
        self.lines.append(f"{task} started {attempt}")

    def retrying(self, task: str, reason: str, wait_s: float) -> None:
        self.lines.append(f"{task} again: {reason}")

    def note(self, text: str) -> None:
        self.lines.append(text)


class Watch(Diary):
    """Counts how many processes of the run go on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.running: set[str] = set()
        self.peak = 0

    def started(self, task: str, attempt: int) -> None:
        super().started(task, attempt)
        self.running.add(task)
        self.peak = max(self.peak, len(self.running))

    def retrying(self, task: str, reason: str, wait_s: float) -> None:
        self.running.discard(task)

    def ended(self, outcome: TaskOutcome) -> None:
        self.running.discard(outcome.name)


@dataclass
class Bench:
    """A home and a base folder. ledger: the tasks whose process was started, in order."""

    base: Path
    options: RunOptions

    @property
    def home(self) -> Path:
        return self.options.home

    @property
    def ledger(self) -> list[str]:
        path = self.base / "ledger.txt"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    def run(self, plan: Plan, progress: Progress | None = None, **more: object) -> RunOutcome:
        return run(plan, replace(self.options, **more), progress or Silent())  # type: ignore[arg-type]

    def text(self, outcome: RunOutcome, task: str, output: str) -> str:
        stored = outcome.task(task).artifacts[output].digest.removeprefix("sha256:")
        return (self.home / "artifacts" / "sha256" / stored[:2] / stored).read_text(encoding="utf-8")


def bench(folder: Path) -> Bench:
    base = folder / "base"
    base.mkdir(exist_ok=True)
    options = RunOptions(
        home=folder / "home", base=base, releases=str(folder / "releases"), jobs=4, launcher=StubLauncher(), grace_s=0.2
    )
    return Bench(base, options)


def states(outcome: RunOutcome) -> dict[str, str]:
    return {task.name: task.state.value for task in outcome.tasks}
