"""No keyword that the emitter for Airflow writes can be lost unseen: each stands in a file that was reviewed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import plans
import pytest
from test_airflow import FORMS, USERS, docker, emitted
from test_airflow_pod import placed, worker
from test_airflow_version import OLD, OLD_DOCKER, automatic

from pipec.compiler.plan import Plan, Schedule
from pipec.targets.base import Options

GOLDEN = Path(__file__).with_name("golden")
CRONS = (Schedule(cron="0 3 * * 1"), Schedule(cron="0 4 * * 2"))
REVIEWED = (
    "flow.py",
    "flow_2_11.py",
    "placed.py",
    "short_2_11.py",
    "short_docker.py",
    "short_kubernetes.py",
    "wine.py",
)
# A plan that data and times start, for a worker that is told all that one can be.
WORKER = {**USERS, "run_as_user": 7, "run_as_group": 8, "pull_policy": "Always", "pool": "gpu"}
MOUNTED = tuple(
    replace(each, volumes=(("/scratch", "scratch"),) * (each.name == "split")) for each in plans.wine().tasks
)
ASKED = (
    replace(plans.wine(), data=("s3://b/k", "s3://b/l"), schedules=CRONS, tasks=MOUNTED),
    docker(settings=WORKER, volumes={"scratch": {"path": "/mnt/scratch"}}),
)
GIVEN = tuple(replace(each, default=each.default or "dev", is_required=False) for each in plans.placed().parameters)
PLACED = (replace(plans.placed(), schedules=CRONS[:1], parameters=GIVEN), placed())
PLANS: dict[str, tuple[Plan, Options]] = {
    **{f"wine on {form}": (plans.wine(), options) for form, options in FORMS.items()},
    "wine on 2.11": (automatic(plans.wine()), OLD_DOCKER),
    "short": (plans.short(), plans.options()),
    "chain": (plans.chain(3), plans.options()),
    "placed": PLACED,
    "asked": ASKED,
    "worker": (plans.placed(), worker(settings={"run_as_user": 7, "pull_policy": "Always"})),
    "flow": (flows.flow(), plans.options()),
    "flow on 2.11": (flows.flow(), OLD),
    "data": (replace(plans.short(), data=("s3://b/k", "s3://b/l"), schedules=CRONS), plans.options()),
}
# Under these, keys are names that the user gave, or labels that carry them.
NAMED = {"labels", "LABELS", "params", "env_vars", "environment", "private_environment", "node_selector", "needs",
         "any_of", "annotations", "LOOPS", "op_args", "arguments", "command", "item"}  # fmt: skip
Route = tuple[str, ...]


@pytest.mark.parametrize(
    ("name", "plan", "options"),
    [
        ("placed.py", *PLACED),
        ("wine.py", *ASKED),
    ],
)
def test_what_has_most_keywords_is_written_as_reviewed(name: str, plan: Plan, options: Options, golden: Any) -> None:
    golden(GOLDEN / name, emitted(plan, options))


def routes(text: str) -> Iterator[Route]:
    """Yield the way to every keyword and key of a file, and every name that it imports."""
    for node in ast.parse(text).body:
        match node:
            case ast.ImportFrom(module=module, names=names):
                yield from ((module or "", one.name) for one in names)
            case ast.Assign(targets=[ast.Name(name)], value=value):
                yield from _below(value, (name,))
            case ast.With():
                for call in ast.walk(node):
                    yield from _of_call(call) if isinstance(call, ast.Call) else ()


def _of_call(call: ast.Call) -> Iterator[Route]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    for keyword in call.keywords:
        yield (name, keyword.arg or "")
        yield from _below(keyword.value, (name, keyword.arg or ""))


def _below(value: ast.AST, at: Route) -> Iterator[Route]:
    match value:
        case ast.List(elts):
            for item in elts:
                yield from _below(item, at)
        case ast.Dict(keys, values) if at[-1] not in NAMED:
            for key, item in zip(keys, values, strict=True):
                assert isinstance(key, ast.Constant)
                yield (*at, key.value)
                yield from _below(item, (*at, key.value))


def reviewed() -> set[Route]:
    return {route for name in REVIEWED for route in routes((GOLDEN / name).read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", PLANS)
def test_every_keyword_stands_in_a_reviewed_file(name: str) -> None:
    plan, options = PLANS[name]
    assert sorted(set(routes(emitted(plan, options))) - reviewed()) == []
