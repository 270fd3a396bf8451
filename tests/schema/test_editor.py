"""The schema that editors use: every document that check takes, and none with a misspelt word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from needs import ROOT

from pipec.api import TARGETS
from pipec.schema import editor
from pipec.steps import catalog

PIPELINE = editor.pipeline(catalog.interfaces())
PROJECT = editor.project({name: target.settings for name, target in TARGETS.items()})
STEP = editor.step()
KINDS = {"Pipeline": PIPELINE, "Project": PROJECT, "Step": STEP}
EXAMPLES = ROOT / "examples" / "pipelines"


def documents() -> Iterator[Any]:
    places = [*EXAMPLES.glob("*.yaml"), *(ROOT / "tests" / "rules").glob("*/good.yaml")]
    for path in sorted(places):
        for number, body in enumerate(yaml.safe_load_all(path.read_text(encoding="utf-8"))):
            yield pytest.param(body, id=f"{path.parent.name}-{path.stem}-{number}")


def is_taken(body: Any) -> bool:
    schema = json.loads(json.dumps(KINDS[body["kind"]]))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(body)


@pytest.mark.parametrize("body", [*documents()])
def test_a_document_that_check_takes_is_taken(body: Any) -> None:
    assert is_taken(body)


def wine() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLES / "wine.yaml").read_text(encoding="utf-8"))
    return loaded


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the wine example with a value at a path of keys; those on the way are made."""
    body = deepcopy(wine())
    *way, last = path.split("/")
    inside = body
    for key in way:
        inside = inside.setdefault(key, {})
    inside[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps/train/with/epochs", "${{ parameters.n }}"), ("steps/train/with/hidden", [8, "${{ parameters.n }}"]),
        ("steps/train/uses", "train@1"), ("environments/prod/triggers", None), ("environments/prod/image", None),
        ("environments/prod/steps/train/timeout", None), ("environments/prod/steps/train/retry/backoff", None),
        ("environments/prod/steps/train/resources/accelerator/count", None),
        ("environments/prod/steps/train/env/A", None), ("environments/prod/steps/train", None),
        ("steps/train/resources/accelerator/count", "${{ parameters.n }}"),
        ("steps/train/matrix", {"axes": {"seed": "${{ parameters.seeds }}"}, "max_parallel": "${{ parameters.n }}"}),
        ("environments/prod/steps/train/resources/cpu", "${{ parameters.n }}"),
    ],
    ids=str,
)  # fmt: skip
def test_an_expression_and_a_removing_null_are_taken(path: str, value: Any) -> None:
    assert is_taken(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("stepz", {}), ("steps/train/usess", 1), ("steps/train/uses", "trian"), ("steps/train/with/epoch", 1),
        ("steps/train/with/epochs", "ten"), ("steps/train/with/epochs", 0), ("steps/train/with/hidden", ["x"]),
        ("steps/train/with/estimator", "rigde"), ("steps/train/timeout", None), ("steps/train/with", {}),
        ("metadata/labels", {"team": 1}), ("image", "Not An Image"), ("parameters/n", {"type": "text"}),
        ("environments/prod/imagee", None), ("environments/prod/steps/train/when", "true"),
        ("environments/prod/steps/train/retry/attempts", "two"),
    ],
    ids=str,
)  # fmt: skip
def test_a_misspelt_word_or_a_wrong_value_is_not_taken(path: str, value: Any) -> None:
    assert not is_taken(changed(path, value))


PROJECT_BODY: dict[str, Any] = {
    "apiVersion": "pipec/v1alpha1",
    "kind": "Project",
    "metadata": {"name": "wine", "owner": "ml-platform"},
    "image": "registry.example/pipec-steps@sha256:0",
    "defaults": {"retry": {"attempts": 3, "backoff": "30s"}, "timeout": "1h"},
    "roles": {"ml-leads": ["ana@example.org"]},
    "secrets": {"warehouse": {"kubernetes": {"name": "wh", "key": "dsn"}}},
    "environments": {
        "dev": {"artifacts": ".pipec/artifacts", "secrets": {"warehouse": {"env": "WAREHOUSE_DSN"}}},
        "prod": {"production": True, "kubeflow": {"namespace": "ml"}, "defaults": None},
    },
}
STEP_BODY: dict[str, Any] = {
    "apiVersion": "pipec/v1alpha1",
    "kind": "Step",
    "metadata": {"name": "score", "version": "1", "description": "Score rows"},
    "role": "evaluate",
    "inputs": {"data": {"type": "Dataset"}, "weights": {"type": "Model", "optional": True}},
    "parameters": {"threshold": {"type": "number", "default": 0.5, "minimum": 0, "unit": "points"}},
    "outputs": {"scores": {"type": "Dataset", "split": "test"}, "mean": {"type": "number"}},
    "resources": {"cpu": 2, "accelerator": {"kind": "gpu"}},
    "accelerators": ["gpu"],
    "image": "registry.example/score:1",
    "command": ["node", "/app/score.js"],
    "args": ["--data", "${{ inputs.data }}", ["--weights", "${{ inputs.weights }}"]],
}


