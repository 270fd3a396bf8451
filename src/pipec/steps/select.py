"""The step that keeps the best of many models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipec import digest
from pipec.steps import delivery
from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Model, Report, Resources

if TYPE_CHECKING:
    from pipec.steps.ml.selection import Candidate, Place


@step("select", version="1", resources=Resources(cpu=2, memory_mib=4096))
class Select:
    """Keep the best of many models by one figure, from their reports or on rows given here."""

    models: list[Path] = reads(Model, many=True, help="The models to choose from; those whose step failed are absent.")
    reports: list[Path] = reads(
        Report, many=True, optional=True, help="What `evaluate` wrote of them, in any order: a report names its model."
    )
    data: Path | None = reads(
        Dataset,
        optional=True,
        hard=True,
        help="Rows with the target to score the models on, where no reports are given.",
    )
    model: Path = writes(Model, help="The best model, unchanged: it has the digest that it came with.")
    report: Path = writes(Report, help="Every model with its digest, score and rank, or why it was left out, as JSON.")
    index: int = writes(help="The place of the best model among `models`, from 0.")
    score: float = writes(help="The figure of the best model.")
    metric: str = param(default="", help="The figure to go by; empty: the main figure of the task.")
    mode: Literal["auto", "max", "min"] = param(
        default="auto",
        help="Which end is better; `auto`: the smallest of log_loss, mae and rmse, the largest of others.",
    )

    def run(self, context: Context) -> None:
        """Raises CallerError unless reports or data are given, Refused where no model has a score."""
        from pipec.steps.ml import metric, selection
        from pipec.steps.ml.fault import told_as

        with told_as(CallerError, Refused):
            candidates = self._candidates()
            name = selection.figure(candidates, self.metric)
            smaller = name in metric.ERRORS if self.mode == "auto" else self.mode == "min"
            places = selection.ranked(candidates, name, smaller=smaller)
        for place in places:
            context.log(_told(place, name))
        best = next((place for place in places if place.rank == 1), None)
        if best is None or best.score is None:
            raise Refused(f"no model is left to choose from: {places[0].why}")
        self.index, self.score = best.index, best.score
        delivery.pass_on(self.models[best.index], self.model, is_kept=False)
        self.report.write_text(_body(places, name, smaller=smaller, best=best), encoding="utf-8")

    def _candidates(self) -> list[Candidate]:
        from pipec.steps.data import table
        from pipec.steps.ml import selection

        if bool(self.reports) is (self.data is not None):
            raise CallerError("`select` needs either `reports` or `data`: give it the one by which it shall choose")
        digests = [digest.of_path(path) for path in self.models]
        if self.data is None:
            return selection.reported(digests, [_report(path) for path in self.reports])
        return selection.judged(digests, self.models, table.read(self.data))


def _report(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise CallerError("a report is not one that an evaluate step writes: it is no JSON file") from fault
    if not isinstance(body, dict):
        raise CallerError("a report is not one that an evaluate step writes: it is no JSON object")
    return body


def _told(place: Place, name: str) -> str:
    if place.score is None:
        return f"model {place.index} is left out: {place.why}"
    return f"model {place.index}: `{name}` is {place.score:.12g}, rank {place.rank}"


def _body(places: list[Place], name: str, *, smaller: bool, best: Place) -> str:
    listed = [
        {"index": each.index, "model": each.digest, "score": each.score, "rank": each.rank, "left_out": each.why}
        for each in places
    ]
    body = {
        "format_version": "1.0", "metric": name, "mode": "min" if smaller else "max", "model": best.digest,
        "score": best.score, "candidates": listed,
    }  # fmt: skip
    return json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n"
