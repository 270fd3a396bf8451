"""How far two samples of one column lie apart, by effect size.

Pure: numpy arrays in, numbers out; nothing of pipec, files or tables. Two figures: the population stability index (PSI)
over bins, and the Kolmogorov-Smirnov distance (KS) between distribution functions. Neither is a p-value: with many rows
a p-value calls every trifle a drift, with few rows an effect size alone calls every draw one. So a column has drifted
when its distance, less what chance alone would be expected to give, exceeds the threshold, and chance alone would give
the distance in less than `ALPHA` of all comparisons (divided by the number of columns compared).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from pipec.steps.data import sketch
from pipec.steps.data.sketch import BINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipec.steps.data.sketch import Categories, Numbers

ALPHA = 0.01  # false alarms per report, about: first-order theory; the effect sizes decide where rows are many
ROWS_PER_BIN = 10  # a bin with fewer rows says more about luck than about the distribution


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance between two samples. chance: its expectation if both came from one distribution.

    limit: what chance alone exceeds in a share `alpha` of comparisons.
    """

    value: float
    chance: float
    limit: float

    def exceeds(self, threshold: float) -> bool:
        """Say whether this is a drift: larger than chance explains, by more than `threshold`."""
        return self.value > self.limit and self.value - self.chance > threshold


