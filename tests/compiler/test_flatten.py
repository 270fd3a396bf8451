"""Pipelines used as steps: what becomes of their steps, of what is handed in and on, and of what the step around says."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import PROJECT, asked, given, pipeline, planned, tasks, told, waits

from pipec.compiler.plan import Group, Plan
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.steps.interface import Retry
from pipec.values import (
    Attachment,
    EachRef,
    Gather,
    ItemRef,
    ListOf,
    Literal,
    OutputRef,
    ParameterRef,
    SecretRef,
    Text,
    Value,
)

INNER = pipeline(
    """inputs: {rows: {type: Dataset}, more: {type: Dataset, optional: true}}
parameters: {k: {type: integer, default: 3}, t: {type: string, default: x}}
steps:
  last: {uses: ./mix.yaml, with: {one: "${{ inputs.more }}", n: "${{ steps.clean.n }}"}, when: parameters.k > 1, needs: [clean]}
  clean: {uses: ./mix.yaml, with: {one: "${{ inputs.rows }}", n: "${{ parameters.k }}", text: "t-${{ parameters.t }}"}, env: {K: "${{ parameters.k }}"}}
  list: {uses: ./mix.yaml, with: {many: ["${{ inputs.more }}", "${{ inputs.rows }}"], list: [1, "${{ parameters.k }}"]}}
outputs: {data: "${{ steps.last.data }}", n: "${{ steps.clean.n }}", k: "${{ parameters.k }}", rows: "${{ inputs.rows }}", more: "${{ inputs.more }}"}
""",
    "inner",
)


def plan(folder: Path, body: str, **more: str) -> Plan:
    inner = {f"{name}.yaml": text for name, text in more.items()}
    return planned(folder, {"inner.yaml": INNER, **inner, "p.yaml": pipeline(body)})


ONCE = """parameters: {big: {type: integer, default: 8}}
steps:
  a: {uses: ./mix.yaml}
  f: {uses: ./inner.yaml, with: {rows: "${{ steps.a.data }}", k: "${{ parameters.big }}"}}
