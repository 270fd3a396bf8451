"""The best of many models: by which figure, from what, and what becomes of those without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import runtime_probe as probes
from given import context, step

from pipec import digest
from pipec.steps import runtime
from pipec.steps.command import Location
from pipec.steps.data import table
from pipec.steps.declare import CallerError, Refused, interface_of
from pipec.steps.evaluate import Evaluate
from pipec.steps.ml import model
from pipec.steps.ml.recipe import Recipe
from pipec.steps.select import Select

ROWS = pd.DataFrame({"x": [float(n) for n in range(20)]}).assign(y=lambda frame: frame.x * 2.0 + 0.5)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    """Models `far`, `near` and `middle` of one line, named by how well they meet it, and a model of classes."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, alpha in (("far", 1e4), ("near", 1e-3), ("middle", 100.0)):
        save(ROWS, Recipe(estimator="ridge", settings={"alpha": alpha}), folder / name)
    classes = ROWS.assign(y=[n % 2 for n in range(20)])
    save(classes, Recipe(estimator="random-forest", settings={"n_estimators": 3}), folder / "classes")
    table.write(ROWS, folder / "rows")
    return folder


def save(rows: pd.DataFrame, recipe: Recipe, folder: Path) -> None:
    model.save(model.fit(rows, "y", [], recipe, 1, lambda line: None)[0], folder)


def evaluated(shelf: Path, name: str, folder: Path, **changes: Any) -> Path:
    """Return the report of a model, with changes to it."""
    step(Evaluate, folder / name, model=shelf / name, data=shelf / "rows").run(context())
    path = folder / name / "report"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def select(shelf: Path, out: Path, *names: str, log: list[str] | None = None, **fields: Any) -> Select:
    made = step(Select, out, models=[shelf / name for name in names], **fields)
    made.run(context(log))
    return made


def report(out: Path) -> Any:
    return json.loads((out / "report").read_text())


def test_the_interface_is_what_the_compiler_reads() -> None:
    interface = interface_of(Select)
    assert [(i.name, i.type, i.many, i.optional) for i in interface.inputs] == [
        ("models", "Model", True, False), ("reports", "Report", True, True), ("data", "Dataset", False, True),
    ]  # fmt: skip
    assert [(o.name, o.type) for o in interface.outputs] == [
        ("model", "Model"), ("report", "Report"), ("index", "integer"), ("score", "number"),
    ]  # fmt: skip


def test_the_best_on_the_rows_is_kept_byte_for_byte(shelf: Path, tmp_path: Path) -> None:
    log: list[str] = []
    made = select(shelf, tmp_path, "far", "near", "middle", data=shelf / "rows", log=log)
    assert (made.index, digest.of_path(tmp_path / "model")) == (1, digest.of_path(shelf / "near"))
    told = report(tmp_path)
    assert (told["metric"], told["mode"], told["model"]) == ("r2", "max", digest.of_path(shelf / "near"))
    assert [each["rank"] for each in told["candidates"]] == [3, 1, 2]
    assert told["candidates"][1]["score"] == told["score"] == made.score
    assert log[1] == f"model 1: `r2` is {made.score:.12g}, rank 1"


def test_reports_are_matched_by_the_digest_they_name(shelf: Path, tmp_path: Path) -> None:
    reports = [evaluated(shelf, name, tmp_path / "of") for name in ("near", "middle", "far")]
    made = select(shelf, tmp_path, "far", "middle", "near", reports=reports)
    assert made.index == 2
    assert made.score == json.loads(reports[0].read_text())["metrics"]["r2"]


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"metric": "rmse"}, 1), ({"metric": "mae"}, 1), ({"metric": "r2"}, 1), ({"metric": "rmse", "mode": "max"}, 0),
        ({"mode": "min"}, 0),
    ],
    ids=["rmse", "mae", "r2", "rmse-max", "r2-min"],
)  # fmt: skip
def test_the_figure_says_which_end_is_better_unless_told(
    asked: dict[str, str], index: int, shelf: Path, tmp_path: Path
) -> None:
    assert select(shelf, tmp_path, "far", "near", data=shelf / "rows", **asked).index == index


def test_of_equals_the_first_wins(shelf: Path, tmp_path: Path) -> None:
    made = select(shelf, tmp_path, "far", "near", "near", data=shelf / "rows")
    assert made.index == 1
    assert [each["rank"] for each in report(tmp_path)["candidates"]] == [3, 1, 2]


