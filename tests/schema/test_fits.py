"""What is said to fit surely, against jsonschema; and that what is right is judged without loading it."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from mutate import NASTY, RICH
from needs import ROOT
from strategies import INTERFACES, NASTY_VALUES, pipelines, valued

from pipec.api import TARGETS
from pipec.schema import check
from pipec.schema.expressions import has_expression
from pipec.schema.fits import surely_fits
from pipec.schema.judge import problems
from pipec.values import Json

EXAMPLES = ROOT / "examples" / "pipelines"
RULES = sorted(path.parent for path in (ROOT / "tests" / "rules").glob("*/good.yaml"))
SCHEMAS = {
    "Pipeline": check.schema("pipeline"), "Step": check.schema("step"), "Lock": check.schema("lock"),
    "Project": check.project_schema({name: target.settings for name, target in TARGETS.items()}),
}  # fmt: skip
PARAMETERS = {f"{interface.name}.{each.name}": each.schema for interface in INTERFACES for each in interface.parameters}
NAN, INFINITY = float("nan"), float("inf")
# What may stand where something else stood: each type, what only looks like one of another, and expressions.
OTHERS: tuple[Any, ...] = (
    None, True, False, 0, 1, 1.0, 0.5, -1, -0.0, 2**64, 10**400, 1e300, NAN, INFINITY, "", "x", "a\n", "X y", "é" * 99,
    "30s", "16Gi", "gpu", "1", "${{ run.id }}", "$${{ x", [], [1, 1.0], ["x"], ["${{ run.id }}"] * 2, [None], {},
    {"x": 1}, {"X y": "${{ run.id }}"}, {"${{ run.id }}": 1}, {"type": "string"}, {"required": ["a", "a"]},
)  # fmt: skip


def told(value: Json, wanted: Mapping[str, Any], *, expressions: bool) -> list[Any]:
    """Return what jsonschema finds and a user would be told of: nothing of a text that holds an expression, if any."""
    found = list(problems(value, wanted, is_own=not expressions))
    return [each for each in found if not (expressions and is_expression(at(value, each.path)))]


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def is_expression(value: Json) -> bool:
    return isinstance(value, str) and has_expression(value)


def documents() -> Iterator[tuple[str, Any]]:
    """Yield documents of all kinds that are right, each with its name."""
    paths = [*EXAMPLES.rglob("*.yaml"), *(path for folder in RULES for path in folder.glob("*"))]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths if path.suffix != ".out"}
    for name, text in {**texts, "rich": RICH}.items():
        if not name.endswith("bad.yaml") and len(text) < 1 << 16:
            for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if isinstance(document, dict) and document.get("kind") in SCHEMAS:
                    yield name, json.loads(json.dumps(document, default=str))


RIGHT = {f"{name}:{number}": document for number, (name, document) in enumerate(documents())}


def mutants(value: Any) -> Iterator[None]:
    """Change a value in place in every way in turn: drop, replace, repeat and rename all that is in it."""
    for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
        for other in OTHERS:
            value[key] = other
            yield
        value[key] = below
        if isinstance(below, dict | list):
            yield from mutants(below)
        before = copy.copy(value)
        del value[key]
        yield
        if isinstance(value, dict):
            for name in ("x", "X y", "a\n", "${{ run.id }}", f"{key}s"):
                value[name] = below
                yield
                del value[name]
            value |= before
        else:
            value[:] = [*before, below]
            yield
            value[:] = before


@pytest.mark.parametrize("name", RIGHT)
def test_no_change_of_a_right_document_fits_surely_where_jsonschema_objects(name: str) -> None:
    document = RIGHT[name]
    wanted = SCHEMAS[document["kind"]]
    for _ in mutants(document):
        if surely_fits(document, wanted, is_own=True, expressions=False):
            assert told(document, wanted, expressions=False) == []


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_document_fits_surely_once_constants_and_overlays_are_applied(name: str) -> None:
    document = RIGHT[name]
    is_raw = '"const": true' in json.dumps(document) or ": null" in json.dumps(document)
    assert is_raw or surely_fits(document, SCHEMAS[document["kind"]], is_own=True, expressions=False)


@pytest.mark.parametrize("kind", SCHEMAS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_drawn_document_fits_surely_only_where_jsonschema_finds_nothing(kind: str, data: st.DataObject) -> None:
    wanted = SCHEMAS[kind]
    document = data.draw(pipelines()) if kind == "Pipeline" else {
        key: data.draw(NASTY_VALUES | st.sampled_from(OTHERS)) if "$ref" in str(schema) else valued(data.draw, schema)
        for key, schema in wanted["properties"].items() if data.draw(st.booleans())
    }  # fmt: skip
    if surely_fits(document, wanted, is_own=True, expressions=False):
        assert told(document, wanted, expressions=False) == []


def with_expressions(value: Any, draw: Any) -> Any:
    """Return a value in which some texts and numbers have become expressions."""
    if isinstance(value, dict):
        return {key: with_expressions(below, draw) for key, below in value.items()}
    if isinstance(value, list):
        return [with_expressions(below, draw) for below in value]
    return draw(st.sampled_from((value, value, "${{ parameters.x }}")))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_value_fits_surely_only_where_nothing_would_be_told_of_it(data: st.DataObject) -> None:
    wanted = PARAMETERS[data.draw(st.sampled_from(sorted(PARAMETERS)))]
    value = with_expressions(valued(data.draw, wanted, 5), data.draw)
    if surely_fits(value, wanted, is_own=False, expressions=True):
        assert told(value, wanted, expressions=True) == []


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_surely_given_an_expression_or_its_least_value_only_if_it_takes_it(name: str) -> None:
    wanted = PARAMETERS[name]
    assert surely_fits("${{ parameters.x }}", wanted, is_own=False, expressions=True)
    for value in (*OTHERS, *([other] for other in OTHERS), *({"x": other} for other in OTHERS)):
        if surely_fits(value, wanted, is_own=False, expressions=True):
            assert told(value, wanted, expressions=True) == []


SCALARS = st.sampled_from((None, True, 1, 1.0, 0, -1, 2.5, NAN, "", "a", "ab", "1", "${{ x }}", "a${{ x }}"))
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(("a", "b", "${{ x }}")), below, max_size=2)
    ),
    max_leaves=5,
)
COUNTS = st.integers(0, 2)
BOUNDS = st.sampled_from((0, 1, 1.5, -1, NAN))
TYPES = st.sampled_from(("string", "integer", "number", "boolean", "array", "object", "null"))
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=2), "enum": st.lists(VALUES, max_size=3), "const": VALUES,
    "minimum": BOUNDS, "maximum": BOUNDS, "exclusiveMinimum": BOUNDS, "exclusiveMaximum": BOUNDS, "minLength": COUNTS,
    "maxLength": COUNTS, "minItems": COUNTS, "maxItems": COUNTS, "minProperties": COUNTS, "maxProperties": COUNTS,
    "pattern": st.sampled_from(("^a", "b$", "^$")), "uniqueItems": st.booleans(), "description": st.just("text"),
    "x-expects": st.just("a"), "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
    "multipleOf": st.just(2), "$ref": st.sampled_from(("#/$defs/a", "#/$defs/b")),
}  # fmt: skip
SAID = {word: bound for word, bound in WORDS.items() if word not in ("$ref", "multipleOf")}


def grown(words: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return schemas of these words and of those that hold further schemas."""
    return st.recursive(
        st.fixed_dictionaries({}, optional=words) | st.booleans(),
        lambda below: st.fixed_dictionaries(
            {}, optional={
                **words, "properties": st.dictionaries(st.sampled_from("ab"), below, max_size=2), "items": below,
                "additionalProperties": below, "propertyNames": below,
                "anyOf": st.lists(below, min_size=1, max_size=2), "not": below,
                "prefixItems": st.lists(below, min_size=1),
            },
        ),
        max_leaves=6,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    grown({word: WORDS[word] for word in ("type", "enum", "minimum", "$ref", "uniqueItems", "maxItems", "minLength")}),
    grown(SAID), grown(SAID), VALUES, st.booleans(),
)  # fmt: skip
def test_under_any_schema_a_value_fits_surely_only_where_nothing_would_be_told(
    root: Any, first: Any, second: Any, value: Any, expressions: bool
) -> None:
    wanted = {**(root if isinstance(root, dict) else {}), "$defs": {"a": first, "b": second}}
    if surely_fits(value, wanted, is_own=not expressions, expressions=expressions):
        assert told(value, wanted, expressions=expressions) == []


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ({"propertyNames": {"pattern": "^a"}}, {"${{ x }}": 1}),
        ({"anyOf": [{"items": {"type": "number"}}]}, ["${{ x }}"]),
        ({"items": False}, ["${{ x }}"]),
        ({"uniqueItems": True}, ["${{ x }}", "${{ x }}"]),
        ({"maxItems": 1}, ["${{ x }}", 1]),
        ({"enum": [["a"]]}, ["${{ x }}"]),
        ({"additionalProperties": False}, {"a": "${{ x }}"}),
    ],
    ids=["a key", "a choice of forms", "no item", "items alike", "items too many", "a list of choices", "no field"],
)
def test_an_expression_fits_nothing_but_its_own_place(wanted: Any, value: Json) -> None:
    assert told(value, wanted, expressions=True)
    assert not surely_fits(value, wanted, is_own=False, expressions=True)