def edited(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a document with a value at a path of keys; those on the way are made."""
    edited = deepcopy(body)
    *way, last = path.split("/")
    inside = edited
    for key in way:
        inside = inside.setdefault(key, {})
    inside[last] = value
    return edited


@pytest.mark.parametrize("body", [PROJECT_BODY, STEP_BODY], ids=["project", "step"])
def test_a_document_of_every_key_is_taken(body: dict[str, Any]) -> None:
    assert is_taken(body)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata/version", "1"), ("secret", {}), ("roles/ml-leads", "ana"), ("roles/ml-leads", []),
        ("secrets/warehouse", {}), ("secrets/warehouse/env", "WH"), ("environments/prod/productoin", True),
        ("environments/prod/kubeflow/namspace", "ml"), ("defaults/timeout", "1 hour"), ("image", None),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_project_is_not_taken(path: str, value: Any) -> None:
    assert not is_taken(edited(PROJECT_BODY, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata/version", 1), ("metadata/labels", {}), ("role", "approve"), ("inputs/data/typ", "Dataset"),
        ("inputs/data/type", "number"), ("inputs/Data", {"type": "Dataset"}), ("inputs/data/many", "yes"),
        ("outputs/mean/type", "float"), ("outputs/mean", {}), ("parameters/threshold/secret", True),
        ("parameters/threshold/const", True), ("parameters/threshold/items", {"format": "date"}),
        ("accelerators", ["gpus"]), ("command", []), ("command", "node score.js"), ("args", "--data"),
        ("args", ["--n", 3]), ("args", [["--n", 3]]), ("args", [[]]), ("env", {}), ("entrypoint", "x"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_manifest_is_not_taken(path: str, value: Any) -> None:
    assert not is_taken(edited(STEP_BODY, path, value))


def properties(schema: Any, way: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key that a schema declares, by the way to it."""
    for keyword in ("$defs", "properties"):
        for name, below in schema.get(keyword, {}).items():
            if keyword == "properties":
                yield f"{way}/{name}", below
            yield from properties(below, f"{way}/{name}")
    for keyword in ("items", "additionalProperties", "then"):
        if isinstance(schema.get(keyword), dict):
            yield from properties(schema[keyword], f"{way}/{keyword}")
    for keyword in ("anyOf", "allOf"):
        for number, below in enumerate(schema.get(keyword, ())):
            yield from properties(below, f"{way}/{number}")


def is_described(schema: Any, root: dict[str, Any]) -> bool:
    if "$ref" in schema and is_described(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root):
        return True
    return bool(schema.get("description")) or any(is_described(each, root) for each in schema.get("anyOf", ()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_is_for(kind: str) -> None:
    schema = KINDS[kind]
    # What stands inside of a parameter is part of a library step's contract, and told by the parameter's help.
    named = [(way, each) for way, each in properties(schema) if "/then/with/" not in way or "/items/" not in way]
    assert len(named) > 30
    assert [way for way, each in named if not is_described(each, schema)] == []


def test_what_each_step_takes_is_told_with_its_help() -> None:
    choices = {each["if"]["properties"]["uses"]["pattern"]: each["then"] for each in PIPELINE["$defs"]["step"]["allOf"]}
    for interface in catalog.interfaces():
        given = choices[f"^{interface.name}(@{interface.version})?$"]["properties"]["with"]["properties"]
        assert sorted(given) == sorted([*(i.name for i in interface.inputs), *(p.name for p in interface.parameters)])
        for declared in (*interface.inputs, *interface.parameters):
            assert given[declared.name]["description"].startswith(declared.help)
