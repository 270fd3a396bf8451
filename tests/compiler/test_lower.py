"""From documents to plans: what is filled in, merged, folded and forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api
from pipec.compiler.plan import Need, Plan, Task
from pipec.condition import AllOf, Compare, Status
from pipec.steps.interface import Accelerator, Retry
from pipec.values import (
    Attachment,
    ConfigRef,
    ListOf,
    Literal,
    ObjectOf,
    OutputRef,
    ParameterRef,
    RunRef,
    SecretRef,
    Text,
)

PINNED = "registry.example/%s@sha256:" + "0" * 64
PROJECT = f"""apiVersion: pipec/v1alpha1
kind: Project
metadata: {{name: p, owner: team}}
image: registry.example/project:1
defaults: {{retry: {{attempts: 2, backoff: 5s}}, timeout: 10m, resources: {{memory: 1Gi}}}}
roles: {{leads: [ana@example.org, bo@example.org]}}
secrets: {{dsn: {{env: DSN}}}}
environments:
  dev: {{}}
  prod: {{production: true, image: {PINNED % "prod"}, defaults: {{timeout: 20m}}}}
"""
HEAD = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p, labels: {team: ml}}
parameters:
  source: {type: string, default: data.csv}
  size: {type: number, const: true, default: 0.25}
  least: {type: number, default: 0.9}
"""
STEPS = """
steps:
  monitor: {uses: monitor, when: "steps.evaluate.score > 0.5 and succeeded(deploy)", with: {endpoint: "${{ steps.deploy.endpoint }}", reference: "${{ steps.split.train }}", batch: new.csv}}
  ingest: {uses: ingest, with: {source: "${{ parameters.source }}"}, env: {DSN: "${{ secrets.dsn }}", RUN: "r-${{ run.id }}-${{ parameters.size }}"}}
  validate: {uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: sub/e.yaml}}
  split: {uses: split, needs: [ingest], with: {data: "${{ steps.validate.data }}", test_size: "${{ parameters.size }}"}}
  train:
    uses: train@1
    with: {data: "${{ steps.split.train }}", target: y}
    resources: {cpu: 2, accelerator: {count: 2}}
    retry: {attempts: 5}
  evaluate:
    uses: evaluate
    with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}", gates: [{metric: f1_macro, minimum: "${{ parameters.least }}"}]}
  approve:
    uses: approve
    with: {model: "${{ steps.evaluate.model }}", evidence: "${{ steps.evaluate.report }}", approvers: [leads, cy@example.org, bo@example.org]}
  deploy:
    uses: deploy
    with: {model: "${{ steps.approve.model }}", approval: "${{ steps.approve.approval }}"}
"""  # noqa: E501


def plan(folder: Path, environment: str = "", *, sets: dict[str, str] | None = None, tail: str = "") -> Plan:
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "e.yaml").write_text(
        "expectations: [{type: expect_column_to_exist, column: y}]\n", encoding="utf-8"
    )
    (folder / "pipec.yaml").write_text(PROJECT, encoding="utf-8")
    (folder / "p.yaml").write_text(HEAD + tail + STEPS, encoding="utf-8")
    request = api.Request(path=folder / "p.yaml", environment=environment, sets=sets or {})
    checked = api.check(request)
    assert [f for f in checked.report.findings if f.is_error and not f.rule.code.startswith("PIPE5")] == []
    found = checked.units[0].plan
    assert found is not None, checked.report.findings
    return found


@pytest.fixture
def dev(tmp_path: Path) -> Plan:
    return plan(tmp_path, "dev")


def test_tasks_stand_in_an_order_in_which_they_may_run(dev: Plan) -> None:
    names = [task.name for task in dev.tasks]
    assert names == ["ingest", "validate", "split", "train", "evaluate", "approve", "deploy", "monitor"]


def test_edges_are_merged_hard_over_soft_and_data_over_order(dev: Plan) -> None:
    assert dev.task("split").needs == (Need("ingest", order_only=True), Need("validate"))
    assert dev.task("approve").needs == (Need("evaluate"),)
    assert dev.task("deploy").needs == (Need("approve"),)


def test_a_status_function_makes_every_edge_from_that_step_soft(dev: Plan) -> None:
    assert dev.task("monitor").needs == (Need("deploy", soft=True), Need("evaluate"), Need("split"))
    score = Compare(">", OutputRef("evaluate", "score"), Literal(0.5))
    assert dev.task("monitor").when == AllOf((score, Status("succeeded", "deploy")))