def test_a_model_without_a_score_is_left_out_and_told(shelf: Path, tmp_path: Path) -> None:
    log: list[str] = []
    reports = [
        evaluated(shelf, "far", tmp_path / "of"),
        evaluated(shelf, "near", tmp_path / "of", metrics={"r2": None}),
    ]
    made = select(shelf, tmp_path, "near", "middle", "far", reports=reports, log=log)
    assert made.index == 2
    assert log[:2] == [
        "model 0 is left out: `r2` has no value for it", "model 1 is left out: no report is about it",
    ]  # fmt: skip
    assert [each["left_out"] for each in report(tmp_path)["candidates"]] == [
        line.split(": ")[1] for line in log[:2]
    ] + [""]


def test_a_report_with_nan_gives_no_score(shelf: Path, tmp_path: Path) -> None:
    reports = [evaluated(shelf, "near", tmp_path / "of", metrics={"r2": float("nan")})]
    with pytest.raises(Refused) as told:
        select(shelf, tmp_path, "near", reports=reports)
    assert str(told.value) == "no model is left to choose from: `r2` has no value for it"
    assert not (tmp_path / "model").exists()


def test_a_model_that_cannot_judge_the_rows_is_left_out(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    made = step(Select, tmp_path, models=[tmp_path / "torn", shelf / "far"], data=shelf / "rows")
    made.run(context())
    assert made.index == 1
    assert report(tmp_path)["candidates"][0]["left_out"] == "torn is no model: it holds no model.json that pipec wrote"


@pytest.mark.parametrize("given", [(), ("reports", "data")])
def test_reports_or_data_must_be_given(given: tuple[str, ...], shelf: Path, tmp_path: Path) -> None:
    able = {"reports": [evaluated(shelf, "near", tmp_path / "of")], "data": shelf / "rows"}
    with pytest.raises(CallerError, match="`select` needs either `reports` or `data`"):
        select(shelf, tmp_path, "near", **{name: able[name] for name in given})


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({}, {"metric": "f1"}, "`metric` is `f1`, but the figures are mae, r2, rmse"),
        ({"main": "f1_macro"}, {}, r"the models do different tasks, whose figures \(f1_macro, r2\) cannot be compared"),
        ({"model": None}, {}, "a report is not one that an evaluate step writes: it lacks `model`"),
    ],
    ids=["unknown-figure", "two-tasks", "no-digest"],
)
def test_what_cannot_be_compared_is_the_callers_fault(
    changes: dict[str, Any], asked: dict[str, str], message: str, shelf: Path, tmp_path: Path
) -> None:
    reports = [evaluated(shelf, "near", tmp_path / "of"), evaluated(shelf, "far", tmp_path / "of", **changes)]
    with pytest.raises(CallerError, match=message):
        select(shelf, tmp_path, "near", "far", reports=reports, **asked)


def test_two_reports_that_differ_about_one_model_are_not_guessed_at(shelf: Path, tmp_path: Path) -> None:
    one, two = evaluated(shelf, "near", tmp_path / "a"), evaluated(shelf, "near", tmp_path / "b", metrics={"r2": 0.1})
    assert select(shelf, tmp_path, "near", reports=[one, one]).index == 0
    with pytest.raises(CallerError, match=r"two reports tell different figures of model sha256:.*: give one report"):
        select(shelf, tmp_path, "near", reports=[one, two])


@pytest.mark.parametrize("content", ["not json", "[1]"])
def test_a_report_that_is_none_is_told(content: str, shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").write_text(content)
    with pytest.raises(CallerError, match="a report is not one that an evaluate step writes: it is no JSON"):
        select(shelf, tmp_path, "near", reports=[tmp_path / "odd"])


def test_rows_without_the_target_are_the_callers_fault(shelf: Path, tmp_path: Path) -> None:
    table.write(ROWS.drop(columns="y"), tmp_path / "rows")
    with pytest.raises(CallerError, match="there is no column `y` to predict"):
        select(shelf, tmp_path, "near", data=tmp_path / "rows")


def test_the_runtime_hands_over_many_models_and_none_is_told(shelf: Path, tmp_path: Path) -> None:
    inputs = {
        "models": tuple(Location(str(shelf / n)) for n in ("far", "near")),
        "data": (Location(str(shelf / "rows")),),
    }
    assert runtime.execute(probes.call(interface_of(Select), tmp_path, inputs=inputs)) == 0
    told = probes.result(tmp_path)
    assert told["values"]["index"] == 1
    assert told["artifacts"]["model"]["digest"] == told["inputs"]["models"][1]
    inputs["models"] = ()
    assert runtime.execute(probes.call(interface_of(Select), tmp_path, inputs=inputs)) == 2
    assert probes.result(tmp_path)["message"].startswith("input `models` is missing")
