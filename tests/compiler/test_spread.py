"""Steps that become several tasks: their names, what they are given, who waits for them, and how."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import given, pipeline, planned, tasks, waits

from pipec.compiler.plan import Group, Plan
from pipec.condition import AllOf, AnyOf, Compare, Condition, Holds, Not, Status
from pipec.values import EachRef, Gather, ItemRef, Literal, OutputRef, RunRef, Text

SUCCEEDED_ALL = AllOf((Not(Status("failed", "m-0")), Not(Status("failed", "m-1")),
                       AnyOf((Status("succeeded", "m-0"), Status("succeeded", "m-1")))))  # fmt: skip
MATRIX = """parameters: {xs: {type: list, const: true, default: [1, 2]}}
steps:
  a: {uses: ./mix.yaml}
  m:
    uses: ./mix.yaml
    matrix: {axes: {x: "${{ parameters.xs }}", y: [b]}, max_parallel: 2%s}
    with: {n: "${{ matrix.x }}", text: "v-${{ matrix.y }}-${{ run.id }}", one: "${{ steps.a.data }}"}
    env: {X: "${{ matrix.x }}"}
    when: matrix.x > 1 and steps.a.ok
"""


def gathered(output: str, *names: str) -> Gather:
    return Gather(tuple(OutputRef(name, output) for name in names))


def test_a_matrix_is_one_task_for_each_cell_numbered_in_their_order(tmp_path: Path) -> None:
    plan = planned(tmp_path, MATRIX % "")
    assert [(task.name, task.step, task.title, task.group) for task in plan.tasks] == [
        ("a", "a", "", ""), ("m-0", "m", "m (x=1, y=b)", "m"), ("m-1", "m", "m (x=2, y=b)", "m"),
    ]  # fmt: skip
    assert plan.groups == (Group(name="m", max_parallel=2, fail_fast=True),)


def test_a_cell_is_given_its_own_values(tmp_path: Path) -> None:
    plan = planned(tmp_path, MATRIX % ", fail_fast: false")
    assert [given(plan.task(f"m-{n}"), "n", "text", "X") for n in (0, 1)] == [
        [Literal(x), Text((Literal("v-b-"), RunRef("id"))), Literal(x)] for x in (1, 2)
    ]
    assert plan.task("m-1").when == AllOf((Compare(">", Literal(2), Literal(1)), Holds(OutputRef("a", "ok"))))
    assert waits(plan.task("m-1")) == {"a": ""}
    assert plan.groups[0].fail_fast is False


READERS: dict[str, tuple[str, dict[str, str]]] = {
    "its artifacts": ('{uses: ./mix.yaml, with: {many: "${{ steps.m[*].data }}"}}', {"m-0": "soft", "m-1": "soft"}),
    "its values": ('{uses: ./mix.yaml, with: {list: "${{ steps.m[*].n }}"}}', {"m-0": "soft :m", "m-1": "soft :m"}),
    "its end": ("{uses: ./mix.yaml, needs: [m]}", {"m-0": "soft order :m", "m-1": "soft order :m"}),
    "its end and its values": ('{uses: ./mix.yaml, needs: [m], with: {list: "${{ steps.m[*].n }}"}}',
                               {"m-0": "soft :m", "m-1": "soft :m"}),
    "how it ended": ("{uses: ./mix.yaml, when: failed(m)}", {"m-0": "soft order", "m-1": "soft order"}),
    "how it ended, after it": ("{uses: ./mix.yaml, needs: [m], when: failed(m)}",
                               {"m-0": "soft order", "m-1": "soft order"}),
    "its values, in a condition": ('{uses: ./mix.yaml, when: "1 in steps.m[*].n"}', {"m-0": "soft :m", "m-1": "soft :m"}),
}  # fmt: skip


@pytest.mark.parametrize("what", READERS)
def test_a_reader_of_a_matrix_waits_for_every_cell(what: str, tmp_path: Path) -> None:
    reader, expected = READERS[what]
    plan = planned(tmp_path, MATRIX % "" + f"  r: {reader}\n")
    assert waits(plan.task("r")) == expected


def test_cells_that_may_fail_are_forgiven_by_who_lists_what_they_wrote(tmp_path: Path) -> None:
    body = MATRIX % ", fail_fast: false" + '  r: {uses: ./mix.yaml, with: {list: "${{ steps.m[*].n }}"}}\n'
    body += "  s: {uses: ./mix.yaml, needs: [m]}\n"
    plan = planned(tmp_path, body + '  t: {uses: ./mix.yaml, needs: [m], with: {list: "${{ steps.m[*].n }}"}}\n')
    assert waits(plan.task("r")) == {"m-0": "soft forgiving :m", "m-1": "soft forgiving :m"}
    assert waits(plan.task("s")) == {"m-0": "soft order :m", "m-1": "soft order :m"}
    assert waits(plan.task("t")) == {"m-0": "soft :m", "m-1": "soft :m"}


def test_what_all_cells_wrote_is_gathered_in_their_order(tmp_path: Path) -> None:
    reader = '  r: {uses: ./mix.yaml, with: {many: ["${{ steps.m[*].data }}", "${{ steps.a.data }}", x.csv], '
    plan = planned(
        tmp_path, MATRIX % "" + reader + 'list: "${{ steps.m[*].n }}"}}\noutputs: {all: "${{ steps.m[*].n }}"}'
    )
    many, listed = given(plan.task("r"), "many", "list")
    assert many == (OutputRef("m-0", "data"), OutputRef("m-1", "data"), OutputRef("a", "data"), Literal("x.csv"))
    assert listed == gathered("n", "m-0", "m-1")
    assert plan.outputs == (("all", gathered("n", "m-0", "m-1")),)


@pytest.mark.parametrize(
    ("asked", "asks"),
    [
        ("failed(m)", AnyOf((Status("failed", "m-0"), Status("failed", "m-1")))),
        ("skipped(m)", AllOf((Status("skipped", "m-0"), Status("skipped", "m-1")))),
        ("succeeded(m)", SUCCEEDED_ALL),
        ("not succeeded(m)", Not(SUCCEEDED_ALL)),
    ],
)
def test_status_functions_ask_all_cells_or_any(asked: str, asks: Condition, tmp_path: Path) -> None:
    assert planned(tmp_path, MATRIX % "" + f"  r: {{uses: ./mix.yaml, when: {asked}}}\n").task("r").when == asks


def test_a_matrix_of_one_cell_is_waited_for_like_any_step(tmp_path: Path) -> None:
    body = "steps:\n  m: {uses: ./mix.yaml, matrix: {axes: {x: [1]}}}\n  r: {uses: ./mix.yaml, needs: [m], when: %s}\n"
    plan = planned(tmp_path, body % "true")
    assert [*tasks(plan)] == ["m-0", "r"]
    assert waits(plan.task("r")) == {"m-0": "order"}
    assert planned(tmp_path, body % "failed(m)").task("r").when == Status("failed", "m-0")


LOOP = """steps:
  a: {uses: ./mix.yaml}
  l:
    uses: ./mix.yaml
    for_each: {items: "${{ steps.a.list }}", max_parallel: 3%s}
    with: {n: "${{ item.k }}", text: "v-${{ item }}", one: "${{ steps.a.data }}"}
    when: %s
