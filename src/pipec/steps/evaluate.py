"""The step that judges a model on rows it has not seen, and stops the run at a gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipec import digest
from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Metrics, Model, Report, Resources, Role
from pipec.values import Json

if TYPE_CHECKING:
    from pandas import DataFrame

    from pipec.steps.ml.card import Card
    from pipec.steps.ml.metric import Figures

_BOUND: Mapping[str, Json] = {"type": "number"}
GATE: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "metric": {"type": "string"},
        "minimum": _BOUND,
        "maximum": _BOUND,
        "better_by": _BOUND,
        "on_fail": {"enum": ["stop", "report"], "default": "stop"},
    },
    "required": ["metric"],
    "anyOf": [{"required": ["minimum"]}, {"required": ["maximum"]}, {"required": ["better_by"]}],
    "additionalProperties": False,
}


@step("evaluate", version="1", role=Role.EVALUATE, resources=Resources(cpu=2, memory_mib=4096))
class Evaluate:
    """Judge a model on rows it has not seen, and refuse it at a gate it does not pass."""

    model: Path = reads(Model, help="The model to judge.")
    data: Path = reads(Dataset, help="Rows with the target, not used in training.")
    champion: Path | None = reads(
        Model, optional=True, hard=True, help="A model to compare with on the same rows, such as the one in use now."
    )
    passed: Path = writes(Model, same_as="model", name="model", help="The model, unchanged.")
    report: Path = writes(Report, help="Figures, also of the champion, confusion matrix, gates and verdict, as JSON.")
    metrics: Path = writes(Metrics, help="The figures alone, as JSON.")
    verdict: str = writes(help="`passed` if every gate holds, else `failed`.")
    score: float = writes(help="f1_macro of a classifier, r2 of a regression.")
    better: bool = writes(help="Whether the score is better than the champion's; without a champion it is.")
    gates: list[dict[str, object]] = param(
        default=[], items=GATE,
        help="Bounds on figures: `minimum`, `maximum`, or `better_by` how much than the champion's; "
        "`on_fail: stop` refuses the model, `report` only tells.",
    )  # fmt: skip
    positive: str = param(default="", help="The class whose precision, recall and f1 are figures of their own.")

    def run(self, context: Context) -> None:
        """Raises Refused at a failed gate, after the report is written; a figure that is missing fails its gate."""
        from pipec.steps.data import table
        from pipec.steps.ml import gate as rule
        from pipec.steps.ml.fault import told_as

        with told_as(CallerError, Refused):
            report = self._judge(table.read(self.data))
        figures = report["metrics"]
        score = figures[report["main"]]
        if score is None:
            raise Refused(f"`{report['main']}` has no value on these rows: the target is the same in all of them")
        champion = report["champion"]
        theirs = champion["metrics"] if champion else None
        gates = [rule.judged(gate, figures, theirs) for gate in self.gates]
        self.better = champion is None or champion["better"]
        self.score, self.verdict = score, "passed" if all(gate["passed"] for gate in gates) else "failed"
        _write(self.report, report | {"gates": gates, "verdict": self.verdict})
        _write(self.metrics, {"format_version": "1.0", "metrics": figures})
        context.log(f"{report['main']} {score:.4f} on {report['rows']} rows")
        if champion:
            word = "better" if self.better else "not better"
            context.log(
                f"{word} than the champion, whose {report['main']} is {champion['metrics'][report['main']]:.4f}"
            )
        for gate in gates:
            context.log(rule.told(gate))
        stopped = [gate for gate in gates if not gate["passed"] and gate["on_fail"] == "stop"]
        if stopped:
            raise Refused(
                f"{rule.told(stopped[0])}: improve the model or the data, or change the gate in a reviewed commit"
            )

    def _judge(self, frame: DataFrame) -> dict[str, Any]:
        from pipec.steps.ml import metric, model
        from pipec.steps.ml.judge import judge

        loaded = model.load(self.model)
        card, judgement = loaded.card, judge(loaded, frame, self.positive)
        y_n, scores = judgement.truth, judgement.scores
        report: dict[str, Any] = {
            "format_version": "1.0", "task": card.task, "estimator": card.estimator, "target": card.target,
            "rows": len(frame), "main": metric.MAIN[card.task], "positive": self.positive,
            "metrics": judgement.figures,
            # What the verdict is about: `approve` refuses evidence on another model.
            "model": digest.of_path(self.model),
            "champion": self._compare(card, judgement.figures, frame),
        }  # fmt: skip
        if card.classes:
            report["confusion"] = {"classes": list(card.classes), "matrix": metric.confusion(y_n, scores)}
            report["classes"] = [asdict(figures) for figures in metric.per_class(y_n, scores, card.classes)]
        return report

    def _compare(self, card: Card, figures: Figures, frame: DataFrame) -> dict[str, Any] | None:
        """Return how the champion does on the same rows, and how far the model is from it. Raises DataFault."""
        from pipec.steps.ml import gate, metric, model
        from pipec.steps.ml.fault import AskFault, DataFault
        from pipec.steps.ml.judge import judge

        if self.champion is None:
            return None
        loaded = model.load(self.champion)
        _check_comparable(card, loaded.card)
        try:
            theirs = judge(loaded, frame, self.positive).figures
        except (AskFault, DataFault) as fault:
            raise DataFault(f"the champion cannot judge these rows: {fault}: leave `champion` out") from fault
        gained = gate.gain(metric.MAIN[card.task], figures, theirs)
        return {
            "model": digest.of_path(self.champion), "metrics": theirs,
            "difference": {name: gate.difference(name, figures, theirs) for name in figures},
            "better": gained is not None and gained > 0,
        }  # fmt: skip


def _check_comparable(ours: Card, theirs: Card) -> None:
    """Raise DataFault at a champion whose figures are about something else."""
    from pipec.steps.ml.fault import DataFault

    remedy = "compare with a model of the same target, or leave `champion` out"
    if (ours.task, ours.target) != (theirs.task, theirs.target):
        told = f"the champion is a {theirs.task} of `{theirs.target}`, the model a {ours.task} of `{ours.target}`"
        raise DataFault(f"{told}: {remedy}")


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
