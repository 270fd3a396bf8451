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
EXAMPLES = ROOT / "examples" / "pipelines"


def documents() -> Iterator[Any]:
    places = [*EXAMPLES.glob("*.yaml"), *(ROOT / "tests" / "rules").glob("*/good.yaml")]
    for path in sorted(places):
        for number, body in enumerate(yaml.safe_load_all(path.read_text(encoding="utf-8"))):
            yield pytest.param(body, id=f"{path.parent.name}-{path.stem}-{number}")


def is_taken(body: Any) -> bool:
    schema = json.loads(json.dumps(PROJECT if body["kind"] == "Project" else PIPELINE))
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
        ("environments/prod/imagee", None), ("environments/prod/steps/train/when", "true"),
        ("environments/prod/steps/train/retry/attempts", "two"),
    ],
    ids=str,
)  # fmt: skip
def test_a_misspelt_word_or_a_wrong_value_is_not_taken(path: str, value: Any) -> None:
    assert not is_taken(changed(path, value))
