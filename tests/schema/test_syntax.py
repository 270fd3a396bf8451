"""What is no YAML is told in the words of who wrote it, and at the place that is to be changed."""

from __future__ import annotations

import pytest

from pipec.diagnostics import Source
from pipec.schema import findings as kinds
from pipec.schema import tree

CASES = [
    ("a: {b: 1\nc: 2", "2:2", "a `{` is not closed, or a `,` is missing"),
    ("a: [b\nc: 2\n", "2:2", "a `[` is not closed, or a `,` is missing"),
    ("a: 'x\nb: 1\n", "1:4", "a quote is not closed"),
    ('a: "x\n---\nb: 1\n', "1:4", "a quote is not closed"),
    ("a:\n  b: 1\n c: 2\n", "3:2", "this line is not indented as those beside it"),
    ("a: 'it's'\n", "1:8", "nothing may stand behind a closing quote or bracket"),
    ("a: {b: 1} c\n", "1:11", "nothing may stand behind a closing quote or bracket"),
    ("a: b: c\n", "1:5", "a `:` is not expected here"),
    ("a:\n\t- b\n", "2:1", "a tab cannot indent"),
    ("a: @x\n", "1:4", "no value begins with this character"),
    ("a: - b\n", "1:4", "a list cannot begin here"),
    ("- a\nb: 1\n", "2:1", "this line is no item of the list above it"),
    ("a: [1,,2]\n", "1:7", "a value is missing here"),
    ('a: "\\q"\n', "1:5", "the character behind `\\` makes no escape"),
    ('a: "\\xZZ"\n', "1:7", "digits are missing in this escape"),
    ("a: *\n", "1:5", "`*` and `&` begin an alias or an anchor, which are not read"),
    ("a: | x\n  y\n", "1:6", "nothing but a comment may stand behind `|` or `>`"),
    ("{a: 1}\nb: 2\n", "2:1", "this belongs to no document"),
]


@pytest.mark.parametrize(("text", "place", "message"), CASES, ids=[text[:12] for text, _, _ in CASES])
def test_a_mistake_of_form_is_told_in_plain_words(text: str, place: str, message: str) -> None:
    _, (found,) = tree.read(Source("p.yaml", text))
    assert found.rule is kinds.SYNTAX and found.help
    assert (f"{found.loc.span.line}:{found.loc.span.column}", found.message) == (place, f"this is not YAML: {message}")


def test_what_is_not_closed_is_shown_where_it_begins() -> None:
    _, (found,) = tree.read(Source("p.yaml", "a:\n  b: {c: 1\nd: 2\n"))
    assert [(note.message, note.loc and note.loc.span[:2]) for note in found.notes] == [("it begins here", (2, 6))]


def test_an_unknown_problem_is_told_as_the_parser_says_it() -> None:
    _, (found,) = tree.read(Source("p.yaml", "a: !<x y\n"))
    assert found.message == "this is not YAML: did not find the expected `>` while scanning a tag"


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a: &x 1\n", (4, 6), "the anchor `&x` is not read"),
        ("a: !!int 1\n", (4, 9), "the tag `!!int` is not read"),
        ("a: !mine {b: 1}\n", (4, 9), "the tag `!mine` is not read"),
        ("a: !<tag:yaml.org,2002:str> x\n", (4, 28), "the tag `!!str` is not read"),
    ],
)
def test_an_anchor_or_a_tag_is_pointed_at_without_its_value(text: str, columns: tuple[int, int], message: str) -> None:
    _, (found,) = tree.read(Source("p.yaml", text))
    assert ((found.loc.span.column, found.loc.span.end_column), found.message) == (columns, message)
