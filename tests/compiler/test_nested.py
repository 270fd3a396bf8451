"""Files that steps use: what is opened, what it is as a step, and what is told of files that cannot be used."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import NEED, PROJECT, STEP, asked, pipeline, planned, tasks, told

from pipec import api
from pipec.compiler.nested import MAX_DEPTH
from pipec.steps.interface import MISSING, Artifact, Input, Kind, Output, Parameter

INNER = """inputs:
  rows: {type: Dataset, description: Rows to clean}
  more: {type: Dataset, optional: true}
  model: {type: Model, default: s3://models/base}
parameters:
  n: {type: integer, default: 3, minimum: 1, description: How many}
  name: {type: string}
  kept: {type: list, const: true, default: [1]}
environments: {prod: {parameters: {n: 9}}}
steps:
  a: {uses: ./mix.yaml, with: {one: "${{ inputs.rows }}", text: "${{ parameters.name }}", list: "${{ parameters.kept }}"}}
  m: {uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}, with: {one: "${{ inputs.more }}", n: "${{ parameters.n }}"}}
  l: {uses: ./mix.yaml, for_each: [1, 2]}
outputs:
  data: ${{ steps.a.data }}
  n: ${{ steps.a.n }}
  cells: ${{ steps.m[*].n }}
  items: ${{ steps.l[*].text }}
  rows: ${{ inputs.rows }}
  more: ${{ inputs.more }}
  model: ${{ inputs.model }}
  name: ${{ parameters.name }}
  kept: ${{ parameters.kept }}
  where: ${{ environment.name }}
