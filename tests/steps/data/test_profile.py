"""A profile stands in for the rows it was made of: the same figures, little room, equal bytes for equal rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipec.steps.data import comparison, drift, profile, sketch
from pipec.steps.data.profile import ProfileError

EXAMPLES = Path(__file__).parents[3] / "examples" / "pipelines" / "data"


def sample(rng: np.random.Generator, n_rows: int, shift: float = 0.0) -> np.ndarray:
    """Return numbers with ties, gaps and infinities as chance has it."""
    found = rng.normal(shift, 1.0, n_rows).round(rng.choice([0, 1, 2, 6]))
    if rng.random() < 0.3:
        found[rng.random(n_rows) < 0.2] = math.nan
    if rng.random() < 0.1:
        found[0] = rng.choice([-math.inf, math.inf])
    return found


def written_and_read(frame: pd.DataFrame) -> profile.Profile:
    return profile.read(profile.write(profile.of_table(frame)))


@pytest.mark.parametrize("seed", range(20))
def test_psi_of_numbers_is_that_of_the_rows_and_ks_at_most_a_gap_below(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        one, two = (sample(rng, int(rng.integers(1, 500)), shift) for shift in (0.0, 0.4))
        kept = written_and_read(pd.DataFrame({"x": one})).columns["x"].kept
        assert isinstance(kept, sketch.Numbers)
        assert drift.psi_to_numbers(kept, two) == drift.psi_of_numbers(one, two) == drift_by_rows(one, two)
        exact, near = drift.ks_of_numbers(one, two), drift.ks_to_numbers(kept, two)
        if exact is None or near is None:
            assert exact is near
            continue
        assert (near.chance, near.limit) == (exact.chance, exact.limit)
        short = 0.0 if kept.is_complete else kept.gap
        assert kept.gap <= 1 / sketch.STEPS + 1e-12 or kept.is_complete  # a share is a double
        assert -1e-12 <= exact.value - near.value <= short + 1e-12  # likewise


def drift_by_rows(reference: np.ndarray, batch: np.ndarray) -> drift.Distance:
    """Return the PSI with nothing kept in between: bins cut at quantiles of the rows themselves."""
    known, seen = reference[~np.isnan(reference)], batch[~np.isnan(batch)]
    n_bins = drift.bin_count(len(reference), len(batch))
    values = np.unique(known)
    if len(values) <= n_bins:
        one = [*(int((known == value).sum()) for value in values), 0]
        two = [int((seen == value).sum()) for value in values]
        two.append(len(seen) - sum(two))
    else:
        edges = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
        one, two = (
            np.bincount(np.searchsorted(edges, some, side="left"), minlength=len(edges) + 1).tolist()
            for some in (known, seen)
        )
    n_missing = len(reference) - len(known), len(batch) - len(seen)
    return drift.psi_of_counts(np.array([*one, n_missing[0]]), np.array([*two, n_missing[1]]))


@pytest.mark.parametrize("scale", [1, 5, 50, 400])
def test_psi_of_categories_is_that_of_the_rows(scale: int) -> None:
    rng = np.random.default_rng(scale)
    one, two = (
        np.array([None if rng.random() < 0.05 else f"c{int(x)}" for x in rng.exponential(mean, 4000)], dtype=object)
        for mean in (scale, scale + 3)
    )
    kept = sketch.categories(one)
    loaded = written_and_read(pd.DataFrame({"x": one})).columns["x"].kept
    assert loaded == kept
    assert isinstance(loaded, sketch.Categories)
    for rows in (two, two[:25], np.array(["c0", "new"], dtype=object)):
        assert drift.psi_to_categories(loaded, rows) == drift.psi_of_categories(one, rows)


def test_a_comparison_with_a_profile_is_the_one_with_the_rows() -> None:
    wine, new = pd.read_csv(EXAMPLES / "wine.csv"), pd.read_csv(EXAMPLES / "wine-new.csv")
    moved = new.assign(ash=new["ash"] + 2 * new["ash"].std(), hue=math.nan, cultivar="cultivar_9")
    limits: dict[str, Any] = {"psi": 0.25, "ks": 0.2, "minimum_rows": 30}
    for batch in (new, moved, new.head(10)):
        rows = comparison.compare(wine, batch, list(wine.columns), **limits)
        kept = comparison.compare_with_profile(written_and_read(wine), batch, list(wine.columns), **limits)
        assert (kept.verdict, kept.left_out) == (rows.verdict, rows.left_out)
        assert [(c.name, c.kind, c.psi) for c in kept.columns] == [(c.name, c.kind, c.psi) for c in rows.columns]
        for one, two in zip(kept.columns, rows.columns, strict=True):
            if one.ks and two.ks:
                assert two.ks.value - kept.ks_short_by <= one.ks.value <= two.ks.value
        assert (rows.ks_short_by, rows.compared_with, kept.compared_with) == (0.0, "rows", "profile")
        assert 0 < kept.ks_short_by <= 0.025


def test_equal_rows_give_equal_texts_whatever_their_order() -> None:
    frame = pd.read_csv(EXAMPLES / "wine.csv")
    shuffled = frame.sample(frac=1, random_state=3)
    assert profile.write(profile.of_table(frame)) == profile.write(profile.of_table(shuffled))


@pytest.mark.parametrize(
    ("column", "most"),
    [
        (lambda rng, n: rng.normal(size=n), 2100),  # 17 digits for each of 55 quantiles
        (lambda rng, n: rng.normal(size=n).round(2), 1100),
        (lambda rng, n: rng.integers(0, 256, n), 900),
        (lambda rng, n: [f"{'long ' * 90}{x}" for x in rng.integers(0, 50, n)], 1100),
        (lambda rng, n: [f"c{x}" for x in rng.integers(0, 9000, n)], 8000),  # a thousand marks of seven letters
    ],
    ids=["fractions", "two-digits", "bytes", "long-texts", "many-texts"],
)
def test_a_profile_takes_little_room_however_many_the_rows(column: Any, most: int) -> None:
    frame = pd.DataFrame({"x": column(np.random.default_rng(1), 50_000)})
    assert len(profile.write(profile.of_table(frame))) <= most


def test_hundred_measured_columns_take_about_64_kib() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({f"column_{n}": (rng.normal(50, 9, 20_000)).round(1) for n in range(100)})
    assert len(profile.write(profile.of_table(frame))) <= 80 * 1024


def test_rare_texts_are_not_in_a_profile_and_frequent_ones_are() -> None:
    names = [f"kind {n}" for n in range(10) for _ in range(20)] + ["Ana Lima"] * 2
    text = profile.write(profile.of_table(pd.DataFrame({"name": names})))
    assert "kind 9" in text
    assert "Ana" not in text
    kept = profile.read(text).columns["name"].kept
    assert isinstance(kept, sketch.Categories)
    _, bin_of = kept.bins(10)
    assert [bin_of(each) for each in ("kind 0", "kind 9", "Ana Lima", "Bo")] == [0, 9, 9, 10]


def test_more_rare_categories_than_are_marked_hide_new_ones() -> None:
    kept = sketch.categories([f"c{n}" for n in range(sketch.MAX_RARE + 11) for _ in range(2)])
    counts, bin_of = kept.bins(10)
    assert (kept.is_complete, len(counts), bin_of("new")) == (False, 11, 9)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pd.date_range("2026-01-01", periods=30), "it holds times, which always move on"),
        ([f"id {n}" for n in range(30)], "nearly every row has a value of its own"),
        ([[n] for n in range(30)], "it holds neither numbers nor texts"),
    ],
    ids=["times", "identifiers", "lists"],
)
def test_what_cannot_be_compared_is_named_with_the_reason(values: Any, why: str) -> None:
    kept = written_and_read(pd.DataFrame({"x": values})).columns["x"]
    assert (kept.kind, kept.why) == ("", why)


def test_infinities_and_empty_columns_are_kept() -> None:
    frame = pd.DataFrame({"x": [math.inf, -math.inf, 1.5], "gone": [math.nan] * 3})
    kept = written_and_read(frame)
    one, two = kept.columns["x"].kept, kept.columns["gone"].kept
    assert isinstance(one, sketch.Numbers)
    assert isinstance(two, sketch.Numbers)
    assert one.values.tolist() == [-math.inf, 1.5, math.inf]
    assert (two.n_known, two.n_missing, two.gap) == (0, 3, 0.0)


GOOD = json.loads(profile.write(profile.of_table(pd.DataFrame({"x": [1, 2, 2, 3], "c": list("aabb")}))))


def spoiled(column: int, **changes: Any) -> str:
    columns = [dict(each) for each in GOOD["columns"]]
    columns[column] |= changes
    return json.dumps(GOOD | {"columns": columns})


@pytest.mark.parametrize(
    "text",
    [
        "not json", "[]", "{}", json.dumps(GOOD | {"columns": [1]}), json.dumps(GOOD | {"n_rows": -1}),
        spoiled(0, kind="other"), spoiled(0, values=[1, 3, 2]), spoiled(0, values=[1, 2]), spoiled(0, upto=[1, 2, 4]),
        spoiled(0, equal=[0, 2, 1]), spoiled(0, known=3), spoiled(0, values=["a", 2, 3]), spoiled(0, missing=True),
        spoiled(1, frequent=[["a"]]), spoiled(1, marks=3), spoiled(1, name=None),
    ],
)  # fmt: skip
def test_a_text_that_is_no_profile_is_told(text: str) -> None:
    with pytest.raises(ProfileError, match="it is not one that pipec wrote, or was changed since"):
        profile.read(text)


@pytest.mark.parametrize(
    ("change", "told"), [({"kind": "Report"}, "a Report of format 1.0"), ({"format_version": "2.0"}, "format 2.0")]
)
def test_another_kind_or_format_is_told(change: dict[str, str], told: str) -> None:
    with pytest.raises(ProfileError, match=told):
        profile.read(json.dumps(GOOD | change))
