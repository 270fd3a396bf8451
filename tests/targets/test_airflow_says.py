"""Which of the features' pipelines and of the examples Airflow refuses yet: the lists shrink, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_ir_examples
import test_ir_features
from airflow_project import example_project, feature_project

from pipec import api

SHIPPED = Path(__file__).parents[2] / "examples" / "pipelines"
# Whoever teaches Airflow one of these removes it here, and `test_airflow_live` compares its trace from then on.
NOT_YET = {"hand-loop", "loop-in-loop", "sub-pipeline-in-loop"}
EXAMPLES_NOT_YET: set[str] = set()
FEATURES = sorted(set(test_ir_features.CASES) - NOT_YET)
EXAMPLES = [name for name in test_ir_examples.CASES if name not in EXAMPLES_NOT_YET]


@pytest.mark.parametrize("name", sorted(test_ir_features.CASES))
def test_what_airflow_refuses_yet_is_listed(tmp_path: Path, name: str) -> None:
    text, errors = feature_project(tmp_path, is_run=False).compiled(f"{name}.yaml")
    assert (not text) == (name in NOT_YET), errors
    assert all(one.startswith("PIPE6") for one in errors), errors


@pytest.mark.parametrize("name", test_ir_examples.CASES)
def test_what_of_the_examples_airflow_refuses_yet_is_listed(tmp_path: Path, name: str) -> None:
    case = test_ir_examples.CASES[name]
    text, errors = example_project(tmp_path, name, is_run=False).compiled(case.file, case.pipeline)
    assert (not text) == (name in EXAMPLES_NOT_YET), errors
    assert all(one.startswith("PIPE6") for one in errors), errors


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("[!p]*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("options", [{}, {"operator": "kubernetes", "version": "3.1"}], ids=["plain", "said"])
def test_every_example_compiles_as_it_is(path: Path, options: dict[str, str]) -> None:
    checked, files = api.compile_(api.Request(path=path, environment="prod", target="airflow", options=options))
    assert not checked.has_error, checked.report.findings
    assert {Path(file.path).stem for file in files} == {unit.pipeline.name for unit in checked.units}