"""
OUTER = "steps: {f: {uses: ./inner.yaml, with: {rows: rows.csv, name: x}}}"


def opened(folder: Path, **more: object) -> api.Checked:
    return asked(folder, {"p.yaml": pipeline(OUTER), "inner.yaml": pipeline(INNER, "inner")}, **more)


def test_a_pipeline_used_as_a_step_has_an_interface_like_any(tmp_path: Path) -> None:
    (unit,) = opened(tmp_path).units
    interface = unit.opening.uses["f"].interface
    assert interface.inputs == (
        Input(name="rows", type=Artifact.DATASET, help="Rows to clean"),
        Input(name="more", type=Artifact.DATASET, optional=True),
        Input(name="model", type=Artifact.MODEL, optional=True),
    )
    assert interface.parameters == (
        Parameter(name="n", kind=Kind.INTEGER, schema={"type": "integer", "minimum": 1}, default=3, help="How many"),
        Parameter(name="name", kind=Kind.STRING, schema={"type": "string"}, default=MISSING),
        Parameter(name="kept", kind=Kind.LIST, schema={"type": "array"}, default=[1]),
    )
    assert interface.outputs == (
        Output(name="data", type=Artifact.DATASET),
        Output(name="n", type=Kind.INTEGER),
        Output(name="cells", type=Kind.LIST),
        Output(name="items", type=Kind.LIST),
        Output(name="rows", type=Artifact.DATASET, same_as="rows"),
        Output(name="more", type=Artifact.DATASET, same_as="more", optional=True),
        Output(name="model", type=Artifact.MODEL, same_as="model"),
        Output(name="name", type=Kind.STRING),
        Output(name="kept", type=Kind.LIST),
        Output(name="where", type=Kind.STRING),
    )


def test_defaults_are_those_of_the_environment_that_is_chosen(tmp_path: Path) -> None:
    (unit,) = opened(tmp_path, environment="prod").units
    parameter = unit.opening.uses["f"].interface.parameter("n")
    assert parameter is not None
    assert parameter.default == 9


def test_a_manifest_and_a_pipeline_are_told_apart_by_their_kind(tmp_path: Path) -> None:
    body = "steps:\n  s: {uses: ./need.yaml, with: {one: a.csv}}\n  f: {uses: ./inner.yaml, with: {rows: b, name: x}}\n"
    (unit,) = asked(tmp_path, {"p.yaml": pipeline(body), "inner.yaml": pipeline(INNER, "inner")}).units
    uses = unit.opening.uses
    assert [(uses[name].interface.name, uses[name].pipeline is None) for name in ("s", "f")] == [
        ("need", True), ("inner", False),
    ]  # fmt: skip
    assert sorted(uses["f"].uses) == ["a", "l", "m"]


def in_circle(*names: str) -> dict[str, str]:
    """Return pipelines that use each other around: `p.yaml` the first."""
    around = zip(names, (*names[1:], names[0]), strict=True)
    return {"p.yaml": pipeline(f"steps: {{s: {{uses: ./{names[0]}.yaml}}}}")} | {
        f"{name}.yaml": pipeline(f"steps: {{to-{after}: {{uses: ./{after}.yaml}}}}", name) for name, after in around
    }


def in_a_row(length: int) -> dict[str, str]:
    files = {f"n{i}.yaml": pipeline(f"steps: {{s: {{uses: ./n{i + 1}.yaml}}}}", f"n{i}") for i in range(length - 1)}
    last = {f"n{length - 1}.yaml": pipeline("steps: {s: {uses: ./mix.yaml}}", "last")}
    return {"p.yaml": pipeline("steps: {s: {uses: ./n0.yaml}}"), **files, **last}


def one(uses: str, **files: str) -> dict[str, str]:
    return {"p.yaml": pipeline(f"steps: {{s: {{uses: {uses}}}}}")} | {f"{n}.yaml": text for n, text in files.items()}


FAULTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "absent": (one("./no.yaml"), ["p.yaml:4 PIPE002 there is no file `./no.yaml`"]),
    "outside of the root": (one("../x.yaml"), ["p.yaml:4 PIPE002 `../x.yaml` lies outside of the project"]),
    "a whole path": (one("/etc/x.yaml"), ["p.yaml:4 PIPE002 `/etc/x.yaml` is not a relative path"]),
    "a folder": ({**one("./sub.yaml"), "sub.yaml/x": ""}, ["p.yaml:4 PIPE002 `./sub.yaml` is not a regular file"]),
    "no text": (one("./x.yaml", x="\0"), ["x.yaml:1 PIPE004 a character that cannot be seen stands here: U+0000, a control character"]),
    "no YAML": (one("./x.yaml", x="a: ["), ["x.yaml:1 PIPE001 this is not YAML: a value is missing here"]),
    "nothing in it": (one("./x.yaml", x=""), ["x.yaml:1 PIPE010 the file holds no document"]),
    "a list": (one("./x.yaml", x="[]"), ["x.yaml:1 PIPE100 a pipeline is a mapping, with `apiVersion` and `kind`"]),
    "another kind": (one("./x.yaml", x=PROJECT), ["x.yaml:2 PIPE100 `kind` is `Project`, and `Pipeline` is read here"]),
    "another version": (one("./x.yaml", x="apiVersion: v1\nkind: Step\n"), ["x.yaml:1 PIPE100 `apiVersion` is `v1`, and `pipec/v1alpha1` is read here"]),
    "two documents": (one("./x.yaml", x=NEED + "---\n" + NEED), ["p.yaml:4 PIPE100 `./x.yaml` holds 2 documents, and a step uses one"]),
    "a wrong shape": (one("./x.yaml", x=pipeline("steps: {a: {use: b}}")), ["x.yaml:4 PIPE102 `a` has no `uses`", "x.yaml:4 PIPE101 there is no key `use` here"]),
    "a wrong manifest": (one("./x.yaml", x=STEP % "x" + "outputs: {a: {type: Dataset}}\ncommand: [x]\n"), ["x.yaml:4 PIPE131 no argument names output `a`, and so the command cannot write it"]),
    "final steps": (one("./x.yaml", x=pipeline("steps: {a: {uses: ./mix.yaml}}\nfinally: {z: {uses: ./mix.yaml}}")), ["p.yaml:4 PIPE124 `./x.yaml` has `finally`, and a pipeline used as a step cannot: its run goes on"]),
    "itself": (in_circle("a"), ["a.yaml:4 PIPE124 pipelines use each other: `a.yaml` -> `a.yaml`"]),
    "a circle": (in_circle("a", "b"), ["b.yaml:4 PIPE124 pipelines use each other: `a.yaml` -> `b.yaml` -> `a.yaml`"]),
    "a circle further down": ({**in_circle("b", "c"), **one("./a.yaml", a=pipeline("steps: {s: {uses: ./b.yaml}}", "a"))},
                              ["c.yaml:4 PIPE124 pipelines use each other: `b.yaml` -> `c.yaml` -> `b.yaml`"]),
    "the file that is run": (one("./p.yaml"), ["p.yaml:4 PIPE124 pipelines use each other: `p.yaml` -> `p.yaml`"]),
    "too deep": (in_a_row(MAX_DEPTH + 1), [f"n{MAX_DEPTH - 1}.yaml:4 PIPE124 pipelines are nested more than {MAX_DEPTH} deep"]),
    "a fault inside": (one("./x.yaml", x=pipeline("steps: {a: {uses: trian}}")), ["x.yaml:4 PIPE201 there is no step `trian`"]),
    "an unknown name inside": (one("./x.yaml", x=pipeline("steps: {a: {uses: ./mix.yaml, when: parameters.q}}")), ["x.yaml:4 PIPE204 the pipeline has no parameter `q`"]),
    "a name of outside": ({"p.yaml": pipeline("parameters: {q: {type: boolean}}\nsteps: {s: {uses: ./x.yaml, when: parameters.q}}"),
                           "x.yaml": pipeline("steps: {a: {uses: ./mix.yaml, when: parameters.q}}")}, ["x.yaml:4 PIPE204 the pipeline has no parameter `q`"]),
    "an unknown output": ({"p.yaml": pipeline('steps: {s: {uses: ./x.yaml}, r: {uses: ./mix.yaml, with: {n: "${{ steps.s.n }}"}}}'),
                           "x.yaml": pipeline('steps: {a: {uses: ./mix.yaml}}\noutputs: {m: "${{ steps.a.n }}"}')}, ["p.yaml:4 PIPE203 step `s` has no output `n`"]),
    "an unknown parameter": ({"p.yaml": pipeline("steps: {s: {uses: ./x.yaml, with: {m: 3}}}"),
                              "x.yaml": pipeline("parameters: {n: {type: integer}}\nsteps: {a: {uses: ./mix.yaml}}")},
                             ["p.yaml:4 PIPE303 step `s` is not given its parameter `n` (an integer)", "p.yaml:4 PIPE110 step `s` has no parameter `m`"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_used_is_told_where_it_can_be_mended(fault: str, tmp_path: Path) -> None:
    files, expected = FAULTS[fault]
    assert told(asked(tmp_path, files)) == expected


def test_the_last_depth_that_is_allowed_is_planned(tmp_path: Path) -> None:
    plan = planned(tmp_path, in_a_row(MAX_DEPTH))
    assert [*tasks(plan)] == [".".join(["s"] * (MAX_DEPTH + 1))]


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(pipeline("steps: {a: {uses: ./mix.yaml}}"), encoding="utf-8")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert told(asked(tmp_path, one("./link.yaml"))) == [
        "p.yaml:4 PIPE002 cannot read `./link.yaml`: a link is on the way, and none is followed"
    ]


def test_two_uses_of_one_file_are_no_circle(tmp_path: Path) -> None:
    files = {"p.yaml": pipeline("steps: {s: {uses: ./x.yaml}, t: {uses: ./x.yaml}}")}
    plan = planned(tmp_path, {**files, "x.yaml": pipeline("steps: {a: {uses: ./mix.yaml}}", "x")})
    assert [*tasks(plan)] == ["s.a", "t.a"]


def test_files_are_named_from_the_file_that_says_them(tmp_path: Path) -> None:
    files = {
        "p.yaml": pipeline("steps: {s: {uses: ./sub/x.yaml}}"),
        "sub/x.yaml": pipeline("steps: {a: {uses: ./y.yaml}, b: {uses: ../mix.yaml}}", "x"),
        "sub/y.yaml": pipeline("steps: {c: {uses: ../need.yaml, with: {one: s3://rows}}}", "y"),
    }
    assert [*tasks(planned(tmp_path, files))] == ["s.a.c", "s.b"]


CONST = """parameters: {xs: {type: list, const: true, default: [1]}, n: {type: integer, const: true, default: 2}}
steps: {a: {uses: ./mix.yaml, matrix: {axes: {x: "${{ parameters.xs }}"}}, resources: {cpu: "${{ parameters.n }}"}, with: {text: "n${{ parameters.n }}"}}}
"""


def test_constants_take_the_values_that_the_step_around_gives(tmp_path: Path) -> None:
    body = """parameters: {two: {type: integer, const: true, default: 6}}
