"""A table as it may be remembered without its rows: of each column its kind, its counts and its quantiles.

Whoever has a profile can tell how far new rows lie from those it was made of (`comparison.py`). Equal tables give equal
texts; no time and no path is in one. Of rare categories it holds marks, not texts. Knows nothing of pipec.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipec.steps.data import sketch
from pipec.steps.data.sketch import Categories, Numbers

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FORMAT_VERSION = "1.0"
KIND = "Profile"
NUMBER, CATEGORY = "number", "category"
MARK = len(sketch.mark(""))  # characters


class ProfileError(ValueError):
    """A text that is no profile. The message is one line."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. kept: what is known of its values; None where they cannot be compared, and why."""

    name: str
    kept: Numbers | Categories | None
    why: str = ""

    @property
    def kind(self) -> str:
        """`number`, `category`, or an empty text."""
        return "" if self.kept is None else NUMBER if isinstance(self.kept, Numbers) else CATEGORY


@dataclass(frozen=True, slots=True)
class Profile:
    """A table of n_rows rows. columns: by name, in the table's order."""

    n_rows: int
    columns: Mapping[str, Column]


def of_table(frame: pd.DataFrame, names: Iterable[str] | None = None) -> Profile:
    """Return the profile of a table, or of its columns called `names`. Cost: one sort for each column of numbers."""
    wanted = [str(name) for name in (frame.columns if names is None else names)]
    return Profile(len(frame), {name: _column(name, frame[name]) for name in wanted})


def _column(name: str, values: pd.Series[Any]) -> Column:
    from pandas.api import types

    known = values.dropna()
    if types.is_datetime64_any_dtype(known) or types.is_timedelta64_dtype(known):
        return Column(name, None, "it holds times, which always move on")
    if not types.is_bool_dtype(known) and types.is_numeric_dtype(known):
        return Column(name, sketch.numbers(numbers_of(values)))
    try:
        n_different = known.nunique()
    except TypeError:
        return Column(name, None, "it holds neither numbers nor texts")
    if len(known) >= 20 and n_different > len(known) / 2:
        return Column(name, None, "nearly every row has a value of its own")
    return Column(name, sketch.categories(texts_of(values)))


def numbers_of(column: pd.Series[Any]) -> NDArray[Any]:
    """Return the values as float64, NaN where missing or no number."""
    import pandas as pd

    numbers: NDArray[Any] = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=math.nan)
    return numbers


def texts_of(column: pd.Series[Any]) -> NDArray[Any]:
    """Return the values as texts, None where missing. 1 and 1.0 are one category: a missing value makes floats."""
    import numpy as np

    def text(value: Any) -> str:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return np.array(
        [None if missing else text(value) for value, missing in zip(column, column.isna(), strict=True)], dtype=object
    )


def write(profile: Profile) -> str:
    """Return the profile as JSON, a column on each line: a few hundred bytes for one of numbers."""
    head = {"format_version": FORMAT_VERSION, "kind": KIND, "n_rows": profile.n_rows}
    lines = [
        json.dumps(_encoded(column), separators=(",", ":"), allow_nan=False) for column in profile.columns.values()
    ]
    return f'{json.dumps(head)[:-1]}, "columns": [\n' + ",\n".join(lines) + "\n]}\n"


def _encoded(column: Column) -> dict[str, Any]:
    match column.kept:
        case None:
            body: dict[str, Any] = {"why": column.why}
        case Numbers(n_missing, n_known, values, upto, equal):
            body = {
                "missing": n_missing, "known": n_known, "values": [_plain(float(value)) for value in values],
                "upto": upto.tolist(), "equal": equal.tolist(),
            }  # fmt: skip
        case Categories(n_missing, frequent, n_rare, rare, is_complete):
            body = {
                "missing": n_missing, "frequent": [list(pair) for pair in frequent], "rare": n_rare,
                "marks": "".join(sorted(rare)), "complete": is_complete,
            }  # fmt: skip
    return {"name": column.name, "kind": column.kind, **body}


def _plain(value: float) -> int | float | str:
    """Return a number as JSON can hold it: infinities as texts, whole ones without a point, which saves room."""
    if math.isinf(value):
        return str(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def read(text: str) -> Profile:
    """Return what `write` wrote. Raises ProfileError at any other text."""
    try:
        body = json.loads(text)
        version, kind = str(body["format_version"]), body["kind"]
        if kind != KIND or version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise ProfileError(f"it is a {kind} of format {version}, this version reads a {KIND} of {FORMAT_VERSION}")
        columns = [_decoded(item) for item in body["columns"]]
        return Profile(_count(body["n_rows"]), {column.name: column for column in columns})
    except ProfileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ProfileError("it is not one that pipec wrote, or was changed since") from fault


def _decoded(item: Mapping[str, Any]) -> Column:
    name = _text(item["name"])
    match item["kind"]:
        case "":
            return Column(name, None, _text(item["why"]))
        case "number":
            return Column(name, _numbers(item))
        case "category":
            frequent = tuple((_text(text), _count(rows)) for text, rows in item["frequent"])
            marks = _text(item["marks"])
            rare = frozenset(marks[at : at + MARK] for at in range(0, len(marks), MARK))
            kept = Categories(_count(item["missing"]), frequent, _count(item["rare"]), rare, item["complete"] is True)
            return Column(name, kept)
    raise ValueError(f"`{item['kind']}` is no kind of column")


def _numbers(item: Mapping[str, Any]) -> Numbers:
    import numpy as np

    values = np.array([float(value) for value in item["values"]], dtype=np.float64)
    upto, equal = (np.array([_count(n) for n in item[part]], dtype=np.int64) for part in ("upto", "equal"))
    found = Numbers(_count(item["missing"]), _count(item["known"]), values, upto, equal)
    fits = len(values) == len(upto) == len(equal) and bool(len(values)) is bool(found.n_known)
    rises = fits and bool((np.diff(values) > 0).all() and (equal > 0).all() and (np.diff(upto) >= equal[1:]).all())
    if not rises or (len(upto) and (upto[0] < equal[0] or upto[-1] > found.n_known)):
        raise ValueError("the counts of a column contradict one another")
    return found


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TypeError("a count is a whole number")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a name is a text")
