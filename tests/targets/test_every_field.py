"""No field of a document is dropped in silence: each, set in a document, changes what is written or yields a finding.

The fields are those of the JSON Schemas, so a new one has no sample here and fails. What changes nothing by its meaning
is listed with the reason.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from needs import ROOT

from pipec import api
from pipec.schema.check import project_schema
from pipec.targets.airflow.head import MOST_SOURCE

Route = tuple[str, ...]
PROJECT: dict[str, Any] = yaml.safe_load("""
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: wine, owner: ml}
image: registry.example/steps:1
roles: {leads: [ana@example.org]}
configs: {region: {kubernetes: {name: site, key: region}}}
secrets: {dsn: {kubernetes: {name: wh, key: dsn}}}
pools: {fast: {accelerator: {kind: gpu}, tolerations: [{key: a, operator: Exists, effect: NoExecute, seconds: 1}],
               queue: q}, slow: {node_selector: {disk: hdd}}}
environments:
  prod:
    artifacts: s3://ml/pipec
    volumes: {scratch: {kubernetes: {claim: scratch}}}
    kubeflow: {namespace: ml}
    airflow: {namespace: ml, pool: gpu, users: {ana@example.org: "12"}}
""")
PIPELINE: dict[str, Any] = yaml.safe_load("""
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: wine}
parameters:
  source: {type: string, default: "s3://rows/a.csv"}
  epochs: {type: integer, default: 5}
  names: {type: list, default: [a]}
  more: {type: object, default: {a: 1}}
inputs: {rows: {type: Dataset, default: "s3://rows/b.csv"}}
triggers: [{schedule: {cron: "0 3 * * 1"}}]
concurrency: {max: 2}
environments: {prod: {}}
steps:
  ingest: {uses: ingest, with: {source: "${{ parameters.source }}"}, env: {REGION: "${{ configs.region }}",
           DSN: "${{ secrets.dsn }}"}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
  train:
    uses: train
    with: {data: "${{ steps.split.train }}", target: quality, epochs: "${{ parameters.epochs }}"}
    resources: {cpu: 2, memory: 4Gi, accelerator: {kind: gpu}, pool: fast}
    retry: {attempts: 3}
  spare: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
  evaluate: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}
  approve: {uses: approve, with: {model: "${{ steps.evaluate.model }}", evidence: "${{ steps.evaluate.report }}",
            approvers: [leads]}, volumes: {/scratch: scratch}}
