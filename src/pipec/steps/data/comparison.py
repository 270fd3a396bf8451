"""Two tables, column by column: which columns can be compared, how far apart they are, and what that amounts to.

Joins `drift`, which knows numbers only, to tables; of the first one, its profile will do. Knows nothing of pipec. Equal
tables give equal reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipec.steps.data import drift, profile
from pipec.steps.data.profile import Profile
from pipec.steps.data.sketch import Categories, Numbers

if TYPE_CHECKING:
    import pandas as pd

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
class Limits:
    """psi, ks: distances beyond chance that count as drift. minimum_rows: what either side needs for a verdict."""

    psi: float
    ks: float
    minimum_rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing two tables. left_out: columns not compared, and why.

    compared_with: `rows`, or a `profile` of them. ks_short_by: by how much a KS may be below that of the rows.
    """

    n_reference: int
    n_batch: int
    psi: float
    ks: float
    minimum_rows: int
    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...]
    compared_with: str = "rows"
    ks_short_by: float = 0.0

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
            "compared_with": self.compared_with,
            "ks_short_by": round(self.ks_short_by, DIGITS),
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
    known = profile.of_table(reference, [name for name in dict.fromkeys(names) if name in reference.columns])
    return _compare(known, reference, batch, names, Limits(psi, ks, minimum_rows))


def compare_with_profile(
    reference: Profile, batch: pd.DataFrame, names: Sequence[str], *, psi: float, ks: float, minimum_rows: int
) -> Comparison:
    """Compare the named columns of a table with what is kept of another; see `compare`.

    The figures are those of `compare`, but for the KS of a number with many values: that is never above it and at most
    `ks_short_by` of the comparison below. Past `sketch.MAX_RARE` rare categories, new ones count as rare in the PSI.
    """
    return _compare(reference, None, batch, names, Limits(psi, ks, minimum_rows))


def _compare(
    reference: Profile, rows: pd.DataFrame | None, batch: pd.DataFrame, names: Sequence[str], limits: Limits
) -> Comparison:
    """rows: what the profile was made of, where that is at hand: the KS is then exact."""
    left_out: list[tuple[str, str]] = []
    able: list[str] = []
    for name in dict.fromkeys(names):
        why = _why_not(reference, batch, name)
        left_out += [(name, why)] if why else []
        able += [] if why else [name]
    columns: tuple[Column, ...] = ()
    if min(reference.n_rows, len(batch)) >= limits.minimum_rows:
        # Each column is one more chance to be wrong: the report as a whole keeps `drift.ALPHA` (Bonferroni).
        alpha = drift.ALPHA / max(1, len(able))
        columns = tuple(
            _column(reference.columns[name], None if rows is None else rows[name], batch[name], limits, alpha)
            for name in able
        )
    gaps = [column.kept.gap for name in able if isinstance((column := reference.columns[name]).kept, Numbers)
            and not column.kept.is_complete]  # fmt: skip
    return Comparison(
        reference.n_rows, len(batch), limits.psi, limits.ks, limits.minimum_rows, columns, tuple(left_out),
        "rows" if rows is not None else "profile", max(gaps, default=0.0) if rows is None else 0.0,
    )  # fmt: skip


def _why_not(reference: Profile, batch: pd.DataFrame, name: str) -> str:
    """Return why a column cannot be compared, or an empty text."""
    if name not in reference.columns:
        return "reference does not have it"
    if name not in batch.columns:
        return "batch does not have it"
    return reference.columns[name].why


def _column(
    known: profile.Column, rows: pd.Series[Any] | None, batch: pd.Series[Any], limits: Limits, alpha: float
) -> Column:
    from pandas.api import types

    name, kind, kept = known.name, known.kind, known.kept
    assert kept is not None, f"`{name}` cannot be compared, and was not left out"
    is_number = types.is_numeric_dtype(batch) and not types.is_bool_dtype(batch)
    if isinstance(kept, Numbers) and not is_number and batch.notna().any():
        return Column(name, kind, why="it held numbers, and now holds something else")
    ks: drift.Distance | None = None
    if isinstance(kept, Categories):
        psi = drift.psi_to_categories(kept, profile.texts_of(batch), alpha)
    else:
        now = profile.numbers_of(batch)
        psi = drift.psi_to_numbers(kept, now, alpha)
        ks = (
            drift.ks_to_numbers(kept, now, alpha)
            if rows is None
            else drift.ks_of_numbers(profile.numbers_of(rows), now, alpha)
        )
    reasons = []
    if psi.exceeds(limits.psi):
        reasons.append(f"psi is {psi.value - psi.chance:.3f} beyond chance, above {limits.psi}")
    if ks and ks.exceeds(limits.ks):
        reasons.append(f"ks is {ks.value - ks.chance:.3f} beyond chance, above {limits.ks}")
    return Column(name, kind, psi, ks, " and ".join(reasons))


def _figures(distance: drift.Distance | None) -> dict[str, float] | None:
    if distance is None:
        return None
    return {
        "value": round(distance.value, DIGITS),
        "chance": round(distance.chance, DIGITS),
        "limit": round(distance.limit, DIGITS),
    }
