"""Conditions that no run could answer otherwise are told, and no others."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from pipec import api
from pipec.verdict import compare

HEAD = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
parameters:
  n: {type: integer, default: 3, minimum: 2, maximum: 9}
  x: {type: number, default: 1, exclusiveMinimum: 0}
  f: {type: boolean, default: true}
  c: {type: boolean, default: false, const: true}
  s: {type: string, default: a}
  e: {type: string, default: a, enum: [a, b]}
  l: {type: list, default: [a]}
steps:
  a: {uses: ingest, with: {source: a.csv}}
  w:
    uses: notify
    matrix: {axes: {k: [1, 2, 3]}}
    when: "%s"
    with: {channel: "${{ parameters.s }}", message: done}
"""
NEVER = "`when` can never be true, so `w` never runs"
ALWAYS = "`when` is always true, so it never holds `w` back"
PART_NEVER = "this part of `when` is never true"
PART_ALWAYS = "this part of `when` is always true"
PROJECT = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {dev: {}, prod: {}}\n"


def told(condition: str, folder: Path, **asked: str) -> list[tuple[str, str]]:
    (folder / "pipec.yaml").write_text(PROJECT)
    text = HEAD % condition
    (folder / "p.yaml").write_text(text)
    found = api.check(api.Request(path=folder / "p.yaml", **asked)).report.findings
    assert {finding.rule.code for finding in found} <= {"PIPE309", "PIPE207"}, found
    lines = text.split("\n")
    return [
        (f.message, lines[f.loc.span.line - 1][f.loc.span.column - 1 : f.loc.span.end_column - 1].strip('"'))
        for f in found
        if f.rule.code == "PIPE309"
    ]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("1 == 2", NEVER),
        ("1 == 1", ALWAYS),
        ("'b' > 'a'", ALWAYS),
        ("'a' >= 'a'", ALWAYS),
        ("'a' < 'a'", NEVER),
        ("2 in [1, 3]", NEVER),
        ("true", None),
        ("false", None),
        ("not false", ALWAYS),
        ("parameters.n >= 2", ALWAYS),
        ("parameters.n > 9", NEVER),
        ("parameters.n > 8 and parameters.n < 9", NEVER),
        ("parameters.x > 8 and parameters.x < 9", None),
        ("parameters.x > 0", ALWAYS),
        ("parameters.x >= 0.5", None),
        ("parameters.n == 2 or parameters.n != 2", ALWAYS),
        ("parameters.n > 3 and parameters.n < 4", NEVER),
        ("parameters.n > 3 and parameters.n < 5", None),
        ("parameters.n in [2, 3] and parameters.n > 3", NEVER),
        ("parameters.n == parameters.n", ALWAYS),
        ("parameters.n < steps.a.n_rows", None),
        ("steps.a.n_rows > 10 and steps.a.n_rows < 5", NEVER),
        ("steps.a.n_rows > 10 and not steps.a.n_rows > 10", NEVER),
        ("parameters.f or not parameters.f", ALWAYS),
        ("parameters.f and not parameters.f", NEVER),
        ("parameters.c", None),
        ("not parameters.c", None),
        ("parameters.e == 'c'", NEVER),
        ("parameters.e in ['a', 'b']", ALWAYS),
        ("parameters.e in ['a', 'c']", None),
        ("parameters.s == 'a' and parameters.s == 'b'", NEVER),
        ("parameters.s != 'a' or parameters.s != 'b'", ALWAYS),
        ("parameters.s > 'a' and parameters.s < 'a'", None),
        ("'a' in parameters.l", None),
        ("'a' in parameters.l and not 'a' in parameters.l", None),
        ("environment.name == 'prod'", None),
        ("environment.name == 'prd'", NEVER),
        ("run.date == '2026-01-01'", None),
        ("matrix.k > 3", NEVER),
        ("matrix.k != 3", None),
        ("matrix.k < 4", ALWAYS),
        ("succeeded(a) and failed(a)", NEVER),
        ("succeeded(a) or failed(a) or skipped(a)", None),
        ("not skipped(a)", None),
        ("succeeded(a) and steps.a.n_rows > 0", None),
    ],
)
def test_a_condition_with_one_answer_is_told(condition: str, message: str | None, tmp_path: Path) -> None:
    assert [one for one, _ in told(condition, tmp_path)] == ([message] if message else [])


