"""Where a piece of a value stands in the text that it was read from, however that is written."""

from __future__ import annotations

import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipec.diagnostics import Source, Span
from pipec.schema import tree
from pipec.schema.place import Places


def scalar(text: str) -> tuple[Source, tree.Scalar]:
    """Return the value under `a` in a text."""
    source = Source("p.yaml", text)
    (document,), found = tree.read(source)
    assert isinstance(document, tree.Mapping) and not found
    node = document.get("a")
    assert isinstance(node, tree.Scalar)
    return source, node


def shown(text: str, piece: str, nth: int = 0) -> str:
    """Return what stands in the source where a piece of the value is said to stand, with its line."""
    source, node = scalar(text)
    value, start = str(node.value), -1
    for _ in range(nth + 1):
        start = value.index(piece, start + 1)
    span = Places(source).of(node.loc, value, start, start + len(piece)).span
    lines = text.removeprefix("\ufeff").split("\n")[span.line - 1 : span.end_line]
    if span.line == span.end_line:
        return f"{span.line}: {lines[0][span.column - 1 : span.end_column - 1]}"
    return f"{span.line}: {lines[0][span.column - 1 :]}|{lines[-1][: span.end_column - 1]}"


@pytest.mark.parametrize(
    ("text", "piece", "nth", "found"),
    [
        ("a: x y x", "x", 1, "1: x"),
        ("a: nnn n", "n", 3, "1: n"),
        ('a: "\\n n"', "n", 0, "1: n"),
        ('a: "\\n\\t \\u0041 b"', "b", 0, "1: b"),
        ('a: "\\u0041b"', "A", 0, "1: \\u0041"),
        ('a: "\\x41\\U00000042c"', "Bc", 0, "1: \\U00000042c"),
        ('a: "say \\"x\\" \\\\ y"', '"x"', 0, '1: \\"x\\"'),
        ('a: "say \\"x\\" \\\\ y"', "\\ y", 0, "1: \\\\ y"),
        ("a: 'it''s ''x'''", "'x'", 0, "1: ''x''"),
        ("a: ''''", "'", 0, "1: ''"),
        ("a: |\n  x | y", "|", 0, "2: |"),
        ("a: >-\n  x > y\n  - z", ">", 0, "2: >"),
        ("a: >-\n  x > y\n  - z", "y - z", 0, "2: y|  - z"),
        ("a: |2-\n    x\n   2-", "2-", 0, "3: 2-"),
        ('a: "one\n\n  two \\\n  three"', "three", 0, "4: three"),
        ("a: one\n  two\n  one", "one", 1, "3: one"),
        ("{b: x, a: x}", "x", 0, "1: x"),
        ("\ufeffa: x y", "y", 0, "1: y"),
        ("a: x y\r\n", "y", 0, "1: y"),
        ("a: \U0001f9ea e\u0301 z", "z", 0, "1: z"),
        ('a: "\\_\\t x"', "x", 0, "1: x"),
        ('a: "x\\/y \\/ z"', "/", 0, "1: \\/"),
        ('a: "x\\/y \\/ z"', "/ z", 0, "1: \\/ z"),
    ],
)
def test_a_piece_is_found_where_it_is_written(text: str, piece: str, nth: int, found: str) -> None:
    assert shown(text, piece, nth) == found


@pytest.mark.parametrize(
    ("text", "column"), [("a: xy", 5), ('a: "x y  "', 7), ("a: 'x y'", 7), ("a: x''", 6), ("a: ''", 4), ("a: ' '", 4)]
)
def test_what_is_missing_at_the_end_is_told_at_the_last_character(text: str, column: int) -> None:
    source, node = scalar(text)
    value = str(node.value)
    assert Places(source).of(node.loc, value, len(value), len(value) + 1).span.column == column


def test_a_scalar_that_does_not_say_its_value_is_the_place_itself() -> None:
    source, node = scalar("a: something")
    assert Places(source).of(node.loc, "else", 0, 4) == node.loc


WORDS = st.lists(st.text("ab'\"\\|>${}.\u00e9\U0001f9ea", min_size=1, max_size=6), min_size=1, max_size=8)


@settings(max_examples=600, deadline=None)
@given(WORDS, st.sampled_from([None, "'", '"', "|", ">"]), st.integers(8, 40), st.integers(0, 7), st.booleans())
def test_every_word_is_found_in_every_style(
    words: list[str], style: str | None, width: int, at: int, is_unicode: bool
) -> None:
    value, word = " ".join(words), words[at % len(words)]
    dumped = yaml.dump([value], default_style=style, width=width, allow_unicode=is_unicode, indent=4)
    source = Source("p.yaml", dumped)
    (document,), _ = tree.read(source)
    assert isinstance(document, tree.Sequence)
    (node,) = document.items
    assert isinstance(node, tree.Scalar) and node.value == value
    start = len(" ".join([*words[: at % len(words)], ""]))
    written = between(dumped, Places(source).of(node.loc, value, start, start + len(word)).span)
    style = dumped.split()[1][0]
    assert (yaml.safe_load(f"{style}{written}{style}") if style in "\"'" else written) == word


def between(text: str, span: Span) -> str:
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


def test_pieces_may_be_asked_for_in_any_order() -> None:
    source, node = scalar("a: " + " ".join(f"w{n}" for n in range(100)))
    value, places = str(node.value), Places(source)
    starts = [value.index(f"w{n}") for n in range(100)]
    random.Random(1).shuffle(starts)
    assert [places.of(node.loc, value, start, start + 2).span.column for start in starts] == [s + 4 for s in starts]