steps: {f: {uses: ./x.yaml, with: {xs: [7, "${{ parameters.two }}"], n: "${{ parameters.two }}"}}, g: {uses: ./x.yaml}}
"""
    plan = planned(tmp_path, {"p.yaml": pipeline(body), "x.yaml": pipeline(CONST, "x")})
    assert [(task.name, task.title, task.resources.cpu) for task in plan.tasks] == [
        ("f.a-0", "f.a (x=7)", 6.0), ("f.a-1", "f.a (x=6)", 6.0), ("g.a-0", "g.a (x=1)", 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("xs: 5", "p.yaml:4 PIPE103 `xs` needs a list, but `5` is a number"),
        ('n: "3"', "p.yaml:4 PIPE112 `n` needs a whole number, but `3` is text"),
        ('xs: "${{ steps.l.list }}"', "p.yaml:4 PIPE122 `xs` is const in `./x.yaml`, and what is given here only a run knows"),
        ('n: "${{ steps.l.n }}"', "p.yaml:4 PIPE122 `n` is const in `./x.yaml`, and what is given here only a run knows"),
        ("xs: []", "x.yaml:5 PIPE104 `x` must have at least 1 item"),
    ],
)  # fmt: skip
def test_a_constant_that_does_not_fit_is_told_where_it_is_given(given: str, expected: str, tmp_path: Path) -> None:
    body = f"steps: {{l: {{uses: ./mix.yaml}}, f: {{uses: ./x.yaml, with: {{{given}}}}}}}\n"
    assert told(asked(tmp_path, {"p.yaml": pipeline(body), "x.yaml": pipeline(CONST, "x")})) == [expected]