def bin_count(n_reference: int, n_batch: int) -> int:
    """Return how many bins the smaller sample can fill, from 2 to `BINS`."""
    return max(2, min(BINS, min(n_reference, n_batch) // ROWS_PER_BIN))


def psi_of_numbers(reference: NDArray[Any], batch: NDArray[Any], alpha: float = ALPHA) -> Distance:
    """Return the PSI between two samples of a number; see `psi_to_numbers`."""
    return psi_to_numbers(sketch.numbers(reference), batch, alpha)


def psi_to_numbers(reference: Numbers, batch: NDArray[Any], alpha: float = ALPHA) -> Distance:
    """Return the PSI between a kept sample of a number and another, over equal-mass bins of the kept one.

    batch: float64, any length >= 1; NaN is a bin of its own if there is any; infinities are the largest and smallest
    values. A number with no more values in the reference than there are bins is binned by value.
    """
    import numpy as np

    seen = batch[~np.isnan(batch)]
    n_bins = bin_count(reference.n_rows, len(batch))
    if reference.is_complete and len(reference.values) <= n_bins:
        known_counts = _with(reference.equal, 0)
        by_value = np.array([int((seen == value).sum()) for value in reference.values], dtype=np.intp)
        seen_counts = _with(by_value, len(seen) - int(by_value.sum()))
    else:
        edges, upto = reference.edges(n_bins)
        known_counts = np.diff(upto, prepend=0, append=reference.n_known)
        seen_counts = np.bincount(np.searchsorted(edges, seen, side="left"), minlength=len(edges) + 1)
    n_missing = len(batch) - len(seen)
    return psi_of_counts(_with(known_counts, reference.n_missing), _with(seen_counts, n_missing), alpha)


def psi_of_categories(reference: NDArray[Any], batch: NDArray[Any], alpha: float = ALPHA) -> Distance:
    """Return the PSI between two samples of a category: arrays of texts, None where missing."""
    return psi_to_categories(sketch.categories(reference), batch, alpha)


def psi_to_categories(reference: Categories, batch: NDArray[Any], alpha: float = ALPHA) -> Distance:
    """Return the PSI between a kept sample of a category and another.

    batch: object array of texts; None is a bin of its own. The most frequent categories of the reference have a bin
    each, the others share one; what the reference has never seen is one more.
    """
    import numpy as np

    counts, bin_of = reference.bins(bin_count(reference.n_rows, len(batch)))
    seen = [bin_of(str(value)) for value in batch if value is not None]
    seen_counts = np.bincount(np.array(seen, dtype=np.intp), minlength=len(counts))
    missing = (reference.n_missing, len(batch) - len(seen))
    return psi_of_counts(_with(np.array(counts, dtype=np.intp), missing[0]), _with(seen_counts, missing[1]), alpha)


def psi_of_counts(reference_counts: NDArray[Any], batch_counts: NDArray[Any], alpha: float = ALPHA) -> Distance:
    """Return the PSI between two histograms over the same bins: sum over bins of (p - q) ln(p / q), in nats.

    Bins empty on both sides do not count; a bin empty on one side counts as half a row, so the result is finite.
    chance, limit: under one distribution the PSI is (1/N + 1/M) times a chi-square with B - 1 degrees of freedom, to
    first order (B. Yurdakul, "Statistical properties of population stability index", 2018).
    Raises ValueError if either histogram is empty.
    """
    import numpy as np

    n_reference, n_batch = int(reference_counts.sum()), int(batch_counts.sum())
    if not (n_reference and n_batch):
        raise ValueError("the distance to an empty sample is not defined")
    used = (reference_counts + batch_counts) > 0
    p = np.maximum(reference_counts[used], 0.5) / n_reference
    q = np.maximum(batch_counts[used], 0.5) / n_batch
    scale, freedom = 1 / n_reference + 1 / n_batch, int(used.sum()) - 1
    limit = scale * chi_square_quantile(1 - alpha, freedom)
    return Distance(float(((p - q) * np.log(p / q)).sum()), scale * freedom, limit)


def ks_of_numbers(reference: NDArray[Any], batch: NDArray[Any], alpha: float = ALPHA) -> Distance | None:
    """Return the largest distance between the two distribution functions, or None if either sample has no number.

    NaN does not count. chance: the mean of Kolmogorov's distribution, sqrt(pi/2) ln 2, times sqrt(1/N + 1/M); limit:
    its quantile by the first term of its series. Both are those of continuous numbers: with ties chance gives less.
    """
    import numpy as np

    one, two = np.sort(reference[~np.isnan(reference)]), np.sort(batch[~np.isnan(batch)])
    if not (len(one) and len(two)):
        return None
    places = np.concatenate([one, two])
    below_one = np.searchsorted(one, places, side="right") / len(one)
    below_two = np.searchsorted(two, places, side="right") / len(two)
    return _ks(float(np.abs(below_one - below_two).max()), len(one), len(two), alpha)


def ks_to_numbers(reference: Numbers, batch: NDArray[Any], alpha: float = ALPHA) -> Distance | None:
    """Return the largest distance between the distribution functions of a kept sample and another, where it is known.

    It is known at each kept value and just below it. So the figure is that of `ks_of_numbers` where all values of the
    reference are kept, and otherwise never above it and at most `reference.gap` below: a 40th, less the ties.
    """
    import numpy as np

    two = np.sort(batch[~np.isnan(batch)])
    if not (reference.n_known and len(two)):
        return None
    at = np.searchsorted(two, reference.values, side="right") / len(two) - reference.upto / reference.n_known
    before = (reference.upto - reference.equal) / reference.n_known
    below = np.searchsorted(two, reference.values, side="left") / len(two) - before
    return _ks(float(max(np.abs(at).max(), np.abs(below).max())), reference.n_known, len(two), alpha)


def _ks(value: float, n_reference: int, n_batch: int, alpha: float) -> Distance:
    scale = math.sqrt(1 / n_reference + 1 / n_batch)
    return Distance(value, scale * math.sqrt(math.pi / 2) * math.log(2), scale * math.sqrt(-math.log(alpha / 2) / 2))


def chi_square_quantile(share: float, freedom: int) -> float:
    """Return the value below which a chi-square variable lies with probability `share`; 0 without freedom.

    Source: Wilson and Hilferty, "The distribution of chi-square", PNAS 17, 1931. Within 1 % at the 99th percentile;
    at the 99.99th up to 8 % too large for one degree of freedom, less for more.
    """
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return freedom * float((1 - spread + NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3)


def _with(counts: NDArray[Any], one_more: int) -> NDArray[Any]:
    import numpy as np

    return np.append(counts, one_more)
