"""What a target refuses of triggers is pointed at where it is written, among whatever other triggers there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
environments: {dev: {artifacts: s3://a/b}}
"""
PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
image: registry.example/steps:1
triggers:
  - data: {uri: s3://a/rows.csv}
  - schedule: {cron: "0 3 * * 1"}
  - schedule: {cron: "0 4 * * 1", timezone: Asia/Tokyo}
  - schedule: {cron: "0 5 * * 1", catchup: true}
steps: {a: {uses: ingest, with: {source: s3://rows/a.csv}}}
"""


@pytest.mark.parametrize(
    ("target", "text", "places"),
    [
        ("airflow", PIPELINE, [(8, 45), (9, 44)]),
        ("kubeflow", PIPELINE.replace("Asia/Tokyo", "Europe/Vienna"), [(6, 5), (8, 45)]),
    ],
)
def test_a_refused_trigger_is_pointed_at(target: str, text: str, places: list[tuple[int, int]], tmp_path: Path) -> None:
    (tmp_path / "pipec.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    checked, _ = api.compile_(api.Request(path=tmp_path / "p.yaml", environment="dev", target=target))
    found = [one.loc for one in checked.report.findings if one.rule.code == "PIPE601"]
    assert sorted((loc.span.line, loc.span.column) for loc in found if loc) == places
