"""What `pipec render` tells of values that stand elsewhere: each with the place that says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api
from pipec.schema import tree

PROJECT = """\
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
image: registry.example/steps:1
defaults: {retry: {attempts: 3}, resources: {cpu: 2, memory: 4Gi}}
environments:
  prod: {defaults: {timeout: 1h, resources: {memory: 8Gi}}}
"""
PIPELINE = """\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
defaults: {resources: {cpu: 1}}
parameters:
  source: {type: string, default: a.csv}
  limit: {type: integer, default: 3}
  same: {type: integer, default: 1}
environments:
  prod:
    parameters: {source: b.csv, same: 2}
    steps:
      ingest: {with: {format: csv}, timeout: null, env: {A: "1"}}
      tell: {env: {C: d}}
steps:
  ingest: {uses: ingest, timeout: 5m, with: {source: "${{ parameters.source }}", format: auto}}
  split: {uses: split, with: {data: "${{ steps.ingest.data }}", seed: "${{ parameters.limit }}"}}
  again: {uses: split, with: {data: "${{ steps.ingest.data }}", seed: "${{ parameters.same }}"}}
finally:
  tell: {uses: ingest, with: {source: a.csv}, env: {C: c}}
"""


def rendered(folder: Path, environment: str, **sets: str) -> tuple[dict[str, object], list[tuple[str, str]]]:
    (folder / "pipec.yaml").write_text(PROJECT)
    (folder / "p.yaml").write_text(PIPELINE)
    request = api.Request(path=folder / "p.yaml", environment=environment, sets=sets)
    checked = api.check(request)
    assert not checked.has_error, checked.report.findings
    body = api.resolved(checked, checked.units[0])
    assert isinstance(body, dict)
    return body, [
        (path, where.replace(f"{folder}/", "")) for path, where in api.origins(checked, checked.units[0], request)
    ]


def test_every_changed_value_is_told_with_its_place(tmp_path: Path) -> None:
    body, told = rendered(tmp_path, "prod", limit="7")
    assert told == [
        ("image", "pipec.yaml:4:8"),
        ("defaults.retry", "pipec.yaml:5:19"),
        ("defaults.timeout", "pipec.yaml:7:30"),
        ("defaults.resources.memory", "pipec.yaml:7:54"),
        ("parameters.source.default", "p.yaml:11:26"),
        ("parameters.limit.default", "--set"),
        ("parameters.same.default", "p.yaml:11:39"),
        ("steps.ingest.with.format", "p.yaml:13:31"),
        ("steps.ingest.env", "p.yaml:13:57"),
        ("steps.ingest.timeout", "p.yaml:13:46 (removed)"),
        ("finally.tell.env.C", "p.yaml:14:23"),
    ]
    assert body["image"] == "registry.example/steps:1"
    assert body["defaults"] == {"resources": {"cpu": 1, "memory": "8Gi"}, "retry": {"attempts": 3}, "timeout": "1h"}
    assert body["steps"]["ingest"] == {  # type: ignore[index]
        "uses": "ingest", "with": {"source": "${{ parameters.source }}", "format": "csv"}, "env": {"A": "1"},
    }  # fmt: skip


def test_without_an_environment_only_the_project_is_told(tmp_path: Path) -> None:
    _, told = rendered(tmp_path, "")
    assert told == [
        ("image", "pipec.yaml:4:8"),
        ("defaults.retry", "pipec.yaml:5:19"),
        ("defaults.resources.memory", "pipec.yaml:5:62"),
    ]


@pytest.mark.parametrize("environment", ["", "prod"])
def test_what_is_rendered_means_the_same_by_itself(tmp_path: Path, environment: str) -> None:
    body, _ = rendered(tmp_path, environment)
    before = api.check(api.Request(path=tmp_path / "p.yaml", environment=environment)).units[0].plan
    (tmp_path / "resolved.yaml").write_text(tree.dump(body))
    after = api.check(api.Request(path=tmp_path / "resolved.yaml", environment="")).units[0].plan
    assert before and after and before.tasks == after.tasks


def test_an_environment_gives_inputs_as_it_gives_parameters(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("""\
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
inputs: {rows: {type: Dataset, default: data/rows.csv}, more: {type: Dataset, default: data/more.csv}}
environments: {prod: {parameters: {rows: "s3://b/rows.parquet", mor: x}}}
steps:
  one: {uses: split, with: {data: "${{ inputs.rows }}"}}
  two: {uses: split, with: {data: "${{ inputs.more }}"}}
""")
    request = api.Request(path=tmp_path / "p.yaml", environment="prod", sets={"more": "s3://b/more.parquet"})
    checked = api.check(request)
    (found,) = checked.report.findings
    assert (found.rule.code, found.help) == ("PIPE101", "did you mean `more`? known: `more`, `rows`")
    (tmp_path / "p.yaml").write_text((tmp_path / "p.yaml").read_text().replace(", mor: x", ""))
    checked = api.check(request)
    plan = checked.units[0].plan
    assert plan and [parameter.default for parameter in plan.parameters] == [
        "s3://b/rows.parquet",
        "s3://b/more.parquet",
    ]
    assert [path for path, _ in api.origins(checked, checked.units[0], request)] == [
        "inputs.rows.default", "inputs.more.default",
    ]  # fmt: skip
