"""Cuts of a data set: disjoint, complete, stratified, and the same for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipec.steps.data.partition import partition


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 2**64), st.data())
def test_a_cut_is_disjoint_complete_and_ordered(n_rows: int, test_size: float, seed: int, data: st.DataObject) -> None:
    labels = data.draw(st.none() | st.lists(st.integers(0, 4), min_size=n_rows, max_size=n_rows))
    strata = None if labels is None else np.unique(labels, return_inverse=True)[1]
    train, test = partition(n_rows, test_size, seed, strata)
    assert sorted([*train, *test]) == list(range(n_rows))
    assert list(train) == sorted(train)
    assert list(test) == sorted(test)
    sizes = [n_rows] if strata is None else np.bincount(strata)
    if max(sizes) > 1:
        assert len(test) >= 1
    assert len(train) >= 1


@given(st.lists(st.integers(0, 3), min_size=8, max_size=80), st.floats(0.1, 0.9), st.integers(0, 1000))
def test_each_stratum_keeps_its_share_to_within_a_row(labels: list[int], test_size: float, seed: int) -> None:
    strata = np.unique(labels, return_inverse=True)[1]
    _, test = partition(len(labels), test_size, seed, strata)
    sizes, tests = np.bincount(strata), np.bincount(strata[test], minlength=strata.max() + 1)
    total = max(1, min(len(labels) - 1, round(len(labels) * test_size)))
    for size, n_test in zip(sizes, tests, strict=True):
        assert n_test == 0 if size == 1 else 1 <= n_test <= size - 1
        assert abs(n_test - size * total / len(labels)) < 1 or n_test in (0, 1, size - 1)


def test_a_seed_means_the_same_rows_for_ever() -> None:
    """Written down, so that a change of the draw, or a numpy that draws otherwise, is seen."""
    strata = np.array([0] * 12 + [1] * 8)
    _, test = partition(20, 0.25, 7, strata)
    assert test.tolist() == [3, 6, 11, 12, 13]


def test_another_seed_means_other_rows() -> None:
    cuts = {tuple(partition(100, 0.2, seed)[1]) for seed in range(20)}
    assert len(cuts) == 20


def test_every_row_is_drawn_about_equally_often() -> None:
    drawn = np.zeros(20)
    for seed in range(2000):
        drawn[partition(20, 0.25, seed)[1]] += 1
    # Binomial with n = 2000, p = 1/4 has sd 19.4: 5 sd.
    assert drawn == pytest.approx(500, abs=97)
