"""How good the answers are: figures for a report and for gates. N rows, C classes.

A figure that the rows cannot give (the area under a curve of one class) is None, never a number that looks like one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.feature import Label, Matrix

Figures = Mapping[str, float | None]
MAIN = {"classification": "f1_macro", "regression": "r2"}
ERRORS = frozenset({"log_loss", "mae", "rmse"})  # figures of which less is better


@dataclass(frozen=True, slots=True)
class PerClass:
    """One class's figures. support: its rows."""

    label: Label
    support: int
    precision: float
    recall: float
    f1: float


def classification(
    y_N: NDArray[np.int64],
    probabilities_NC: Matrix,
    classes: Sequence[Label],
    positive: str = "",
) -> Figures:
    """Return the figures of a classifier. y_N: class positions, at least one row.

    Averages run over all classes of the model. positive: the class whose precision, recall and F1 are told apart.
    """
    every = np.arange(len(classes))
    said_N = probabilities_NC.argmax(axis=1)
    macro: dict[str, Any] = {"labels": every, "average": "macro", "zero_division": 0.0}
    present = np.unique(y_N)
    figures: dict[str, float | None] = {
        "accuracy": float((y_N == said_N).mean()),
        "balanced_accuracy": float(np.mean([(said_N[y_N == code] == code).mean() for code in present])),
        "f1_macro": float(metrics.f1_score(y_N, said_N, **macro)),
        "precision_macro": float(metrics.precision_score(y_N, said_N, **macro)),
        "recall_macro": float(metrics.recall_score(y_N, said_N, **macro)),
        "log_loss": float(metrics.log_loss(y_N, probabilities_NC, labels=every)),
        "roc_auc": _roc_auc(y_N, probabilities_NC) if len(present) == len(classes) else None,
    }
    if positive:
        chosen = per_class(y_N, probabilities_NC, classes)[_position(classes, positive)]
        figures |= {"precision": chosen.precision, "recall": chosen.recall, "f1": chosen.f1}
    return figures


def _roc_auc(y_N: NDArray[np.int64], probabilities_NC: Matrix) -> float:
    """Return the area under the ROC curve; over more than two classes, the mean of one against the rest."""
    if probabilities_NC.shape[1] == 2:
        return float(metrics.roc_auc_score(y_N, probabilities_NC[:, 1]))
    return float(np.mean([metrics.roc_auc_score(y_N == code, p_N) for code, p_N in enumerate(probabilities_NC.T)]))


def _position(classes: Sequence[Label], positive: str) -> int:
    names = [class_name(label) for label in classes]
    if positive not in names:
        raise AskFault(f"`positive` is `{positive}`, but the model tells {', '.join(names[:20])}")
    return names.index(positive)


def class_name(label: Label) -> str:
    """Return a class as a user writes it: booleans as in YAML."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def per_class(y_N: NDArray[np.int64], probabilities_NC: Matrix, classes: Sequence[Label]) -> list[PerClass]:
    """Return each class's figures; 0 where a class was never said or never there."""
    columns = metrics.precision_recall_fscore_support(
        y_N, probabilities_NC.argmax(axis=1), labels=np.arange(len(classes)), zero_division=0.0
    )
    rows = zip(classes, *columns, strict=True)
    return [PerClass(label, int(n), float(p), float(r), float(f)) for label, p, r, f, n in rows]


def confusion(y_N: NDArray[np.int64], probabilities_NC: Matrix) -> list[list[int]]:
    """Return counts [C, C]: rows are the truth, columns what the model said."""
    every = np.arange(probabilities_NC.shape[1])
    counts: list[list[int]] = metrics.confusion_matrix(y_N, probabilities_NC.argmax(axis=1), labels=every).tolist()
    return counts


def regression(y_N: Matrix, said_N: Matrix) -> Figures:
    """Return the figures of a regressor, in the target's unit. Raises DataFault below two rows: R2 needs a spread."""
    if len(y_N) < 2:
        raise DataFault("a regression cannot be judged on fewer than two rows")
    return {
        "rmse": float(metrics.root_mean_squared_error(y_N, said_N)),
        "mae": float(metrics.mean_absolute_error(y_N, said_N)),
        "r2": float(metrics.r2_score(y_N, said_N)) if np.ptp(y_N) > 0 else None,
    }


def figures(task: str, y_N: NDArray[Any], scores_NC: Matrix, classes: Sequence[Label], positive: str = "") -> Figures:
    """Return the figures of `task`. Raises DataFault if there are no rows."""
    if not len(y_N):
        raise DataFault("there are no rows to judge the model on")
    if task == "classification":
        return classification(y_N, scores_NC, classes, positive)
    if positive:
        raise AskFault("`positive` names a class, but this model predicts a quantity")
    return regression(y_N, scores_NC[:, 0])
