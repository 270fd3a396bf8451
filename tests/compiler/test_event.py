"""Pipelines of one file: which are planned, what starts them, and to whom `--set` speaks."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import asked, pipeline, told

from pipec import api
from pipec.compiler.plan import After, Plan
from pipec.condition import AllOf, AnyOf, Compare, Status
from pipec.values import EachRef, Gather, ListOf, Literal, OutputRef, ParameterRef, RunRef, Text, Value

INNER = pipeline(
    'parameters: {k: {type: integer, default: 1}}\nsteps: {z: {uses: ./mix.yaml, with: {n: "${{ parameters.k }}"}}}\n'
    'outputs: {n: "${{ steps.z.n }}", k: "${{ parameters.k }}"}\n',
    "inner",
)
STARTED = """inputs: {rows: {type: Dataset, default: rows.csv}}
parameters: {text: {type: string, default: x}, n: {type: number, default: 1}, list: {type: list, default: []}}
triggers: [{after: %s}]
steps:
  a: {uses: ./mix.yaml, with: {one: "${{ inputs.rows }}", n: "${{ parameters.n }}", list: "${{ parameters.list }}"}}
"""
ENDED = """parameters: {size: {type: integer, default: 5}, n: {type: integer, default: 6}}
inputs: {late: {type: Dataset, default: late.csv}}
steps:
  m: {uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}}
  l: {uses: ./mix.yaml, for_each: [1, 2]}
  f: {uses: ./inner.yaml, with: {k: "${{ parameters.size }}"}}
  s: {uses: ./mix.yaml, with: {n: "${{ parameters.n }}"}}
