"""A model as a value: train it, save it as a folder, load it, ask it. Each framework is imported when it is needed.

The folder holds `model.json` and the weights, nothing else; neither is a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipec.steps.ml import card as cards
from pipec.steps.ml import feature
from pipec.steps.ml.card import Card
from pipec.steps.ml.estimator import CLASSIFICATION, ESTIMATORS, check_settings, find
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.feature import Label, Matrix
from pipec.steps.ml.recipe import Recipe

CARD = "model.json"
WEIGHTS = {"sklearn": "weights.skops", "torch": "weights.safetensors"}
EXTRA = {"sklearn": "steps", "torch": "torch"}
MAX_CARD_BYTES = 16 << 20  # 1000 columns of 1000 categories of 16 letters


class Body(Protocol):
    """The weights of a model, whatever the framework."""

    def scores(self, x_NF: Matrix) -> Matrix:
        """Return probabilities [N, C], or predicted quantities [N, 1]."""

    def dump(self) -> bytes:
        """Return the content of the weights file, the same for equal weights."""


@dataclass(frozen=True, slots=True)
class Model:
    card: Card
    body: Body


@dataclass(frozen=True, slots=True)
class Predictions:
    """labels: one class or quantity per row. probabilities: float64 [N, C]; None for a regression."""

    labels: list[Label] | list[float]
    probabilities: Matrix | None


def fit(
    frame: pd.DataFrame, target: str, features: Sequence[str], recipe: Recipe, threads: int, log: Callable[[str], None]
) -> tuple[Model, list[float]]:
    """Return a model of `target`, and the loss of every epoch where there are epochs.

    features: the columns to learn from; empty: all but the target. Raises AskFault and DataFault in one line.
    """
    estimator = find(recipe.estimator)
    check_settings(recipe.estimator, recipe.settings)
    values = feature.target_of(frame, target)
    task = _task(recipe, values)
    names = _features(frame, target, features)
    columns = feature.describe(frame, names)
    log(f"{task} of `{target}` by {recipe.estimator}: {len(frame)} rows, {len(columns)} columns")
    backend = _backend(estimator.framework)
    card = Card(
        estimator=recipe.estimator, task=task, target=target, columns=columns, seed=recipe.seed,
        classes=feature.classes_of(values) if task == CLASSIFICATION else (),
        hyperparameters=backend.settings(recipe),
    )  # fmt: skip
    x_NF = feature.matrix(frame, columns)
    _tell_gaps(x_NF, card, log)
    fitted = backend.fit(card, x_NF, truth(card, values), threads, log)
    body, losses = fitted if isinstance(fitted, tuple) else (fitted, [])
    return Model(card, body), losses


def _task(recipe: Recipe, values: pd.Series[object]) -> str:
    """Return what to learn: what was asked for, what the estimator can do alone, or what the target looks like."""
    able = find(recipe.estimator).tasks
    task = able[0] if recipe.task == "auto" and len(able) == 1 else feature.task_of(values, recipe.task)
    if task not in able:
        others = ", ".join(sorted(name for name, one in ESTIMATORS.items() if task in one.tasks))
        raise AskFault(f"`{recipe.estimator}` does {', '.join(able)} only, not {task}: choose one of {others}")
    return task


def _features(frame: pd.DataFrame, target: str, wanted: Sequence[str]) -> list[str]:
    names = [str(name) for name in frame.columns]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise AskFault(f"`features` names `{unknown[0]}`, which is no column of the data")
    if target in wanted or len(set(wanted)) < len(wanted):
        raise AskFault("`features` names the target, or a column twice: the model would learn from its own answer")
    return list(wanted) or [name for name in names if name != target]


def _tell_gaps(x_NF: Matrix, card: Card, log: Callable[[str], None]) -> None:
    for column, x_N in zip(card.columns, x_NF.T, strict=True):
        gaps = int((x_N < 0).sum() if column.is_text else np.isnan(x_N).sum())
        if gaps:
            filled = "taken as no category" if column.is_text else "filled with the median"
            log(f"column `{column.name}`: {gaps} of {len(x_N)} values are missing, {filled}")


def truth(card: Card, values: pd.Series[object]) -> NDArray[Any]:
    """Return the target of rows as `card` counts it: class positions int64 [N], or quantities float64 [N]."""
    return feature.codes(values, card.classes) if card.classes else feature.quantities(values)


def scores(model: Model, frame: pd.DataFrame) -> Matrix:
    """Return probabilities [N, C], or predicted quantities [N, 1]. Raises DataFault if the rows do not fit."""
    if not len(frame):
        return np.empty((0, model.card.n_scores))
    scores_NC = model.body.scores(feature.matrix(frame, model.card.columns))
    if not np.isfinite(scores_NC).all():
        raise DataFault("the model answers with NaN or an infinite number: its inputs are far from what it was shown")
    return scores_NC


def predict(model: Model, frame: pd.DataFrame) -> Predictions:
    """Return what the model says of the rows. Columns are found by name; others are left alone."""
    scores_NC = scores(model, frame)
    if not model.card.classes:
        return Predictions(scores_NC[:, 0].tolist(), None)
    return Predictions([model.card.classes[code] for code in scores_NC.argmax(axis=1)], scores_NC)


def save(model: Model, folder: Path) -> None:
    """Write the model into `folder`, which is made; equal models give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS[model.card.framework]).write_bytes(model.body.dump())
    (folder / CARD).write_text(cards.write(model.card), encoding="utf-8")


def load_card(folder: Path) -> Card:
    """Return what a model folder says of itself. Raises DataFault if it is none, or holds a file too many."""
    path = folder / CARD
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_CARD_BYTES:
        raise DataFault(f"{folder.name} is no model: it holds no {CARD} that pipec wrote")
    try:
        card = cards.read(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as fault:
        raise DataFault(f"{CARD} is not text: train the model again") from fault
    wanted = {CARD, WEIGHTS[card.framework]}
    found = {below.name for below in folder.iterdir()}
    if found != wanted:
        odd = sorted(found ^ wanted)[0]
        raise DataFault(f"the model folder {'lacks' if odd in wanted else 'holds a stranger,'} `{odd}`: not loaded")
    return card


def load(folder: Path) -> Model:
    """Return the model in `folder`. Raises DataFault at anything that `save` does not write."""
    card = load_card(folder)
    weights = folder / WEIGHTS[card.framework]
    if weights.is_symlink() or not weights.is_file():
        raise DataFault(f"`{weights.name}` is not a plain file: the model is not loaded")
    return Model(card, _backend(card.framework).load(card, weights.read_bytes()))


def _backend(framework: str) -> Any:
    """Return `classic` or `mlp`. Raises AskFault if its library is not installed."""
    try:
        if framework == "torch":
            from pipec.steps.ml import mlp

            return mlp
        from pipec.steps.ml import classic
    except ImportError as fault:
        raise AskFault(f"{fault.name} is not installed: install pipec[{EXTRA[framework]}]") from fault
    return classic
