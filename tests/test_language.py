"""The page of the language is true: every example comes to what stands below it, and no key is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from language_page import BLOCK, PAGE, STEPS, VARIABLES, blocks, came_to, examples, rewrite, write
from needs import ROOT

EXAMPLES = examples()
SCHEMAS = ROOT / "src" / "pipec" / "schema"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_comes_to_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder, scratch = tmp_path / "project", tmp_path / "scratch"
    scratch.mkdir()
    write(EXAMPLES[name], folder)
    monkeypatch.chdir(folder)
    for variable, value in {**VARIABLES, "SCRATCH": str(scratch)}.items():
        monkeypatch.setenv(variable, value)
    outcome = came_to(EXAMPLES[name], folder)
    if request.config.getoption("--update-golden"):
        rewrite(name, outcome)
    else:
        assert outcome == EXAMPLES[name].outcome


def test_every_rule_has_examples_and_there_are_many() -> None:
    assert {example.rule for example in EXAMPLES.values()} >= set(range(1, 17))
    assert len(EXAMPLES) >= 40


def test_the_steps_of_the_page_are_those_of_its_folder(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = {block.info["step"]: block.body for block in blocks(page) if "step" in block.info}
    files = {path.stem: path.read_text(encoding="utf-8") for path in sorted(STEPS.glob("*.yaml"))}
    if request.config.getoption("--update-golden"):
        for name, body in shown.items():
            page = page.replace(f"step={name}\n{body}", f"step={name}\n{files[name]}")
        PAGE.write_text(page, encoding="utf-8")
        shown = {name: files[name] for name in shown}
    assert shown == files


def keys(schema: object) -> Iterator[str]:
    """Yield every key that a document of a schema may hold."""
    if isinstance(schema, list):
        for item in schema:
            yield from keys(item)
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for key, below in schema.items():
            for each in below.values() if key in ("properties", "$defs") and isinstance(below, dict) else [below]:
                yield from keys(each)


@pytest.mark.parametrize("kind", ["pipeline", "project", "step"])
def test_every_key_of_a_document_is_on_the_page(kind: str) -> None:
    prose = BLOCK.sub("", PAGE.read_text(encoding="utf-8"))
    told = set(re.findall(r"`([^`\n]+)`", prose))
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    assert sorted(set(keys(schema)) - told) == []