"""


def test_the_steps_of_a_pipeline_are_called_after_the_step_that_uses_it(tmp_path: Path) -> None:
    made = plan(tmp_path, ONCE)
    assert [(task.name, task.step) for task in made.tasks] == [
        ("a", "a"), ("f.clean", "f.clean"), ("f.last", "f.last"), ("f.list", "f.list"),
    ]  # fmt: skip


def test_what_is_handed_in_stands_where_the_pipeline_names_it(tmp_path: Path) -> None:
    made = plan(tmp_path, ONCE)
    assert given(made.task("f.clean"), "one", "n", "text", "K") == [
        (OutputRef("a", "data"),), ParameterRef("big"), Literal("t-x"), ParameterRef("big"),
    ]  # fmt: skip
    assert given(made.task("f.list"), "list") == [ListOf((Literal(1), ParameterRef("big")))]
    assert made.task("f.last").when == Compare(">", ParameterRef("big"), Literal(1))


def test_an_optional_input_that_is_not_given_is_nowhere(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        ONCE
        + '  r: {uses: ./mix.yaml, with: {one: "${{ steps.f.more }}", many: ["${{ steps.f.more }}"]}}\noutputs: {more: "${{ steps.f.more }}", n: "${{ steps.f.n }}"}\n',
    )
    assert made.task("f.last").inputs == ()
    assert given(made.task("f.list"), "many") == [(OutputRef("a", "data"),)]
    assert made.task("r").inputs == (("many", ()),)
    assert made.outputs == (("n", OutputRef("f.clean", "n")),)


def test_an_optional_input_that_is_given_is_everywhere(tmp_path: Path) -> None:
    body = 'steps: {a: {uses: ./mix.yaml}, f: {uses: ./inner.yaml, with: {rows: r.csv, more: "${{ steps.a.data }}"}}}\noutputs: {more: "${{ steps.f.more }}"}'
    made = plan(tmp_path, body)
    assert given(made.task("f.list"), "many") == [(OutputRef("a", "data"), Literal("r.csv"))]
    assert made.outputs == (("more", OutputRef("a", "data")),)
    assert waits(made.task("f.last")) == {"a": "soft", "f.clean": ""}


def test_an_output_that_may_be_absent_goes_into_optional_inputs_only(tmp_path: Path) -> None:
    body = ONCE + '  r: {uses: ./need.yaml, with: {one: "${{ steps.f.more }}"}}\n'
    checked = asked(tmp_path, {"inner.yaml": INNER, "p.yaml": pipeline(body)})
    assert told(checked) == ["p.yaml:8 PIPE306 `r` needs `one`, but `steps.f.more` may be left unwritten"]


READERS: dict[str, tuple[str, dict[str, str], dict[str, object]]] = {
    "an artifact": ('{uses: ./need.yaml, with: {one: "${{ steps.f.data }}"}}',
                    {"f.clean": "soft order :f", "f.last": ":f", "f.list": "soft order :f"}, {"one": (OutputRef("f.last", "data"),)}),
    "an artifact that may be absent": ('{uses: ./mix.yaml, with: {one: "${{ steps.f.data }}"}}',
                                       {"f.clean": "soft order", "f.last": "soft", "f.list": "soft order"}, {"one": (OutputRef("f.last", "data"),)}),
    "a value": ('{uses: ./mix.yaml, with: {n: "${{ steps.f.n }}"}}',
                {"f.clean": ":f", "f.last": "soft order :f", "f.list": "soft order :f"}, {"n": OutputRef("f.clean", "n")}),
    "what was handed in": ('{uses: ./mix.yaml, with: {n: "${{ steps.f.k }}", many: ["${{ steps.f.rows }}"]}}',
                           {"a": "soft", "f.clean": "soft order :f", "f.last": "soft order :f", "f.list": "soft order :f"},
                           {"n": ParameterRef("big"), "many": (OutputRef("a", "data"),)}),
    "its end": ("{uses: ./mix.yaml, needs: [f]}", {"f.clean": "soft order :f", "f.last": "soft order :f", "f.list": "soft order :f"}, {}),
    "how it ended": ("{uses: ./mix.yaml, when: failed(f)}", {"f.clean": "soft order", "f.last": "soft order", "f.list": "soft order"}, {}),
    "a value in a condition": ("{uses: ./mix.yaml, when: steps.f.n > 1}", {"f.clean": ":f", "f.last": "soft order :f", "f.list": "soft order :f"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("what", READERS)
def test_a_reader_waits_for_all_steps_of_a_pipeline(what: str, tmp_path: Path) -> None:
    reader, expected, values = READERS[what]
    task = plan(tmp_path, ONCE + f"  r: {reader}\n").task("r")
    assert waits(task) == expected
    assert {name: given(task, name)[0] for name in values} == values


def any_of(*states: str) -> Condition:
    return AnyOf(tuple(Status(state, f"f.{step}") for state in states for step in ("last", "clean", "list")))


@pytest.mark.parametrize(
    ("condition", "asks"),
    [
        ("failed(f)", any_of("failed")),
        ("skipped(f)", AllOf(tuple(Status("skipped", f"f.{step}") for step in ("last", "clean", "list")))),
        ("succeeded(f)", AllOf((*(Not(Status("failed", f"f.{s}")) for s in ("last", "clean", "list")), any_of("succeeded")))),
    ],
)  # fmt: skip
def test_status_functions_ask_all_its_steps_or_any(condition: str, asks: Condition, tmp_path: Path) -> None:
    assert plan(tmp_path, ONCE + f"  r: {{uses: ./mix.yaml, when: {condition}}}\n").task("r").when == asks


def test_what_the_step_around_asks_and_waits_for_holds_for_all_inside(tmp_path: Path) -> None:
    body = """steps:
  a: {uses: ./mix.yaml}
  b: {uses: ./mix.yaml}
  f: {uses: ./inner.yaml, needs: [b], when: steps.a.ok, continue_on_error: true, with: {rows: "${{ steps.a.data }}"}}
