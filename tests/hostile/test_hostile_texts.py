"""Texts made to hurt who reads them: each is refused with its one code, in time and memory, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import pytest
from cage import Cage

from pipec.diagnostics import Source
from pipec.schema.tree import as_json, read

PROJECT = (
    "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {prod: {artifacts: s3://a/b}}\n"
)
CASES = {name: (codes, data) for name, codes, data in corpus.texts()}
FOUND = re.compile(r"^p\.yaml:[0-9]+:[0-9]+: (?:error|warning): .*\[(PIPE[0-9]{3}) [a-z0-9-]+\]$", re.MULTILINE)


@pytest.fixture(scope="module")
def cage() -> Iterator[Cage]:
    made = Cage()
    yield made
    made.close()


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_text_is_refused_with_its_one_code(name: str, cage: Cage, tmp_path: Path) -> None:
    codes, data = CASES[name]
    (tmp_path / "pipec.yaml").write_text(PROJECT)
    (tmp_path / "p.yaml").write_bytes(data)
    target = ("kubeflow", "airflow")[list(CASES).index(name) % 2]
    for command in (("check",), ("compile", "-t", target, "-o", "out")):
        outcome = cage.call(tmp_path, *command, "p.yaml", "--env", "prod")
        assert outcome.broken((1,)) == []
        assert FOUND.findall(outcome.out + outcome.err) == codes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yaml", "pipec.yaml"]


@pytest.mark.parametrize("text", corpus.HARMLESS)
def test_what_only_looks_hostile_is_taken_as_it_is(text: str, cage: Cage, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(corpus.harmless(text), encoding="utf-8")
    outcome = cage.call(tmp_path, "check", "p.yaml")
    assert outcome.broken((0,)) == []
    assert FOUND.findall(outcome.out) == []
    outcome = cage.call(tmp_path, "render", "p.yaml")
    (document,), _ = read(Source("p.yaml", outcome.out))
    body: Any = as_json(document)
    assert body["steps"]["n"]["with"]["message"] == body["steps"]["s"]["env"]["A"] == text
    assert body["parameters"]["q"]["default"] == body["metadata"]["description"] == text.replace("$${{", "${ {")


def test_the_cage_tells_who_works_remembers_or_fails_too_much(tmp_path: Path) -> None:
    """The positive control: a reader that follows aliases, matches patterns by going back and prints tracebacks."""
    naive = Cage(main="naive")
    told = {what: naive.call(tmp_path, what).broken((1,)) for what in ("works", "remembers", "fails", "answers")}
    naive.close()
    assert told["works"] == ["no answer after 2 s of CPU"]
    assert told["remembers"][0].endswith("MiB of memory")
    assert any("a traceback" in wrong for wrong in told["fails"])
    assert told["answers"] == []
