"""Values of parameters against every step that they are handed to, in every environment and at any depth."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, pipeline, told

TRAIN = "{uses: train, with: {data: s3://rows, target: y, %s}}"
EPOCHS = TRAIN % 'epochs: "${{ parameters.n }}"'
INNER = pipeline(f"parameters: {{n: {{type: integer, default: 5}}}}\nsteps: {{train: {EPOCHS}}}\n", "inner")
OUTER = 'steps: {inner: {uses: ./inner.yaml, with: {n: "${{ parameters.n }}"}}}\n'


def found(folder: Path, body: str, *, environment: str = "") -> list[str]:
    return told(asked(folder, {"p.yaml": pipeline(body), "inner.yaml": INNER}, environment=environment))


@pytest.mark.parametrize(
    ("parameters", "step"),
    [
        ("n: {type: integer, default: 1}", EPOCHS),
        ("n: {type: integer}", EPOCHS),
        ("n: {type: integer, default: 0}", TRAIN % 'seed: "${{ parameters.n }}"'),
    ],
    ids=["it fits", "no default", "another parameter"],
)
def test_a_value_that_every_step_takes_is_left_alone(parameters: str, step: str, tmp_path: Path) -> None:
    assert found(tmp_path, f"parameters: {{{parameters}}}\nsteps: {{a: {step}}}\n") == []


def test_each_environment_is_told_at_its_own_value(tmp_path: Path) -> None:
    body = f"""parameters: {{n: {{type: integer, default: 3}}}}
environments:
  dev: {{parameters: {{n: 0}}}}
  prod: {{parameters: {{n: -1}}}}
steps: {{a: {EPOCHS}}}
"""
    dev = "p.yaml:6 PIPE311 `n` must be at least 1, not `0`"
    prod = "p.yaml:7 PIPE311 `n` must be at least 1, not `-1`"
    for environment in ("", "dev", "prod"):
        assert found(tmp_path, body, environment=environment) == [dev, prod]


def test_a_value_is_followed_into_pipelines_that_are_used_as_steps(tmp_path: Path) -> None:
    body = (
        f"parameters: {{n: {{type: integer, default: 0}}}}\nenvironments: {{dev: {{parameters: {{n: -2}}}}}}\n{OUTER}"
    )
    assert found(tmp_path, body) == [
        "p.yaml:4 PIPE311 `n` must be at least 1, not `0`",
        "p.yaml:5 PIPE311 `n` must be at least 1, not `-2`",
    ]


def test_a_value_inside_of_a_list_is_told_with_its_place(tmp_path: Path) -> None:
    step = TRAIN % 'hidden: [8, "${{ parameters.n }}"]'
    checked = asked(tmp_path, f"parameters: {{n: {{type: integer, default: 0}}}}\nsteps: {{a: {step}}}\n")
    (finding,) = checked.report.findings
    assert (finding.message, finding.notes[0].message) == (
        "`n` must be at least 1, not `0`", "step `a` gets it as `hidden.1`",
    )  # fmt: skip


def test_a_value_that_is_handed_into_a_list_of_an_inner_pipeline_is_told_with_its_place(tmp_path: Path) -> None:
    step = TRAIN % 'hidden: [8, "${{ parameters.n }}"]'
    inner = pipeline(f"parameters: {{n: {{type: integer, default: 5}}}}\nsteps: {{train: {step}}}\n", "inner")
    body = f"parameters: {{n: {{type: integer, default: 0}}}}\n{OUTER}"
    (finding,) = asked(tmp_path, {"p.yaml": pipeline(body), "inner.yaml": inner}).report.findings
    assert (finding.message, finding.notes[0].message) == (
        "`n` must be at least 1, not `0`", "step `inner.train` gets it as `hidden.1`",
    )  # fmt: skip


def test_a_list_is_judged_by_its_items(tmp_path: Path) -> None:
    step = TRAIN % 'hidden: "${{ parameters.n }}"'
    body = f"parameters: {{n: {{type: list, default: [a], items: {{type: string}}}}}}\nsteps: {{a: {step}}}\n"
    assert found(tmp_path, body) == ["p.yaml:4 PIPE311 `n.0` needs a whole number, but `a` is text"]


def test_another_type_is_told_as_that_alone(tmp_path: Path) -> None:
    body = f"parameters: {{n: {{type: string, default: a}}}}\nsteps: {{a: {EPOCHS}}}\n"
    assert [line.split()[1] for line in found(tmp_path, body)] == ["PIPE302"]
