"""Types that are known before a run: inside of lists and objects, of items and cells, in conditions and in overlays."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest
from documents import PROJECT, asked, pipeline, told

HEAD = """parameters:
  text: {type: string, default: a}
  whole: {type: integer, default: 3}
  part: {type: number, default: 0.5}
  flag: {type: boolean, default: true}
  list: {type: list, default: [1]}
  texts: {type: list, default: [a], items: {type: string}}
  rows: {type: list, default: [], items: {type: object, properties: {k: {type: string}, n: {type: integer}}}}
  map: {type: object, default: {a: 1}}
  two: {type: integer, const: true, default: 2}
steps:
  a: {uses: ./mix.yaml}
  m: {uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}}
"""
TRAIN = "{uses: train, with: {data: r.csv, target: y, %s}}"
EVALUATE = "{uses: evaluate, with: {model: s3://m, data: r.csv, gates: [%s]}}"
GATE = "{metric: f1_macro, minimum: %s}"


def found(folder: Path, step: str) -> list[str]:
    """Return what is told of the types of a step, without file and line; what never changes is not their matter."""
    checked = asked(folder, {"p.yaml": pipeline(f"{HEAD}  probe: {step}\n")})
    lines = [" ".join(line.split(" ")[1:]) for line in told(checked)]
    return [line for line in lines if not line.startswith("PIPE309")]


FITS = {
    "a number in an object of a list": EVALUATE % (GATE % '"${{ parameters.part }}"'),
    "an integer where a number is wanted": EVALUATE % (GATE % '"${{ steps.a.n }}"'),
    "a text in a list of texts": TRAIN % 'features: [a, "${{ parameters.text }}", "c-${{ parameters.whole }}"]',
    "a constant in a list of integers": TRAIN % 'hidden: [8, "${{ parameters.two }}"]',
    "anything where anything is allowed": TRAIN % 'hyperparameters: {C: "${{ parameters.part }}", t: ["${{ parameters.map }}"]}',
    "written items": '{uses: train, for_each: [1, 2], with: {data: r.csv, target: y, epochs: "${{ item }}"}}',
    "fields of written items": '{uses: train, for_each: [{e: 1}, {e: 2}], with: {data: r.csv, target: y, epochs: "${{ item.e }}"}}',
    "items of a parameter": '{uses: train, for_each: "${{ parameters.texts }}", with: {data: r.csv, target: "${{ item }}"}}',
    "fields of items of a parameter": '{uses: train, for_each: "${{ parameters.rows }}", with: {data: r.csv, target: "${{ item.k }}", epochs: "${{ item.n }}"}}',
    "items of whom nothing is known": '{uses: train, for_each: "${{ parameters.list }}", with: {data: r.csv, target: "${{ item }}", epochs: "${{ item.n }}"}}',
    "items that are references": '{uses: train, for_each: ["${{ parameters.whole }}"], with: {data: r.csv, target: y, epochs: "${{ item }}"}}',
    "what the cells of a matrix wrote": '{uses: train, for_each: "${{ steps.m[*].n }}", with: {data: r.csv, target: y, epochs: "${{ item }}"}}',
}  # fmt: skip


@pytest.mark.parametrize("case", FITS)
def test_what_fits_is_left_alone(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, FITS[case]) == []


UNFIT: dict[str, tuple[str, str]] = {
    "a text for a number": (EVALUATE % (GATE % '"${{ parameters.text }}"'), "`gates.0.minimum` of `probe` needs a number, but `parameters.text` is a string"),
    "the second of a list": (EVALUATE % (f"{GATE % 1}, " + GATE % '"${{ parameters.flag }}"'), "`gates.1.minimum` of `probe` needs a number, but `parameters.flag` is a boolean"),
    "a text around a number": (EVALUATE % (GATE % '"0.${{ parameters.whole }}"'), "`gates.0.minimum` of `probe` needs a number, but a text stands around `parameters.whole`"),
    "a number for a text": (EVALUATE % '{metric: "${{ parameters.part }}", minimum: 1}', "`gates.0.metric` of `probe` needs a string, but `parameters.part` is a number"),
    "an object as an item": (EVALUATE % '"${{ parameters.text }}"', "`gates.0` of `probe` needs an object, but `parameters.text` is a string"),
    "a number among integers": (TRAIN % 'hidden: [8, "${{ parameters.part }}"]', "`hidden.1` of `probe` needs an integer, but `parameters.part` is a number"),
    "a number where texts are listed": (EVALUATE % '{metric: f1_macro, minimum: 1, on_fail: "${{ parameters.whole }}"}', "`gates.0.on_fail` of `probe` needs a string, but `parameters.whole` is an integer"),
    "an artifact among values": (TRAIN % 'hyperparameters: {t: ["${{ steps.a.data }}"]}', "`hyperparameters.t.0` of `probe` takes a value, but `steps.a.data` is a dataset"),
    "a list inside a text in a list": (TRAIN % 'features: ["x ${{ parameters.list }}"]', "`parameters.list` is a list and cannot stand inside a text"),
    "a written item": ('{uses: train, for_each: [1, x], with: {data: r.csv, target: y, epochs: "${{ item }}"}}', "`item` needs a whole number, but `x` is text"),
    "a written item out of bounds": ('{uses: train, for_each: [1, 0], with: {data: r.csv, target: y, epochs: "${{ item }}"}}', "`item` must be at least 1, not `0`"),
    "a field of a written item": ('{uses: train, for_each: [{e: 1}, {e: x}], with: {data: r.csv, target: y, epochs: "${{ item.e }}"}}', "`e` needs a whole number, but `x` is text"),
    "a field that an item lacks": ('{uses: train, for_each: [{e: 1}, {f: 1}], with: {data: r.csv, target: y, epochs: "${{ item.e }}"}}', "`item.e` is no field of every item that `probe` loops over"),
    "an item of a parameter": ('{uses: train, for_each: "${{ parameters.texts }}", with: {data: r.csv, target: y, epochs: "${{ item }}"}}', "parameter `epochs` of `probe` needs an integer, but `item` is a string"),
    "a field of items of a parameter": ('{uses: train, for_each: "${{ parameters.rows }}", with: {data: r.csv, target: y, epochs: "${{ item.k }}"}}', "parameter `epochs` of `probe` needs an integer, but `item.k` is a string"),
    "what cells wrote": ('{uses: train, for_each: "${{ steps.m[*].text }}", with: {data: r.csv, target: y, epochs: "${{ item }}"}}', "parameter `epochs` of `probe` needs an integer, but `item` is a string"),
    "an item in a variable": ('{uses: ./mix.yaml, for_each: [[1], [2]], env: {X: "${{ item }}"}}', "`item` is a list and cannot stand in a variable"),
    "a value of a cell": ('{uses: train, matrix: {axes: {h: [1, x]}}, with: {data: r.csv, target: y, hidden: ["${{ matrix.h }}"]}}', "`h` needs a whole number, but `x` is text"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_each_reference_is_judged_by_the_place_where_it_stands(case: str, tmp_path: Path) -> None:
    step, message = UNFIT[case]
    assert found(tmp_path, step) == [f"PIPE302 {message}"]


ANSWERED = [
    "steps.a.n > 3", "steps.a.n > 0.5 and parameters.part <= parameters.whole", "steps.a.text == 'x'", "steps.a.text < 'x'",
    "steps.a.ok", "not parameters.flag", "steps.a.ok == true", "parameters.list == parameters.list", "parameters.map != parameters.map",
    "'a' in parameters.texts", "3 in parameters.list", "steps.a.text in ['a', 'b']", "parameters.part in [1, 2]", "1 in steps.m[*].n",
    "steps.a.list == parameters.texts", "parameters.whole in []", "steps.a.text in [1, 'b']", "true or false",
    "run.date != '' and environment.name == 'prod'", "parameters.two == 2",
]  # fmt: skip


@pytest.mark.parametrize("when", ANSWERED)
def test_a_condition_that_has_an_answer_is_left_alone(when: str, tmp_path: Path) -> None:
    assert found(tmp_path, f'{{uses: ./mix.yaml, when: "{when}"}}') == []


UNANSWERED = {
    "steps.a.n": "`steps.a.n` is an integer, and a condition is true or false",
    "not parameters.text": "`parameters.text` is a string, and a condition is true or false",
    "parameters.flag and steps.a.list": "`steps.a.list` is a list, and a condition is true or false",
    "'x'": "`'x'` is a string, and a condition is true or false",
    "steps.a.n == '3'": "`steps.a.n` is an integer, and `'3'` is a string: they cannot be compared",
    "'3' != steps.a.n": "`'3'` is a string, and `steps.a.n` is an integer: they cannot be compared",
    "parameters.text == parameters.whole": "`parameters.text` is a string, and `parameters.whole` is an integer: they cannot be compared",
    "parameters.flag == 1": "`parameters.flag` is a boolean, and `1` is an integer: they cannot be compared",
    "parameters.flag < true": "`<` compares numbers or texts, and `parameters.flag` is a boolean",
    "parameters.list >= parameters.list": "`>=` compares numbers or texts, and `parameters.list` is a list",
    "'a' in parameters.text": "`in` looks into a list, and `parameters.text` is a string",
    "1 in steps.a.n": "`in` looks into a list, and `steps.a.n` is an integer",
    "1 in parameters.texts": "`1` is an integer, and each item of `parameters.texts` is a string",
    "parameters.whole in ['1', '2']": "`parameters.whole` is an integer, and each item of `['1', '2']` is a string",
    "'x' in steps.m[*].n": "`'x'` is a string, and each item of `steps.m[*].n` is an integer",
    "parameters.two == 'x'": "`parameters.two` is an integer, and `'x'` is a string: they cannot be compared",
}  # fmt: skip


@pytest.mark.parametrize("when", UNANSWERED)
def test_a_condition_without_an_answer_is_told(when: str, tmp_path: Path) -> None:
    assert found(tmp_path, f'{{uses: ./mix.yaml, when: "{when}"}}') == [f"PIPE308 {UNANSWERED[when]}"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{uses: ./mix.yaml, for_each: [1, 2], when: item > 1}", []),
        ("{uses: ./mix.yaml, for_each: [1, 2], when: item == 'x'}", ["PIPE308 `item` is an integer, and `'x'` is a string: they cannot be compared"]),
        ("{uses: ./mix.yaml, for_each: [1, x], when: item == 'x'}", []),
        ("{uses: ./mix.yaml, matrix: {axes: {x: [1, 2]}}, when: matrix.x}", ["PIPE308 `matrix.x` is an integer, and a condition is true or false"]),
        ("{uses: ./mix.yaml, matrix: {axes: {x: [1, 0.5]}}, when: matrix.x > 0}", []),
    ],
)  # fmt: skip
def test_items_and_cells_are_compared_as_what_they_are(step: str, expected: list[str], tmp_path: Path) -> None:
    assert found(tmp_path, step) == expected


OVERLAY = """parameters: {text: {type: string, default: a}, used: {type: integer, default: 3}}
environments:
  prod: {steps: {b: {%s}}}
