"""A drawn pipeline beside itself: run by the engine, and from its DAG file as Airflow's scheduler would.

What is compared: which tasks began and after which, what they were given, how they ended, why the worker skipped them,
and how the run did. One difference is accepted: which cells `fail_fast` stops depends on the clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import dag_file
from dag_runner import FAILED, SKIPPED, SUCCESS, UPSTREAM_FAILED, DagRun
from drawn_pipelines import ROWS
from engine_replay import Here, There
from fake_container import Containers
from scripted import Key, Script
from test_same_meaning import PROJECT

from pipec import api
from pipec.compiler.plan import Plan
from pipec.engine.outcome import RunOutcome, State
from pipec.targets.base import File

STATES = {SUCCESS: State.SUCCEEDED, FAILED: State.FAILED, SKIPPED: State.SKIPPED, UPSTREAM_FAILED: State.SKIPPED}


@dataclass(frozen=True, slots=True)
class Played:
    """A run of both sides. state: of Airflow's. outcome: of the engine's. excused: what the clock stopped."""

    there: DagRun
    state: str
    here: Here
    outcome: RunOutcome
    excused: frozenset[Key]


@dataclass
class Bench:
    """A folder for projects, one after another. version: of Airflow. told: how often each thing happened."""

    folder: Path
    version: str = "3.1"
    told: Counter[str] = field(default_factory=Counter)

    def wrong(self, texts: dict[str, str], script: Script, *orders: int) -> list[str]:
        """Return what differs between the two sides. orders: a seed of that in which tasks end, for each run."""
        checked, files = self.compiled(texts)
        if not files:
            return []
        (unit,) = checked.units
        assert unit.plan
        self.told["compiled"] += 1
        return [fault for order in orders for fault in self._compared(files[0].text, unit.plan, script, order)]

    def compiled(self, texts: dict[str, str]) -> tuple[api.Checked, tuple[File, ...]]:
        """Return what is known of a project, and its files unless something is wrong with it."""
        for name, text in {"pipec.yaml": PROJECT, **texts}.items():
            (self.folder / name).write_text(text.replace("PLACE", str(self.folder)), encoding="utf-8")
        options = {"version": self.version}
        request = api.Request(path=self.folder / "p.yaml", environment="there", target="airflow", options=options)
        checked, files = api.compile_(request)
        self.told.update(one.rule.code for one in checked.report.findings)
        return checked, () if checked.has_error else files

    def played(self, text: str, plan: Plan, script: Script, order: int) -> Played:
        """Run a pipeline on both sides."""
        containers = Containers(script)
        codes: dict[str, int] = {}
        self.told["run"] += 1
        text = text.replace(f"{self.folder}/root", f"{self.folder}/root/{self.told['run']}")

        def start(task: dag_file.Operator, arguments: list[str]) -> tuple[int, object]:
            codes[task.task_id], found = containers.airflow((task.task_id, ()), arguments)
            return codes[task.task_id], found

        there = DagRun(dag_file.load(text), start, Random(order).choice)
        state = there.conduct()
        ends = {(task.name, ()): _end(there, task.name, codes) for task in plan.tasks}
        excused = frozenset(_stopped(there, plan, ends))
        location = ROWS.replace("PLACE", str(self.folder))
        here = Here(plan, script, There(ends, frozenset(), containers.given, excused), {location: "rows"})
        outcome = here.conduct()
        self.told[outcome.status] += 1
        self.told.update(str(end) for end in ends.values())
        return Played(there, state, here, outcome, excused)

    def _compared(self, text: str, plan: Plan, script: Script, order: int) -> list[str]:
        both = self.played(text, plan, script, order)
        there, state, here, outcome, excused = both.there, both.state, both.here, both.outcome, both.excused
        if (state == SUCCESS) != (outcome.status == "succeeded"):
            here.wrong.append(f"the run has {outcome.status} here and is {state} there: {there.states}")
        return [*here.wrong, *_unlike(outcome, there, excused), *_early(plan, there), *_crowds(plan, there)]


def _end(there: DagRun, name: str, codes: dict[str, int]) -> State:
    state = there.states[name]
    assert state
    return State.REFUSED if state == FAILED and codes.get(name) == 3 else STATES[state]


def _stopped(there: DagRun, plan: Plan, ends: dict[Key, State]) -> list[Key]:
    """Return the cells that were stopped because another had failed."""
    found: list[Key] = []
    for group in plan.groups:
        cells = [task.name for task in plan.tasks if task.group == group.name]
        has_failed = any(ends[cell, ()] in (State.FAILED, State.REFUSED) for cell in cells)
        if group.fail_fast and group.max_parallel and has_failed:
            found += [(cell, ()) for cell in cells if "fail_fast" in there.reasons.get(cell, "")]
    return found


def _unlike(outcome: RunOutcome, there: DagRun, excused: frozenset[Key]) -> list[str]:
    """Return the reasons of skips that the worker told otherwise. It knows no refusals."""
    told = {name: reason for name, reason in there.reasons.items() if (name, ()) not in excused}
    here = {task.name: (task.reason or "").replace("was refused", "failed") for task in outcome.tasks}
    return [f"{name} skipped: {here[name]} here, {why} there" for name, why in told.items() if here[name] != why]


def _early(plan: Plan, there: DagRun) -> list[str]:
    """Return the tasks that began before what they wait for had ended."""
    others = {task.name for task in plan.tasks if not task.is_final}
    waits = {task.name: {need.task for need in task.needs} for task in plan.tasks}
    waits |= {task.name: waits[task.name] | others for task in plan.tasks if task.is_final}
    lacking = ((name, waits[name] - done) for name, done in there.began.items())
    return [f"{name} began before {sorted(left)} had ended" for name, left in lacking if left]


def _crowds(plan: Plan, there: DagRun) -> list[str]:
    """Return the matrices of which more cells could run at once than they say."""
    most = {group.name: group.max_parallel for group in plan.groups if group.max_parallel}
    cells = {name: {task.name for task in plan.tasks if task.group == name} for name in most}
    return [f"{name} has a crowd" for name in most if any(len(q & cells[name]) > most[name] for q in there.queues)]