"""


def test_a_loop_is_one_task_that_stands_for_its_iterations(tmp_path: Path) -> None:
    plan = planned(tmp_path, LOOP % ("", "steps.a.ok"))
    assert [*tasks(plan)] == ["a", "l", "l/l"]
    carrier = plan.task("l")
    assert carrier.loop is not None
    assert (carrier.loop.items, carrier.loop.max_parallel, carrier.loop.fail_fast) == (OutputRef("a", "list"), 3, True)
    assert dict(carrier.loop.outputs)["n"] == OutputRef("l", "n")
    assert (carrier.parameters, carrier.inputs, carrier.env, carrier.group) == ((), (), (), "")
    assert given(tasks(plan)["l/l"], "n", "text", "one") == [
        ItemRef("k", "l"), Text((Literal("v-"), ItemRef("", "l"))), (OutputRef("a", "data"),),
    ]  # fmt: skip


@pytest.mark.parametrize(("said", "shown"), [(", description: Mix each", "Mix each"), ("", "")])
def test_a_loop_is_described_as_its_step_is(said: str, shown: str, tmp_path: Path) -> None:
    step = f"{{uses: ./mix.yaml, for_each: [1, 2], continue_on_error: true, with: {{n: '${{{{ item }}}}'}}{said}}}"
    found = tasks(planned(tmp_path, f"steps: {{l: {step}}}"))
    assert (found["l"].description, found["l/l"].description) == (shown, shown)
    assert found["l"].continue_on_error


def when_of(plan: Plan) -> list[Condition | None]:
    return [tasks(plan)[name].when for name in ("l", "l/l")]


def test_a_condition_is_asked_once_for_the_loop_or_for_each_item(tmp_path: Path) -> None:
    ok = Holds(OutputRef("a", "ok"))
    assert when_of(planned(tmp_path, LOOP % ("", "steps.a.ok"))) == [ok, None]
    about_item = AllOf((Compare(">", ItemRef("k", "l"), Literal(1)), ok))
    assert when_of(planned(tmp_path, LOOP % ("", "item.k > 1 and steps.a.ok"))) == [None, about_item]


def test_readers_of_a_loop_wait_for_its_carrier(tmp_path: Path) -> None:
    readers = """  r: {uses: ./mix.yaml, with: {list: "${{ steps.l[*].n }}"}}
  s: {uses: ./mix.yaml, needs: [l]}
  t: {uses: ./mix.yaml, when: failed(l) or skipped(l)}
  next: {uses: ./mix.yaml, for_each: "${{ steps.l[*].n }}", with: {n: "${{ item }}"}}
