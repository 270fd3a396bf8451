from __future__ import annotations

import json
from pathlib import Path

import pytest
from given import context, step
from sklearn import datasets

from pipec import digest
from pipec.steps.data import table
from pipec.steps.declare import CallerError, Refused, interface_of
from pipec.steps.evaluate import Evaluate
from pipec.steps.train import Train


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a model of wine (`model`), its rows (`train`, `test`) and a model of diabetes (`quantity`)."""
    folder = tmp_path_factory.mktemp("made")
    for name, load, estimator in (
        ("wine", datasets.load_wine, "logistic-regression"),
        ("quantity", datasets.load_diabetes, "ridge"),
    ):
        frame = load(as_frame=True).frame
        table.write(frame.iloc[::2], folder / f"{name}-train")
        table.write(frame.iloc[1::2], folder / f"{name}-test")
        train = step(Train, folder / name, data=folder / f"{name}-train", target="target", estimator=estimator)
        train.run(context())
    return folder


def evaluate(made: Path, out: Path, name: str = "wine", log: list[str] | None = None, **fields: object) -> Evaluate:
    fields = {"model": made / name / "model", "data": made / f"{name}-test", **fields}
    judge = step(Evaluate, out, **fields)
    judge.run(context(log))
    return judge


def test_the_model_passes_through_under_its_own_name():
    interface = interface_of(Evaluate)
    assert interface.role == "evaluate"
    assert [(o.name, o.type, o.same_as) for o in interface.outputs] == [
        ("model", "Model", "model"), ("report", "Report", None), ("metrics", "Metrics", None),
        ("verdict", "string", None), ("score", "number", None),
    ]  # fmt: skip


def test_the_report_tells_figures_confusion_and_classes(made: Path, tmp_path: Path):
    log: list[str] = []
    judge = evaluate(made, tmp_path, log=log, gates=[{"metric": "f1_macro", "minimum": 0.9}])
    report = json.loads((tmp_path / "report").read_text())
    assert judge.verdict == report["verdict"] == "passed"
    assert judge.score == report["metrics"]["f1_macro"] > 0.9
    assert report["model"] == digest.of_path(made / "wine" / "model")
    assert sum(map(sum, report["confusion"]["matrix"])) == report["rows"] == 89
    assert [row["support"] for row in report["classes"]] == [sum(row) for row in report["confusion"]["matrix"]]
    assert sorted(report["metrics"]) == [
        "accuracy", "balanced_accuracy", "f1_macro", "log_loss", "precision_macro", "recall_macro", "roc_auc",
    ]  # fmt: skip
    assert json.loads((tmp_path / "metrics").read_text())["metrics"] == report["metrics"]
    assert len(log) == 2
    assert log[1].startswith("gate `f1_macro` holds: it is 0.9")


def test_a_regression_is_scored_by_r2(made: Path, tmp_path: Path):
    judge = evaluate(made, tmp_path, "quantity", gates=[{"metric": "rmse", "maximum": 80}])
    report = json.loads((tmp_path / "report").read_text())
    assert (judge.score, judge.verdict) == (report["metrics"]["r2"], "passed")
    assert sorted(report["metrics"]) == ["mae", "r2", "rmse"]
    assert "confusion" not in report


def test_a_failed_gate_refuses_after_the_report_is_written(made: Path, tmp_path: Path):
    gates = [{"metric": "accuracy", "minimum": 0.5}, {"metric": "f1_macro", "minimum": 0.999}]
    with pytest.raises(Refused, match=r"^gate `f1_macro` fails: it is 0\.\d+, at least 0.999 is wanted: improve"):
        evaluate(made, tmp_path, gates=gates)
    report = json.loads((tmp_path / "report").read_text())
    assert report["verdict"] == "failed"
    assert [gate["passed"] for gate in report["gates"]] == [True, False]


def test_a_gate_that_only_reports_lets_the_run_go_on(made: Path, tmp_path: Path):
    judge = evaluate(made, tmp_path, gates=[{"metric": "f1_macro", "minimum": 0.999, "on_fail": "report"}])
    assert judge.verdict == "failed"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            {"metric": "rmse", "maximum": 9},
            "gate `rmse` fails: there is no such figure for this model (at most 9 is wanted): "
            "improve the model or the data, or change the gate in a reviewed commit",
        ),
        (
            {"metric": "roc_auc", "minimum": 0.1, "maximum": 1},
            "gate `roc_auc` fails: it has no value on these rows, at least 0.1 and at most 1 is wanted: "
            "improve the model or the data, or change the gate in a reviewed commit",
        ),
    ],
)
def test_a_figure_that_is_missing_fails_its_gate(gate, message, made: Path, tmp_path: Path):
    frame = table.read(made / "wine-test")
    table.write(frame[frame["target"] == 0], tmp_path / "one-class")
    with pytest.raises(Refused) as told:
        evaluate(made, tmp_path, data=tmp_path / "one-class", gates=[gate])
    assert str(told.value) == message


def test_the_positive_class_has_figures_of_its_own(made: Path, tmp_path: Path):
    evaluate(made, tmp_path, positive="1")
    report = json.loads((tmp_path / "report").read_text())
    assert report["metrics"]["recall"] == report["classes"][1]["recall"]
    with pytest.raises(CallerError, match="`positive` is `yes`, but the model tells 0, 1, 2"):
        evaluate(made, tmp_path, positive="yes")


def test_no_rows_unknown_classes_and_foreign_columns_are_refused(made: Path, tmp_path: Path):
    frame = table.read(made / "wine-test")
    for spoiled, message in (
        (frame.head(0), "there are no rows to judge the model on"),
        (frame.assign(target=7), "target `target` holds `7`, which the model was not trained to tell"),
        (frame.drop(columns="hue"), "the rows lack `hue`, which the model was trained on"),
    ):
        table.write(spoiled, tmp_path / "spoiled")
        with pytest.raises(Refused, match=message):
            evaluate(made, tmp_path, data=tmp_path / "spoiled")


def test_a_folder_that_is_no_model_is_refused(made: Path, tmp_path: Path):
    (tmp_path / "weird").mkdir()
    with pytest.raises(Refused, match=r"weird is no model: it holds no model\.json"):
        evaluate(made, tmp_path, model=tmp_path / "weird")