outputs: {model: "${{ steps.evaluate.model }}"}
""")
# The names under which the documents above hold what a schema leaves the name of open.
NAMES = {
    "parameters": "epochs", "inputs": "rows", "outputs": "model", "environments": "prod", "steps": "train",
    "finally": "tell", "roles": "leads", "secrets": "dsn", "configs": "region", "pools": "fast", "volumes": "scratch",
    "labels": "team", "env": "REGION", "node_selector": "disk", "axes": "epochs", "properties": "a",
    "users": "ana@example.org",
}  # fmt: skip
SAMPLES: dict[str, Any] = {  # by the last keys of a route, the longest first
    "name": "other", "owner": "other", "image": "registry.example/steps:2", "description": "Other words",
    "labels.team": "ml", "roles.leads": ["bo@example.org"], "attempts": 2, "backoff": "7s", "timeout": "7m",
    "resources.cpu": 3, "resources.memory": "6Gi", "accelerator.kind": "tpu", "accelerator.count": 3,
    "accelerator.vendor": "amd", "accelerator.model": "t4", "accelerator.memory": "40Gi", "machines": 2,
    "resources.pool": "slow", "secrets.dsn.env": "DSN", "configs.region.env": "REGION", "configs.region.value": "eu",
    "kubernetes.name": "elsewhere", "kubernetes.key": "other", "kubernetes.claim": "other", "sub_path": "a/b",
    "read_only": True, "volumes.scratch.path": "/mnt", "node_selector.disk": "ssd", "tolerations.0.key": "b",
    "tolerations.0.operator": "Equal", "tolerations.0.value": "x", "tolerations.0.effect": "NoSchedule",
    "tolerations.0.seconds": 2, "queue": "other", "priority": "high", "production": True, "artifacts": "s3://ml/other",
    "cron": "0 4 * * 1", "timezone": "Asia/Tokyo", "catchup": True, "after.pipeline": "other", "after.step": "train",
    "after.outcome": "failed", "after.when": "true", "after.parameters": {"epochs": 3}, "cooldown": "1h",
    "data.uri": "s3://b/x", "max": 3, "on_conflict": "skip", "uses": "predict", "with": {"seed": 9},
    "needs": ["ingest"], "when": "parameters.epochs > 3", "cache": False, "continue_on_error": True, "items": ["a"],
    "max_parallel": 2, "fail_fast": False, "axes.epochs": [1, 2], "include": [{"epochs": 9}],
    "exclude": [{"epochs": 1}], "env.REGION": "here", "volumes./scratch": "scratch", "optional": True, "personal": True,
    "namespace": "other", "service_account": "other", "experiment": "other", "pull_secrets": ["r"],
    "pull_policy": "Always", "run_as_user": 7, "run_as_group": 7, "outputs.model": "${{ steps.train.model }}",
    "airflow.pool": "other", "pool_slots": 4, "users.ana@example.org": "13",
    "inputs.rows.type": "Model", "inputs.rows.default": "s3://rows/c.csv", "const": True, "enum": [5, 6], "minimum": 1,
    "maximum": 9, "exclusiveMinimum": 1, "exclusiveMaximum": 9, "minLength": 1, "maxLength": 99, "pattern": "^s3",
    "minItems": 1, "maxItems": 3, "required": ["a"], "parameters.epochs.type": "number", "parameters.epochs.default": 6,
    "environments.prod.parameters": {"epochs": 7},
}  # fmt: skip
# Which parameter takes a bound that not every type has.
OWNERS = {"minLength": "source", "maxLength": "source", "pattern": "source", "minItems": "names", "maxItems": "names",
          "items": "names", "properties": "more", "required": "more"}  # fmt: skip
NEEDS: dict[str, dict[str, Any]] = {  # what must stand beside a field for it to mean anything, laid into both documents
    "kubernetes.name": {"key": "k"}, "kubernetes.key": {"name": "n"}, "sub_path": {"claim": "scratch"},
    "read_only": {"claim": "scratch"}, "backoff": {"attempts": 4}, "timezone": {"cron": "0 3 * * 1"},
    "catchup": {"cron": "0 3 * * 1"}, "on_conflict": {"max": 2}, "include": {"axes": {"epochs": [1, 2]}},
    "exclude": {"axes": {"epochs": [1, 2]}}, "after.step": {"pipeline": "other"},
    "after.outcome": {"pipeline": "other"}, "after.when": {"pipeline": "other"},
    "after.parameters": {"pipeline": "other"}, "cooldown": {"pipeline": "other"},
    "matrix.max_parallel": {"axes": {"epochs": [1, 2, 3]}},
    "matrix.fail_fast": {"axes": {"epochs": [1, 2]}, "max_parallel": 1},
    "for_each.max_parallel": {"items": ["a"]}, "for_each.fail_fast": {"items": ["a"], "max_parallel": 1},
    "tolerations.0.value": {"key": "a", "operator": "Equal", "effect": "NoExecute"},
    "tolerations.0.operator": {"key": "a"}, "tolerations.0.effect": {"key": "a", "operator": "Exists"},
    "tolerations.0.seconds": {"key": "a", "operator": "Exists", "effect": "NoExecute"}, "priority": {"queue": "q"},
    "accelerator.count": {"kind": "gpu"}, "accelerator.vendor": {"kind": "gpu"}, "accelerator.model": {"kind": "gpu"},
    "accelerator.memory": {"kind": "gpu"},
}  # fmt: skip
NOTHING = {  # fields that by their meaning change nothing that is run, and why
    r"\$schema": "for editors",
    r"apiVersion|kind": "the one value that is allowed",
    r"metadata\.name": "of a project: files and runs are named by their pipelines",
    r"inputs\.rows\.personal": "for rules, which follow the rows; here they reach no one",
    r"inputs\.rows\.optional": "with a default it is never absent",
    r"inputs\.rows\.type": "for rules, which judge wiring; a run is given a location in any case",
    r"pools\.fast\.accelerator\.count|.*pools\.fast\.accelerator\.(kind|count)": "what is there; a step asks for it",
    r"finally\..*accelerator\.(count|vendor|model|memory)": "no step that may stand there uses one, which is told",
    r"finally\.tell\.cache": "a `finally` step always runs",
    r"ignore.*": "for findings: tests of their own hold it",
}
NOTHING_FOR = {  # and those that one target has no use of
    ("kubeflow", r".*steps\..*description|finally\..*description"): "IR describes pipelines and inputs alone",
    (
        "airflow",
        r"environments\.prod\.airflow\.workspace",
    ): "for steps of one's own image: test_airflow_foreign holds it",
    ("kubeflow", r"production|environments\.prod\.production"): "for rules alone; this pipeline has what they ask",
}


def fields(schema: Any, root: Any, route: Route = ()) -> Iterator[Route]:
    """Yield the route to every field of a schema that holds no others."""
    while "$ref" in schema:
        schema = {
            **root["$defs"][schema["$ref"].rpartition("/")[2]],
            **{k: v for k, v in schema.items() if k != "$ref"},
        }
    below: dict[str, Any] = dict(schema.get("properties", {}))
    open_ = schema.get("additionalProperties")
    if isinstance(open_, dict) and route and (open_.get("$ref") or open_.get("properties") or not below):
        name = NAMES[route[-1]]
        name = "/scratch" if route[-2:] in (("train", "volumes"), ("tell", "volumes")) else name
        below = {**below, name: open_}
    items = schema.get("items", {})
    if schema.get("type") == "array" and items.get("properties"):
        below = {"0": items}
    if not below or route[-1:] == ("ignore",) or (route and route[-1] in ("items", "properties")):
        yield route
        return
    for name, inner in below.items():
        yield from fields(inner, root, (*route, name))


def schemas() -> dict[str, Any]:
    pipeline = json.loads((ROOT / "src/pipec/schema/pipeline.schema.json").read_text(encoding="utf-8"))
    return {
        "pipeline": pipeline,
        "project": project_schema({name: target.settings for name, target in api.TARGETS.items()}),
    }


FIELDS = [(kind, route) for kind, schema in schemas().items() for route in fields(schema, schema)]
WALKED = [
    (target, kind, route)
    for target in api.TARGETS
    for kind, route in FIELDS
    if not any(other in route for other in api.TARGETS if other != target)
]


def longest(table: dict[str, Any], route: Route) -> Any:
    """Return what a table says of a route by as many of its last keys as it knows, or None."""
    found = (".".join(route[n:]) for n in range(len(route)))
    return next((table[key] for key in found if key in table), None)


def laid(document: Any, route: Route, value: Any) -> Any:
    """Return a document with a value at a route, and what the way there lacks."""
    if not route:
        return {**document, **value} if isinstance(document, dict) and isinstance(value, dict) else value
    first, *rest = route
    if first == "0":
        return [laid(document[0] if document else {}, tuple(rest), value)]
    held = document if isinstance(document, dict) else {}
    return {**held, first: laid(held.get(first, {}), tuple(rest), value)}


def outcome(
    folder: Path, project: Any, pipeline: Any, target: str, options: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Return what is written, without the digest that tells any two plans apart, and the messages of findings."""
    folder.mkdir()
    other = {**copy.deepcopy(PIPELINE), "metadata": {"name": "other"}}
    texts = {"pipec.yaml": [project], "p.yaml": [pipeline, other]}
    for name, documents in texts.items():
        # So much that Airflow's page does not show it: there, any word of it would be written.
        (folder / name).write_text(
            "---\n".join(json.dumps(each) + "\n" for each in documents) + f"#{' ' * MOST_SOURCE}"
        )
    request = api.Request(path=folder / "p.yaml", environment="prod", target=target, options=options or {})
    checked, files = api.compile_(request)
    said = [f"{f.rule.code} {f.message}" for f in checked.report.findings]
    return [re.sub(r'"app.kubernetes.io/version": ".*"', "", file.text) for file in files], said


