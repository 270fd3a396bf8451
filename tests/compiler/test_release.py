"""Release safety on graphs of varied shape: what must be found, and what must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n"
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
environments: {dev: {}, prod: {production: true}}
"""
STEPS = {
    "ingest": "{uses: ingest, with: {source: data.csv}}",
    "validate": '{uses: validate-data, with: {data: "${{ steps.ingest.data }}", expectations: e.yaml}}',
    "split": '{uses: split, with: {data: "${{ steps.validate.data }}"}}',
    "train": '{uses: train, with: {data: "${{ steps.split.train }}", target: y}}',
    "evaluate": '{uses: evaluate, with: {model: "${{ steps.train.model }}", data: "${{ steps.split.test }}"}}',
    "approve": '{uses: approve, with: {model: "${{ steps.evaluate.model }}", approvers: [ana@example.org]}}',
    "deploy": '{uses: deploy, with: {model: "${{ steps.approve.model }}", approval: "${{ steps.approve.approval }}"}}',
}


def codes(tmp_path: Path, changes: dict[str, str | None], environment: str = "") -> list[str]:
    """Return the codes found in the safe pipeline after `changes` (None removes a step)."""
    steps = {name: text for name, text in {**STEPS, **changes}.items() if text is not None}
    (tmp_path / "pipec.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "e.yaml").write_text("expectations: [{type: expect_column_to_exist, column: y}]", encoding="utf-8")
    text = HEAD + "steps:\n" + "".join(f"  {name}: {body}\n" for name, body in steps.items())
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    checked = api.check(api.Request(path=tmp_path / "p.yaml", environment=environment))
    return sorted(finding.rule.code for finding in checked.report.findings)


def change(name: str, old: str, new: str) -> dict[str, str | None]:
    assert old in STEPS[name]
    return {name: STEPS[name].replace(old, new)}


EVALUATE_2 = STEPS["evaluate"].replace("steps.train.model", "steps.train-2.model")
TRAIN_2 = STEPS["train"].replace("target: y", "target: y, seed: 2")

SAFE: dict[str, dict[str, str | None]] = {
    "as it stands": {},
    "steps in any order of the file": {"deploy": STEPS["deploy"]} | {n: STEPS[n] for n in reversed(STEPS)},
    "approved directly, evaluated beside": change("approve", "steps.evaluate.model", "steps.train.model")
    | {"deploy": STEPS["deploy"].replace("uses: deploy,", "uses: deploy, needs: [evaluate],")},
    "the model is read past an approval that is awaited": change("deploy", "steps.approve.model", "steps.train.model")
    | {"deploy": STEPS["deploy"].replace("uses: deploy,", "uses: deploy, needs: [approve],")},
    "a model from outside, evaluated, approved and released as it was read once": change(
        "evaluate", "${{ steps.train.model }}", "s3://models/old"
    ),
    "two approvals in a row": {
        "again": STEPS["approve"].replace("steps.evaluate.model", "steps.approve.model"),
        "deploy": STEPS["deploy"].replace("approve.", "again."),
    },
    "validated twice": {
        "validate-2": STEPS["validate"].replace("steps.ingest.data", "steps.split.train"),
        "train": STEPS["train"].replace("steps.split.train", "steps.validate-2.data"),
    },
    "validated after the split": change("split", "steps.validate.data", "steps.ingest.data")
    | {
        "validate": STEPS["validate"].replace("steps.ingest.data", "steps.split.train"),
        "train": STEPS["train"].replace("steps.split.train", "steps.validate.data"),
    },
    "another model is only monitored": {"train-2": TRAIN_2, "evaluate-2": EVALUATE_2},
    "an approval that may fail still stops the release": change(
        "approve", "uses: approve,", "uses: approve, continue_on_error: true,"
    ),
    "automatic behind a gate with a value known later": change(
        "approve", "approvers: [ana@example.org]", "mode: automatic"
    )
    | {
        "count": "{uses: ingest, with: {source: data.csv}}",
        "evaluate": STEPS["evaluate"].replace(
            '.test }}"', '.test }}", gates: [{metric: rmse, maximum: "${{ steps.count.n_rows }}"}]'
        ),
    },
    "automatic behind a gate against the champion": change("approve", "approvers: [ana@example.org]", "mode: automatic")
    | change("evaluate", '.test }}"', '.test }}", champion: s3://m, gates: [{metric: accuracy, better_by: 0}]'),
    "automatic behind a gate that stops": change("approve", "approvers: [ana@example.org]", "mode: automatic")
    | change("evaluate", '.test }}"', '.test }}", gates: [{metric: accuracy, minimum: 0.5}]'),
}  # fmt: skip

UNSAFE: dict[str, tuple[dict[str, str | None], list[str]]] = {
    "no approval": (
        {"approve": None, "deploy": '{uses: deploy, with: {model: "${{ steps.evaluate.model }}"}}'}, ["PIPE501"],
    ),
    "approval of another model": (
        {"train-2": TRAIN_2, "evaluate-2": EVALUATE_2}
        | change("approve", "steps.evaluate.model", "steps.evaluate-2.model")
        | change("deploy", "steps.approve.model", "steps.evaluate.model"),
        ["PIPE501"],
    ),
    "evaluation of another model": (
        {"train-2": TRAIN_2, "evaluate": EVALUATE_2} | change("approve", "steps.evaluate.model", "steps.train.model"),
        ["PIPE502"],
    ),
    "the approval is beside the release, not before it": (
        {"deploy": '{uses: deploy, with: {model: "${{ steps.evaluate.model }}"}}'},
        ["PIPE501"],
    ),
    "the approval is waited for only softly": (
        change("deploy", "steps.approve.model", "steps.evaluate.model"), ["PIPE501"],
    ),
    "released if the approval failed": (
        change("deploy", "uses: deploy,", 'uses: deploy, when: "failed(approve)",'), ["PIPE501", "PIPE502"],
    ),
    "a model from outside": (
        change("deploy", "${{ steps.approve.model }}", "s3://models/old"), ["PIPE501", "PIPE502"],
    ),
    "a model from outside that is read again after it was evaluated and approved": (
        change("evaluate", "${{ steps.train.model }}", "s3://models/old")
        | change("approve", "${{ steps.evaluate.model }}", "s3://models/old")
        | change("deploy", "${{ steps.approve.model }}", "s3://models/old")
        | {"deploy-2": STEPS["deploy"].replace("with: {", "needs: [evaluate], with: {name: b, ")},
        ["PIPE501", "PIPE502", "PIPE502"],
    ),
    "one of two releases is unsafe": (
        {"deploy-2": '{uses: deploy, with: {name: b, model: "${{ steps.train.model }}"}}'}, ["PIPE501", "PIPE502"],
    ),
    "a fit on the test part": (change("train", "steps.split.train", "steps.split.test"), ["PIPE503"]),
    "a fit on the test part, passed through a validation": (
        {"validate-2": STEPS["validate"].replace("steps.ingest.data", "steps.split.test")}
        | change("train", "steps.split.train", "steps.validate-2.data"),
        ["PIPE503"],
    ),
    "a fit on a part of the test part": (
        {"split-2": STEPS["split"].replace("steps.validate.data", "steps.split.test")}
        | change("train", "steps.split.train", "steps.split-2.train"),
        ["PIPE503"],
    ),
    "nothing validates": (change("split", "steps.validate.data", "steps.ingest.data"), ["PIPE504"]),
    "a fit on a location": (change("train", "${{ steps.split.train }}", "s3://rows"), ["PIPE504"]),
    "validation is on the way of the test part only": (
        change("split", "steps.validate.data", "steps.ingest.data")
        | change("validate", "steps.ingest.data", "steps.split.test")
        | change("evaluate", "steps.split.test", "steps.validate.data"),
        ["PIPE504"],
    ),
    "automatic without a gate": (change("approve", "approvers: [ana@example.org]", "mode: automatic"), ["PIPE505"]),
    "automatic behind a gate that only reports": (
        change("approve", "approvers: [ana@example.org]", "mode: automatic")
        | change("evaluate", '.test }}"', '.test }}", gates: [{metric: accuracy, minimum: 0.5, on_fail: report}]'),
        ["PIPE505"],
    ),
    "automatic behind a gate against a champion that is not given": (
        change("approve", "approvers: [ana@example.org]", "mode: automatic")
        | change("evaluate", '.test }}"', '.test }}", gates: [{metric: accuracy, better_by: 0}]'),
        ["PIPE506"],
    ),
    "perhaps automatic, without a gate": (
        change("approve", "approvers: [ana@example.org]", 'mode: "${{ steps.drift.verdict }}"')
        | {"drift": "{uses: monitor, with: {reference: a.csv, batch: b.csv}}"},
        ["PIPE505"],
    ),
    "automatic behind a gate that reports and another whose figure is not known yet": (
        change("approve", "approvers: [ana@example.org]", "mode: automatic")
        | {
            "count": "{uses: ingest, with: {source: data.csv}}",
            "evaluate": STEPS["evaluate"].replace(
                '.test }}"',
                '.test }}", gates: [{metric: rmse, maximum: "${{ steps.count.n_rows }}", on_fail: report}]',
            ),
        },
        ["PIPE505"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFE)
def test_a_safe_release_is_left_alone(case: str, tmp_path) -> None:
    assert codes(tmp_path, SAFE[case], "prod") == []


@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_release_does_not_compile(case: str, tmp_path) -> None:
    changes, expected = UNSAFE[case]
    assert codes(tmp_path, changes, "prod") == expected


def test_without_an_environment_a_release_counts_as_one_to_production(tmp_path) -> None:
    changes = UNSAFE["no approval"][0]
    assert codes(tmp_path, changes) == ["PIPE501"]
    assert codes(tmp_path, changes, "dev") == []


def test_the_route_of_test_data_is_told_step_by_step(tmp_path) -> None:
    codes(tmp_path, UNSAFE["a fit on a part of the test part"][0])
    checked = api.check(api.Request(path=tmp_path / "p.yaml"))
    notes = [note.message for note in checked.report.findings[0].notes]
    assert notes[-1] == "the data goes `split.test` -> `split-2.train` -> `train.data`"


def test_a_thousand_steps_are_judged_in_linear_time(tmp_path) -> None:
    """Counted in edges looked at, not in seconds: twice the steps, twice the looks."""
    from pipec.compiler.graph import Graph

    looks = {"n": 0}
    into = Graph.into

    def counted(self: Graph, step: str):
        edges = into(self, step)
        looks["n"] += len(edges)
        return edges

    counts = []
    for size in (200, 400):
        looks["n"] = 0
        chain = {
            f"v{i}": STEPS["validate"].replace("steps.ingest.data", f"steps.v{i - 1}.data") for i in range(1, size)
        }
        chain["v0"] = STEPS["validate"]
        Graph.into = counted  # type: ignore[method-assign]
        try:
            assert codes(tmp_path, chain | change("split", "steps.validate.data", f"steps.v{size - 1}.data")) == []
        finally:
            Graph.into = into  # type: ignore[method-assign]
        counts.append(looks["n"])
    assert counts[1] < 2.2 * counts[0]