"""
    made = plan(tmp_path, body)
    ok = Holds(OutputRef("a", "ok"))
    assert [made.task(f"f.{name}").when for name in ("clean", "last")] == [
        ok, AllOf((ok, Compare(">", Literal(3), Literal(1)))),
    ]  # fmt: skip
    assert [waits(made.task(f"f.{name}")) for name in ("clean", "last")] == [
        {"a": "", "b": "order"}, {"a": "", "b": "order", "f.clean": ""},
    ]  # fmt: skip
    assert [task.name for task in made.tasks if task.continue_on_error] == ["f.clean", "f.last", "f.list"]


def test_a_condition_about_how_a_step_ended_reaches_all_inside(tmp_path: Path) -> None:
    body = "steps: {a: {uses: ./mix.yaml}, f: {uses: ./inner.yaml, needs: [a], when: failed(a), with: {rows: r.csv}}}"
    made = plan(tmp_path, body)
    assert [waits(made.task(f"f.{name}"))["a"] for name in ("clean", "last", "list")] == ["soft order"] * 3
    assert made.task("f.clean").when == Status("failed", "a")


def test_image_and_defaults_are_those_of_the_document_that_says_the_step(tmp_path: Path) -> None:
    settings = "image: registry.example/%s:1\ndefaults: {timeout: %dm, retry: {attempts: %d}}\n"
    inner = pipeline(
        settings % ("inner", 7, 2) + "steps: {a: {uses: ./mix.yaml}, b: {uses: ./mix.yaml, timeout: 1m}}", "inner"
    )
    bare = pipeline("steps: {a: {uses: ./mix.yaml}}", "bare")
    body = (
        settings % ("outer", 9, 4) + "steps: {x: {uses: ./mix.yaml}, f: {uses: ./inner.yaml}, g: {uses: ./bare.yaml}}"
    )
    files = {
        "pipec.yaml": PROJECT + "image: registry.example/project:1\n",
        "inner.yaml": inner,
        "bare.yaml": bare,
        "p.yaml": pipeline(body),
    }
    made = planned(tmp_path, files)
    assert {task.name: (str(task.image).split("/")[1], task.timeout_s, task.retry.attempts) for task in made.tasks} == {
        "x": ("outer:1", 540, 4), "f.a": ("inner:1", 420, 2), "f.b": ("inner:1", 60, 2),
        "g.a": ("project:1", None, Retry().attempts),
    }  # fmt: skip


def test_an_environment_overlays_the_document_inside_too(tmp_path: Path) -> None:
    inner = pipeline(
        """parameters: {k: {type: integer, default: 1}}
environments: {prod: {parameters: {k: 5}, steps: {a: {with: {text: p}, timeout: 1h, env: {E: "${{ environment.name }}"}}}}}
steps: {a: {uses: ./mix.yaml, with: {n: "${{ parameters.k }}"}}}
""",
        "inner",
    )
    files = {
        "inner.yaml": inner,
        "p.yaml": pipeline("steps: {f: {uses: ./inner.yaml}, g: {uses: ./inner.yaml, with: {k: 9}}}"),
    }
    prod, dev = planned(tmp_path, files, environment="prod"), planned(tmp_path, files, environment="dev")
    assert given(prod.task("f.a"), "n", "text", "E") == [Literal(5), Literal("p"), Literal("prod")]
    assert prod.task("f.a").timeout_s == 3600
    assert given(prod.task("g.a"), "n") == [Literal(9)]
    assert given(dev.task("f.a"), "n", "text", "E") == [Literal(1), Literal(""), None]


FILES = {
    "sub/v.yaml": pipeline(
        """inputs: {rows: {type: Dataset}}
parameters: {rules: {type: string, const: %s, default: e.yaml}}
steps:
  said: {uses: validate-data, with: {data: "${{ inputs.rows }}", expectations: rules/e.yaml}}
  handed: {uses: validate-data, with: {data: "${{ inputs.rows }}", expectations: "${{ parameters.rules }}"}}
