"""What both targets refuse alike: each at its place, and nothing beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import plans
import pytest

from pipec.compiler.plan import Plan
from pipec.steps import catalog
from pipec.steps.interface import Accelerator, Container, Kind, Resources
from pipec.targets import airflow, kubeflow
from pipec.targets.base import Feature, Support, Target, refusals, uses
from pipec.targets.cluster import cpu_quantity, guard_dollars, memory_quantity, needs_root, reads_world
from pipec.values import ListOf, Literal, ParameterRef, RunRef, Text

TARGETS = {"kubeflow": kubeflow.TARGET, "airflow": airflow.TARGET}


def changed(name: str, **fields: Any) -> Plan:
    plan = plans.short()
    return replace(plan, tasks=tuple(replace(t, **fields) if t.name == name else t for t in plan.tasks))


def given(name: str, parameter: str, value: Any) -> Plan:
    task = plans.short().task(name)
    return changed(name, parameters=tuple((at, value if at == parameter else v) for at, v in task.parameters))


def found(target: Target, plan: Plan) -> list[tuple[str, str]]:
    listed = [(r.use.step or "", ".".join(r.use.field)) for r in refusals(target, plan, plans.options())]
    return list(dict.fromkeys(listed))


def with_source(default: str) -> Plan:
    return replace(plans.short(), parameters=(plans.parameter("source", Kind.STRING, default=default),))


CASES = {
    "a missing image": (changed("train", image=None), [("train", "image")]),
    "an image that is a template": (changed("train", image="{{ x }}"), [("train", "image")]),
    "a file of this machine": (given("ingest", "source", Literal("data/rows.csv")), [("ingest", "with.source")]),
    "a file of this machine by default": (with_source("data/rows.csv"), [("", "parameters.source.default")]),
    "a file of this machine in a text": (
        given("ingest", "source", Text((Literal("data/"), RunRef("date")))),
        [("ingest", "with.source")],
    ),
    "a variable known at run time": (changed("train", env=(("A", RunRef("id")),)), [("train", "env.A")]),
    "a variable that is a list": (changed("train", env=(("A", Literal([1])),)), [("train", "env.A")]),
    "a variable of ours": (changed("train", env=(("PIPEC_X", Literal("1")),)), [("train", "env.PIPEC_X")]),
    "a variable with an odd name": (changed("train", env=(("{{ x }}", Literal("1")),)), [("train", "env.{{ x }}")]),
    "the run's outcome": (given("train", "note", RunRef("outcome")), [("train", "with.note")]),
    "another accelerator": (
        changed("train", resources=Resources(accelerator=Accelerator(kind="qpu"))),
        [("train", "resources.accelerator")],
    ),
    "an accelerator's model": (
        changed("train", resources=Resources(accelerator=Accelerator(model="x9"))),
        [("train", "resources.accelerator.model")],
    ),
    "an accelerator's memory": (
        changed("train", resources=Resources(accelerator=Accelerator(vendor="amd", memory_mib=1))),
        [("train", "resources.accelerator.memory")],
    ),
    "several machines": (changed("train", resources=Resources(machines=2)), [("train", "resources.machines")]),
    "a pool": (changed("train", resources=Resources(pool="a100")), [("train", "resources.pool")]),
    "a pipeline's name": (replace(plans.short(), pipeline="Wine_1"), [("", "metadata.name")]),
    "a label": (replace(plans.short(), labels=(("team", "m l"),)), [("", "metadata.labels.team")]),
    "a scheduled run without a value": (
        replace(
            plans.wine(), parameters=(*plans.wine().parameters, plans.parameter("x", Kind.STRING, is_required=True))
        ),
        [("", "parameters.x")],
    ),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_what_no_container_can_do_is_refused_at_its_place(target: str, case: str) -> None:
    plan, places = CASES[case]
    assert found(TARGETS[target], plan) == places


def test_airflow_cannot_start_a_step_of_one_s_own_yet() -> None:
    own = replace(plans.short().task("train").interface, container=Container(image="x", command=("y",)))
    assert found(TARGETS["airflow"], changed("train", interface=own)) == [("train", "uses")]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_said_as_the_house_says_things(target: str, case: str) -> None:
    plan, _ = CASES[case]
    for refusal in refusals(TARGETS[target], plan, plans.options()):
        assert refusal.message[0].islower() or refusal.message[0] == "`"
        assert not re.search(r"invalid|failed to|please|\.$|!", refusal.message)


@pytest.mark.parametrize("location", ["s3://b/k", "/mnt/data", "", "https://h/x.csv"])
@pytest.mark.parametrize("target", TARGETS)
def test_locations_that_a_container_may_reach_pass(target: str, location: str) -> None:
    assert found(TARGETS[target], given("ingest", "source", Literal(location))) == []
    assert found(TARGETS[target], with_source(location)) == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_feature_has_its_line_in_the_table(target: str) -> None:
    assert set(TARGETS[target].features) == set(Feature)


@pytest.mark.parametrize("target", TARGETS)
def test_every_feature_of_a_whole_life_is_emitted_or_emulated(target: str) -> None:
    used = {use.feature for use in uses(plans.wine())}
    assert used >= {Feature.APPROVAL, Feature.SECRETS, Feature.RUN, Feature.ACCELERATOR, Feature.LOCATION_INPUT}
    assert {TARGETS[target].features[feature] for feature in used} <= {Support.EMITTED, Support.EMULATED}


@pytest.mark.parametrize("target", TARGETS)
def test_settings_are_a_closed_set(target: str) -> None:
    assert TARGETS[target].settings["additionalProperties"] is False


@pytest.mark.parametrize("text", ["$(HOME)", "$$", "$$(HOME)", "a$", "$5", "$$$(A)$", ""])
def test_kubernetes_expands_variables_back(text: str) -> None:
    def expand(value: str) -> str:
        """What Kubernetes makes of a value (its expansion package): `$$` is `$`, `$(NAME)` a variable's value."""
        return re.sub(r"\$\$|\$\(\w+\)", lambda m: "$" if m[0] == "$$" else "VALUE", value)

    assert expand(guard_dollars(text)) == text


