"""Airflow's scheduler and workers in small: a loaded DAG file is run in an order of the caller's choice.

The rules are those of `ti_deps/deps/trigger_rule_dep.py` and `models/dagrun.py` (3.3). The file's own class is executed
for real; what a container does is the caller's. Knows no plan and no step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

from dag_file import AirflowFailException, AirflowSkipException, Dag, Operator
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED, QUEUED = "success", "failed", "skipped", "upstream_failed", "queued"
FINISHED = (SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED)
RUN_ID = "r"
# What runs a container: given the operator and its rendered arguments, it returns the exit code and what it hands on.
Start = Callable[[Operator, list[str]], tuple[int, Any]]
Choose = Callable[[Sequence[str]], str]


NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asset:
    """What Airflow calls an asset, where it tells of its events."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event. asset: its name."""

    asset: str
    timestamp: datetime = NOW
    extra: Mapping[str, Any] = field(default_factory=dict)


class Outlets(dict[str, SimpleNamespace]):
    """What a task says of the events that it tells of, by asset."""

    def __getitem__(self, asset: Any) -> SimpleNamespace:
        return self.setdefault(asset.plain[0], SimpleNamespace(extra={}))


class Ended(Exception):
    """A container ended with a code that Airflow may try again."""


@dataclass
class DagRun:
    """A run of a DAG. start: runs a container. choose: says which of the queued tasks goes on.

    states, reasons, faults: of tasks; why they were skipped by the worker, and why they failed there. began: which
    tasks had finished when one began. queues: which tasks could run at once, after each pass of the scheduler. before:
    events that had come. started_by: those of them that started the run. told: those that it told of itself.
    """

    dag: Dag
    start: Start
    choose: Choose
    states: dict[str, str | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    began: dict[str, frozenset[str]] = field(default_factory=dict)
    queues: list[frozenset[str]] = field(default_factory=list)
    handed: dict[str, Any] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    pushed: dict[tuple[str, str], Any] = field(default_factory=dict)
    before: Sequence[Told] = ()
    started_by: Sequence[Told] = ()
    told: list[Told] = field(default_factory=list)
    outlets: Outlets = field(default_factory=Outlets)

    def conduct(self) -> str:
        """Run to the end; return the state of the run."""
        self.states = dict.fromkeys(self.dag.tasks)
        while True:
            self._schedule()
            queued = [name for name, state in self.states.items() if state == QUEUED]
            if not queued:
                break
            self.queues.append(frozenset(queued))
            self._work(self.dag.tasks[self.choose(queued)])
        assert all(state in FINISHED for state in self.states.values()), f"a deadlock: {self.states}"
        return FAILED if any(self.states[name] in (FAILED, UPSTREAM_FAILED) for name in self._leaves()) else SUCCESS

    def get_task_states(self, dag_id: str, *, run_ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """Return what a worker sees of the tasks."""
        assert (dag_id, list(run_ids)) == (self.dag.keywords["dag_id"], [RUN_ID])
        return {RUN_ID: dict(self.states)}

    def get_task_instances(self) -> list[SimpleNamespace]:
        """Return the same as a worker of Airflow 2.11 sees it, which asks the run."""
        return [SimpleNamespace(task_id=name, map_index=-1, state=state) for name, state in self.states.items()]

    @property
    def dag_id(self) -> str:
        return str(self.dag.keywords["dag_id"])

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        """Return what a task handed on, or None."""
        return self.handed.get(task_ids) if key == "return_value" else self.pushed.get((task_ids, key))

    def _schedule(self) -> None:
        """Look at every task that waits, until nothing changes."""
        changed = True
        while changed:
            changed = False
            finished = {name: state for name, state in self.states.items() if state in FINISHED}
            for name, task in self.dag.tasks.items():
                if self.states[name] is None and (state := _asked(task, finished)):
                    self.states[name], changed = state, True

    def _work(self, task: Operator) -> None:
        if type(task).__name__ == "EmptyOperator":
            self.states[task.task_id] = SUCCESS
            return
        name = task.task_id
        self.tries[name] = self.tries.get(name, 0) + 1
        try:
            found = task.execute(self._context(task))
        except AirflowSkipException as skip:
            self.states[name], self.reasons[name] = SKIPPED, str(skip)
        except AirflowFailException as fault:
            self.states[name], self.faults[name] = FAILED, str(fault)
        except Exception:  # Airflow tries again whatever went wrong
            self.states[name] = QUEUED if self.tries[name] <= task.keywords["retries"] else FAILED
        else:
            self.states[name] = SUCCESS
            for asset in getattr(task, "outlets", []):
                self.told.append(Told(asset=asset.plain[0], extra=self.outlets[asset].extra))
            if task.do_xcom_push and found is not None:
                self.handed[name] = found

    def _context(self, task: Operator) -> dict[str, Any]:
        params = {name: made.plain[0] for name, made in self.dag.keywords.get("params", {}).items()}
        return {
            **self.dag.keywords.get("user_defined_macros", {}),
            "ti": Instance(self, task.task_id), "dag_run": self, "run_id": RUN_ID, "params": params, "task": task,
            "container": self._contain,
            "outlet_events": self.outlets, "triggering_asset_events": self._by_asset(self.started_by),
            "inlet_events": [[told for told in self.before if told.asset == asset.plain[0]]
                             for asset in getattr(task, "inlets", [])],
        }  # fmt: skip

    def _by_asset(self, listed: Sequence[Told]) -> dict[Asset, list[Told]]:
        return {Asset(name): [one for one in listed if one.asset == name] for name in {one.asset for one in listed}}

    def _contain(self, task: Operator) -> Any:
        self.began[task.task_id] = frozenset(name for name, state in self.states.items() if state in FINISHED)
        context = self._context(task)
        code, found = self.start(task, [render(argument, context) for argument in task.keywords.get("arguments", ())])
        if code in task.keywords["skip_on_exit_code"]:
            raise AirflowSkipException(f"exit code {code}")
        if code:
            raise Ended(f"exit code {code}")
        return found

    def _leaves(self) -> set[str]:
        """Return the tasks that say how the run went: teardowns are looked past (`_tis_for_dagrun_state`)."""
        plain = {name for name, task in self.dag.tasks.items() if not task.is_teardown}
        return plain - {before for name in plain for before in self.dag.tasks[name].upstream}


@dataclass
class Instance:
    """What a worker sees of the run from one of its tasks."""

    run: DagRun
    task_id: str
    start_date: datetime = NOW

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)

    def render(self, text: str, context: Mapping[str, Any]) -> str:
        return render(text, context)

    @property
    def try_number(self) -> int:
        return self.run.tries[self.task_id]

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.run.pushed[self.task_id, key] = value


def _asked(task: Operator, finished: Mapping[str, str]) -> str | None:
    """Return the state that a task's trigger rule gives it, or None if it is to wait."""
    upstream = set(task.upstream)
    ends = [finished[name] for name in upstream if name in finished]
    is_done, is_bad = len(ends) == len(upstream), FAILED in ends or UPSTREAM_FAILED in ends
    match "all_done_setup_success" if task.is_teardown else task.keywords.get("trigger_rule", "all_success"):
        case "all_success":
            early = UPSTREAM_FAILED if is_bad else SKIPPED if SKIPPED in ends else None
            return early or (QUEUED if is_done else None)
        case "none_failed":
            return UPSTREAM_FAILED if is_bad else QUEUED if is_done else None
        case "all_done" | "all_done_setup_success":
            return QUEUED if is_done else None
    raise AssertionError(f"no file should have the rule {task.keywords['trigger_rule']}")


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(undefined=StrictUndefined, cache_size=0)


def render(text: str, context: Mapping[str, Any]) -> str:
    """Return what Airflow makes of a template."""
    return _environment().from_string(text).render(context)