""",
        "v",
    ),
    "sub/rules/e.yaml": "expectations: [said]\n",
    "sub/e.yaml": "expectations: [inside]\n",
    "e.yaml": "expectations: [outside]\n",
}


@pytest.mark.parametrize("const", ["true", "false"])
def test_a_file_is_read_beside_the_document_that_names_it(const: str, tmp_path: Path) -> None:
    body = "steps: {f: {uses: ./sub/v.yaml, with: {rows: r.csv}}, g: {uses: ./sub/v.yaml, with: {rows: r.csv, rules: e.yaml}}}"
    files = {**FILES, "sub/v.yaml": FILES["sub/v.yaml"] % const, "p.yaml": pipeline(body)}
    made = planned(tmp_path, files)
    texts = {task.name: dict(task.parameters)["expectations"] for task in made.tasks}
    assert texts == {
        name: Attachment("e.yaml", f"expectations: [{text}]\n")
        for name, text in {"f.said": "said", "f.handed": "inside", "g.said": "said", "g.handed": "outside"}.items()
    }


def test_a_file_that_only_a_run_could_name_is_told(tmp_path: Path) -> None:
    body = """parameters: {rules: {type: string, default: e.yaml}}
steps: {f: {uses: ./sub/v.yaml, with: {rows: r.csv, rules: "${{ parameters.rules }}"}}}
"""
    files = {**FILES, "sub/v.yaml": FILES["sub/v.yaml"] % "false", "p.yaml": pipeline(body)}
    assert told(asked(tmp_path, files)) == [
        "p.yaml:5 PIPE122 `expectations` names a file, which must be known when the pipeline is compiled"
    ]


@pytest.mark.parametrize("const", ["true", "false"])
def test_locations_handed_in_are_read_beside_the_document_that_says_them(const: str, tmp_path: Path) -> None:
    inner = pipeline(
        f"""parameters: {{at: {{type: string, const: {const}, default: in.csv}}, folder: {{type: string, const: {const}, default: days}}}}
steps:
  a: {{uses: ingest, with: {{source: "${{{{ parameters.at }}}}"}}}}
  b: {{uses: ingest, with: {{source: "${{{{ parameters.folder }}}}/x.csv"}}}}
  c: {{uses: ./../need.yaml, with: {{one: c.csv, more: [d.csv, "${{{{ parameters.at }}}}"]}}}}
""",
        "inner",
    )
    body = "steps: {f: {uses: ./sub/i.yaml}, g: {uses: ./sub/i.yaml, with: {at: out.csv, folder: mine}}}"
    made = planned(tmp_path, {"sub/i.yaml": inner, "p.yaml": pipeline(body)})
    assert [given(made.task(name), "source")[0] for name in ("f.a", "f.b", "g.a", "g.b")] == [
        Literal("sub/in.csv"), Literal("sub/days/x.csv"), Literal("out.csv"), Literal("mine/x.csv"),
    ]  # fmt: skip
    assert given(made.task("f.c"), "one") == [(Literal("sub/c.csv"),)]


def test_a_secret_of_the_project_is_read_inside(tmp_path: Path) -> None:
    inner = pipeline('steps: {a: {uses: ./mix.yaml, env: {T: "${{ secrets.token }}"}}}', "inner")
    files = {
        "pipec.yaml": PROJECT + "secrets: {token: {env: TOKEN}}\n",
        "inner.yaml": inner,
        "p.yaml": pipeline("steps: {f: {uses: ./inner.yaml}}"),
    }
    assert given(planned(tmp_path, files).task("f.a"), "T") == [SecretRef("token")]


def test_a_secret_is_not_handed_in_as_a_parameter(tmp_path: Path) -> None:
    body = 'steps: {f: {uses: ./inner.yaml, with: {rows: r.csv, t: "${{ secrets.token }}"}}}'
    files = {"pipec.yaml": PROJECT + "secrets: {token: {env: TOKEN}}\n", "inner.yaml": INNER, "p.yaml": pipeline(body)}
    assert told(asked(tmp_path, files)) == ["p.yaml:4 PIPE304 the secret `token` would be written down here"]


def test_a_value_handed_in_must_fit_where_it_arrives(tmp_path: Path) -> None:
    inner = pipeline(
        'parameters: {e: {type: integer, default: 3}}\nsteps: {t: {uses: train, with: {data: r.csv, target: y, epochs: "${{ parameters.e }}"}}}',
        "inner",
    )
    files = {"inner.yaml": inner, "p.yaml": pipeline("steps: {f: {uses: ./inner.yaml, with: {e: 0}}}")}
    assert told(asked(tmp_path, files)) == ["p.yaml:4 PIPE111 `epochs` must be at least 1, not `0`"]


def test_a_loop_of_a_pipeline_is_one_task_with_the_pipeline_as_its_body(tmp_path: Path) -> None:
    body = """steps:
  a: {uses: ./mix.yaml}
  f: {uses: ./inner.yaml, for_each: {items: "${{ steps.a.list }}", max_parallel: 2, fail_fast: false}, with: {rows: "${{ steps.a.data }}", k: "${{ item.k }}"}}
  r: {uses: ./mix.yaml, with: {many: "${{ steps.f[*].data }}", list: "${{ steps.f[*].k }}"}}
  s: {uses: ./mix.yaml, needs: [f]}
  u: {uses: ./mix.yaml, when: failed(f)}
  v: {uses: ./mix.yaml, when: "1 in steps.f[*].n"}
