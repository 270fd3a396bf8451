"""The cells of a matrix, in their order, and what keeps them from fitting together."""

from __future__ import annotations

import pytest

from pipec.diagnostics import Finding, Source
from pipec.schema import tree
from pipec.schema.matrix import MAX_CELLS, for_each, matrix
from pipec.schema.model import MatrixUse
from pipec.schema.template import Templates
from pipec.values import EachRef, ItemRef, Literal, OutputRef, Text


def read(text: str) -> tuple[MatrixUse | None, list[Finding]]:
    (document,), problems = tree.read(Source("p.yaml", f"matrix: {text}"))
    assert isinstance(document, tree.Mapping) and not problems
    found: list[Finding] = []
    return matrix(document.entries[0], found), found


AXES = "axes: {a: [1, 2], b: [x, y]}"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (f"{{{AXES}}}", [(1, "x"), (1, "y"), (2, "x"), (2, "y")]),
        ("{axes: {b: [x, y], a: [1, 2]}}", [("x", 1), ("x", 2), ("y", 1), ("y", 2)]),
        (f"{{{AXES}, exclude: [{{a: 1, b: y}}]}}", [(1, "x"), (2, "x"), (2, "y")]),
        (f"{{{AXES}, exclude: [{{a: 1}}]}}", [(2, "x"), (2, "y")]),
        (f"{{{AXES}, exclude: [{{a: 1}}, {{b: x}}]}}", [(2, "y")]),
        (f"{{{AXES}, exclude: [{{a: 9}}]}}", [(1, "x"), (1, "y"), (2, "x"), (2, "y")]),
        (f"{{{AXES}, include: [{{b: z, a: 3}}]}}", [(1, "x"), (1, "y"), (2, "x"), (2, "y"), (3, "z")]),
        (f"{{{AXES}, include: [{{a: 1, b: x}}]}}", [(1, "x"), (1, "y"), (2, "x"), (2, "y")]),
        (f"{{{AXES}, exclude: [{{a: 1}}], include: [{{a: 1, b: x}}]}}", [(2, "x"), (2, "y"), (1, "x")]),
        ("{include: [{a: 1, b: x}, {b: y, a: 2}, {a: 1, b: x}]}", [(1, "x"), (2, "y")]),
        ("{axes: {a: [[1], {k: 2}, null]}}", [([1],), ({"k": 2},), (None,)]),
        ("{axes: {a: [1, 1]}}", [(1,), (1,)]),
        ("{axes: {a: [1, true, [1], {k: 1}]}, exclude: [{a: true}, {a: [1.0]}, {a: {k: 1.0}}]}", [(1,)]),
        ("{include: [{a: 1}, {a: true}, {a: 1.0}]}", [(1,), (True,)]),
    ],
)  # fmt: skip
def test_cells_stand_row_major_and_include_doubles_none(text: str, cells: list[tuple[object, ...]]) -> None:
    made, found = read(text)
    assert found == []
    assert made is not None
    assert [*map(repr, made.cells)] == [*map(repr, cells)]  # by form: 1 and true are equal to Python


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{{{AXES}, exclude: [{{c: 1}}]}}", "the matrix has no axis `c`"),
        (f"{{{AXES}, include: [{{a: 1, b: x, c: 1}}]}}", "the matrix has no axis `c`"),
        (f"{{{AXES}, include: [{{a: 1}}]}}", "this cell has no value for `b`"),
        ("{include: [{a: 1, b: x}, {a: 2}]}", "this cell has no value for `b`"),
        ("{include: [{a: 1}, {a: 2, b: x}]}", "the matrix has no axis `b`"),
        (f"{{{AXES}, exclude: [{{a: 1}}, {{a: 2}}]}}", "the matrix has no cell"),
        ("{max_parallel: 2}", "the matrix has no cell"),
        (f"{{axes: {{a: {list(range(100))}, b: {list(range(11))}}}}}", "the matrix has 1100 cells, more than 1000"),
        (f"{{axes: {{a: {list(range(1000))}}}, include: [{{a: x}}]}}", "the matrix has 1001 cells, more than 1000"),
    ],
    ids=lambda text: text[:50],
)  # fmt: skip
def test_what_does_not_fit_together_is_told_and_makes_no_cells(text: str, message: str) -> None:
    made, found = read(text)
    assert (made, [one.message for one in found]) == (None, [message])


def test_a_thousand_cells_are_taken() -> None:
    made, found = read(f"{{axes: {{a: {list(range(100))}, b: {list(range(10))}}}}}")
    assert made is not None and not found
    assert (len(made.cells), made.cells[0], made.cells[11], made.cells[-1]) == (MAX_CELLS, (0, 0), (1, 1), (99, 9))


def test_settings_are_read_beside_the_axes() -> None:
    made, _ = read(f"{{{AXES}, max_parallel: 3, fail_fast: false}}")
    assert made is not None
    assert (made.axes, made.max_parallel, made.fail_fast) == (("a", "b"), 3, False)
    made, _ = read(f"{{{AXES}}}")
    assert made is not None
    assert (made.max_parallel, made.fail_fast) == (None, True)


@pytest.mark.parametrize(
    ("text", "items", "max_parallel", "fail_fast"),
    [
        ("[1, a]", Literal([1, "a"]), None, True),
        ("'${{ steps.a.list }}'", OutputRef("a", "list"), None, True),
        ("'${{ steps.a[*].n }}'", EachRef("a", "n"), None, True),
        ("{items: [1], max_parallel: 2, fail_fast: false}", Literal([1]), 2, False),
        ("{items: 'a ${{ item.x }}'}", Text((Literal("a "), ItemRef("x"))), None, True),
        ("'$${{ x'", Literal("${{ x"), None, True),
    ],
)
def test_a_loop_is_a_list_or_one_expression_with_its_settings(
    text: str, items: object, max_parallel: int | None, fail_fast: bool
) -> None:
    source = Source("p.yaml", f"for_each: {text}")
    (document,), _ = tree.read(source)
    assert isinstance(document, tree.Mapping)
    loop = for_each(document.entries[0], Templates(source, ""))
    assert (loop.items.value, loop.max_parallel, loop.fail_fast) == (items, max_parallel, fail_fast)