"""


def checked(folder: Path, trigger: str, **more: object) -> api.Checked:
    text = pipeline(STARTED % trigger) + "---\n" + pipeline(ENDED, "q")
    return asked(folder, {"p.yaml": text, "inner.yaml": INNER}, **more)


def plans(found: api.Checked) -> dict[str, Plan]:
    assert told(found) == []
    return {unit.pipeline.name: unit.plan for unit in found.units if unit.plan}


def test_a_trigger_is_said_in_terms_of_the_tasks_of_the_run_that_ended(tmp_path: Path) -> None:
    trigger = """{pipeline: q, step: s, outcome: failed, cooldown: 1h, when: "steps.f.n > 1 and failed(m)",
      parameters: {text: "${{ run.id }}: ${{ steps.f.n }}", n: "${{ parameters.size }}", list: "${{ steps.m[*].n }}"}}"""
    (after,) = plans(checked(tmp_path, trigger))["p"].after
    assert after == After(
        pipeline="q", step="s", outcome="failed", cooldown_s=3600,
        when=AllOf((Compare(">", OutputRef("f.z", "n"), Literal(1)),
                    AnyOf((Status("failed", "m-0"), Status("failed", "m-1"))))),
        parameters=(
            ("text", Text((RunRef("id"), Literal(": "), OutputRef("f.z", "n")))),
            ("n", ParameterRef("size")),
            ("list", Gather((OutputRef("m-0", "n"), OutputRef("m-1", "n")))),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("n: 3", Literal(3)), ("rows: s3://rows", Literal("s3://rows")),
        ('rows: "${{ inputs.late }}"', ParameterRef("late")),
        ('rows: "${{ steps.s.text }}"', OutputRef("s", "text")), ('n: "${{ steps.f.k }}"', ParameterRef("size")),
        ('list: "${{ steps.l[*].n }}"', EachRef("l", "n")), ('list: [1, "${{ run.id }}"]', ListOf((Literal(1), RunRef("id")))), ('text: "${{ environment.name }}"', Literal("dev")),
    ],
)  # fmt: skip
def test_what_a_trigger_gives_is_a_value_of_the_run_that_ended(given: str, value: Value, tmp_path: Path) -> None:
    found = checked(tmp_path, f"{{pipeline: q, parameters: {{{given}}}}}", environment="dev")
    assert plans(found)["p"].after[0].parameters == ((given.partition(":")[0], value),)


def test_a_trigger_that_names_only_a_pipeline_comes_after_every_success_of_it(tmp_path: Path) -> None:
    assert plans(checked(tmp_path, "{pipeline: q}"))["p"].after == (After(pipeline="q"),)


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("{pipeline: p}", "PIPE411 `p` would start itself"),
        ("{pipeline: r}", "PIPE411 this file has no pipeline `r`"),
        ("{pipeline: q, step: t}", "PIPE411 pipeline `q` has no step `t`"),
        ("{pipeline: q, when: steps.t.n > 1}", "PIPE411 pipeline `q` has no step `t`"),
        ("{pipeline: q, when: failed(t)}", "PIPE411 pipeline `q` has no step `t`"),
        ("{pipeline: q, when: steps.s.m > 1}", "PIPE411 step `s` of pipeline `q` has no output `m`"),
        ("{pipeline: q, when: parameters.text == 'x'}", "PIPE411 pipeline `q` has no parameter `text`"),
        ('{pipeline: q, parameters: {text: "${{ item }}"}}', "PIPE411 `item` has no value in a run that has ended"),
        ('{pipeline: q, parameters: {rows: "${{ steps.s.data }}"}}',
         "PIPE411 `steps.s.data` is an artifact, and an event carries values"),
        ("{pipeline: q, when: steps.s.n == 'x'}", "PIPE308 `steps.s.n` is an integer, and `'x'` is a string: they cannot be compared"),
        ('{pipeline: q, parameters: {text: "x ${{ steps.s.list }}"}}', "PIPE412 `steps.s.list` is of type list, which cannot stand inside a text"),
        ("{pipeline: q, parameters: {m: 3}}", "PIPE412 the pipeline has no parameter `m`"),
        ("{pipeline: q, parameters: {n: x}}", "PIPE112 `n` needs a number, but `x` is text"),
        ('{pipeline: q, parameters: {n: "${{ steps.s.text }}"}}',
         "PIPE412 `n` is of type number, and `steps.s.text` of type string"),
        ('{pipeline: q, parameters: {n: "1${{ steps.s.n }}"}}',
         "PIPE412 `n` is of type number, and a text stands around `steps.s.n`"),
        ('{pipeline: q, parameters: {rows: "${{ steps.s.n }}"}}',
         "PIPE412 `rows` is of type string, and `steps.s.n` of type integer"),
    ],
)  # fmt: skip
def test_a_trigger_that_could_not_work_is_told(trigger: str, expected: str, tmp_path: Path) -> None:
    assert told(checked(tmp_path, trigger)) == [f"p.yaml:6 {expected}"]


def test_a_constant_is_not_for_a_trigger_to_change(tmp_path: Path) -> None:
    text = pipeline(STARTED.replace("n: {type: number,", "n: {type: number, const: true,")
                    % "{pipeline: q, parameters: {n: 3}}")  # fmt: skip
    found = asked(tmp_path, {"p.yaml": text + "---\n" + pipeline(ENDED, "q"), "inner.yaml": INNER})
    assert told(found) == ["p.yaml:6 PIPE412 `n` is const, so no run can be given another value"]


def test_a_pipeline_whose_cause_is_broken_has_no_plan(tmp_path: Path) -> None:
    text = pipeline(STARTED % "{pipeline: q}") + "---\n" + pipeline("steps: {a: {uses: nope}}", "q")
    found = asked(tmp_path, {"p.yaml": text})
    assert told(found) == ["p.yaml:13 PIPE201 there is no step `nope`"]
    assert [unit.plan for unit in found.units] == [None, None]


def test_one_pipeline_is_asked_for_with_those_that_it_starts_after(tmp_path: Path) -> None:
    def names(pipeline: str | None) -> list[str]:
        found = checked(tmp_path, "{pipeline: q}", pipeline=pipeline)
        return [unit.pipeline.name for unit in found.units]

    assert (names(None), names("p"), names("q")) == (["p", "q"], ["p", "q"], ["q"])
    with pytest.raises(api.UsageError, match=r"holds no pipeline `r`: p, q"):
        names("r")


def test_a_set_reaches_every_pipeline_that_takes_it(tmp_path: Path) -> None:
    found = checked(tmp_path, "{pipeline: q}", sets={"n": "9", "size": "7", "rows": "s3://rows"})
    defaults = {name: {p.name: p.default for p in plan.parameters} for name, plan in plans(found).items()}
    assert defaults == {
        "p": {"rows": "s3://rows", "text": "x", "n": 9, "list": []},
        "q": {"size": 7, "n": 9, "late": "late.csv"},
    }


@pytest.mark.parametrize(
    ("sets", "pipeline", "message"),
    [
        ({"size": "7"}, "p", None),
        ({"siz": "7"}, None, "--set: there is no parameter `siz`; did you mean `size`?"),
        ({"text": "7"}, "q", "--set: there is no parameter `text`"),
        ({"n": "0.5"}, None, "--set: `n` needs a whole number, but `0.5` is a number"),
        ({"n": "x"}, None, "--set: parameter `n` is of type number, and `x` is not one in JSON"),
    ],
)
def test_a_set_that_nothing_takes_is_told(
    sets: dict[str, str], pipeline: str | None, message: str | None, tmp_path: Path
) -> None:
    with pytest.raises(api.UsageError) as caught:
        checked(tmp_path, "{pipeline: q}", sets=sets, pipeline=pipeline)
    assert str(caught.value) == (message or "--set: there is no parameter `size`")


def test_two_pipelines_of_one_name_are_told(tmp_path: Path) -> None:
    text = pipeline("steps: {a: {uses: ./mix.yaml}}\n")
    assert told(asked(tmp_path, {"p.yaml": text + "---\n" + text})) == [
        "p.yaml:8 PIPE105 two pipelines of this file are called `p`"
    ]


@pytest.mark.parametrize("kind", ["[integer]", "{a: b}", "null", "3"])
def test_a_set_for_a_declaration_of_any_shape_leaves_the_telling_to_the_check(kind: str, tmp_path: Path) -> None:
    body = f"parameters: {{n: {{type: {kind}}}}}\nsteps: {{a: {{uses: ./mix.yaml}}}}\n"
    (found,) = told(asked(tmp_path, {"p.yaml": pipeline(body)}, sets={"n": "3"}))
    assert found.startswith("p.yaml:4 PIPE10")


@pytest.mark.parametrize("kind", ["[integer]", "{a: b}", "null"])
def test_a_constant_of_any_shape_is_told_in_the_file_that_declares_it(kind: str, tmp_path: Path) -> None:
    inner = pipeline(
        f"parameters: {{n: {{type: {kind}, const: true, default: 1}}}}\nsteps: {{a: {{uses: ./mix.yaml}}}}\n"
    )
    files = {"p.yaml": pipeline("steps: {s: {uses: ./x.yaml, with: {n: 3}}}"), "x.yaml": inner}
    (found,) = told(asked(tmp_path, files))
    assert found.startswith("x.yaml:4 PIPE10")
