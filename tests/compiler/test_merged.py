"""Names that are two in the documents and would be one for an engine that takes no dots."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, pipeline, told

INNER = "steps: {clean: {uses: ./mix.yaml}, of-eu: {uses: ./mix.yaml}, n-1: {uses: ./mix.yaml}}\n"
MANY = "matrix: {axes: {x: [1, 2]}}"


def found(folder: Path, steps: str, inner: str = INNER) -> list[str]:
    files = {"p.yaml": pipeline(f"steps: {{{steps}}}\n"), "inner.yaml": pipeline(inner, "inner")}
    return told(asked(folder, files))


APART = {
    "another name": "features: {uses: ./inner.yaml}, features-step: {uses: ./mix.yaml}",
    "a longer name": "features: {uses: ./inner.yaml}, features-clean-up: {uses: ./mix.yaml}",
    "two pipelines": "features: {uses: ./inner.yaml}, features-2: {uses: ./inner.yaml}",
    "a number that is none": f"features: {{uses: ./inner.yaml, {MANY}}}, features-01-clean: {{uses: ./mix.yaml}}",
    "a number where nothing is counted": "features: {uses: ./inner.yaml}, features-0-clean: {uses: ./mix.yaml}",
    "other numbers": "features: {uses: ./inner.yaml}, features-n-2: {uses: ./mix.yaml}",
}
MERGED = {
    "a step": ("features: {uses: ./inner.yaml}, features-clean: {uses: ./mix.yaml}", "features-clean", "features.clean"),
    "a step before": ("features-clean: {uses: ./mix.yaml}, features: {uses: ./inner.yaml}", "features-clean", "features.clean"),
    "two pipelines": ("a: {uses: ./inner.yaml}, a-of: {uses: ./eu.yaml}", "a-of.eu", "a.of-eu"),
    "a cell of a pipeline": (f"features: {{uses: ./inner.yaml, {MANY}}}, features-0-clean: {{uses: ./mix.yaml}}", "features-0-clean", "features.clean"),
    "a step in a cell": (f"features: {{uses: ./inner.yaml, {MANY}}}, features-clean: {{uses: ./mix.yaml}}", "features-clean", "features.clean"),
    "a cell and a step inside": (f"features: {{uses: ./inner.yaml}}, features-n: {{uses: ./mix.yaml, {MANY}}}", "features-n", "features.n-1"),
    "two pipelines, cut elsewhere": ("a-b: {uses: ./eu.yaml}, a: {uses: ./b-eu.yaml}", "a.b-eu", "a-b.eu"),
    "a pipeline and a step inside": ("a: {uses: ./inner.yaml}, a-clean: {uses: ./eu.yaml}", "a-clean", "a.clean"),
}  # fmt: skip


@pytest.mark.parametrize("case", APART)
def test_names_that_stay_two_are_left_alone(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, APART[case]) == []


@pytest.mark.parametrize("case", MERGED)
def test_names_that_become_one_are_told_at_the_outer_one(case: str, tmp_path: Path) -> None:
    steps, step, other = MERGED[case]
    (tmp_path / "eu.yaml").write_text(pipeline("steps: {eu: {uses: ./mix.yaml}}\n", "eu"), encoding="utf-8")
    (tmp_path / "b-eu.yaml").write_text(pipeline("steps: {b-eu: {uses: ./mix.yaml}}\n", "b-eu"), encoding="utf-8")
    (line,) = found(tmp_path, steps)
    assert f"PIPE208 `{step}` and `{other}` are one name where an engine takes no dots" in line


def test_a_collision_inside_a_file_is_told_there_alone(tmp_path: Path) -> None:
    inner = f"steps: {{n: {{uses: ./mix.yaml, {MANY}}}, n-1: {{uses: ./mix.yaml}}}}\n"
    assert found(tmp_path, "features: {uses: ./inner.yaml}", inner) == [
        "inner.yaml:4 PIPE208 `n-1` is what a task of `n` would be called"
    ]
