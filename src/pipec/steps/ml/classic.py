"""The scikit-learn estimators: a fixed preparation of the columns, then one estimator of the table.

N rows, F features as read, C classes. Text arrives as category positions (`feature.py`), so no text enters a fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from pipec.steps.ml import factory, sealed
from pipec.steps.ml.card import Card
from pipec.steps.ml.estimator import CLASSIFICATION, REGRESSION, is_factory
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.feature import Column, Matrix
from pipec.steps.ml.recipe import Recipe

CLASSES: dict[tuple[str, str], type[Any]] = {
    ("logistic-regression", CLASSIFICATION): LogisticRegression,
    ("ridge", REGRESSION): Ridge,
    ("random-forest", CLASSIFICATION): RandomForestClassifier,
    ("random-forest", REGRESSION): RandomForestRegressor,
    ("extra-trees", CLASSIFICATION): ExtraTreesClassifier,
    ("extra-trees", REGRESSION): ExtraTreesRegressor,
    ("hist-gradient-boosting", CLASSIFICATION): HistGradientBoostingClassifier,
    ("hist-gradient-boosting", REGRESSION): HistGradientBoostingRegressor,
}
PASSES = ("logistic-regression", "hist-gradient-boosting")  # an epoch is a solver's iteration, or a round of boosting


@dataclass(frozen=True, slots=True)
class Body:
    """A fitted pipeline. Implements `model.Body`."""

    pipeline: Pipeline
    task: str

    def scores(self, x_NF: Matrix) -> Matrix:
        """Return probabilities [N, C], or predicted quantities [N, 1]."""
        if self.task == CLASSIFICATION:
            return np.asarray(self.pipeline.predict_proba(x_NF), dtype=np.float64)
        return np.asarray(self.pipeline.predict(x_NF), dtype=np.float64).reshape(-1, 1)

    def dump(self) -> bytes:
        return sealed.dump(self.pipeline)


def settings(recipe: Recipe) -> dict[str, object]:
    """Return what the estimator is constructed with, beside its seed."""
    passes: dict[str, object] = {"max_iter": recipe.epochs} if recipe.estimator in PASSES else {}
    return {**passes, **recipe.settings}


def fit(
    card: Card,
    x_NF: Matrix,
    y_N: NDArray[Any],
    threads: int,
    log: Callable[[str], None],
) -> Body:
    """Return the estimator of `card`, fitted. y_N: class positions or quantities. Raises AskFault, DataFault."""
    estimator = _estimator(card)
    parallel = "n_jobs" in estimator.get_params() and card.estimator in ("random-forest", "extra-trees")
    if parallel:
        estimator.set_params(n_jobs=threads)
    pipeline = Pipeline([("features", _preparation(card.columns)), ("estimator", estimator)])
    workers = factory.working(threads) if is_factory(card.estimator) else nullcontext()
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(threads), workers:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            pipeline.fit(x_NF, y_N)
        except InvalidParameterError as fault:
            raise AskFault(f"`{card.estimator}` cannot take a hyperparameter: {_one_line(fault)}") from fault
        except ValueError as fault:
            raise DataFault(f"`{card.estimator}` cannot learn from these rows: {_one_line(fault)}") from fault
    if parallel:
        estimator.set_params(n_jobs=None)  # the machine's width is no part of the model
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log(f"`{card.estimator}` had not settled when its passes ended: raise {_passes(card)}")
    return _saved(card, Body(pipeline, card.task)) if is_factory(card.estimator) else Body(pipeline, card.task)


def _estimator(card: Card) -> Any:
    if is_factory(card.estimator):
        return factory.make(card.estimator, card.hyperparameters, card.task, card.seed)
    return CLASSES[card.estimator, card.task](**card.hyperparameters, random_state=card.seed)


def _passes(card: Card) -> str:
    return "their number in it" if is_factory(card.estimator) else "`epochs`"


def _saved(card: Card, body: Body) -> Body:
    """Return a model of a team's own as whoever loads it will have it. Raises AskFault at one that cannot be loaded."""
    try:
        return load(card, body.dump())
    except DataFault as fault:
        raise AskFault(f"what `{card.estimator}` returns cannot be kept as a model: {fault}") from fault


def _preparation(columns: Sequence[Column]) -> ColumnTransformer:
    """Return the fixed preparation: medians for gaps, unit scale for numbers, one column per category of a text."""
    numbers = [position for position, column in enumerate(columns) if not column.is_text]
    texts = [position for position, column in enumerate(columns) if column.is_text]
    categories = [np.arange(float(len(columns[position].categories))) for position in texts]
    scaled = Pipeline([("gaps", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    # `ignore`: a missing or unseen text is position -1, which is no category, so all its columns are 0.
    encoded = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    parts = [("numbers", scaled, numbers)] if numbers else []
    return ColumnTransformer([*parts, *([("texts", encoded, texts)] if texts else [])])


def load(card: Card, weights: bytes) -> Body:
    """Return the estimator in `weights`. Raises DataFault unless it is the one that `card` describes."""
    width = sum(len(column.categories) if column.is_text else 1 for column in card.columns)
    pipeline = sealed.load(weights, factory.TRUSTED if is_factory(card.estimator) else ())
    try:
        shape = list(pipeline.named_steps), pipeline.n_features_in_, pipeline[-1].n_features_in_, type(pipeline[-1])
        classes = list(pipeline[-1].classes_) if card.classes else []
    except (AttributeError, TypeError) as fault:
        raise DataFault("the weights hold no fitted pipeline: train the model again") from fault
    expected = shape[3] if is_factory(card.estimator) else CLASSES[card.estimator, card.task]
    if shape != (["features", "estimator"], len(card.columns), width, expected):
        raise DataFault("the weights do not fit model.json: the folder was put together from two models")
    if classes != list(range(len(card.classes))):
        raise DataFault("the weights know other classes than model.json: the folder was put together from two models")
    if is_factory(card.estimator):
        factory.check(pipeline, card.task)
    else:
        sealed.check_trees(pipeline, width)
    return Body(pipeline, card.task)


def _one_line(fault: Exception) -> str:
    return str(fault).strip().split("\n", 1)[0].rstrip(".")
