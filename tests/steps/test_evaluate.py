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
from pipec.steps.ml.gate import judged
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
        ("verdict", "string", None), ("score", "number", None), ("better", "boolean", None),
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


@pytest.fixture(scope="module")
def weak(made: Path) -> Path:
    """A model of wine that saw one column."""
    asked = {"target": "target", "features": ["ash"]}
    step(Train, made / "weak", data=made / "wine-train", **asked).run(context())
    return made / "weak" / "model"


def test_a_champion_is_judged_on_the_same_rows(made: Path, weak: Path, tmp_path: Path):
    log: list[str] = []
    judge = evaluate(made, tmp_path / "new", champion=weak, log=log)
    told = json.loads((tmp_path / "new" / "report").read_text())
    theirs = evaluate(made, tmp_path / "old", "weak", data=made / "wine-test").score
    assert judge.better is told["champion"]["better"] is True
    assert told["champion"]["model"] == digest.of_path(weak)
    assert told["champion"]["metrics"]["f1_macro"] == theirs
    assert told["champion"]["difference"]["f1_macro"] == round(judge.score - theirs, 12)
    assert told["champion"]["difference"]["log_loss"] < 0
    assert log[1] == f"better than the champion, whose f1_macro is {theirs:.4f}"


def test_a_model_is_not_better_than_itself_but_meets_a_gain_of_nothing(made: Path, tmp_path: Path):
    gates = [{"metric": "f1_macro", "better_by": 0.0}, {"metric": "log_loss", "better_by": 0}]
    judge = evaluate(made, tmp_path, champion=made / "wine" / "model", gates=gates)
    assert (judge.better, judge.verdict) == (False, "passed")


@pytest.mark.parametrize("metric", ["f1_macro", "log_loss"])
def test_a_gate_against_the_champion_refuses_what_is_worse(metric: str, made: Path, weak: Path, tmp_path: Path):
    gate = {"metric": metric, "better_by": 0.01}
    assert evaluate(made, tmp_path / "a", champion=weak, gates=[gate]).verdict == "passed"
    with pytest.raises(Refused, match=rf"^gate `{metric}` fails: it is .*, at least 0.01 better than the champion's, "):
        evaluate(made, tmp_path / "b", model=weak, champion=made / "wine" / "model", gates=[gate])
    report = json.loads((tmp_path / "b" / "report").read_text())
    assert (report["verdict"], report["gates"][0]["better_by"], report["champion"]["better"]) == ("failed", 0.01, False)


def test_without_a_champion_there_is_nobody_to_beat(made: Path, tmp_path: Path):
    log: list[str] = []
    judge = evaluate(made, tmp_path, gates=[{"metric": "f1_macro", "better_by": 0.5}], log=log)
    report = json.loads((tmp_path / "report").read_text())
    assert (judge.better, judge.verdict, report["champion"]) == (True, "passed", None)
    assert report["gates"][0]["has_champion"] is False
    assert log[1].endswith(", there is no champion to beat")


def test_a_gate_may_want_both_a_bound_and_a_gain(made: Path, weak: Path, tmp_path: Path):
    gate = {"metric": "accuracy", "minimum": 0.999, "better_by": 0.01}
    with pytest.raises(
        Refused, match=r"at least 0\.999 and at least 0\.01 better than the champion's, 0\.\d+, is wanted"
    ):
        evaluate(made, tmp_path, champion=weak, gates=[gate])


def test_a_figure_that_is_missing_fails_a_gate_against_the_champion_too(made: Path, tmp_path: Path):
    with pytest.raises(
        Refused, match=r"gate `rmse` fails: there is no such figure for this model \(there is no champion"
    ):
        evaluate(made, tmp_path, gates=[{"metric": "rmse", "better_by": 0}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"target": "hue", "estimator": "ridge"},
            "the champion is a regression of `hue`, the model a classification of",
        ),
        ({"target": "target", "features": ["extra"]}, "the champion cannot judge these rows: the rows lack `extra`"),
    ],
    ids=["other-target", "other-columns"],
)
def test_a_champion_that_cannot_judge_the_rows_is_refused(change, message, made: Path, tmp_path: Path):
    frame = table.read(made / "wine-train")
    table.write(frame.assign(extra=range(len(frame))), tmp_path / "rows")
    step(Train, tmp_path / "other", data=tmp_path / "rows", **change).run(context())
    with pytest.raises(Refused, match=message):
        evaluate(made, tmp_path, champion=tmp_path / "other" / "model")


def test_gains_are_compared_as_they_are_written():
    gate = {"metric": "accuracy", "better_by": 0.1}
    assert judged(gate, {"accuracy": 0.9}, {"accuracy": 0.8})["passed"]
    assert not judged(gate, {"accuracy": 0.9}, {"accuracy": None})["passed"]


def test_a_folder_that_is_no_model_is_refused(made: Path, tmp_path: Path):
    (tmp_path / "weird").mkdir()
    with pytest.raises(Refused, match=r"weird is no model: it holds no model\.json"):
        evaluate(made, tmp_path, model=tmp_path / "weird")
