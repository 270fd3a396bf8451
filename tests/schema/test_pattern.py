"""Patterns of users: what matches, what is refused, and that no pattern makes its matcher go back."""

from __future__ import annotations

import pytest

from pipec.schema.pattern import PatternError, check, is_found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a\n", False), ("^$", "", True), ("a$|^b", "xa", True), ("", "x", True), ("b", "abc", True),
        (r"^[\w.-]+$", "a.b-c", True), (r"^\x{e9}$", "é", True), ("^[]a]$", "a", True), ("^a{255}$", "a" * 255, True),
        ("^a{255}$", "a" * 254, False), ("^a{2,}$", "a" * 1000, True),
        (r"^a\{2\}$", "a{2}", True), ("(?i)^A$", "a", True),
    ],
)  # fmt: skip
def test_a_pattern_is_found_where_it_stands(pattern: str, text: str, found: bool) -> None:
    assert is_found(pattern, text) is found


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?<=a)b", "cannot be used: invalid perl operator: (?<="),
        (r"(a)\1", r"cannot be used: invalid escape sequence: \1"),
        ("(a", "cannot be used: missing ): (a"),
        ("a{9999}", "cannot be used: invalid repetition size: {9999}"),
        ("((((a{9}){9}){9}){9}){9}", "cannot be used: invalid repetition size: {9}"),
        ("a" * 1001, "is longer than 1,000 characters"),
    ],
)
def test_what_is_not_matched_in_bounded_time_is_refused_in_words(pattern: str, why: str) -> None:
    with pytest.raises(PatternError) as caught:
        check(pattern)
    assert str(caught.value) == why


def test_a_pattern_of_a_thousand_characters_is_taken() -> None:
    check("a" * 1000)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a{1,10}){1,10}$", "^" + "a*" * 30 + "b$", "(.*)*x$"])
def test_no_pattern_makes_its_matcher_go_back(pattern: str) -> None:
    # Python's own takes years for each of these; the time limit of the tests would end it.
    assert not is_found(pattern, "a" * 20_000 + "!")