@pytest.mark.parametrize(
    ("cpu", "text"), [(1, "1"), (4.0, "4"), (0.5, "500m"), (1.25, "1250m"), (0.001, "1m"), (1e-4, "1m")]
)
def test_cores_are_written_as_kubernetes_writes_them(cpu: float, text: str) -> None:
    assert cpu_quantity(cpu) == text


@pytest.mark.parametrize(("memory_mib", "text"), [(2048, "2Gi"), (1536, "1536Mi"), (1, "1Mi")])
def test_memory_is_written_as_kubernetes_writes_it(memory_mib: int, text: str) -> None:
    assert memory_quantity(memory_mib) == text


def test_a_result_that_hangs_on_the_world_is_known() -> None:
    assert {task.name for task in plans.wine().tasks if reads_world(task)} == {
        "ingest", "train", "approve", "deploy", "monitor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_rooted"), [("fetch-model", True), ("rollback", True), ("trigger", True), ("notify", False)]
)
def test_a_step_of_the_world_says_so_itself(name: str, is_rooted: bool) -> None:
    interface = catalog.find(name)
    assert interface is not None
    task = replace(plans.short().task("train"), interface=interface, inputs=(), parameters=())
    assert (reads_world(task), needs_root(task)) == (True, is_rooted)


def test_a_list_of_references_reaches_the_order() -> None:
    value = ListOf((ParameterRef("source"), Literal(1)))
    forms = {"kubeflow": "$list", "airflow": '[{"$parameter": "source"}, 1]'}
    for target in TARGETS.values():
        (file,) = target.emit(given("train", "layers", value), plans.options())
        assert forms[target.name] in file.text