"""
    made = plan(tmp_path, body)
    assert [*tasks(made)] == ["a", "f", "f/f.clean", "f/f.last", "f/f.list", "r", "s", "u", "v"]
    loop = made.task("f").loop
    assert loop is not None
    assert (loop.items, loop.max_parallel, loop.fail_fast) == (OutputRef("a", "list"), 2, False)
    assert dict(loop.outputs) == {
        "data": OutputRef("f.last", "data"), "n": OutputRef("f.clean", "n"), "k": ItemRef("k", "f"), "rows": OutputRef("a", "data"),
    }  # fmt: skip
    assert given(tasks(made)["f/f.clean"], "n", "one") == [ItemRef("k", "f"), (OutputRef("a", "data"),)]
    assert waits(made.task("f")) == {"a": ""}
    assert waits(tasks(made)["f/f.last"])["f.clean"] == ""
    assert given(made.task("r"), "many", "list") == [(EachRef("f", "data"),), EachRef("f", "k")]
    assert [set(waits(made.task(name))) for name in "rsuv"] == [{"f"}] * 4
    assert made.task("u").when == Status("failed", "f")


def test_a_reader_of_a_pipeline_in_a_loop_comes_after_it_wherever_it_stands(tmp_path: Path) -> None:
    body = """steps:
  r: {uses: ./mix.yaml, with: {list: "${{ steps.f[*].n }}"}}
  f: {uses: ./inner.yaml, for_each: [1, 2], with: {rows: r.csv, k: "${{ item }}"}}
"""
    assert [*tasks(plan(tmp_path, body))] == ["f", "f/f.clean", "f/f.last", "f/f.list", "r"]


def test_a_matrix_of_a_pipeline_is_a_loop_over_its_cells(tmp_path: Path) -> None:
    body = """steps:
  f: {uses: ./inner.yaml, matrix: {axes: {x: [1, 2], y: [b]}, fail_fast: false}, with: {rows: r.csv, k: "${{ matrix.x }}", t: "${{ matrix.y }}"}, when: matrix.x > 1}
  r: {uses: ./mix.yaml, with: {list: "${{ steps.f[*].n }}"}}
"""
    made = plan(tmp_path, body)
    loop = made.task("f").loop
    assert loop is not None
    assert loop.items == Literal([{"x": 1, "y": "b"}, {"x": 2, "y": "b"}])
    assert given(tasks(made)["f/f.clean"], "n", "text") == [ItemRef("x", "f"), Text((Literal("t-"), ItemRef("y", "f")))]
    assert (made.task("f").when, tasks(made)["f/f.clean"].when) == (None, Compare(">", ItemRef("x", "f"), Literal(1)))
    assert given(made.task("r"), "list") == [EachRef("f", "n")]
    assert made.groups == ()


LEAF = pipeline(
    """inputs: {rows: {type: Dataset}}
