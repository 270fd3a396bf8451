"""Gates that no model can fail, statements about other models, and evaluations on the rows that were learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

HEAD = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
parameters: {least: {type: number, default: 0}, gates: {type: list, default: []}}
steps:
  ingest: {uses: ingest, with: {source: a.csv}}
  validate: {uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: e.yaml}}
  split: {uses: split, with: {data: "${{ steps.validate.data }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
  other: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
  judge: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"%s}}
  judge-other: {uses: evaluate, with: {model: "${{ steps.other.model }}", data: "${{ steps.split.test }}"}}
"""


MODEL = 'model: "${{ steps.%s.model }}"'


def told(text: str, folder: Path, environment: str = "") -> list[tuple[str, str]]:
    (folder / "e.yaml").write_text("expectations: [{type: expect_column_to_exist, column: y}]\n")
    (folder / "pipec.yaml").write_text(
        "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {dev: {}}\n"
    )
    (folder / "p.yaml").write_text(text)
    found = api.check(api.Request(path=folder / "p.yaml", environment=environment)).report.findings
    return [(finding.rule.code, finding.message) for finding in found if finding.rule.code != "PIPE207"]


SHARES = ("balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc", "precision", "recall", "f1")


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        *((f"{{metric: {name}, minimum: 0}}", "it is never below 0") for name in SHARES),
        *((f"{{metric: {name}, minimum: 0.5}}", None) for name in SHARES),
        ("{metric: log_loss, minimum: 0}", "it is never below 0"),
        ("{metric: mae, minimum: 0}", "it is never below 0"),
        ("{metric: r2, maximum: 1}", "it is never above 1"),
        ("{metric: accuracy, minimum: 0}", "it is never below 0"),
        ("{metric: accuracy, minimum: -1}", "it is never below 0"),
        ("{metric: accuracy, minimum: 0.0001}", None),
        ("{metric: accuracy, maximum: 1}", "it is never above 1"),
        ("{metric: accuracy, maximum: 0.99}", None),
        ("{metric: accuracy, minimum: 0, maximum: 1}", "it is never below 0 and never above 1"),
        ("{metric: accuracy, minimum: 0, maximum: 0.9}", None),
        ("{metric: rmse, minimum: 0}", "it is never below 0"),
        ("{metric: rmse, maximum: 1}", None),
        ("{metric: r2, maximum: 1}", "it is never above 1"),
        ("{metric: r2, minimum: 0}", None),
        ("{metric: mine, minimum: 0}", None),
        ("{metric: accuracy, better_by: 0.1}", "no `champion` is given"),
        ("{metric: accuracy, better_by: 0.1, minimum: 0.5}", None),
        ("{metric: accuracy, better_by: 0.1, minimum: 0}", "it is never below 0"),
        ("{metric: accuracy, minimum: 0, on_fail: report}", None),
        (
            "{metric: accuracy, minimum: 0, maximum: 1, better_by: 0.1, on_fail: stop}",
            "it is never below 0 and never above 1",
        ),
        ('{metric: accuracy, minimum: "${{ parameters.least }}"}', None),
    ],
)
def test_a_gate_that_no_model_can_fail_is_told(gate: str, why: str | None, tmp_path: Path) -> None:
    metric = gate.split(",")[0].split(" ")[1]
    expected = [("PIPE506", f"no model can fail this gate on `{metric}`: {why}")] if why else []
    assert told(HEAD % f", gates: [{gate}]", tmp_path) == expected


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        ("{metric: accuracy, better_by: 0}", None),
        ("{metric: accuracy, better_by: -1}", "it is that much worse than the champion at most"),
        ("{metric: rmse, better_by: -100}", None),
    ],
)
def test_a_gate_against_a_champion_can_fail_unless_it_forgives_everything(
    gate: str, why: str | None, tmp_path: Path
) -> None:
    metric = gate.split(",")[0].split(" ")[1]
    expected = [("PIPE506", f"no model can fail this gate on `{metric}`: {why}")] if why else []
    assert told(HEAD % f', champion: "${{{{ steps.other.model }}}}", gates: [{gate}]', tmp_path) == expected


def test_gates_that_only_a_run_knows_are_believed(tmp_path: Path) -> None:
    assert told(HEAD % ', gates: "${{ parameters.gates }}"', tmp_path) == []


APPROVE = '  approve: {uses: approve, with: {model: "${{ steps.%s.model }}", evidence: "${{ steps.%s.report }}"}}\n'


@pytest.mark.parametrize(
    ("model", "evidence", "is_told"),
    [
        ("judge", "judge", False),
        ("train", "judge", False),
        ("judge", "judge-other", True),
        ("other", "judge", True),
        ("other", "validate", False),
    ],
)
def test_a_report_on_another_model_is_no_evidence(model: str, evidence: str, is_told: bool, tmp_path: Path) -> None:
    found = told(HEAD % "" + APPROVE % (model, evidence), tmp_path)
    assert [code for code, _ in found] == ["PIPE507"] * is_told


def test_an_approval_of_another_model_is_told_once(tmp_path: Path) -> None:
    text = HEAD % "" + APPROVE % ("judge", "judge")
    text += '  ship: {uses: deploy, with: {model: "${{ steps.judge-other.model }}", '
    text += 'approval: "${{ steps.approve.approval }}"}}\n'
    assert [code for code, _ in told(text, tmp_path)] == ["PIPE501"]
    assert told(text, tmp_path, "dev") == [
        ("PIPE507", "`approve.approval` is about `train.model`, and `ship` takes `other.model`")
    ]


def test_an_evaluation_on_other_rows_too_may_stand_beside_one_on_those_that_were_learned(tmp_path: Path) -> None:
    text = HEAD % "" + '  seen: {uses: evaluate, with: {model: "${{ steps.train.model }}", data: "%s"}}\n'
    assert told(text % "${{ steps.split.train }}", tmp_path) == []
    on_test = ', data: "${{ steps.split.test'
    alone = text.replace(MODEL % "train" + on_test, MODEL % "other" + on_test)
    message = "`seen` judges `train.model` on the rows that it learned from"
    assert told(alone % "${{ steps.split.train }}", tmp_path) == [("PIPE509", message)]
    assert told(alone % "s3://other/rows.csv", tmp_path) == []


def test_rows_that_only_passed_a_validation_are_the_same_rows(tmp_path: Path) -> None:
    before = MODEL % "train" + ', data: "${{ steps.'
    text = (HEAD % "").replace(before + "split.test", before + "again.data")
    text += '  again: {uses: validate-data, with: {data: "${{ steps.split.train }}", expectations: e.yaml}}\n'
    assert [code for code, _ in told(text, tmp_path)] == ["PIPE509"]
