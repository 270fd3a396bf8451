"""Which of several models is the best by one figure. Knows reports by what is in them, not who wrote them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipec.steps.ml import metric, model
from pipec.steps.ml.fault import AskFault, DataFault
from pipec.steps.ml.judge import judge
from pipec.steps.ml.metric import Figures

NO_REPORT = "no report is about it"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model by its digest. main: the main figure of its task. figures: None where there are none; why: the reason."""

    digest: str
    main: str = ""
    figures: Figures | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What a candidate came to. index: as given. rank: from 1, or None for one that was left out, and why."""

    index: int
    digest: str
    score: float | None
    rank: int | None
    why: str = ""


def reported(digests: Sequence[str], reports: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    """Return the models with the figures of the reports that name them, wherever in the list those stand.

    Raises AskFault at two reports that tell different figures of one model: which of them counts is not to be guessed.
    """
    known: dict[str, Candidate] = {}
    for report in reports:
        named, main, figures = report.get("model"), report.get("main"), report.get("metrics")
        if not (isinstance(named, str) and isinstance(main, str) and isinstance(figures, Mapping)):
            raise AskFault("a report is not one that an evaluate step writes: it lacks `model`, `main` or `metrics`")
        found = Candidate(named, main, figures)
        if known.setdefault(named, found) != found:
            raise AskFault(f"two reports tell different figures of model {named[:19]}...: give one report for each")
    return [known.get(each, Candidate(each, why=NO_REPORT)) for each in digests]


def judged(digests: Sequence[str], folders: Sequence[Path], frame: pd.DataFrame) -> list[Candidate]:
    """Return the models with their figures on the rows; one that cannot judge them has none, and why."""
    return [_judged(digest, folder, frame) for digest, folder in zip(digests, folders, strict=True)]


def _judged(digest: str, folder: Path, frame: pd.DataFrame) -> Candidate:
    try:
        loaded = model.load(folder)
        return Candidate(digest, metric.MAIN[loaded.card.task], judge(loaded, frame).figures)
    except DataFault as fault:
        return Candidate(digest, why=str(fault))


def figure(candidates: Sequence[Candidate], wanted: str) -> str:
    """Return the name of the figure to go by: `wanted`, or if that is empty the main one of the models' task.

    Raises AskFault if no model has the figure, or if they have different main ones.
    """
    listed = [each for each in candidates if each.figures is not None]
    names = sorted({name for each in listed for name in each.figures or ()})
    if wanted and listed and wanted not in names:
        raise AskFault(f"`metric` is `{wanted}`, but the figures are {', '.join(names)}")
    mains = sorted({each.main for each in listed})
    if not wanted and len(mains) > 1:
        raise AskFault(f"the models do different tasks, whose figures ({', '.join(mains)}) cannot be compared")
    return wanted or (mains[0] if mains else "")


def ranked(candidates: Sequence[Candidate], name: str, *, smaller: bool) -> list[Place]:
    """Return the candidates in the order given, each with its rank by figure `name`; of equals the first is better."""
    scores = [_score(each, name) for each in candidates]
    sign = 1 if smaller else -1
    order = sorted((sign * score, index) for index, score in enumerate(scores) if score is not None)
    ranks = {index: rank for rank, (_, index) in enumerate(order, start=1)}
    return [
        Place(index, each.digest, score, ranks.get(index), "" if score is not None else each.why or _lacks(name))
        for index, (each, score) in enumerate(zip(candidates, scores, strict=True))
    ]


def _score(candidate: Candidate, name: str) -> float | None:
    value = (candidate.figures or {}).get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and value is not None and math.isfinite(value) else None


def _lacks(name: str) -> str:
    return f"`{name}` has no value for it"