def placed(route: Route) -> Route:
    """Return a route at the parameter that takes the bound it ends in."""
    if route[:2] == ("parameters", "epochs") and route[2] in OWNERS:
        return ("parameters", OWNERS[route[2]], *route[2:])
    if route[:2] == ("steps", "train") and route[2] in ("matrix", "for_each"):
        return ("steps", "spare", *route[2:])  # one that nothing reads
    return route


def around(route: Route) -> dict[str, Any]:
    """Return the documents into which a field is set: one trigger says one thing, and only some have a `finally`."""
    pipeline = dict(PIPELINE)
    if route[:2] in (("triggers", "0"),) and route[2] != "schedule":
        del pipeline["triggers"]
    if route[0] == "finally":
        pipeline["finally"] = {"tell": {"uses": "notify", "with": {"channel": "c", "message": "m"}}}
    return {"pipeline": pipeline, "project": PROJECT}


def reason(target: str, kind: str, route: Route) -> str | None:
    if kind == "pipeline" and route == ("metadata", "name"):
        return None
    told = NOTHING | {pattern: why for (name, pattern), why in NOTHING_FOR.items() if name == target}
    return next((why for pattern, why in told.items() if re.fullmatch(pattern, ".".join(route))), None)


@pytest.mark.parametrize(
    ("target", "kind", "route"), WALKED, ids=lambda each: each if isinstance(each, str) else ".".join(each)
)
def test_a_field_changes_what_is_written_or_is_told_of(target: str, kind: str, route: Route, tmp_path: Path) -> None:
    at = placed(route)
    value, beside = longest(SAMPLES, route), longest(NEEDS, route) or {}
    if at[:1] == ("parameters",) and at[-1] in ("items", "properties"):
        value = {"type": "string"} if at[-1] == "items" else {"a": {"type": "integer"}}
    if reason(target, kind, route):
        return
    assert value is not None, "this field has no sample here"
    documents = around(route)
    before = documents | {kind: laid(documents[kind], at[:-1], beside) if beside else documents[kind]}
    after = documents | {kind: laid(before[kind], at, value)}
    first = outcome(tmp_path / "before", before["project"], before["pipeline"], target)
    files, said = outcome(tmp_path / "after", after["project"], after["pipeline"], target)
    is_refused = not files and any(text.startswith("PIPE601") for text in said)  # the word around it, as a whole
    assert is_refused or (files, said) != first