outputs: {all: "${{ steps.l[*].n }}"}
"""
    plan = planned(tmp_path, LOOP % (", fail_fast: false", "true") + readers)
    assert [waits(plan.task(name)) for name in ("r", "s", "t", "next")] == [
        {"l": "forgiving"}, {"l": "order"}, {"l": "soft order"}, {"l": "forgiving"},
    ]  # fmt: skip
    assert given(plan.task("r"), "list") == [EachRef("l", "n")]
    assert plan.task("t").when == AnyOf((Status("failed", "l"), Status("skipped", "l")))
    assert tasks(plan)["next"].loop.items == EachRef("l", "n")  # type: ignore[union-attr]
    assert plan.outputs == (("all", EachRef("l", "n")),)


def test_a_loop_over_written_items_knows_them(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'steps: {l: {uses: ./mix.yaml, for_each: [1, {k: 2}], with: {text: "x-${{ item }}"}}}')
    assert plan.task("l").loop.items == Literal([1, {"k": 2}])  # type: ignore[union-attr]


def test_a_final_step_may_ask_how_cells_ended(tmp_path: Path) -> None:
    tail = "finally: {last: {uses: ./mix.yaml, when: failed(m)}}\n"
    plan = planned(tmp_path, MATRIX % "" + tail)
    assert plan.task("last").when == AnyOf((Status("failed", "m-0"), Status("failed", "m-1")))
    assert plan.task("last").is_final


def test_long_values_are_cut_in_titles(tmp_path: Path) -> None:
    values = f"{'a' * 50}, {'b' * 40}, {'c' * 41}, [1, 2], {{k: v}}"
    body = f"steps: {{m: {{uses: ./mix.yaml, matrix: {{axes: {{x: [{values}]}}}}}}}}"
    titles = [task.title for task in planned(tmp_path, body).tasks]
    assert titles == [
        f"m (x={'a' * 37}...)", f"m (x={'b' * 40})", f"m (x={'c' * 37}...)", "m (x=[1, 2])", "m (x={'k': 'v'})",
    ]  # fmt: skip


def test_a_matrix_beside_loops_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    body = """steps:
  z: {uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}}
  b: {uses: ./mix.yaml, needs: [z]}
  a: {uses: ./mix.yaml, for_each: [1]}
  y: {uses: ./mix.yaml}
"""
    assert [task.name for task in planned(tmp_path, {"p.yaml": pipeline(body)}).tasks] == ["z-0", "z-1", "b", "a", "y"]
