"""A model before rows whose answers are known: what it said, and how good that was. N rows, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from pipec.steps.ml import feature, metric
from pipec.steps.ml import model as models
from pipec.steps.ml.feature import Matrix
from pipec.steps.ml.metric import Figures
from pipec.steps.ml.model import Model


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of it. truth: as the model counts it, [N]. scores: probabilities [N, C] or quantities [N, 1]."""

    truth: NDArray[Any]
    scores: Matrix
    figures: Figures


def judge(model: Model, frame: pd.DataFrame, positive: str = "") -> Judgement:
    """Return how good `model` is on rows that hold its target.

    positive: see `metric.classification`. Raises AskFault where the target is not there, DataFault where the rows or
    their classes do not fit the model.
    """
    card = model.card
    y_N = models.truth(card, feature.target_of(frame, card.target))
    scores = models.scores(model, frame)
    return Judgement(y_N, scores, metric.figures(card.task, y_N, scores, card.classes, positive))
