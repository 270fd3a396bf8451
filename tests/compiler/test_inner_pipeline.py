"""Pipelines used as steps: what the pipeline around them says holds inside."""

from __future__ import annotations

from pathlib import Path

from pipec import api

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n"


def checked(folder: Path, outer: str, inner: str, environment: str = "") -> api.Checked:
    (folder / "p.yaml").write_text(HEAD + outer, encoding="utf-8")
    (folder / "inner.yaml").write_text(HEAD + inner, encoding="utf-8")
    return api.check(api.Request(path=folder / "p.yaml", environment=environment))


def test_its_steps_are_final_where_it_stands_in_finally(tmp_path: Path) -> None:
    outer = "steps: {load: {uses: ingest, with: {source: x}}}\nfinally: {tell: {uses: ./inner.yaml}}\n"
    plan = checked(tmp_path, outer, "steps: {a: {uses: notify, with: {channel: c, message: m}}}\n").units[0].plan
    assert plan is not None
    assert {task.name: task.is_final for task in plan.tasks} == {"load": False, "tell.a": True}


def test_it_looks_up_secrets_and_configs_where_the_pipeline_around_does(tmp_path: Path) -> None:
    outer = "environments: {dev: {secrets: {known: {env: A}}}}\nsteps: {one: {uses: ./inner.yaml}}\n"
    inner = """environments: {dev: {secrets: {own: {env: A}}, configs: {own: {env: B}, said: {value: 1}}}}
steps:
  a:
    uses: ingest
    with: {source: x}
    env: {A: "${{ secrets.known }}", B: "${{ secrets.own }}", C: "${{ configs.own }}", D: "${{ configs.said }}"}
"""
    found = checked(tmp_path, outer, inner, "dev").report.findings
    assert [finding.message for finding in found] == [
        "the project has no secret `own`",
        "the project has no config `own`",
    ]
