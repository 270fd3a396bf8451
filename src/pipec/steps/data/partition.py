"""Which rows go where when a data set is cut in two. Knows numpy, and nothing of pipec or tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def partition(
    n_rows: int, test_size: float, seed: int, strata: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of the rows to learn from and of the rows to test on, each in ascending order.

    n_rows: at least 2. test_size: share of the test rows, between 0 and 1, both excluded; rounded to rows, at least one
    row on each side. strata: the stratum of each row, numbered from 0 without gaps; each keeps its share on
    both sides to within a row, and one of at least two rows has a row on each side; a lone row is learned from.
    The same arguments give the same rows under every version of numpy: only the raw stream of a bit generator is used,
    which numpy keeps as it is, unlike what `Generator` makes of it (NEP 19).
    """
    import numpy as np

    assert n_rows >= 2 and 0 < test_size < 1, "a cut needs two rows and a share between 0 and 1"
    groups = np.zeros(n_rows, dtype=np.intp) if strata is None else strata
    keys = np.random.PCG64(seed).random_raw(n_rows)  # uint64: the order in which rows would be drawn
    sizes = np.bincount(groups)
    tests = _shares(sizes, max(1, min(n_rows - 1, round(n_rows * test_size))))
    order = np.lexsort((keys, groups))  # by stratum, then by draw; ties by place
    begins = np.cumsum(sizes) - sizes
    rank = np.arange(n_rows) - begins[groups[order]]
    is_test = np.zeros(n_rows, dtype=bool)
    is_test[order] = rank < tests[groups[order]]
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def _shares(sizes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Return how many rows of each stratum are test rows: largest remainders, then at least one on each side."""
    import numpy as np

    quotas = sizes * (total / sizes.sum())
    shares = np.floor(quotas).astype(np.intp)
    left = total - int(shares.sum())
    shares[np.argsort(-(quotas - shares), kind="stable")[:left]] += 1
    least = np.where(sizes >= 2, 1, 0) if len(sizes) > 1 else np.ones_like(sizes)
    clipped: NDArray[np.intp] = np.clip(shares, least, np.maximum(sizes - 1, 0))
    return clipped