parameters: {k: {type: integer, default: 3}, xs: {type: list, const: true, default: [1, 2]}}
steps:
  m: {uses: ./mix.yaml, matrix: {axes: {x: "${{ parameters.xs }}"}}, with: {one: "${{ inputs.rows }}", n: "${{ matrix.x }}", text: "k${{ parameters.k }}"}}
  l: {uses: ./mix.yaml, for_each: "${{ steps.m[*].n }}", with: {n: "${{ item }}"}}
  j: {uses: ./mix.yaml, with: {many: "${{ steps.m[*].data }}", list: "${{ steps.l[*].n }}"}}
outputs: {data: "${{ steps.j.data }}", ns: "${{ steps.m[*].n }}", ls: "${{ steps.l[*].n }}", k: "${{ parameters.k }}"}
""",
    "leaf",
)
MID = pipeline(
    """inputs: {rows: {type: Dataset}}
parameters: {z: {type: integer}}
steps:
  pre: {uses: ./mix.yaml, with: {one: "${{ inputs.rows }}"}}
  leaf: {uses: ./leaf.yaml, with: {rows: "${{ steps.pre.data }}", k: "${{ parameters.z }}", xs: [5, 6]}}
  post: {uses: ./mix.yaml, with: {one: "${{ steps.leaf.data }}", list: "${{ steps.leaf.ns }}"}}
outputs: {data: "${{ steps.post.data }}", ns: "${{ steps.leaf.ns }}", ls: "${{ steps.leaf.ls }}", k: "${{ steps.leaf.k }}"}
""",
    "mid",
)
CELLS: Value = Gather((OutputRef("f.leaf.m-0", "n"), OutputRef("f.leaf.m-1", "n")))


def test_pipelines_nest(tmp_path: Path) -> None:
    body = """steps:
  a: {uses: ./mix.yaml}
  f: {uses: ./mid.yaml, with: {rows: "${{ steps.a.data }}", z: "${{ steps.a.n }}"}}
  r: {uses: ./mix.yaml, with: {one: "${{ steps.f.data }}", list: "${{ steps.f.ns }}", n: "${{ steps.f.k }}"}}
outputs: {ns: "${{ steps.f.ns }}", ls: "${{ steps.f.ls }}"}
"""
    made = plan(tmp_path, body, leaf=LEAF, mid=MID)
    assert [*tasks(made)] == [
        "a", "f.pre", "f.leaf.m-0", "f.leaf.m-1", "f.leaf.l", "f.leaf.l/f.leaf.l", "f.leaf.j", "f.post", "r",
    ]  # fmt: skip
    assert given(made.task("f.leaf.m-1"), "one", "n", "text") == [
        (OutputRef("f.pre", "data"),), Literal(6), Text((Literal("k"), OutputRef("a", "n"))),
    ]  # fmt: skip
    assert made.task("f.leaf.l").loop.items == CELLS  # type: ignore[union-attr]
    assert given(made.task("f.post"), "one", "list") == [(OutputRef("f.leaf.j", "data"),), CELLS]
    assert given(made.task("r"), "one", "list", "n") == [(OutputRef("f.post", "data"),), CELLS, OutputRef("a", "n")]
    assert made.outputs == (("ns", CELLS), ("ls", EachRef("f.leaf.l", "n")))
    assert made.groups == (Group(name="f.leaf.m"),)
    assert (made.task("f.leaf.m-1").group, made.task("f.leaf.m-1").title) == ("f.leaf.m", "f.leaf.m (x=6)")


def test_what_the_step_around_asks_and_waits_for_holds_for_a_loop_two_pipelines_below(tmp_path: Path) -> None:
    each = pipeline("steps: {x: {uses: ./mix.yaml}}\n", "each")
    between = pipeline("steps: {each: {uses: ./each.yaml, for_each: [1, 2]}}\n", "between")
    body = """steps:
  a: {uses: ./mix.yaml}
  f: {uses: ./between.yaml, needs: [a], when: steps.a.ok}