def test_every_reason_is_about_a_field_that_there_is() -> None:
    routes = [".".join(route) for _, route in FIELDS]
    patterns = [*NOTHING, *(pattern for _, pattern in NOTHING_FOR)]
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, route) for route in routes)] == []


@pytest.mark.parametrize("target", api.TARGETS)
def test_the_documents_as_they_are_compile(target: str, tmp_path: Path) -> None:
    files, said = outcome(tmp_path / "base", PROJECT, PIPELINE, target)
    assert files and not [text for text in said if "PIPE6" in text]


# By target, a value of each option that the documents above feel.
OPTIONS = {
    "airflow": {"operator": "docker", "version": "2.11"},
    "kubeflow": {"version": "2.3", "manifests": "true", "size_limit": "9"},
}


@pytest.mark.parametrize(
    ("target", "option"), [(name, key) for name in api.TARGETS for key in api.TARGETS[name].options]
)
def test_an_option_changes_what_is_written_or_is_told_of(target: str, option: str, tmp_path: Path) -> None:
    assert option in OPTIONS[target], "this option has no sample here"
    usual = outcome(tmp_path / "usual", PROJECT, PIPELINE, target)
    assert outcome(tmp_path / "other", PROJECT, PIPELINE, target, {option: OPTIONS[target][option]}) != usual
