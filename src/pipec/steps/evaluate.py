"""The step that judges a model on rows it has not seen, and stops the run at a gate."""

from __future__ import annotations

import json
import math
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

_BOUND: Mapping[str, Json] = {"type": "number"}
GATE: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "metric": {"type": "string"},
        "minimum": _BOUND,
        "maximum": _BOUND,
        "on_fail": {"enum": ["stop", "report"], "default": "stop"},
    },
    "required": ["metric"],
    "anyOf": [{"required": ["minimum"]}, {"required": ["maximum"]}],
    "additionalProperties": False,
}


@step("evaluate", version="1", role=Role.EVALUATE, resources=Resources(cpu=2, memory_mib=4096))
class Evaluate:
    """Judge a model on rows it has not seen, and refuse it at a gate it does not pass."""

    model: Path = reads(Model, help="The model to judge.")
    data: Path = reads(Dataset, help="Rows with the target, not used in training.")
    passed: Path = writes(Model, same_as="model", name="model", help="The model, unchanged.")
    report: Path = writes(Report, help="Figures, confusion matrix, figures per class, gates and verdict, as JSON.")
    metrics: Path = writes(Metrics, help="The figures alone, as JSON.")
    verdict: str = writes(help="`passed` if every gate holds, else `failed`.")
    score: float = writes(help="f1_macro of a classifier, r2 of a regression.")
    gates: list[dict[str, object]] = param(
        default=[], items=GATE, help="Bounds on figures; `on_fail: stop` refuses the model, `report` only tells."
    )
    positive: str = param(default="", help="The class whose precision, recall and f1 are figures of their own.")

    def run(self, context: Context) -> None:
        """Raises Refused at a failed gate, after the report is written; a figure that is missing fails its gate."""
        from pipec.steps.data import table
        from pipec.steps.ml.fault import told_as

        with told_as(CallerError, Refused):
            report = self._judge(table.read(self.data))
        figures = report["metrics"]
        score = figures[report["main"]]
        if score is None:
            raise Refused(f"`{report['main']}` has no value on these rows: the target is the same in all of them")
        gates = [judged(gate, figures) for gate in self.gates]
        self.score, self.verdict = score, "passed" if all(gate["passed"] for gate in gates) else "failed"
        _write(self.report, report | {"gates": gates, "verdict": self.verdict})
        _write(self.metrics, {"format_version": "1.0", "metrics": figures})
        context.log(f"{report['main']} {score:.4f} on {report['rows']} rows")
        for gate in gates:
            context.log(told(gate))
        stopped = [gate for gate in gates if not gate["passed"] and gate["on_fail"] == "stop"]
        if stopped:
            raise Refused(f"{told(stopped[0])}: improve the model or the data, or change the gate in a reviewed commit")

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
        }  # fmt: skip
        if card.classes:
            report["confusion"] = {"classes": list(card.classes), "matrix": metric.confusion(y_n, scores)}
            report["classes"] = [asdict(figures) for figures in metric.per_class(y_n, scores, card.classes)]
        return report


def judged(gate: Mapping[str, Any], figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the gate with what was observed and whether it holds; without a finite observation it does not."""
    observed = figures.get(gate["metric"])
    finite = observed is not None and math.isfinite(observed)
    bounds = [gate.get("minimum", -math.inf), gate.get("maximum", math.inf)]
    held = observed is not None and finite and bounds[0] <= observed <= bounds[1]
    return {
        "metric": gate["metric"], "minimum": gate.get("minimum"), "maximum": gate.get("maximum"),
        "on_fail": gate.get("on_fail", "stop"), "observed": observed if finite else None,
        "known": gate["metric"] in figures, "passed": held,
    }  # fmt: skip


def told(gate: Mapping[str, Any]) -> str:
    """Return a judged gate as one line: metric, observed, wanted."""
    bounds = [("at least", gate["minimum"]), ("at most", gate["maximum"])]
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    if not gate["known"]:
        return f"gate `{gate['metric']}` fails: there is no such figure for this model ({wanted} is wanted)"
    seen = "has no value on these rows" if gate["observed"] is None else f"is {gate['observed']:.12g}"
    return f"gate `{gate['metric']}` {'holds' if gate['passed'] else 'fails'}: it {seen}, {wanted} is wanted"


def _write(path: Path, body: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
