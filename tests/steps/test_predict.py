"""A batch is scored as a server scores a request, row by row and in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import runtime_probe as probes
from given import context, step

from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.data import table
from pipec.steps.declare import CallerError, Refused, interface_of
from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe
from pipec.steps.predict import Predict

ROWS = pd.DataFrame({"id": [f"r{n}" for n in range(12)], "x": [float(n) for n in range(12)]})
TARGETS = {
    "texts": ["low" if n < 6 else "high" for n in range(12)], "numbers": [int(n >= 6) for n in range(12)],
    "flags": [n >= 6 for n in range(12)], "quantity": [n * 2.0 + 0.5 for n in range(12)],
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """A model for each of TARGETS, and `rows`, which hold an id that no model reads."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, values in TARGETS.items():
        recipe = Recipe(estimator="ridge" if name == "quantity" else "logistic-regression", epochs=200)
        fitted, _ = model.fit(ROWS.assign(y=values), "y", ["x"], recipe, 1, lambda line: None)
        model.save(fitted, folder / name)
    table.write(ROWS, folder / "rows")
    return folder


def predict(shelf: Path, out: Path, name: str, **fields: Any) -> tuple[Predict, pd.DataFrame]:
    made = step(Predict, out, **{"model": shelf / name, "data": shelf / "rows", **fields})
    made.run(context())
    return made, table.read(out / "predictions")


@pytest.mark.parametrize("name", ["texts", "numbers", "flags"])
def test_a_classifier_says_a_class_and_how_sure_it_is(name: str, shelf: Path, tmp_path: Path) -> None:
    made, frame = predict(shelf, tmp_path, name)
    assert made.n_rows == 12
    assert list(frame.columns) == ["id", "x", "prediction", "confidence"]
    said = model.predict(model.load(shelf / name), ROWS)
    assert said.probabilities is not None
    assert frame["prediction"].tolist() == said.labels == TARGETS[name]
    assert frame["confidence"].tolist() == said.probabilities.max(axis=1).tolist()
    assert frame["id"].tolist() == ROWS["id"].tolist()


def test_a_regression_says_a_quantity_alone(shelf: Path, tmp_path: Path) -> None:
    _, frame = predict(shelf, tmp_path, "quantity")
    assert list(frame.columns) == ["id", "x", "prediction"]
    assert frame["prediction"].tolist() == model.predict(model.load(shelf / "quantity"), ROWS).labels


@pytest.mark.parametrize(("keep", "columns"), [(["id"], ["id"]), ([], []), (["x", "id", "x"], ["x", "id"])])
def test_only_the_columns_asked_for_are_kept(keep: list[str], columns: list[str], shelf: Path, tmp_path: Path) -> None:
    _, frame = predict(shelf, tmp_path, "texts", keep=keep)
    assert list(frame.columns) == [*columns, "prediction", "confidence"]
    assert len(frame) == 12


def test_equal_rows_give_equal_bytes(shelf: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        predict(shelf, tmp_path / name, "texts")
    assert (tmp_path / "a" / "predictions").read_bytes() == (tmp_path / "b" / "predictions").read_bytes()


def test_no_rows_give_no_predictions(shelf: Path, tmp_path: Path) -> None:
    table.write(ROWS.head(0), tmp_path / "none")
    for name in TARGETS:
        made, frame = predict(shelf, tmp_path / name, name, data=tmp_path / "none")
        assert (made.n_rows, len(frame), "prediction" in frame) == (0, 0, True)


def test_a_column_that_is_not_there_cannot_be_kept(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="`keep` names `name`, which the rows do not have"):
        predict(shelf, tmp_path, "texts", keep=["name"])


@pytest.mark.parametrize(("column", "name"), [("prediction", "quantity"), ("confidence", "texts")])
def test_a_column_of_the_same_name_is_not_written_over(column: str, name: str, shelf: Path, tmp_path: Path) -> None:
    table.write(ROWS.assign(**{column: 1}), tmp_path / "rows")
    with pytest.raises(CallerError, match=f"the rows have a column `{column}` of their own: name in `keep`"):
        predict(shelf, tmp_path, name, data=tmp_path / "rows")
    _, frame = predict(shelf, tmp_path, name, data=tmp_path / "rows", keep=["id"])
    assert list(frame.columns)[:2] == ["id", "prediction"]


def test_a_regression_leaves_a_column_called_confidence_alone(shelf: Path, tmp_path: Path) -> None:
    table.write(ROWS.assign(confidence=0.5), tmp_path / "rows")
    _, frame = predict(shelf, tmp_path, "quantity", data=tmp_path / "rows")
    assert frame["confidence"].tolist() == [0.5] * 12


@pytest.mark.parametrize(
    ("rows", "message"),
    [(ROWS[["id"]], "the rows lack `x`"), (ROWS.assign(x="a"), "column `x` holds text where")],
    ids=["lacking", "text"],
)
def test_rows_that_do_not_fit_the_model_are_refused(
    rows: pd.DataFrame, message: str, shelf: Path, tmp_path: Path
) -> None:
    table.write(rows, tmp_path / "rows")
    with pytest.raises(Refused, match=message):
        predict(shelf, tmp_path, "texts", data=tmp_path / "rows")


def test_what_is_no_model_or_no_table_is_refused(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(Refused, match=r"m is no model: it holds no model\.json"):
        predict(tmp_path, tmp_path, "m")
    (tmp_path / "torn.csv").write_text("a,b\n1,2,3\n")
    inputs = {"model": (Location(str(shelf / "texts")),), "data": (Location(str(tmp_path / "torn.csv")),)}
    assert runtime.execute(probes.call(interface_of(Predict), tmp_path, inputs=inputs)) == 3
