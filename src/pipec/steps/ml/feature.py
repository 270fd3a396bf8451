"""From a table to numbers: which columns a model reads, and the one matrix that every estimator gets.

N rows, F features as read. Text becomes the position of its category, so that weights hold numbers only; scaling and
one-hot encoding are the estimator's affair. A missing number is NaN (filled with the training median later); a missing
text, or one never seen in training, is -1 (no category).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipec.steps.ml.estimator import CLASSIFICATION, REGRESSION
from pipec.steps.ml.fault import AskFault, DataFault

Matrix: TypeAlias = NDArray[np.float64]
Label: TypeAlias = str | int | bool

MAX_CATEGORIES = (
    1000  # a text column with more is an identifier or prose; one-hot columns of it would only remember rows
)
MAX_CLASSES = 1000  # a whole-number target with more distinct values is a quantity
DTYPES = ("float64", "int64", "bool", "string")


@dataclass(frozen=True, slots=True)
class Column:
    """One feature. dtype: one of DTYPES, as it was in training. categories: of a text column, sorted."""

    name: str
    dtype: str
    categories: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        return self.dtype == "string"


def describe(frame: pd.DataFrame, names: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns called `names` as a model will remember them. Raises DataFault at one it cannot learn from."""
    if not len(frame):
        raise DataFault("the data set has no rows: look at the step that made it")
    if not names:
        raise DataFault("there is no column to learn from: the data set holds only the target")
    return tuple(_describe(frame[name], name) for name in names)


def _describe(values: pd.Series[object], name: str) -> Column:
    if values.isna().all():
        raise DataFault(f"column `{name}` has no values: leave it out with `features`")
    dtype = dtype_of(values)
    if dtype != "string":
        return Column(name, dtype)
    categories = tuple(sorted(values.dropna().unique()))
    if len(categories) > MAX_CATEGORIES:
        raise DataFault(
            f"column `{name}` holds {len(categories)} different texts, more than {MAX_CATEGORIES}: "
            "group them or leave it out with `features`"
        )
    return Column(name, dtype, categories)


def dtype_of(values: pd.Series[object]) -> str:
    """Return which of DTYPES a column of a table has. Raises DataFault if none fits."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return "bool"
    if pd.api.types.is_integer_dtype(values.dtype):
        return "int64"
    if pd.api.types.is_float_dtype(values.dtype):
        return "float64"
    if all(isinstance(value, str) for value in values.dropna().unique()):
        return "string"
    raise DataFault(f"column `{values.name}` holds neither numbers nor text: turn it into one of them first")


def matrix(frame: pd.DataFrame, columns: Sequence[Column]) -> Matrix:
    """Return the features of `frame` as float64 [N, F]; categories as their positions.

    Columns are found by name; others are left alone. Raises DataFault where the table does not fit the columns.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise DataFault(f"the rows lack {_listed(missing)}, which the model was trained on")
    x_NF = np.empty((len(frame), len(columns)), dtype=np.float64)
    for position, column in enumerate(columns):
        values = frame[column.name]
        x_NF[:, position] = _positions(values, column) if column.is_text else _numbers(values, column)
    return x_NF


def _positions(values: pd.Series[object], column: Column) -> NDArray[np.intp]:
    # An all-missing column may have lost its type on the way: then there is nothing to compare.
    if not values.isna().all() and dtype_of(values) != "string":
        raise DataFault(f"column `{column.name}` holds {dtype_of(values)} where the model was trained on text")
    known = pd.Index(column.categories, dtype=object)
    return np.asarray(known.get_indexer(values.astype(object).where(values.notna(), None)))


def _numbers(values: pd.Series[object], column: Column) -> Matrix:
    if values.isna().all():
        return np.full(len(values), np.nan)
    if dtype_of(values) == "string":
        raise DataFault(f"column `{column.name}` holds text where the model was trained on numbers")
    x_N: Matrix = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(x_N).any():
        raise DataFault(f"column `{column.name}` holds an infinite number: remove it or cap it first")
    return x_N


def task_of(values: pd.Series[object], wanted: str) -> str:
    """Return what is to be learned from this target: `wanted`, or by its type if that is `auto`.

    Fractions are a quantity; text, booleans and whole numbers are classes.
    """
    if wanted in (CLASSIFICATION, REGRESSION):
        return wanted
    return REGRESSION if dtype_of(values) == "float64" else CLASSIFICATION


def classes_of(values: pd.Series[object]) -> tuple[Label, ...]:
    """Return the distinct classes of a target, sorted. Raises DataFault if they make no classification."""
    if dtype_of(values) == "float64" and not (values == values.round()).all():
        remedy = "set `task: regression`, with an estimator such as `ridge`"
        raise DataFault(f"target `{values.name}` holds fractions, which are no classes: {remedy}")
    classes = sorted(values.unique())
    if len(classes) < 2:
        raise DataFault(f"target `{values.name}` has one value only: there is nothing to tell apart")
    if len(classes) > MAX_CLASSES:
        raise DataFault(f"target `{values.name}` has {len(classes)} different values: set `task: regression`")
    return tuple(_label(value) for value in classes)


def _label(value: object) -> Label:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return value if isinstance(value, str) else int(value)  # type: ignore[call-overload]  # a NumPy number


def codes(values: pd.Series[object], classes: Sequence[Label]) -> NDArray[np.int64]:
    """Return each row's class as its position, int64 [N]. Raises DataFault at a class that is not among `classes`."""
    y_N = np.asarray(pd.Index(classes).get_indexer(pd.Index(values)), dtype=np.int64)
    if (y_N < 0).any():
        stranger = values.iloc[int(np.argmax(y_N < 0))]
        raise DataFault(f"target `{values.name}` holds `{stranger}`, which the model was not trained to tell")
    return y_N


def quantities(values: pd.Series[object]) -> Matrix:
    """Return a target to regress on, float64 [N]. Raises DataFault at text and at infinite numbers."""
    if dtype_of(values) == "string":
        raise DataFault(f"target `{values.name}` holds text: set `task: classification`")
    return _numbers(values, Column(str(values.name), "float64"))


def target_of(frame: pd.DataFrame, name: str) -> pd.Series[object]:
    """Return the target's column. Raises AskFault if there is none, DataFault if a row lacks it."""
    if name not in frame.columns:
        raise AskFault(f"there is no column `{name}` to predict: the data has {_listed(list(frame.columns))}")
    lacking = int(frame[name].isna().sum())
    if lacking:
        raise DataFault(f"{lacking} of {len(frame)} rows have no `{name}`: drop them before this step")
    return frame[name]


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
