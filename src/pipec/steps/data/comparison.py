"""Two tables, column by column: which columns can be compared, how far apart they are, and what that amounts to.

Joins `drift`, which knows numbers only, to tables. Knows nothing of pipec. Equal tables give equal reports.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipec.steps.data import drift

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

DRIFT, NO_DRIFT, NOT_ENOUGH_DATA = "drift", "no-drift", "not-enough-data"
DIGITS = 6  # of a figure in a report: what differs beyond is the order of a sum


@dataclass(frozen=True, slots=True)
class Column:
    """One column's distances; None where a figure has no meaning. why: what made it drift, empty if it did not."""

    name: str
    kind: str
    psi: drift.Distance | None = None
    ks: drift.Distance | None = None
    why: str = ""

    def describe(self) -> dict[str, object]:
        """Return the column as JSON."""
        return {
            "column": self.name,
            "kind": self.kind,
            "psi": _figures(self.psi),
            "ks": _figures(self.ks),
            "drifted": bool(self.why),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing two tables. left_out: columns not compared, and why."""

    n_reference: int
    n_batch: int
    psi: float
    ks: float
    minimum_rows: int
    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def is_enough(self) -> bool:
        return min(self.n_reference, self.n_batch) >= self.minimum_rows

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns that have drifted, in the order of the table; none without enough rows."""
        return tuple(column.name for column in self.columns if column.why)

    @property
    def verdict(self) -> str:
        if not self.is_enough:
            return NOT_ENOUGH_DATA
        return DRIFT if self.drifted else NO_DRIFT

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        match self.verdict:
            case "not-enough-data":
                rows = f"{self.n_reference} and {self.n_batch} rows"
                return f"{rows} are too few for a verdict, which needs {self.minimum_rows} on either side"
            case "drift":
                return f"{len(self.drifted)} of {len(self.columns)} columns have drifted: {', '.join(self.drifted)}"
        return f"none of {len(self.columns)} columns has drifted"

    def lines(self) -> Iterable[str]:
        """Yield the comparison for people: the verdict, then a line for each column."""
        yield self.summary
        for column in self.columns:
            psi = f"{column.psi.value:.3f}" if column.psi else "-"
            ks = f"{column.ks.value:.3f}" if column.ks else "-"
            yield f"{column.name}: psi {psi}, ks {ks}" + (f": {column.why}" if column.why else "")
        for name, why in self.left_out:
            yield f"{name}: left out, {why}"

    def describe(self) -> dict[str, object]:
        """Return the comparison as JSON."""
        return {
            "format": "1",
            "verdict": self.verdict,
            "summary": self.summary,
            "drifted": list(self.drifted),
            "n_rows": {"reference": self.n_reference, "batch": self.n_batch, "minimum": self.minimum_rows},
            "thresholds": {"psi": self.psi, "ks": self.ks},
            "columns": [column.describe() for column in self.columns],
            "left_out": [{"column": name, "why": why} for name, why in self.left_out],
        }


def compare(
    reference: pd.DataFrame, batch: pd.DataFrame, names: Sequence[str], *, psi: float, ks: float, minimum_rows: int
) -> Comparison:
    """Compare the named columns of two tables.

    psi, ks: distances beyond chance that count as drift. minimum_rows: fewer rows on either side give no verdict, and
    then no column is compared.
    """
    left_out: list[tuple[str, str]] = []
    able: list[tuple[str, str]] = []
    for name in dict.fromkeys(names):
        kind, why = _kind(reference, batch, name)
        (left_out if why else able).append((name, why or kind))
    if min(len(reference), len(batch)) < minimum_rows:
        columns: tuple[Column, ...] = ()
    else:
        # Each column is one more chance to be wrong: the report as a whole keeps `drift.ALPHA` (Bonferroni).
        alpha = drift.ALPHA / max(1, len(able))
        columns = tuple(_column(name, kind, reference[name], batch[name], (psi, ks, alpha)) for name, kind in able)
    return Comparison(len(reference), len(batch), psi, ks, minimum_rows, columns, tuple(left_out))


def _kind(reference: pd.DataFrame, batch: pd.DataFrame, name: str) -> tuple[str, str]:
    """Return whether a column is of numbers or categories, or why it cannot be compared."""
    from pandas.api import types

    for title, frame in (("reference", reference), ("batch", batch)):
        if name not in frame.columns:
            return "", f"{title} does not have it"
    values = reference[name].dropna()
    if types.is_datetime64_any_dtype(values) or types.is_timedelta64_dtype(values):
        return "", "it holds times, which always move on"
    if types.is_bool_dtype(values) or not types.is_numeric_dtype(values):
        if len(values) >= 20 and values.nunique() > len(values) / 2:
            return "", "nearly every row has a value of its own"
        return "category", ""
    return "number", ""


def _column(
    name: str, kind: str, reference: pd.Series[Any], batch: pd.Series[Any], limits: tuple[float, float, float]
) -> Column:
    from pandas.api import types

    threshold_psi, threshold_ks, alpha = limits
    is_number = types.is_numeric_dtype(batch) and not types.is_bool_dtype(batch)
    if kind == "number" and not is_number and batch.notna().any():
        return Column(name, kind, why="it held numbers, and now holds something else")
    if kind == "category":
        psi = drift.psi_of_categories(_texts(reference), _texts(batch), alpha)
        ks = None
    else:
        psi = drift.psi_of_numbers(_numbers(reference), _numbers(batch), alpha)
        ks = drift.ks_of_numbers(_numbers(reference), _numbers(batch), alpha)
    reasons = []
    if psi.exceeds(threshold_psi):
        reasons.append(f"psi is {psi.value - psi.chance:.3f} beyond chance, above {threshold_psi}")
    if ks and ks.exceeds(threshold_ks):
        reasons.append(f"ks is {ks.value - ks.chance:.3f} beyond chance, above {threshold_ks}")
    return Column(name, kind, psi, ks, " and ".join(reasons))


def _numbers(column: pd.Series[Any]) -> NDArray[Any]:
    import pandas as pd

    numbers: NDArray[Any] = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=math.nan)
    return numbers


def _texts(column: pd.Series[Any]) -> NDArray[Any]:
    """Return the values as texts, None where missing. 1 and 1.0 are one category: a missing value makes floats."""
    import numpy as np

    def text(value: Any) -> str:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return np.array(
        [None if missing else text(value) for value, missing in zip(column, column.isna(), strict=True)], dtype=object
    )


def _figures(distance: drift.Distance | None) -> dict[str, float] | None:
    if distance is None:
        return None
    return {
        "value": round(distance.value, DIGITS),
        "chance": round(distance.chance, DIGITS),
        "limit": round(distance.limit, DIGITS),
    }
