"""A plan as the text of a DAG file: the fixed skeleton of `dag.py.jinja`, filled with literals.

The skeleton holds no value: what stands in its slots was written by `source.py` or is one of this module's own words.
"""

from __future__ import annotations

import builtins
import keyword
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipec.compiler.plan import Plan, PlanParameter, Task
from pipec.steps.command import run_folder
from pipec.targets.airflow.approval import decision_id, human
from pipec.targets.airflow.docker import is_docker
from pipec.targets.airflow.operators import default_args, shared_image, step
from pipec.targets.airflow.source import WIDTH, Call, Source, write
from pipec.targets.base import Options
from pipec.targets.cluster import asks_person, secret_variables
from pipec.values import OutputRef

if TYPE_CHECKING:
    from jinja2 import Template

MOST_RUNS = 16  # Airflow's own default of max_active_runs, said because sites change it
_OURS = frozenset({"dag", "os", "from_worker", "timedelta", "names", "end", "context"})
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def dag_file(plan: Plan, options: Options) -> str:
    """Return the DAG file's text. Assumes that `refuse` found nothing."""
    names, shared = variable_names(plan), shared_image(plan)
    tasks, edges = [], []
    for task in plan.tasks:
        name = names[task.name]
        first = name
        if asks_person(task):
            first = names[decision_id(task)]
            tasks.append(f"{first} = {write(human(plan, task, options), 4, 7 + len(first))}")
        tasks.append(f"{name} = {write(step(plan, task, options, shared), 4, 7 + len(name))}")
        edges += _edges(task, first, name, names)
    return _skeleton().render(
        imports=_imports(plan, options),
        operator="DockerOperator" if is_docker(options) else "KubernetesPodOperator",
        worker_secrets=_has_worker_secrets(plan, options),
        # Its arguments stand on lines of their own, however short they are.
        dag=f"{write(_dag(plan, options), 0, WIDTH)} as dag",
        tasks=tasks,
        edges=edges,
    )


@cache
def _skeleton() -> Template:
    """Return the skeleton, compiled once; jinja2 is loaded only when a DAG is written."""
    from jinja2 import Environment, StrictUndefined

    text = Path(__file__).with_name("dag.py.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(text)


def _has_worker_secrets(plan: Plan, options: Options) -> bool:
    return is_docker(options) and any(secret_variables(task) for task in plan.tasks)


def _imports(plan: Plan, options: Options) -> list[str]:
    """Return the import lines, sorted as ruff sorts them; only what the file uses, for the processor loads it all."""
    sdk = ["DAG"]
    if plan.schedules:
        sdk.append("CronTriggerTimetable" if len(plan.schedules) == 1 else "MultipleCronTriggerTimetable")
    if plan.parameters:
        sdk.append("Param")
    provider = "airflow.providers"
    lines = [f"from {provider}.common.compat.sdk import AirflowFailException, AirflowSkipException"]
    if is_docker(options):
        lines.append(f"from {provider}.docker.operators.docker import DockerOperator")
    else:
        lines.append(f"from {provider}.cncf.kubernetes.operators.pod import KubernetesPodOperator")
        if any(secret_variables(task) for task in plan.tasks):
            lines.append(f"from {provider}.cncf.kubernetes.secret import Secret")
    if any(asks_person(task) for task in plan.tasks):
        lines.append(f"from {provider}.standard.operators.hitl import ApprovalOperator")
    lines.append(f"from airflow.sdk import {', '.join(sdk)}")
    standard = ["import os"] if _has_worker_secrets(plan, options) else []
    if _needs_timedelta(plan, options):
        standard.append("from datetime import timedelta")
    return [*standard, *([""] if standard else []), *sorted(lines)]


def _needs_timedelta(plan: Plan, options: Options) -> bool:
    return any(
        task.retry.attempts > 1 or asks_person(task) or (is_docker(options) and task.timeout_s is not None)
        for task in plan.tasks
    )


def _dag(plan: Plan, options: Options) -> Call:
    keywords: list[tuple[str, Source]] = [("dag_id", plan.pipeline)]
    if plan.description:
        keywords.append(("description", plan.description))
    keywords += [
        ("schedule", _schedule(plan)),
        ("catchup", any(schedule.catchup for schedule in plan.schedules)),
        ("max_active_runs", plan.concurrency.maximum if plan.concurrency else MOST_RUNS),
    ]
    if plan.parameters:
        keywords.append(("params", {parameter.name: _param(parameter) for parameter in plan.parameters}))
    keywords += [("default_args", default_args(plan, options)), ("tags", _tags(plan))]
    if plan.outputs:
        keywords.append(("doc_md", _outputs(plan, options)))
    return Call("DAG", tuple(keywords))


def _schedule(plan: Plan) -> Source:
    if not plan.schedules:
        return None
    crons = tuple(schedule.cron for schedule in plan.schedules)
    name = "CronTriggerTimetable" if len(crons) == 1 else "MultipleCronTriggerTimetable"
    return Call(name, (("timezone", plan.schedules[0].timezone),), plain=crons)


def _param(parameter: PlanParameter) -> Call:
    keywords: list[tuple[str, Source]] = []
    if parameter.description:
        keywords.append(("description", parameter.description))
    keywords.append(("schema", parameter.schema))
    return Call("Param", tuple(keywords), plain=() if parameter.is_required else (parameter.default,))


def _tags(plan: Plan) -> list[Source]:
    tags: list[Source] = [f"{key}:{value}" for key, value in plan.labels]
    if plan.environment:
        tags.append(f"environment:{plan.environment}")
    if plan.production:
        tags.append("production")
    return tags


def _outputs(plan: Plan, options: Options) -> str:
    """Return, in Markdown, where a run leaves the pipeline's outputs. Never ends in `.md`, which Airflow would open."""
    folder = run_folder(options.artifacts or "", plan.pipeline, "RUN")
    lines = [
        f"- `{name}`: `{folder}/{reference.task}/{reference.output}`"
        for name, reference in plan.outputs
        if isinstance(reference, OutputRef)
    ]
    return "\n".join(["Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):", "", *lines, ""])


def _edges(task: Task, first: str, name: str, names: dict[str, str]) -> list[str]:
    """Return the lines that put a task after what it needs; `first` is its human half, if it has one."""
    needed = list(dict.fromkeys(names[need.task] for need in task.needs))
    chain = first if first == name else f"{first} >> {name}"
    if not needed:
        return [chain] if first != name else []
    if len(needed) == 1:
        return [f"{needed[0]} >> {chain}"]
    flat = f"[{', '.join(needed)}] >> {chain}"
    if len(flat) <= WIDTH - 4:
        return [flat]
    return ["[", *(f"    {one}," for one in needed), f"] >> {chain}"]


def variable_names(plan: Plan) -> dict[str, str]:
    """Return a variable for every task: its name where that is plain, never a word of Python or of the file."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    ids = [task.name for task in plan.tasks]
    ids += [decision_id(task) for task in plan.tasks if asks_person(task)]
    for task_id in ids:
        name = re.sub(r"[^a-z0-9_]", "_", task_id)
        if not _PLAIN.fullmatch(name) or keyword.iskeyword(name) or hasattr(builtins, name) or name in _OURS:
            name = f"task_{name}"
        number, unique = 2, name
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        names[task_id] = unique
    return names