@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_the_answer_does_not_depend_on_the_environment_of_the_check(environment: str, tmp_path: Path) -> None:
    assert told("environment.name == 'prod'", tmp_path, environment=environment) == []
    assert told("environment.name != 'stage'", tmp_path, environment=environment) == [
        (ALWAYS, "environment.name != 'stage'")
    ]


def test_a_part_with_one_answer_is_told_in_its_place(tmp_path: Path) -> None:
    assert told("parameters.f or environment.name == 'prd' or parameters.n > 1 and parameters.x > 2", tmp_path) == [
        (PART_NEVER, "environment.name == 'prd'"),
        (PART_ALWAYS, "parameters.n > 1"),
    ]


def test_a_condition_of_very_many_names_is_left_alone(tmp_path: Path) -> None:
    terms = " and ".join(f"steps.a.n_rows != {number}" for number in range(300))
    assert told(terms, tmp_path) == []
    assert told(f"{terms} and steps.a.n_rows == 7", tmp_path) == [(NEVER, f"{terms} and steps.a.n_rows == 7")]


@pytest.mark.parametrize(("n_flags", "n_told"), [(12, 1), (13, 0)])
def test_twelve_switches_are_tried_in_all_their_ways_and_thirteen_are_left_alone(
    n_flags: int, n_told: int, tmp_path: Path
) -> None:
    flags = [f"f{n}" for n in range(n_flags)]
    declared = ", ".join(f"{flag}: {{type: boolean, default: true}}" for flag in flags)
    asks = " and ".join(f"parameters.{flag}" for flag in flags) + " and not parameters.f0"
    step = f"{{uses: notify, when: {asks}, with: {{channel: c, message: m}}}}"
    text = f"parameters: {{{declared}}}\nsteps: {{w: {step}}}\n"
    (tmp_path / "p.yaml").write_text(HEAD.partition("parameters:")[0] + text)
    found = api.check(api.Request(path=tmp_path / "p.yaml")).report.findings
    assert [finding.message for finding in found] == [NEVER] * n_told


def test_the_answer_is_that_of_trying_every_value(tmp_path: Path) -> None:
    rng = random.Random(7)
    seen = set()
    for _ in range(150):
        parts = []
        for _ in range(rng.randint(1, 4)):
            name = rng.choice(("n", "m"))
            parts.append((name, rng.choice(("==", "!=", "<", "<=", ">", ">=")), rng.randint(1, 6), rng.random() < 0.3))
        joints = [rng.choice(("and", "or")) for _ in parts[1:]]
        text = " ".join(
            f"{'not ' if negated else ''}{'parameters.n' if name == 'n' else 'steps.a.n_rows'} {operator} {value}"
            + (f" {joints[at]}" if at < len(joints) else "")
            for at, (name, operator, value, negated) in enumerate(parts)
        )

        def answer(facts: dict[str, int], parts=parts, joints=joints) -> bool:
            truths = [compare(operator, facts[name], value) != negated for name, operator, value, negated in parts]
            groups, current = [], [truths[0]]  # `and` binds closer than `or`
            for joint, truth in zip(joints, truths[1:], strict=True):
                if joint == "and":
                    current.append(truth)
                else:
                    groups.append(all(current))
                    current = [truth]
            return any((*groups, all(current)))

        answers = {answer({"n": n, "m": m}) for n, m in itertools.product(range(2, 10), range(-2, 12))}
        expected = {True: ALWAYS, False: NEVER}[answers.pop()] if len(answers) == 1 else None
        whole = [one for one, _ in told(text, tmp_path) if one in (ALWAYS, NEVER)]
        assert whole == ([expected] if expected else []), text
        seen.add(expected)
    assert seen == {ALWAYS, NEVER, None}


def test_the_condition_of_a_trigger_is_judged_by_the_run_that_ended(tmp_path: Path) -> None:
    text = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: first}
parameters: {n: {type: integer, default: 3, maximum: 5}}
steps: {a: {uses: ingest, env: {N: "${{ parameters.n }}"}, with: {source: a.csv}}}
---
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: second}
triggers: [{after: {pipeline: first, when: parameters.n > 5}}]
steps: {a: {uses: ingest, with: {source: a.csv}}}
"""
    (tmp_path / "p.yaml").write_text(text)
    (found,) = api.check(api.Request(path=tmp_path / "p.yaml")).report.findings
    assert (found.rule.code, found.message) == ("PIPE309", "`when` can never be true, so `second` never runs")
