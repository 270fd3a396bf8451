"""Trying again: what heals is repeated, what was refused is not."""

from __future__ import annotations

import pytest

from pipec.steps.again import again


@pytest.mark.parametrize(
    ("codes", "attempts", "end", "waits"),
    [
        pytest.param([0], 3, 0, [], id="success"),
        pytest.param([3, 0], 3, 3, [], id="a refusal is final"),
        pytest.param([2, 0], 3, 2, [], id="wrong arguments are final"),
        pytest.param([1, 0], 3, 1, [], id="a bug is final"),
        pytest.param([75, 0], 3, 0, [30], id="one repetition heals"),
        pytest.param([75, 75, 75, 0], 3, 75, [30, 60], id="the last attempt decides"),
        pytest.param([75, 3], 3, 3, [30], id="a refusal on the second attempt"),
        pytest.param([75], 1, 75, [], id="one attempt only"),
    ],
)
def test_only_what_may_heal_is_tried_again(codes: list[int], attempts: int, end: int, waits: list[float]) -> None:
    slept: list[float] = []
    left = iter(codes)
    assert again(lambda: next(left), attempts, 30, slept.append) == end
    assert slept == waits


def test_no_wait_is_longer_than_an_hour() -> None:
    slept: list[float] = []
    assert again(lambda: 75, 9, 60, slept.append) == 75
    assert slept == [60, 120, 240, 480, 960, 1920, 3600, 3600]