def test_values_keep_what_is_not_known_yet(dev: Plan) -> None:
    ingest = dev.task("ingest")
    assert dict(ingest.parameters)["source"] == ParameterRef("source")
    assert dict(ingest.env)["DSN"] == SecretRef("dsn")
    assert dict(ingest.env)["RUN"] == Text((Literal("r-"), RunRef("id"), Literal("-0.25")))
    gates = dict(dev.task("evaluate").parameters)["gates"]
    assert gates == ListOf((ObjectOf((("metric", Literal("f1_macro")), ("minimum", ParameterRef("least")))),))
    assert dict(dev.task("monitor").inputs)["batch"] == (Literal("new.csv"),)


def test_constants_are_folded_and_are_no_inputs_of_a_run(dev: Plan) -> None:
    assert dict(dev.task("split").parameters)["test_size"] == Literal(0.25)
    assert [parameter.name for parameter in dev.parameters] == ["source", "least"]


def test_files_travel_by_content_without_their_path(dev: Plan) -> None:
    expectations = dict(dev.task("validate").parameters)["expectations"]
    assert expectations == Attachment("e.yaml", "expectations: [{type: expect_column_to_exist, column: y}]\n")


def test_roles_become_people_each_once(dev: Plan) -> None:
    approvers = dict(dev.task("approve").parameters)["approvers"]
    assert approvers == Literal(["ana@example.org", "bo@example.org", "cy@example.org"])


def test_defaults_come_from_the_nearest_that_speaks(tmp_path: Path) -> None:
    dev, prod = plan(tmp_path, "dev"), plan(tmp_path, "prod")
    assert (dev.task("split").timeout_s, prod.task("split").timeout_s) == (600, 1200)
    assert (dev.task("split").image, prod.task("split").image) == (
        "registry.example/project:1",
        PINNED % "prod",
    )
    own = plan(tmp_path, "prod", tail=f"image: {PINNED % 'own'}\ndefaults: {{timeout: 1m}}\n")
    assert (own.task("split").timeout_s, own.task("split").image) == (60, PINNED % "own")


def test_what_a_document_leaves_out_is_what_a_task_has_by_default(tmp_path: Path) -> None:
    split = 'b: {uses: split, needs: [a], with: {data: "${{ steps.a.data }}"}}'
    (tmp_path / "p.yaml").write_text(f"{HEAD}steps: {{a: {{uses: ingest, with: {{source: a.csv}}}}, {split}}}\n")
    (unit,) = api.check(api.Request(path=tmp_path / "p.yaml")).units
    assert unit.plan is not None
    made = unit.plan.task("b")
    assert made == Task(
        name="b", step="b", interface=made.interface, parameters=made.parameters,
        inputs=(("data", (OutputRef("a", "data"),)),), needs=(Need("a"),), description=made.interface.summary,
    )  # fmt: skip


def test_a_person_is_not_asked_again_by_a_default(dev: Plan) -> None:
    assert dev.task("split").retry == Retry(attempts=2, backoff_s=5)
    assert dev.task("train").retry == Retry(attempts=5, backoff_s=30)
    assert dev.task("approve").retry == Retry(attempts=1)


def test_resources_merge_from_the_step_over_defaults_over_the_interface(dev: Plan) -> None:
    train = dev.task("train").resources
    assert (train.cpu, train.memory_mib, train.accelerator) == (2.0, 1024, Accelerator(kind="gpu", count=2))
    assert dev.task("split").resources.memory_mib == 1024


def test_an_environment_lays_maps_over_maps_replaces_lists_and_removes_nulls(tmp_path: Path) -> None:
    overlay = """environments:
  prod:
    parameters: {source: s3://rows}
    image: %s
    steps:
      train: {resources: {accelerator: {count: 4}, cpu: null}, retry: null, with: {target: z, seed: 3}}
      approve: {with: {approvers: [dee@example.org]}}
""" % (PINNED % "overlaid")
    dev, prod = plan(tmp_path, "dev", tail=overlay), plan(tmp_path, "prod", tail=overlay)
    train = prod.task("train")
    assert (train.resources.accelerator, train.resources.cpu) == (
        Accelerator(kind="gpu", count=4), train.interface.resources.cpu,
    )  # fmt: skip
    assert train.retry == Retry(attempts=2, backoff_s=5)
    assert {name: dict(train.parameters)[name] for name in ("target", "seed")} == {
        "target": Literal("z"),
        "seed": Literal(3),
    }
    assert dict(prod.task("approve").parameters)["approvers"] == Literal(["dee@example.org"])
    assert prod.parameters[0].default == "s3://rows"
    assert train.image == PINNED % "overlaid"
    assert dev.task("train").resources.accelerator == Accelerator(kind="gpu", count=2)
    assert (dev.production, prod.production) == (False, True)


