"""The step that scores a batch of rows with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipec.steps.declare import CallerError, Context, Refused, param, reads, step, writes
from pipec.steps.interface import Dataset, Model, Resources

if TYPE_CHECKING:
    import pandas as pd

    from pipec.steps.ml.model import Predictions

PREDICTION, CONFIDENCE = "prediction", "confidence"


@step("predict", version="1", resources=Resources(cpu=2, memory_mib=4096))
class Predict:
    """Say of every row what a model makes of it, as a server would."""

    model: Path = reads(Model, help="The model to ask.")
    data: Path = reads(Dataset, help="The rows; columns that the model does not read are left alone.")
    predictions: Path = writes(
        Dataset, help="The rows, in order, with `prediction`, and of a classifier `confidence`: its probability."
    )
    n_rows: int = writes(help="How many rows were scored.")
    keep: list[str] | None = param(
        default=None, items={"type": "string"}, help="Columns of the rows to keep, such as an id; all if not given."
    )

    def run(self, context: Context) -> None:
        """Raises CallerError at columns that cannot be kept, Refused at rows that do not fit the model."""
        from pipec.steps.data import table
        from pipec.steps.ml import model
        from pipec.steps.ml.fault import told_as

        with told_as(CallerError, Refused):
            loaded, rows = model.load(self.model), table.read(self.data)
            kept = self._kept([str(name) for name in rows.columns], is_classifier=bool(loaded.card.classes))
            said = model.predict(loaded, rows)
        table.write(_with(rows[kept], said), self.predictions)
        self.n_rows = len(rows)
        context.log(f"{len(rows)} rows scored by {loaded.card.estimator}, for `{loaded.card.target}`")

    def _kept(self, names: list[str], *, is_classifier: bool) -> list[str]:
        wanted = names if self.keep is None else list(dict.fromkeys(self.keep))
        absent = [name for name in wanted if name not in names]
        if absent:
            raise CallerError(f"`keep` names `{absent[0]}`, which the rows do not have")
        taken = [name for name in (PREDICTION, CONFIDENCE)[: 1 + is_classifier] if name in wanted]
        if taken:
            raise CallerError(f"the rows have a column `{taken[0]}` of their own: name in `keep` the others to keep")
        return wanted


def _with(rows: pd.DataFrame, said: Predictions) -> pd.DataFrame:
    """Return the rows with what was said of them as further columns."""
    new: dict[str, object] = {PREDICTION: said.labels}
    if said.probabilities is not None:
        new[CONFIDENCE] = said.probabilities.max(axis=1)
    return rows.assign(**new)
