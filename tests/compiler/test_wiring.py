"""What flows along an edge: cases beyond the one that each rule's folder shows."""

# ruff: noqa: E501  (a table with one case a line)
from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

HEAD = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
parameters:
  text: {type: string, default: a}
  whole: {type: integer, default: 3}
  part: {type: number, default: 0.5}
  flag: {type: boolean, default: true}
  list: {type: list, default: [1]}
  map: {type: object, default: {a: 1}}
steps:
  ingest: {uses: ingest, with: {source: data.csv}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}"}}
"""
ALL = "${{ parameters.text }}${{ parameters.whole }}${{ parameters.part }}${{ parameters.flag }}"
USED = f'  use: {{uses: ingest, with: {{source: "{ALL}"}}, env: {{X: "${{{{ parameters.flag }}}}"}}}}\n'


def found(tmp_path: Path, step: str) -> list[tuple[str, str]]:
    (tmp_path / "p.yaml").write_text(HEAD + USED + f"  probe: {step}\n", encoding="utf-8")
    checked = api.check(api.Request(path=tmp_path / "p.yaml"))
    return [(f.rule.code, f.message) for f in checked.report.findings if f.rule.code != "PIPE207"]


def train(more: str, outside: str = "") -> str:
    return f'{{uses: train, with: {{data: "${{{{ steps.split.train }}}}", {more}}}{outside}}}'


@pytest.mark.parametrize(
    "step",
    [
        train('target: "${{ parameters.text }}", epochs: "${{ parameters.whole }}"'),
        train('target: y, learning_rate: "${{ parameters.part }}"'),
        train('target: "c-${{ parameters.whole }}"'),
        train("target: y", ', env: {A: "${{ parameters.part }} of ${{ run.id }}", B: 3, C: true}'),
        train("target: y", ', when: "steps.ingest.n_rows > parameters.whole and parameters.flag"'),
        train('target: y, hyperparameters: "${{ parameters.map }}"'),
        train('target: "$${{ not read }}"'),
        '{uses: ingest, with: {source: "s3://bucket/${{ run.date }}/rows.csv"}}',
    ],
)
def test_what_fits_is_left_alone(step: str, tmp_path) -> None:
    assert found(tmp_path, step) == []


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        (train('target: y, epochs: "${{ parameters.part }}"'), "PIPE302", "needs an integer, but `parameters.part` is a number"),
        (train('target: y, epochs: "1${{ parameters.whole }}"'), "PIPE302", "needs an integer, but a text stands around"),
        (train('target: "${{ parameters.list }}"'), "PIPE302", "needs a string, but `parameters.list` is a list"),
        (train('target: "a ${{ parameters.map }}"'), "PIPE302", "is an object and cannot stand inside a text"),
        (train('target: "${{ steps.split.test }}"'), "PIPE302", "takes a value, but `steps.split.test` is a dataset"),
        (train("target: y", ', env: {A: "${{ steps.split.test }}"}'), "PIPE302", "is a dataset, and `env` takes values"),
        (train("target: y", ', env: {A: "${{ parameters.list }}"}'), "PIPE302", "is a list and cannot stand in a variable"),
        (train("target: y", ', when: "steps.split.test == 3"'), "PIPE302", "is a dataset, and `when` takes values"),
        (train("target: y", ', when: "secrets.x == 3"'), "PIPE304", "would be written down"),
        ('{uses: split, with: {data: "${{ parameters.whole }}"}}', "PIPE301", "needs a location, but `whole` is an integer"),
        ('{uses: split, with: {data: "${{ steps.ingest.n_rows }}"}}', "PIPE301", "but `n_rows` is a small value (integer)"),
        ("{uses: split, with: {data: [a, b]}}", "PIPE301", "needs a dataset"),
        ("{uses: split, with: {data: 3}}", "PIPE301", "needs a dataset"),
        (train("target: y, epochs: 0"), "PIPE111", "`epochs` must be at least 1, not `0`"),
        (train("target: y, estimator: svm"), "PIPE111", "`estimator` cannot be `svm`"),
        (train("target: y, epochs: no"), "PIPE112", "`epochs` needs a whole number, but `no` is text"),
        (train("target: y, hidden: 3"), "PIPE103", "`hidden` needs a list, but `3` is a number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_the_users_words(step: str, code: str, words: str, tmp_path) -> None:
    findings = [(c, m) for c, m in found(tmp_path, step) if c == code]
    assert len(findings) == 1
    assert words in findings[0][1]


def test_a_default_that_a_step_does_not_allow_is_told_where_it_is_written(tmp_path) -> None:
    text = HEAD.replace("whole: {type: integer, default: 3}", "whole: {type: integer, default: 0}")
    step = train('target: y, epochs: "${{ parameters.whole }}"')
    (tmp_path / "p.yaml").write_text(f"{text}{USED}  probe: {step}\n", encoding="utf-8")
    checked = api.check(api.Request(path=tmp_path / "p.yaml"))
    (finding,) = [f for f in checked.report.findings if f.rule.code == "PIPE311"]
    assert (finding.loc.span.line, finding.message) == (6, "`whole` must be at least 1, not `0`")
    assert finding.notes[0].message == "step `probe` gets it as `epochs`"


@pytest.mark.parametrize(("given", "is_soft"), [("endpoint", False), ("reference", False), ("evidence", True)])
def test_what_may_be_left_out_but_is_hard_waits_for_success(given: str, is_soft: bool, tmp_path) -> None:
    """A person who says no ends the release, and must not leave a monitor without the endpoint it was given."""
    uses, source = {
        "endpoint": ("monitor", "steps.deploy.endpoint"), "reference": ("monitor", "steps.split.train"),
        "evidence": ("approve", "steps.evaluate.report"),
    }[given]  # fmt: skip
    rest = {"monitor": "batch: new.csv", "approve": 'model: "${{ steps.train.model }}"'}[uses]
    steps = f"""  train: {train("target: y")}
  evaluate: {{uses: evaluate, with: {{model: "${{{{ steps.train.model }}}}", data: "${{{{ steps.split.test }}}}"}}}}
  deploy: {{uses: deploy, with: {{model: "${{{{ steps.train.model }}}}"}}}}
  probe: {{uses: {uses}, with: {{{given}: "${{{{ {source} }}}}", {rest}}}}}
"""
    project = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {dev: {}}\n"
    (tmp_path / "pipec.yaml").write_text(project, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(HEAD + USED + steps, encoding="utf-8")
    (unit,) = api.check(api.Request(path=tmp_path / "p.yaml", environment="dev")).units
    assert unit.plan is not None
    assert [need.soft for need in unit.plan.task("probe").needs if need.task == source.split(".")[1]] == [is_soft]
