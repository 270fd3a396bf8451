"""What a DAG says before its tasks: when it runs, its parameters, and what all its operators share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from keyword import iskeyword

from pipec.compiler.plan import Plan, PlanParameter
from pipec.steps.command import run_folder
from pipec.targets.airflow.event import GIVEN, heard, takes_parameters
from pipec.targets.airflow.operators import default_args
from pipec.targets.airflow.source import Call, Name, Source
from pipec.targets.airflow.version import version
from pipec.targets.base import Options
from pipec.values import EachRef, OutputRef

_OF_PARAM = frozenset({"default", "description", "schema", "source"})  # words that Airflow's Param takes for itself
MOST_SOURCE = 32_768  # characters of YAML on a DAG's page: all of it is kept with each version of the DAG
MOST_RUNS = 16  # Airflow's own default of max_active_runs, said because sites change it


def head(plan: Plan, options: Options, common: Mapping[str, Source]) -> Call:
    """Return the call that makes the DAG. common: what most operators are told alike."""
    keywords: list[tuple[str, Source]] = [("dag_id", plan.pipeline)]
    if plan.description:
        keywords.append(("description", plan.description))
    keywords += [
        ("schedule", _schedule(plan, version(options).asset)),
        *(version(options).scheduled if plan.schedules or plan.data else ()),
        ("catchup", any(schedule.catchup for schedule in plan.schedules)),
        ("max_active_runs", plan.concurrency.maximum if plan.concurrency else MOST_RUNS),
    ]
    if plan.parameters:
        keywords.append(("params", {parameter.name: _param(parameter) for parameter in plan.parameters}))
    if takes_parameters(plan):
        keywords.append(("user_defined_macros", {GIVEN: Name(GIVEN)}))
    keywords += [("default_args", {**default_args(plan, options), **common}), ("tags", _tags(plan))]
    return Call("DAG", tuple(keywords))


def page(plan: Plan, options: Options) -> str:
    """Return what the DAG's page says, in Markdown, or nothing. It ends a line: Airflow opens what ends in `.md`."""
    said = "\n".join([*_outputs(plan, options), *_source(options)])
    return f"{said}\n" if said else ""


def _schedule(plan: Plan, asset: str) -> Source:
    assets = [Call(asset, plain=(uri,)) for uri in (*plan.data, *heard(plan))]
    data: Source = assets if len(assets) == 1 else Call(f"{asset}Any", plain=tuple(assets))
    if assets and plan.schedules:
        return Call(f"{asset}OrTimeSchedule", (("timetable", _timetable(plan)), (f"{asset.lower()}s", data)))
    if assets:
        return data
    return _timetable(plan) if plan.schedules else None


def _timetable(plan: Plan) -> Call:
    crons = tuple(schedule.cron for schedule in plan.schedules)
    name = "CronTriggerTimetable" if len(crons) == 1 else "MultipleCronTriggerTimetable"
    return Call(name, (("timezone", plan.schedules[0].timezone),), plain=crons)


def _param(parameter: PlanParameter) -> Call:
    keywords: list[tuple[str, Source]] = []
    if parameter.description:
        keywords.append(("description", parameter.description))
    # Airflow takes the words of a schema as keywords, but for those that it has itself.
    words = parameter.schema.keys()
    if words.isdisjoint(_OF_PARAM) and not any(iskeyword(word) or not word.isidentifier() for word in words):
        keywords = [*parameter.schema.items(), *keywords]
    else:
        keywords.append(("schema", parameter.schema))
    return Call("Param", tuple(keywords), plain=() if parameter.is_required else (parameter.default,))


def _tags(plan: Plan) -> list[Source]:
    tags: list[Source] = [f"{key}:{value}" for key, value in plan.labels]
    if plan.environment:
        tags.append(f"environment:{plan.environment}")
    if plan.production:
        tags.append("production")
    return tags


def _outputs(plan: Plan, options: Options) -> list[str]:
    """Return, in Markdown, where a run leaves the pipeline's outputs."""
    folder = run_folder(options.artifacts or "", plan.pipeline, "RUN")
    lines = []
    for name, handed in plan.outputs:
        match handed:
            case OutputRef(task, output):
                lines.append(f"- `{name}`: `{folder}/{task}/{output}`")
            case EachRef(task, output):
                lines.append(f"- `{name}`: `{folder}/{task}-N/{output}` for the `N`th item, from 0")
    return ["Outputs of a run (`RUN` is its id, with `_` for `:` and `+`):", "", *lines, ""] if lines else []


def _source(options: Options) -> list[str]:
    """Return the pipeline as it was written, in a block of Markdown that nothing in it can end."""
    if not 0 < len(options.source) <= MOST_SOURCE:
        return []
    ticks = max((len(run) for run in re.findall("`+", options.source)), default=0)
    fence = "`" * max(3, ticks + 1)
    return ["What it was compiled from:", "", f"{fence}yaml", *options.source.rstrip().split("\n"), fence]