steps:
  a: {uses: ./mix.yaml}
  b: {uses: ./mix.yaml, with: {text: "${{ parameters.text }}"}}
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('with: {n: "${{ parameters.used }}"}', []),
        ('with: {n: "${{ steps.c.n }}"}', ["PIPE202 there is no step `c`"]),
        ('with: {n: "${{ steps.a.m }}"}', ["PIPE203 step `a` has no output `m`"]),
        ('with: {n: "${{ parameters.q }}"}', ["PIPE204 the pipeline has no parameter `q`"]),
        ('env: {N: "${{ parameters.q }}"}', ["PIPE204 the pipeline has no parameter `q`"]),
        ('env: {N: "${{ steps.a.data }}"}', ["PIPE302 `steps.a.data` is a dataset, and `env` takes values"]),
        ('with: {n: "${{ parameters.text }}"}', ["PIPE302 parameter `n` of `b` needs a number, but `parameters.text` is a string"]),
        ('with: {n: "${{ item }}"}', ["PIPE209 `b` has no loop, so there is no `item`"]),
        ('with: {text: "${{ secrets.token }}"}', ["PIPE304 the secret `token` would be written down here"]),
        ('with: {one: "${{ steps.a.n }}"}', ["PIPE301 input `one` of `b` needs a dataset, but `n` is a small value (integer)"]),
        ('with: {list: "${{ steps.a[*].n }}"}', ["PIPE307 `a` runs once, so there is no list of `n`"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_what_an_environment_gives_is_judged_whichever_is_chosen(
    said: str, expected: list[str], environment: str, tmp_path: Path
) -> None:
    files = {"pipec.yaml": PROJECT + "secrets: {token: {env: TOKEN}}\n", "p.yaml": pipeline(OVERLAY % said)}
    lines = told(asked(tmp_path, files, environment=environment))
    assert [line.removeprefix("p.yaml:6 ") for line in lines] == expected


def test_a_parameter_that_only_another_environment_reads_is_read(tmp_path: Path) -> None:
    text = pipeline(OVERLAY % 'with: {n: "${{ parameters.used }}"}')
    assert asked(tmp_path, {"p.yaml": text}, environment="dev").report.findings == ()