def test_an_environment_of_the_pipeline_says_where_configs_and_secrets_lie(tmp_path: Path) -> None:
    project = "configs: {region: {value: eu}, stage: {value: 1}}\nsecrets: {dsn: {env: DSN}, key: {env: KEY}}\n"
    overlay = "configs: {region: {env: REGION}}, secrets: {dsn: {env: OTHER}, key: null}"
    steps = (
        "steps: {a: {uses: ingest, with: {source: x}, env: {R: '${{ configs.region }}', S: '${{ configs.stage }}'}}}"
    )
    (tmp_path / "pipec.yaml").write_text(PROJECT.partition("image:")[0] + project, encoding="utf-8")
    head = HEAD.partition("parameters:")[0]
    (tmp_path / "p.yaml").write_text(f"{head}environments: {{dev: {{{overlay}}}}}\n{steps}\n", encoding="utf-8")
    unit = api.check(api.Request(path=tmp_path / "p.yaml", environment="dev")).units[0]
    assert unit.plan is not None
    assert unit.plan.task("a").env == (("R", ConfigRef("region")), ("S", Literal(1)))
    assert unit.subject.secrets == {"dsn": {"env": "OTHER"}}


def test_a_set_changes_the_default_and_the_digest(tmp_path: Path) -> None:
    before, after = plan(tmp_path, "dev"), plan(tmp_path, "dev", sets={"source": "other.csv", "size": "0.5"})
    assert (before.parameters[0].default, after.parameters[0].default) == ("data.csv", "other.csv")
    assert dict(after.task("split").parameters)["test_size"] == Literal(0.5)
    assert before.digest != after.digest


def test_the_plan_holds_no_path_and_no_position(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert plan(tmp_path, "dev") == plan(other, "dev")
    (other / "p.yaml").write_text("\n# moved\n\n" + (other / "p.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    moved = api.check(api.Request(path=other / "p.yaml", environment="dev")).units[0].plan
    assert moved == plan(tmp_path, "dev")


def test_locations_are_relative_to_the_file_that_says_them(tmp_path: Path) -> None:
    inner = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: inner}
inputs: {rows: {type: Dataset, default: of-input.csv}}
parameters: {at: {type: string, default: of-parameter.csv}, below: {type: string, default: x}}
steps:
  one: {uses: ingest, with: {source: said.csv}}
  two: {uses: ingest, with: {source: "${{ parameters.at }}"}}
  away: {uses: ingest, with: {source: /srv/rows.csv}}
  both: {uses: ingest, with: {source: "${{ parameters.below }}/${{ parameters.at }}"}}
  three: {uses: ingest, with: {source: "./${{ parameters.below }}/rows.csv"}}
  four: {uses: ingest, with: {source: "s3://rows/${{ parameters.below }}"}}
  five: {uses: split, with: {data: "${{ inputs.rows }}"}}
"""
    outer = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: outer}
steps:
  a: {uses: ./sub/inner.yaml}
  b: {uses: ./sub/inner.yaml, with: {rows: mine.csv, at: mine.csv}}
"""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.yaml").write_text(inner, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(outer, encoding="utf-8")
    found = api.check(api.Request(path=tmp_path / "p.yaml")).units[0].plan
    assert found is not None
    said = {task.name: dict(task.parameters).get("source") for task in found.tasks if task.interface.name == "ingest"}
    assert {name: value.value for name, value in said.items() if isinstance(value, Literal)} == {
        "a.one": "sub/said.csv", "a.two": "sub/of-parameter.csv", "a.three": "sub/x/rows.csv", "a.four": "s3://rows/x",
        "a.away": "/srv/rows.csv", "a.both": "sub/x/of-parameter.csv",
        "b.away": "/srv/rows.csv", "b.both": "sub/x/mine.csv",
        "b.one": "sub/said.csv", "b.two": "mine.csv", "b.three": "sub/x/rows.csv", "b.four": "s3://rows/x",
    }  # fmt: skip
    assert [dict(found.task(name).inputs)["data"] for name in ("a.five", "b.five")] == [
        (Literal("sub/of-input.csv"),),
        (Literal("mine.csv"),),
    ]
