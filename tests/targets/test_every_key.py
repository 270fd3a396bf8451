"""No key that the emitter writes can be lost unseen: each stands in a file that was reviewed, at its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flows
import plans
import pytest
import yaml

from pipec.compiler.plan import Plan
from pipec.targets.base import Options, refusals
from pipec.targets.kubeflow import TARGET
from pipec.targets.kubeflow.files import documents
from pipec.targets.kubeflow.text import dump

GOLDEN = Path(__file__).with_name("golden")
# Under these, keys are names that the user gave, or labels that carry them.
NAMED = {"tasks", "components", "executors", "parameters", "artifacts", "labels", "annotations"}
Route = tuple[str, ...]
PLANS: dict[str, tuple[Plan, Options]] = {
    "wine": (plans.wine(), plans.options()),
    "short": (plans.short(), plans.options()),
    "chain": (plans.chain(3), plans.options()),
    "placed": (plans.placed(), plans.options(**plans.PLACES)),
    "flow": (flows.flow(), plans.options()),
    "gated": (
        replace(plans.wine(), description="", environment="", labels=()),
        plans.options(settings={"run_as_user": 7}, values={"manifests": "true"}),
    ),
}


def routes(value: Any, at: Route = ()) -> Iterator[Route]:
    """Yield the route to every key, names that a user gave as `*`."""
    if isinstance(value, list):
        for item in value:
            yield from routes(item, at)
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*at, "*" if at and at[-1] in NAMED else key)
            yield here
            yield from routes(item, here) if key != "defaultValue" else ()  # a value of the user's


def reviewed() -> set[Route]:
    found: set[Route] = set()
    for name in ("short.yaml", "placed.yaml", "flow.yaml"):
        for number, document in enumerate(yaml.safe_load_all((GOLDEN / name).read_text(encoding="utf-8"))):
            found |= {(str(number), *route) for route in routes(document)}
    return found


@pytest.mark.parametrize("name", PLANS)
def test_every_key_stands_in_a_reviewed_file(name: str) -> None:
    plan, options = PLANS[name]
    assert list(refusals(TARGET, plan, options)) == []
    emitted = documents(plan, options)
    written = {(str(number), *route) for number, document in enumerate(emitted) for route in routes(document)}
    assert sorted(written - reviewed()) == []


def without(value: Any, route: Route) -> Any:
    """Return a document without what stands at a route, wherever that leads."""
    if isinstance(value, list):
        return [without(item, route) for item in value]
    if not isinstance(value, dict):
        return value
    first, *rest = route
    matching = [key for key in value if first in ("*", key)]
    if not rest:
        return {key: item for key, item in value.items() if key not in matching}
    return {key: without(item, tuple(rest)) if key in matching else item for key, item in value.items()}


@pytest.mark.parametrize("name", ["placed", "flow"])
def test_an_emitter_that_lost_any_key_would_write_another_file(name: str) -> None:
    emitted = documents(*PLANS[name])
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert dump(*emitted) == text
    everything = [(number, route) for number, document in enumerate(emitted) for route in set(routes(document))]
    assert len(everything) > 140
    for number, route in everything:
        changed = copy.deepcopy(list(emitted))
        changed[number] = without(changed[number], route)
        assert dump(*changed) != text, route
