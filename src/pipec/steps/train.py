"""The step that fits a model. What it does is said in `ml/`; this file says what it takes and gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Metrics, Model, Profile, Resources

if TYPE_CHECKING:
    from pandas import DataFrame


ESTIMATOR = "logistic-regression"


@step("train", version="1", resources=Resources(cpu=2, memory_mib=4096), accelerators=("gpu",))
class Train:
    """Fit a model on a training set and write its weights, its signature, its metrics and a profile of its rows."""

    data: Path = reads(Dataset, fits=True, help="Rows that passed validation.")
    model: Path = writes(Model, help="A folder: model.json (signature, settings, seed) and the weights.")
    metrics: Path = writes(Metrics, help="Figures on the training rows, and the loss of every epoch, as JSON.")
    profile: Path = writes(
        Profile,
        help="Kinds, counts and quantiles of the columns, as JSON: enough for `monitor` to do without the rows.",
    )
    target: str = param(min_length=1, help="Column to predict.")
    features: list[str] = param(
        default=[], items={"type": "string"}, help="Columns to learn from; empty: all but the target."
    )
    estimator: Literal[
        "logistic-regression", "ridge", "random-forest", "extra-trees", "hist-gradient-boosting", "mlp"
    ] = param(default=ESTIMATOR, help="What to fit; `mlp` is PyTorch and uses a GPU if there is one.")
    factory: str = param(
        default="", factory=True, instead_of="estimator",
        help="A function of yours that returns an unfitted scikit-learn estimator, as `package.module:function`; it is "
        "given `hyperparameters` by name, and its `random_state` is set from `seed`.",
    )  # fmt: skip
    task: Literal["auto", "classification", "regression"] = param(
        default="auto", help="`auto`: a target of fractions is a quantity, any other is a class."
    )
    epochs: int = param(
        default=20, ge=1, unit="passes", help="Passes over the rows (mlp, logistic-regression), or rounds of boosting."
    )
    learning_rate: float = param(default=0.001, gt=0, le=100, help="Step size of the mlp's optimizer.")
    batch_size: int = param(default=256, ge=1, unit="rows", help="Rows per step of the mlp's optimizer.")
    hidden: list[int] = param(
        default=[64, 32], items={"type": "integer", "minimum": 1, "maximum": 65536}, help="Widths of the mlp's layers."
    )
    precision: Literal["float32", "bfloat16"] = param(
        default="float32", help="Arithmetic of the mlp's layers; weights stay float32."
    )
    seed: int = param(default=0, ge=0, le=2**32 - 1, help="Equal rows, settings and seed give equal weights.")
    hyperparameters: dict[str, object] = param(
        default={}, help="Settings of the estimator by name; an unknown name is told with the list. Or `factory`'s own."
    )

    def run(self, context: Context) -> None:
        """Raises CallerError at a request that no rows can meet, Refused at rows that cannot be learned from."""
        from pipec.steps.data import table
        from pipec.steps.ml.fault import told_as

        with told_as(CallerError, Refused):
            self._train(table.read(self.data), context)

    def _asked(self) -> str:
        """Return the estimator of the table, or the function that makes one. Raises CallerError at both."""
        if self.factory and self.estimator != ESTIMATOR:
            raise CallerError("`factory` takes the place of `estimator`, and both are given: remove one of the two")
        return self.factory or self.estimator

    def _train(self, frame: DataFrame, context: Context) -> None:
        from pipec.steps.data import profile
        from pipec.steps.ml import metric, model
        from pipec.steps.ml.recipe import Recipe

        recipe = Recipe(
            estimator=self._asked(), task=self.task, settings=self.hyperparameters, epochs=self.epochs,
            learning_rate=self.learning_rate, batch_size=self.batch_size, hidden=tuple(self.hidden),
            precision=self.precision, seed=self.seed,
        )  # fmt: skip
        fitted, losses = model.fit(frame, self.target, self.features, recipe, context.threads, context.log)
        card = fitted.card
        y_n = model.truth(card, frame[card.target])
        figures = metric.figures(card.task, y_n, model.scores(fitted, frame), card.classes)
        body = {
            "format_version": "1.0", "task": card.task, "estimator": card.estimator, "rows": len(frame),
            "columns": len(card.columns), "metrics": figures, "losses": losses,
        }  # fmt: skip
        model.save(fitted, self.model)
        self.metrics.write_text(json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
        self.profile.write_text(profile.write(profile.of_table(frame)), encoding="utf-8")
