"""YAML of other compilers: the data that a YAML 1.2 reader sees, and where each part of it stands."""

from __future__ import annotations

import pytest

from pipec.diagnostics import Rule, Source, Span
from pipec.schema import foreign

RULE = Rule("PIPE620", "unreadable-ir", "A page.")


def one(text: str) -> foreign.Document:
    (document,), found = foreign.read(Source("p.yaml", text), RULE)
    assert found == ()
    return document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("5e-5", 5e-05), ("0.5", 0.5), ("1.", 1.0), (".5", 0.5), ("12", 12), ("-3", -3),
        ("1_000", 1000),
        ("0o14", 12), ("014", 12), ("08", 8.0), ("0x1F", 31), ("0b11", 3), ("~", None), ("null", None), ("true", True),
        ("True", True), ("false", False), ("yes", "yes"), ("no", "no"), ("1:30", "1:30"), ("2.1.0", "2.1.0"),
        ("'1e-3'", "1e-3"), ('"true"', "true"), (".inf", float("inf")), ("1e3x", "1e3x"), ("+1", 1),
        ("2026-01-01", "2026-01-01"), ("-", "-"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_a_reader_of_yaml_1_2_takes_it_for(text: str, value: object) -> None:
    read = one(f"x: {text}" if text != "-" else "x: '-'").value["x"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["1" * 5000, "0x" + "f" * 5000])
def test_digits_without_end_are_a_number_still(text: str) -> None:
    assert one(f"x: [{text}, -{text}]").value["x"] == [float("inf"), float("-inf")]


def test_an_alias_is_what_it_stands_for() -> None:
    assert one("a: &x {b: 1}\nc: *x\nd: [*x]\n").value == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}]}


@pytest.mark.parametrize(
    ("path", "span"),
    [
        (("a", "b"), Span(1, 8, 1, 9)),  # a text itself
        (("a",), Span(1, 1, 1, 2)),  # a collection by its key
        (("c", 1), Span(2, 8, 2, 9)),
        (("a", "zzz"), Span(1, 1, 1, 2)),  # what is missing by what lacks it
        (("zzz",), Span(1, 1, 1, 2)),
        ((), Span(1, 1, 1, 2)),
        (("e", "f"), Span(3, 5, 3, 6)),
        (("h", 1, "zzz"), Span(6, 3, 6, 4)),  # what stands in a list by its first key
        (("h", 1), Span(6, 3, 6, 4)),
    ],
)
def test_a_part_has_a_place(path: tuple[str | int, ...], span: Span) -> None:
    assert one("a: {b: 1}\nc: [1, 2]\ne: {f: {g: 1}}\nh:\n- 1\n- i: 2\n  j: 3\n").span(path) == span


def test_each_document_of_a_text_is_read() -> None:
    documents, found = foreign.read(Source("p.yaml", "a: 1\n---\nb: 2\n---\n"), RULE)
    assert [document.value for document in documents] == [{"a": 1}, {"b": 2}, None]
    assert found == ()


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [1", (2, 1), "this is not YAML: did not find expected ',' or ']'"),
        ("a: 1\na: 2\n", (2, 1), "the key `a` stands twice"),
        ("a: *x\n", (1, 4), "the alias `x` stands for nothing before it"),
        ("a: &x [*x]\n", (1, 8), "the alias `x` stands for nothing before it"),
        ("[" * 101, (1, 101), "values are nested more than 100 deep"),
        ("? [a]\n: 1\n", (1, 5), "a key must be text"),
        (BOMB, (7, 24), "the file holds more than 5,000,000 values"),
        ("a: 1\nb: \x01\n", (2, 4), "this is not YAML: the character U+0001 may not stand in it"),
    ],
)
def test_what_cannot_be_read_is_told_at_its_place(text: str, place: tuple[int, int], message: str) -> None:
    documents, (found,) = foreign.read(Source("p.yaml", text), RULE)
    assert documents == ()
    assert (found.loc.span[:2], found.message) == (place, message)
