"""`model.json`: everything about a model that is not weights, and nothing that differs between two equal trainings.

No time, host, path or device may enter it: equal data, settings and seed give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from pipec.steps.ml.estimator import REGRESSION, find, known
from pipec.steps.ml.fault import DataFault
from pipec.steps.ml.feature import DTYPES, Column, Label

FORMAT_VERSION = "1.0"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model is. columns: its signature, in order. classes: empty for a regression.

    estimator: a name of the table, or of the function that made it; only a training calls that.
    """

    estimator: str
    task: str
    target: str
    columns: tuple[Column, ...]
    classes: tuple[Label, ...] = ()
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0

    @property
    def framework(self) -> str:
        return find(self.estimator).framework

    @property
    def n_scores(self) -> int:
        """How many numbers a row gets: one per class, or the predicted quantity."""
        return len(self.classes) or 1


def write(card: Card) -> str:
    """Return the text of `model.json`."""
    body = {"format_version": FORMAT_VERSION, "framework": card.framework, **asdict(card)}
    body["signature"] = body.pop("columns")
    return json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read(text: str) -> Card:
    """Return what `write` wrote. Raises DataFault at any other text."""
    try:
        body = json.loads(text)
        version = _of(str, body.pop("format_version"))
        if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            raise DataFault(f"the model has format {version}, this version reads {FORMAT_VERSION}: train it again")
        framework, signature = body.pop("framework"), body.pop("signature")
        columns = tuple(_column(item) for item in _of(list, signature))
        card = Card(**{**body, "columns": columns, "classes": tuple(_label(item) for item in body.pop("classes"))})
    except DataFault:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataFault(f"model.json is not one that pipec wrote ({fault}): train the model again") from fault
    _check(card, framework)
    return card


def _check(card: Card, framework: object) -> None:
    """Raise DataFault where the parts of a card contradict one another."""
    estimator = known(_of(str, card.estimator))
    if estimator is None or framework != estimator.framework or card.task not in estimator.tasks:
        raise DataFault(f"model.json names `{card.estimator}` for {card.task}, which this version does not know")
    if bool(card.classes) is (card.task == REGRESSION) or len(card.classes) == 1:
        raise DataFault("model.json lists classes that do not fit its task: train the model again")
    names = [column.name for column in card.columns]
    if not names or any(len(set(listed)) < len(listed) for listed in _listings(card)):
        raise DataFault("model.json lists no columns, or something twice: train the model again")


def _listings(card: Card) -> list[tuple[Label, ...]]:
    """Return what must hold nothing twice: the columns, the classes, the categories of each column."""
    return [tuple(c.name for c in card.columns), card.classes, *(c.categories for c in card.columns)]


def _label(item: object) -> Label:
    if isinstance(item, (str, int)):
        return item
    raise TypeError(f"{item!r:.40} is no class")


def _column(item: Mapping[str, object]) -> Column:
    name, dtype = _of(str, item["name"]), _of(str, item["dtype"])
    if dtype not in DTYPES:
        raise ValueError(f"column `{name}` has the type {dtype}")
    return Column(name, dtype, tuple(_of(str, text) for text in _of(list, item["categories"])))


def _of(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} stands where another kind of value belongs")
    return value
