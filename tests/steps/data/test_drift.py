"""Distances between samples, held against scipy and against chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipec.steps.data import drift


def normal(seed: int, n_rows: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, n_rows)


@pytest.mark.parametrize(("n_reference", "n_batch"), [(5, 3), (100, 40), (1000, 777)])
@pytest.mark.parametrize("decimals", [0, 6], ids=["ties", "no-ties"])
def test_ks_is_scipys(n_reference: int, n_batch: int, decimals: int) -> None:
    one, two = normal(1, n_reference).round(decimals), normal(2, n_batch, 0.3).round(decimals)
    found = drift.ks_of_numbers(one, two)
    assert found is not None
    assert found.value == pytest.approx(stats.ks_2samp(one, two).statistic, abs=1e-12)  # sums of a thousand halves


def test_the_chance_of_ks_is_the_mean_of_kolmogorovs_distribution() -> None:
    found = drift.ks_of_numbers(normal(1, 400), normal(2, 100))
    assert found is not None
    scale = math.sqrt(1 / 400 + 1 / 100)
    assert found.chance == pytest.approx(scale * stats.kstwobign.mean(), rel=1e-6)
    assert found.limit == pytest.approx(scale * stats.kstwobign.ppf(1 - drift.ALPHA), rel=1e-4)  # first term only


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 30])
@pytest.mark.parametrize(("share", "tolerance"), [(0.99, 0.01), (0.9999, 0.08)])  # of the cube-root approximation
def test_chi_square_quantiles_are_close_to_scipys(freedom: int, share: float, tolerance: float) -> None:
    assert drift.chi_square_quantile(share, freedom) == pytest.approx(stats.chi2.ppf(share, freedom), rel=tolerance)


def test_psi_of_counts_is_the_formula() -> None:
    found = drift.psi_of_counts(np.array([50, 30, 20]), np.array([20, 30, 50]))
    assert found.value == pytest.approx(2 * 0.3 * math.log(2.5), rel=1e-12)  # (0.5 - 0.2) ln(0.5 / 0.2), twice
    assert found.chance == pytest.approx(2 * (1 / 100 + 1 / 100))


def test_psi_is_finite_where_a_bin_is_empty_and_zero_between_equals() -> None:
    assert drift.psi_of_counts(np.array([10, 0]), np.array([5, 5])).value == pytest.approx(
        (1 - 0.5) * math.log(1 / 0.5) + (0.05 - 0.5) * math.log(0.05 / 0.5)
    )
    assert drift.psi_of_counts(np.array([10, 5, 0]), np.array([20, 10, 0])) == drift.Distance(
        0.0, pytest.approx(1 / 15 + 1 / 30), pytest.approx(0.1 * stats.chi2.ppf(0.99, 1), rel=0.01)  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_empty_sample_has_no_distance() -> None:
    with pytest.raises(ValueError, match="the distance to an empty sample is not defined"):
        drift.psi_of_counts(np.array([1, 2]), np.array([0, 0]))
    assert drift.ks_of_numbers(np.array([math.nan]), np.array([1.0])) is None


@pytest.mark.parametrize(("n_reference", "n_batch"), [(110, 40), (1000, 200)])
def test_chance_is_what_samples_of_one_distribution_give_on_average(n_reference: int, n_batch: int) -> None:
    psi, ks = [], []
    for seed in range(300):
        one, two = normal(2 * seed, n_reference), normal(2 * seed + 1, n_batch)
        psi.append(drift.psi_of_numbers(one, two))
        found = drift.ks_of_numbers(one, two)
        assert found is not None
        ks.append(found)
    # First-order theory and 300 draws: each mean is known to about 5 %, and few rows add a like bias.
    assert np.mean([one.value for one in psi]) == pytest.approx(psi[0].chance, rel=0.2)
    assert np.mean([one.value for one in ks]) == pytest.approx(ks[0].chance, rel=0.1)
    # Limits are exceeded in about 1 % of draws: 3 of 300 expected, 10 is far beyond.
    assert sum(one.value > one.limit for one in psi) <= 10
    assert sum(one.value > one.limit for one in ks) <= 10


@pytest.mark.parametrize(("n_reference", "n_batch"), [(110, 40), (110, 30), (60, 500)])
def test_few_rows_of_one_distribution_are_rarely_called_a_drift(n_reference: int, n_batch: int) -> None:
    alpha = drift.ALPHA / 13  # as for a report of 13 columns
    alarms = 0
    for seed in range(500):
        one, two = normal(2 * seed, n_reference), normal(2 * seed + 1, n_batch)
        ks = drift.ks_of_numbers(one, two, alpha)
        assert ks is not None
        alarms += drift.psi_of_numbers(one, two, alpha).exceeds(0.25) or ks.exceeds(0.2)
    assert alarms <= 3  # 0.4 expected by theory; small bins have a heavier tail, up to 1.1


@pytest.mark.parametrize("n_batch", [40, 400, 4000])
def test_a_shift_of_two_deviations_is_seen_at_every_size(n_batch: int) -> None:
    one, two = normal(1, 1000), normal(2, n_batch, 2.0)
    ks = drift.ks_of_numbers(one, two)
    assert ks is not None
    assert ks.exceeds(0.2)
    assert drift.psi_of_numbers(one, two).exceeds(0.25)


def test_a_trifle_in_many_rows_is_no_drift_whatever_its_p_value() -> None:
    one, two = normal(1, 100_000), normal(2, 100_000, 0.03)
    assert stats.ks_2samp(one, two).pvalue < 1e-4
    ks = drift.ks_of_numbers(one, two)
    assert ks is not None
    assert not ks.exceeds(0.2)
    assert not drift.psi_of_numbers(one, two).exceeds(0.25)


@pytest.mark.parametrize(("rows", "bins"), [(1, 2), (20, 2), (40, 4), (100, 10), (10**6, 10)])
def test_the_number_of_bins_follows_the_smaller_sample(rows: int, bins: int) -> None:
    assert drift.bin_count(10**6, rows) == drift.bin_count(rows, 10**6) == bins


def test_missing_values_are_a_bin_of_their_own() -> None:
    one = normal(1, 1000)
    two = normal(2, 1000)
    two[:400] = math.nan
    assert drift.psi_of_numbers(one, two).exceeds(0.25)
    assert drift.psi_of_numbers(one, normal(2, 1000)).exceeds(0.25) is False
    all_missing = np.full(50, math.nan)
    assert drift.psi_of_numbers(all_missing, all_missing).value == 0.0


def test_a_number_of_few_values_is_compared_by_value() -> None:
    constant, other = np.zeros(200), np.ones(200)
    assert drift.psi_of_numbers(constant, other).exceeds(0.25)
    assert drift.psi_of_numbers(constant, constant).value == 0.0
    upward = np.where(np.arange(200) < 100, 0.0, 5.0)
    assert drift.psi_of_numbers(constant, upward).exceeds(0.25)


def test_infinities_are_the_largest_and_smallest_numbers() -> None:
    one = np.append(normal(1, 500), [math.inf, -math.inf])
    assert drift.psi_of_numbers(one, one).value == 0.0
    assert math.isfinite(drift.psi_of_numbers(one, normal(2, 300)).value)


def objects(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_categories_unseen_and_missing_are_bins_of_their_own() -> None:
    known = objects(*["a", "b"] * 100)
    assert drift.psi_of_categories(known, known).value == 0.0
    assert drift.psi_of_categories(known, objects(*["a", "b", "new"] * 60)).exceeds(0.25)
    assert drift.psi_of_categories(known, objects(*["a", "b", None] * 60)).exceeds(0.25)


def test_rare_categories_share_a_bin() -> None:
    letters = [chr(97 + number) for number in range(26)]
    reference = objects(*(["x1"] * 300 + letters * 4))
    batch = objects(*(["x1"] * 75 + letters))
    assert drift.psi_of_categories(reference, batch).value == pytest.approx(0.0, abs=0.01)  # 75 of 101 for 300 of 404
