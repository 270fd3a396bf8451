"""An emitted DAG file, loaded as Airflow would load it, with operators that only keep what they are given.

Whether the real ones read the files so is proved by `test_airflow_real.py` and `test_airflow_live.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, ClassVar

PROVIDERS = "airflow.providers"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Dag:
    """What the file makes. keywords: of the DAG. tasks: its operators by id, in the order in which they are made."""

    keywords: dict[str, Any]
    tasks: dict[str, Operator] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    doc_md: str = ""

    def __enter__(self) -> Dag:
        _Open.dag = self
        return self

    def __exit__(self, *args: object) -> None:
        _Open.last, _Open.dag = self, None

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The edges, by id, sorted."""
        return sorted({(before, task.task_id) for task in self.tasks.values() for before in task.upstream})


class _Open:
    dag: ClassVar[Dag | None] = None
    last: ClassVar[Dag | None] = None


class Group:
    """A task group."""

    def __init__(self, group_id: str, *, prefix_group_id: bool = True, **keywords: Any) -> None:
        assert _Open.dag is not None
        self.group_id = _labelled(group_id)
        self.prefix, self.keywords = prefix_group_id, keywords

    def __enter__(self) -> Group:
        assert _Open.dag is not None
        _Open.dag.groups.append(self)
        return self

    def __exit__(self, *args: object) -> None:
        assert _Open.dag is not None
        _Open.dag.groups.pop()


def _labelled(label: str) -> str:
    assert _Open.dag is not None
    groups = _Open.dag.groups
    return f"{groups[-1].group_id}.{label}" if groups and groups[-1].prefix else label


class Operator:
    """What every operator is here. keywords: all that it is told, `default_args` included. own: without these.

    needs, when: of a step, what the file's own class keeps of it. cmds, arguments; entrypoint, command: of one whose
    command is known in a run, what the class makes of it.
    """

    needs: Mapping[str, list[str]]
    when: str
    cmds: list[str]
    arguments: list[str]
    entrypoint: list[str]
    command: list[str]

    def __init__(self, *, task_id: str, **keywords: Any) -> None:
        assert _Open.dag is not None
        self.task_id = _labelled(task_id)
        assert self.task_id not in _Open.dag.tasks, self.task_id
        self.own = keywords
        of_group = _Open.dag.groups[-1].keywords.get("default_args", {}) if _Open.dag.groups else {}
        self.keywords = {**_Open.dag.keywords.get("default_args", {}), **of_group, **keywords}
        self.group = _Open.dag.groups[-1].group_id if _Open.dag.groups else ""
        self.upstream: list[str] = []
        self.is_teardown = False
        self.mapped: list[Any] | Output | None = None
        self.do_xcom_push = self.keywords.get("do_xcom_push", False)
        self.dag_id = _Open.dag.keywords["dag_id"]
        _Open.dag.tasks[self.task_id] = self

    @classmethod
    def partial(cls, **keywords: Any) -> Partial:
        return Partial(cls, keywords)

    @property
    def output(self) -> Output:
        return Output(self.task_id)

    def as_teardown(self) -> Operator:
        self.is_teardown = True
        return self

    def __rshift__(self, other: Operator) -> Operator:
        other.upstream.append(self.task_id)
        return other

    def __rrshift__(self, others: Iterable[Operator]) -> Operator:
        self.upstream += [each.task_id for each in others]
        return self

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Run the container: whoever runs the DAG says what comes of it."""
        return context["container"](self)

    def render_template(self, text: str, context: Mapping[str, Any]) -> str:
        found: str = context["ti"].render(text, context)
        return found


@dataclass(frozen=True)
class Output:
    """What a task leaves for others in the worker."""

    task_id: str


@dataclass(frozen=True)
class Partial:
    """An operator of which a run makes one for each item of a list."""

    kind: type[Operator]
    keywords: dict[str, Any]

    def expand(self, *, item: list[Any] | Output) -> Operator:
        made = self.kind(**self.keywords)
        made.mapped = item
        if isinstance(item, Output):
            made.upstream.append(item.task_id)
        return made


class KubernetesPodOperator(Operator): ...


class DockerOperator(Operator): ...


class ApprovalOperator(Operator): ...


class EmptyOperator(Operator): ...


class PythonOperator(Operator): ...


class BaseOperator(Operator):
    """What tells of events. outlets, inlets: assets."""

    def __init__(self, *, task_id: str, **keywords: Any) -> None:
        super().__init__(task_id=task_id, **keywords)
        self.outlets, self.inlets = keywords.get("outlets", []), keywords.get("inlets", [])


class AirflowSkipException(Exception): ...


class AirflowFailException(Exception): ...


@dataclass(frozen=True)
class Made:
    """A call of something else that Airflow has. name: of what is called."""

    name: str
    plain: tuple[Any, ...]
    keywords: Mapping[str, Any]


def _maker(name: str) -> Any:
    return lambda *plain, **keywords: Made(name, plain, keywords)


_MODULES: dict[str, dict[str, Any]] = {
    "airflow.sdk": {
        "DAG": lambda **keywords: Dag(keywords), "TaskGroup": Group, "BaseOperator": BaseOperator,
        **{name: _maker(name) for name in ("Param", "Asset", "AssetAny", "AssetOrTimeSchedule", "CronTriggerTimetable",
                                              "MultipleCronTriggerTimetable")},
    },
    # Airflow 2.11 has these elsewhere.
    "airflow.models.dag": {"DAG": lambda **keywords: Dag(keywords)},
    "airflow.models.param": {"Param": _maker("Param")},
    "airflow.utils.task_group": {"TaskGroup": Group},
    "airflow.utils.timezone": {"utc_epoch": lambda: EPOCH},
    "airflow.timetables.trigger": {"CronTriggerTimetable": _maker("CronTriggerTimetable")},
    "airflow.timetables.datasets": {"DatasetOrTimeSchedule": _maker("DatasetOrTimeSchedule")},
    "airflow.datasets": {name: _maker(name) for name in ("Dataset", "DatasetAny")},
    "airflow.exceptions": {"AirflowSkipException": AirflowSkipException, "AirflowFailException": AirflowFailException},
    f"{PROVIDERS}.common.compat.sdk": {
        "AirflowSkipException": AirflowSkipException, "AirflowFailException": AirflowFailException,
    },
    f"{PROVIDERS}.cncf.kubernetes.operators.pod": {"KubernetesPodOperator": KubernetesPodOperator},
    f"{PROVIDERS}.cncf.kubernetes.secret": {"Secret": _maker("Secret")},
    f"{PROVIDERS}.docker.operators.docker": {"DockerOperator": DockerOperator},
    f"{PROVIDERS}.standard.operators.hitl": {"ApprovalOperator": ApprovalOperator},
    f"{PROVIDERS}.standard.operators.empty": {"EmptyOperator": EmptyOperator},
    f"{PROVIDERS}.standard.operators.python": {"PythonOperator": PythonOperator},
}  # fmt: skip


def load(text: str) -> Dag:
    """Return what a DAG file makes. Its imports find only what is listed here."""
    with _airflow():
        exec(compile(text, "dag.py", "exec"), {"__name__": "dag"})
    assert _Open.last is not None
    return _Open.last


@contextmanager
def _airflow() -> Iterator[None]:
    names = {name.rsplit(".", depth)[0] for name in _MODULES for depth in range(name.count(".") + 1)}
    before = {name: sys.modules.get(name) for name in names}
    for name in sorted(names):
        module = ModuleType(name)
        module.__dict__.update(_MODULES.get(name, {}))
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module_before in before.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
