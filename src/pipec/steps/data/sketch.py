"""A sample of one column in little room: enough to tell later how far another sample lies from it.

Pure: numpy arrays in, small values out; nothing of pipec, files or tables. What is kept is exact: quantiles are values
of the sample, and counts are counts, so that the PSI comes out as from the rows (`drift.py`).
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 10  # the usual number of a PSI; fewer where the smaller sample could not fill them
STEPS = 40  # the quantiles that are kept for the KS lie a 40th apart; those of 2 to 10 bins are kept for the PSI
MAX_RARE = 1000  # categories beyond the frequent ones that are known again; a model learns from no more either
MAX_TEXT = 40  # characters of a category that are kept as they are


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sample of a number. n_missing: NaNs. n_known: the others.

    values: some of the sample's values, ascending, each once: all of them where there are few. upto: how many of the
    sample are at most so large. equal: how many are just so large.
    """

    n_missing: int
    n_known: int
    values: NDArray[Any]
    upto: NDArray[Any]
    equal: NDArray[Any]

    @property
    def n_rows(self) -> int:
        return self.n_missing + self.n_known

    @property
    def is_complete(self) -> bool:
        """Whether every value of the sample is among `values`."""
        return int(self.equal.sum()) == self.n_known

    @property
    def gap(self) -> float:
        """The largest share of the sample that lies between two neighbours of `values`, or outside of them."""
        import numpy as np

        if not self.n_known:
            return 0.0
        between = np.append(self.upto - self.equal, self.n_known) - np.insert(self.upto, 0, 0)
        return float(between.max()) / self.n_known

    def edges(self, n_bins: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the inner edges of up to `n_bins` (2 to BINS) bins of equal mass, and how many are at most so large.

        An edge is the smallest value with at least its share of the sample at or below it (inverted distribution
        function): interpolation between infinities would give NaN.
        """
        import numpy as np

        at = np.unique(np.searchsorted(self.upto, _ranks(self.n_known, n_bins), side="left"))
        return self.values[at], self.upto[at]


@dataclass(frozen=True, slots=True)
class Categories:
    """A sample of a category. frequent: the most frequent as (key, rows), ties by text. n_rare: rows of the others.

    rare: marks by which the others are known again. is_complete: whether all others have a mark.
    """

    n_missing: int
    frequent: tuple[tuple[str, int], ...]
    n_rare: int = 0
    rare: frozenset[str] = frozenset()
    is_complete: bool = True

    @property
    def n_known(self) -> int:
        return sum(rows for _, rows in self.frequent) + self.n_rare

    @property
    def n_rows(self) -> int:
        return self.n_missing + self.n_known

    def bins(self, n_bins: int) -> tuple[list[int], Callable[[str], int]]:
        """Return the rows of each bin, and a function that says which bin a category falls into.

        The most frequent have a bin each, the others share the last but one; what the sample has never seen falls
        into the last. Where some others have no mark, what is unknown counts as one of them.
        """
        is_all = not self.n_rare and len(self.frequent) <= n_bins
        n_own = len(self.frequent) if is_all else min(len(self.frequent), n_bins - 1)
        place = {name: number for number, (name, _) in enumerate(self.frequent[:n_own])}
        others = {name for name, _ in self.frequent[n_own:]}
        counts = [rows for _, rows in self.frequent[:n_own]]
        rest = sum(rows for _, rows in self.frequent[n_own:]) + self.n_rare

        def bin_of(text: str) -> int:
            name = key(text)
            if name in place:
                return place[name]
            is_rare = name in others or not self.is_complete or mark(text) in self.rare
            return n_own if is_rare else n_own + 1

        return [*counts, rest, 0], bin_of


def numbers(sample: NDArray[Any]) -> Numbers:
    """Return what is kept of float64 values: few values whole, of many the quantiles. Cost: one sort."""
    import numpy as np

    known = sample[~np.isnan(sample)]
    values, equal = np.unique(known, return_counts=True)
    upto = np.cumsum(equal)
    wanted = {int(rank) for n_bins in (*range(2, BINS + 1), STEPS) for rank in _ranks(len(known), n_bins)}
    if len(values) > len(wanted):
        at = np.unique(np.searchsorted(upto, sorted(wanted), side="left"))
        values, equal, upto = values[at], equal[at], upto[at]
    return Numbers(len(sample) - len(known), len(known), values, upto, equal)


def categories(sample: Iterable[str | None]) -> Categories:
    """Return what is kept of texts; None is a missing one."""
    counts: dict[str | None, int] = {}
    for text in sample:
        counts[text] = counts.get(text, 0) + 1
    n_missing = counts.pop(None, 0)
    texts = sorted(((str(text), rows) for text, rows in counts.items()), key=lambda pair: (-pair[1], pair[0]))
    frequent, others = texts[:BINS], texts[BINS:]
    return Categories(
        n_missing, tuple((key(text), rows) for text, rows in frequent), sum(rows for _, rows in others),
        frozenset(mark(text) for text, _ in others[:MAX_RARE]), len(others) <= MAX_RARE,
    )  # fmt: skip


def key(text: str) -> str:
    """Return a category as it is kept: a long one by its beginning and its digest."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[: MAX_TEXT - 17]}…{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def mark(text: str) -> str:
    """Return 40 bits of a category's digest. Of rare categories only these are kept: their texts may name a person."""
    return urlsafe_b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:5]).decode().rstrip("=")


def _ranks(n_known: int, n_bins: int) -> list[int]:
    """Return the ranks, from 1, at which the inner edges of `n_bins` bins lie; whole numbers are never off by one."""
    return [-(-number * n_known // n_bins) for number in range(1, n_bins)] if n_known else []
