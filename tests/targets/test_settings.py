"""What an environment says to a target is no template and no path by the time that an engine sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api

PIPELINE = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: p}
image: registry.example/steps:1
steps: {a: {uses: ingest, with: {source: s3://rows/a.csv}}}
"""
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: p}
environments: {dev: {artifacts: s3://a/b, %s: {%s: "%s"}}}
"""


def codes(folder: Path, target: str, key: str, value: str) -> list[str]:
    (folder / "pipec.yaml").write_text(PROJECT % (target, key, value))
    (folder / "p.yaml").write_text(PIPELINE)
    request = api.Request(path=folder / "p.yaml", environment="dev", target=target)
    checked, files = api.compile_(request)
    assert checked.has_error != bool(files)
    return [finding.rule.code for finding in checked.report.findings]


@pytest.mark.parametrize("target", ["kubeflow", "airflow"])
@pytest.mark.parametrize("key", ["namespace", "service_account"])
@pytest.mark.parametrize(
    "value",
    ["{{ macros.uuid.os.popen('id').read() }}", "{{ x }}", "a/b", "../a", "A", "a b", "", "-a", "a" * 254],
)
def test_a_name_of_kubernetes_is_one_and_no_template(target: str, key: str, value: str, tmp_path: Path) -> None:
    """Airflow renders both names, so that a template in them ran in its scheduler."""
    assert codes(tmp_path, target, key, value) == ["PIPE104"]


@pytest.mark.parametrize("target", ["kubeflow", "airflow"])
@pytest.mark.parametrize("value", ["ml", "a-b.c-1", "7"])
def test_a_name_that_kubernetes_takes_is_taken(target: str, value: str, tmp_path: Path) -> None:
    assert codes(tmp_path, target, "service_account", value) == codes(tmp_path, target, "namespace", value) == []
