"""Values that must not be read, in texts and in streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipec.redact import Redactor, redacted


def carried(text: bytes, size: int, *secrets: str) -> bytes:
    redactor = Redactor(secrets)
    parts = [redactor.feed(text[n : n + size]) for n in range(0, len(text), size)]
    return b"".join([*parts, redactor.rest()])


@pytest.mark.parametrize("size", [1, 3, 7, 4096])
def test_a_secret_is_blotted_out_wherever_it_is_cut(size: int) -> None:
    told = carried(b"a hunter22 b hunter2 c", size, "hunter2", "hunter22", "b")
    assert b"hunter" not in told
    assert told.startswith(b"a ***")


def test_the_longest_of_secrets_that_hold_each_other_goes_whole() -> None:
    assert redacted(b"key-1234-long and key-1234", ["key-1234", "key-1234-long"]) == b"*** and ***"


def test_a_secret_of_many_lines_is_one() -> None:
    assert carried(b"x BEGIN\nabc\nEND y", 4, "BEGIN\nabc\nEND") == b"x *** y"


def test_a_short_secret_does_not_spoil_a_log() -> None:
    assert redacted(b"a cat sat", ["cat", ""]) == b"a cat sat"


def test_only_what_may_become_a_secret_waits() -> None:
    redactor = Redactor(["password" * 100])
    assert redactor.feed(b"waiting\n") == b"waiting\n"
    assert redactor.feed(b"passwordpass") == b""
    assert redactor.feed(b"ed\n") == b"passwordpassed\n"


@given(text=st.lists(st.sampled_from(["aaab", "aab", "a", "b", "baab"])).map("".join), size=st.integers(1, 9))
def test_what_holds_no_secret_comes_through_whole(text: str, size: int) -> None:
    assert carried(text.encode(), size, "abcab", "aabbba#") == text.encode()