@pytest.mark.parametrize("word", sorted(SAID))
def test_each_word_of_the_schemas_is_known(word: str) -> None:
    fitting = {"enum": [["a"]], "const": "a", "minLength": 1, "maxLength": 1, "uniqueItems": True, "type": "string"}
    wanted = {word: fitting[word] if word in fitting else "x" if word[:2] in ("x-", "de") else 0}
    wanted |= {"pattern": "^a$"} if word == "pattern" else {"required": ["a"]} if word == "required" else {}
    values: tuple[Json, ...] = ("a", ["a"], {"a": "a"}, 0, 1, -1)
    assert any(surely_fits(value, wanted, is_own=True, expressions=False) for value in values)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.fixed_dictionaries({}, optional=SAID)
        | st.dictionaries(st.sampled_from(sorted(SAID)), st.sampled_from(OTHERS), max_size=3),
        lambda below: st.fixed_dictionaries(
            {"type": TYPES}, optional={"items": below, "properties": st.dictionaries(st.sampled_from(NASTY), below)}
        ),
        max_leaves=4,
    )
)
def test_constraints_are_surely_a_schema_only_where_jsonschema_takes_them(wanted: Any) -> None:
    if surely_fits(wanted, check.plain_schema(), is_own=True, expressions=False):
        try:
            Draft202012Validator.check_schema(wanted, format_checker=FormatChecker(()))
        except SchemaError as fault:
            pytest.fail(f"{wanted}: {fault.message}")


def test_what_is_right_is_checked_for_every_target_without_jsonschema(tmp_path: Path) -> None:
    examples = Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))
    (examples / "rich.yaml").write_text(RICH, encoding="utf-8")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pipec import api\nsys.modules['jsonschema'] = None\n"
        "for line in sys.stdin:\n"
        "    path = Path(line.strip())\n    os.chdir(path.parent)\n"
        "    for name in ('', 'prod', 'dev'):\n"
        "        for target in (None, *api.TARGETS):\n"
        "            try:\n"
        "                api.check(api.Request(path=Path(path.name), environment=name, target=target))\n"
        "            except api.UsageError:\n                pass\n"
        "            except ImportError:\n                print(path)\n"
    )
    good = [folder / "good.yaml" for folder in RULES]
    paths = [*examples.glob("*.yaml"), *good, *(ROOT / "tests" / "correct").glob("*.yaml")]
    ran = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(map(str, paths)), text=True, capture_output=True, check=False,
        env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("", "")
