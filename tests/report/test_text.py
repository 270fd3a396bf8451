"""Findings as they are printed, whatever the text they quote."""

from __future__ import annotations

import pytest

from pipec.diagnostics import MAX_TEXT, Loc, Note, Report, Rule, Source, Span, guess
from pipec.report import render
from pipec.report.text import MAX_LINE

RULE = Rule("PIPE999", "example", "An example.")


def printed(text: str, span: Span, message: str = "wrong") -> list[str]:
    found = RULE.at(Loc("p.yaml", span), message)
    return render(Report((found,), (Source("p.yaml", text),)), "text").splitlines()


def test_what_is_quoted_cannot_end_the_line_it_is_told_on() -> None:
    found = RULE.at(Loc("p.yaml", Span(1, 1, 1, 2)), "no `a\nb`", help="not `\r\n`", notes=[Note("nor `\n`")])
    assert (found.message, found.help, found.notes[0].message) == (r"no `a\nb`", r"not `\r\n`", r"nor `\n`")


def test_what_is_quoted_is_told_in_part_if_it_is_very_long() -> None:
    found = RULE.at(Loc("p.yaml", Span(1, 1, 1, 2)), "no `" + "9" * 5000)
    assert (len(found.message), found.message[-4:]) == (MAX_TEXT, "9...")


@pytest.mark.parametrize("column", [1, 1000, 1996])
def test_of_a_very_long_line_the_part_around_the_place_is_shown(column: int) -> None:
    text = "a" * (column - 1) + "XYZ" + "b" * (2000 - column - 2)
    _, _, line, carets = printed(text, Span(1, column, 1, column + 3))
    assert len(line) <= MAX_LINE + len("1 | ......")
    assert line[carets.index("^") : carets.rindex("^") + 1] == "XYZ"


def test_carets_below_a_very_long_line_end_with_it() -> None:
    _, _, line, carets = printed("k: " + "v" * 5000, Span(1, 4, 1, 5004))
    assert len(carets) <= len(line)


def test_a_word_is_guessed_among_a_few_and_among_thousands() -> None:
    assert guess("epoch", ["seed", "epochs", "target"]) == "epochs"
    assert guess("step-417x", [f"step-{n}" for n in range(5000)]) == "step-417"
    assert guess("zebra", ["seed", "epochs"]) is None
