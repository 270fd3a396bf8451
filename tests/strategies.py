"""Inputs that hypothesis draws: good texts with a few bytes, tokens or values changed, and whole documents.

Documents are made from the schema of the language and the interfaces of the steps. What is drawn is mostly right, so
that documents get past the reader and the shape to the rules, the planner and the printers; now and then a value, a
name or a reference is wrong, or one that has broken readers somewhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as settled
from hypothesis import strategies as st
from mutate import NASTY, PROJECT, Case, made

from pipec import api
from pipec.schema import check, tree
from pipec.steps import catalog
from pipec.steps.interface import Artifact, Input, Interface, Parameter
from pipec.values import Json

Draw = Any  # hypothesis's own function: it returns what a strategy gives
ONE_IN = 100  # values: how rarely something else than the schema wants stands there
INTERFACES = catalog.interfaces()
ROOT = check.schema("pipeline")
DEFINITIONS: Mapping[str, Any] = ROOT["$defs"]
IMAGE = "registry.example/steps@sha256:" + "0" * 64
NAMES = ("a", "b", "train", "split-1", "s", "t2", "x" * 40, "get", "in")
PARAMETERS = ("rate", "n", "names", "flag", "table", "mode")
LOCATIONS = ("s3://bucket/rows.parquet", "s3://bucket/model", "data/wine.csv", "gs://b/x")
# Texts that the patterns of the schema take, by a part of the pattern.
FITTING = {
    "(s|m|h|d)": ("30s", "5m", "2h", "1d"), "(Mi|Gi|Ti)": ("512Mi", "16Gi"), "_/:@-": (IMAGE, IMAGE, "x:1"),
    "[a-z0-9_]{0,39}": PARAMETERS, "[a-z0-9-]{0,38}": NAMES, "_+/-": ("UTC", "Europe/Vienna"), "{0,127}": ("A", "B_1"),
    "{1,63}": ("nvidia",), "{0,62}$": ("a100",), "{0,61}": ("a", "team", ""), "^/": ("/scratch", "/data/x"),
}  # fmt: skip
TEXTS = st.sampled_from(("", "wine", "a b", "é", "5 {{ 3", "it's", "s3://b/x", "quality", "${{ run.id }}", "0 3 * * 1"))
NASTY_VALUES = st.recursive(
    st.sampled_from(NASTY) | st.sampled_from((None, True, 0, -1, 2**53 - 1, 0.5, 1e300, -0.0)) | st.text(max_size=12),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(NASTY), below, max_size=3),
    max_leaves=4,
)


def wrong(draw: Draw) -> bool:
    """Say, rarely, that something else should stand here. The simplest documents are right."""
    return seldom(draw, ONE_IN)


def seldom(draw: Draw, most: int) -> bool:
    """Say so once in `most` and one; the simplest document, to which a failing one is shrunk, says no."""
    return bool(draw(st.integers(0, most)) == most)


def valued(draw: Draw, schema: Mapping[str, Any], depth: int = 0) -> Json:
    """Return a value that a schema allows, or now and then another."""
    if "$ref" in schema:
        return valued(draw, DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")], depth)
    if depth > 6 or wrong(draw):
        return draw(NASTY_VALUES)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    types = schema.get("type", "string")
    match types if isinstance(types, str) else draw(st.sampled_from(types)):
        case "object":
            return mapped(draw, schema, depth)
        case "array":
            least = schema.get("minItems", 0)
            return [
                valued(draw, schema.get("items", {}), depth + 1) for _ in range(draw(st.integers(least, max(least, 2))))
            ]
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return draw(st.integers(low, min(schema.get("maximum", low + 9), low + 9)))
        case "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            return draw(st.sampled_from((low, low + 0.5, low + 1, 0.1)))
        case "boolean":
            return draw(st.booleans())
        case "null":
            return None
        case _:
            return text(draw, schema.get("pattern", ""))


def text(draw: Draw, pattern: str) -> str:
    fitting = next((texts for part, texts in FITTING.items() if part in pattern), None)
    return str(draw(st.sampled_from(fitting) if fitting else TEXTS))


def mapped(draw: Draw, schema: Mapping[str, Any], depth: int) -> dict[str, Json]:
    """Return a mapping with what it must have, some of what it may, and names of its own where those are free."""
    known: Mapping[str, Any] = schema.get("properties", {})
    keys = [key for key in known if key in schema.get("required", ()) or seldom(draw, 3)]
    found = {key: valued(draw, known[key], depth + 1) for key in keys}
    free = schema.get("additionalProperties", not known)
    if free:
        names = schema.get("propertyNames", {})
        named = DEFINITIONS[names["$ref"].removeprefix("#/$defs/")] if "$ref" in names else names
        wanted = free if isinstance(free, dict) else {}
        for _ in range(draw(st.integers(schema.get("minProperties", 0), 2))):
            found[text(draw, named.get("pattern", ""))] = valued(draw, wanted, depth + 1)
    if wrong(draw):
        found[draw(st.sampled_from(NASTY))] = draw(NASTY_VALUES)
    return found


def steps(draw: Draw, declared: Mapping[str, Json]) -> dict[str, Json]:
    """Return steps of the library, each given what the ones before it make."""
    found: dict[str, Json] = {}
    made: list[tuple[str, str, str]] = []  # of each output so far: its type, its step, its name
    for number in range(draw(st.integers(1, 5))):
        interface = draw(st.sampled_from(INTERFACES))
        name = f"{interface.name}-{number}" if not wrong(draw) else draw(st.sampled_from(NASTY))
        given = arguments(draw, interface, made, declared)
        found[name] = {"uses": interface.name, "with": given, **settings(draw, [*found])}
        made += [(str(output.type), name, output.name) for output in interface.outputs]
    return found


def settings(draw: Draw, before: list[str]) -> dict[str, Json]:
    """Return what a step says besides what it uses and is given; mostly nothing."""
    known = DEFINITIONS["step"]["properties"]
    keys = [key for key in known if key not in ("uses", "with") and seldom(draw, 11)]
    said = {key: valued(draw, known[key], 2) for key in keys}
    if "needs" in said and before:
        said["needs"] = [draw(st.sampled_from(before))]
    if "when" in said and before:
        form = st.sampled_from(("succeeded({})", "failed({}) or 1 > 2", "not skipped({})", "steps.{}.n_rows >= 3"))
        said["when"] = draw(form).format(draw(st.sampled_from(before)))
    return said


def arguments(
    draw: Draw, interface: Interface, made: list[tuple[str, str, str]], declared: Mapping[str, Json]
) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for read in interface.inputs:
        if not read.optional or draw(st.booleans()):
            found[read.name] = handed(draw, read, made)
    for parameter in interface.parameters:
        if parameter.is_required or seldom(draw, 3):
            found[parameter.name] = argument(draw, parameter, declared)
    if wrong(draw):
        found[draw(st.sampled_from(NASTY))] = draw(NASTY_VALUES)
    return found


def handed(draw: Draw, read: Input, made: list[tuple[str, str, str]]) -> Json:
    """Return a reference to what an earlier step made of the type that is read; without one, a location."""
    fitting = [each for each in made if each[0] == read.type or wrong(draw)]
    if fitting and not seldom(draw, 5):
        _, step, output = draw(st.sampled_from(fitting))
        return f"${{{{ steps.{step}.{output} }}}}"
    return draw(st.sampled_from(LOCATIONS)) if read.type in (Artifact.DATASET, Artifact.MODEL) else draw(NASTY_VALUES)


def argument(draw: Draw, parameter: Parameter, declared: Mapping[str, Json]) -> Json:
    if declared and seldom(draw, 3):
        return f"${{{{ parameters.{draw(st.sampled_from([*declared]))} }}}}"
    if parameter.path:
        return draw(st.sampled_from(("expectations/wine.yaml", "absent.yaml", "../x.yaml")))
    if parameter.people:
        return ["ana@example.org"]
    return valued(draw, parameter.schema, 3)


DEFAULTS: dict[str, st.SearchStrategy[Json]] = {
    "string": TEXTS, "integer": st.integers(-3, 9), "number": st.sampled_from((0.5, 1, 1e-3)), "boolean": st.booleans(),
    "list": st.lists(st.integers(0, 9), max_size=3), "object": st.just({"k": 1}),
}  # fmt: skip


@st.composite
def pipelines(draw: Draw) -> dict[str, Json]:
    """Return one document of kind Pipeline."""
    declared: dict[str, Json] = {}
    for name in draw(st.lists(st.sampled_from(PARAMETERS), max_size=3, unique=True)):
        kind = draw(st.sampled_from([*DEFAULTS]))
        declared[name] = {"type": kind, "default": draw(NASTY_VALUES if wrong(draw) else DEFAULTS[kind])}
        if wrong(draw):
            declared[name] |= {"pattern": draw(st.sampled_from(("^(a+)+$", "(", "[a-z]+", "a{9}{9}"))), "minimum": 3}
    body: dict[str, Json] = {
        "apiVersion": check.API_VERSION, "kind": "Pipeline", "metadata": {"name": "drawn"},
        "image": IMAGE,
    }  # fmt: skip
    body |= {"parameters": declared} if declared else {}
    body["steps"] = steps(draw, declared)
    for key in ("triggers", "concurrency", "environments", "defaults", "outputs", "inputs", "finally"):
        if seldom(draw, 11):
            body[key] = valued(draw, ROOT["properties"][key], 1)
    if wrong(draw):
        body[draw(st.sampled_from((*ROOT["properties"], *NASTY)))] = draw(NASTY_VALUES)
    return body


@st.composite
def changed(draw: Draw, form: str) -> Case:
    """Return what is asked about a good text with something changed. form: one of `mutate.FORMS`."""
    return made(draw(st.randoms(use_true_random=False)), form)


@st.composite
def documents(draw: Draw) -> Case:
    """Return what is asked about a drawn document, or a few of them."""
    bodies = [draw(pipelines())]
    if wrong(draw):
        bodies.append({**draw(pipelines()), "metadata": {"name": draw(st.sampled_from(("other", "drawn")))}})
    written = [tree.dump(each) if draw(st.booleans()) else json.dumps(each, indent=1) + "\n" for each in bodies]
    return Case(
        content=_readable("---\n".join(written)),
        project=PROJECT.encode(),
        environment=draw(st.sampled_from(("prod", "prod", "prod", "dev", ""))),
        target=draw(st.sampled_from(sorted(api.TARGETS))),
        options={},
        sets={draw(st.sampled_from(PARAMETERS)): draw(st.sampled_from(("1", "a", "[1]")))} if wrong(draw) else {},
    )


def _readable(text: str) -> bytes:
    """Return a text as bytes; what cannot be said in UTF-8 is replaced, for it would end everything in the reader."""
    return re.sub("[\ud800-\udfff]", "?", text).encode()


# What is drawn, and its part of a walk.
FORMS: dict[str, tuple[st.SearchStrategy[Case], float]] = {
    "bytes": (changed("bytes"), 0.3), "tokens": (changed("tokens"), 0.3), "values": (changed("trees"), 0.2),
    "documents": (documents(), 0.2),
}  # fmt: skip


def count(form: str) -> int:
    """Return how many inputs of a form a test judges; `make soak` goes further."""
    n_inputs = 20_000 if os.environ.get("CI") == "true" else 1000
    return round(n_inputs * FORMS[form][1])


def walk(form: str, count: int, judge: Callable[[Case], None], seed: str = "") -> None:
    """Call `judge` with `count` inputs of one of `FORMS`.

    seed: what others are drawn by. Without one they are the same every time, so that CI says the same about the same
    commit, and what `judge` raises about is shrunk to its least.
    """
    phases = [Phase.generate] if seed else [Phase.generate, Phase.shrink]
    inputs = given(FORMS[form][0])(judge)
    if seed:
        inputs = hypothesis.seed(seed)(inputs)
    settled(
        max_examples=count, derandomize=not seed, database=None, deadline=None, phases=phases,
        suppress_health_check=list(HealthCheck),
    )(inputs)()  # fmt: skip