"""
    made = plan(tmp_path, body, each=each, between=between)
    carrier = made.task("f.each")
    assert (carrier.when, waits(carrier)) == (Holds(OutputRef("a", "ok")), {"a": ""})


def test_a_matrix_stands_in_a_pipeline_of_a_matrix(tmp_path: Path) -> None:
    body = """steps:
  f: {uses: ./mid.yaml, matrix: {axes: {x: [1, 2]}}, with: {rows: r.csv, z: "${{ matrix.x }}"}}
  r: {uses: ./mix.yaml, with: {many: "${{ steps.f[*].data }}", list: "${{ steps.f[*].ns }}"}}
outputs: {ns: "${{ steps.f[*].ns }}"}
"""
    made = plan(tmp_path, body, leaf=LEAF, mid=MID)
    assert [*tasks(made)] == ["f", *(f"f/{name}" for name in (
        "f.pre", "f.leaf.m-0", "f.leaf.m-1", "f.leaf.l", "f.leaf.l/f.leaf.l", "f.leaf.j", "f.post",
    )), "r"]  # fmt: skip
    assert given(tasks(made)["f/f.leaf.m-0"], "n", "text") == [Literal(5), Text((Literal("k"), ItemRef("x", "f")))]
    assert dict(made.task("f").loop.outputs)["ns"] == CELLS  # type: ignore[union-attr]
    assert given(made.task("r"), "list") == [EachRef("f", "ns")]
    assert made.outputs == (("ns", EachRef("f", "ns")),)


def test_steps_stand_in_any_order_of_the_file(tmp_path: Path) -> None:
    body = """steps:
  r: {uses: ./mix.yaml, with: {n: "${{ steps.f.n }}"}}
  f: {uses: ./inner.yaml, with: {rows: "${{ steps.a.data }}", k: "${{ steps.g.n }}"}}
  g: {uses: ./inner.yaml, with: {rows: "${{ steps.a.data }}"}}
  a: {uses: ./mix.yaml}
"""
    made = plan(tmp_path, body)
    names = [task.name for task in made.tasks]
    assert sorted(names, key=lambda name: "agfr".index(name[0])) == names
    assert given(made.task("f.clean"), "n") == [OutputRef("g.clean", "n")]


def test_inputs_of_the_pipeline_that_is_run_are_parameters_of_the_run(tmp_path: Path) -> None:
    body = """inputs: {rows: {type: Dataset}, old: {type: Dataset, default: old.csv}, more: {type: Dataset, optional: true, description: Others}}
steps: {f: {uses: ./inner.yaml, with: {rows: "${{ inputs.rows }}", more: "${{ inputs.more }}"}}, a: {uses: ./mix.yaml, with: {one: "${{ inputs.old }}"}}}
outputs: {more: "${{ steps.f.more }}", rows: "${{ inputs.rows }}"}
"""
    made = plan(tmp_path, body)
    assert [(p.name, p.kind, p.default, p.is_required, p.description) for p in made.parameters] == [
        ("rows", "string", None, True, ""), ("old", "string", "old.csv", False, ""), ("more", "string", None, False, "Others"),
    ]  # fmt: skip
    assert given(made.task("f.last"), "one") == [(ParameterRef("more"),)]
    assert given(made.task("a"), "one") == [(ParameterRef("old"),)]
    assert made.outputs == (("more", ParameterRef("more")), ("rows", ParameterRef("rows")))


def test_a_set_gives_an_input_its_location(tmp_path: Path) -> None:
    body = "inputs: {rows: {type: Dataset}}\nsteps: {a: {uses: ./mix.yaml, with: {one: '${{ inputs.rows }}'}}}"
    made = planned(tmp_path, body, sets={"rows": "s3://rows"})
    assert (made.parameters[0].default, made.parameters[0].is_required) == ("s3://rows", False)


def test_what_feeds_an_optional_input_of_a_pipeline_is_waited_for_by_all_its_steps(tmp_path: Path) -> None:
    body = 'steps: {a: {uses: ./mix.yaml}, f: {uses: ./inner.yaml, with: {rows: r.csv, more: "${{ steps.a.data }}"}}}'
    made = plan(tmp_path, body)
    assert {name: waits(made.task(name))["a"] for name in ("f.clean", "f.list")} == {
        "f.clean": "soft order", "f.list": "soft",
    }  # fmt: skip
