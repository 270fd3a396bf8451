"""What the verifier must take without an error: all that pipec emits, and all that KFP's own compiler makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dsl_pipelines
import plans
import pytest
import yaml
from kfp import compiler
from needs import ROOT

from pipec import api
from pipec.compiler.plan import Plan
from pipec.diagnostics import Severity, Source
from pipec.schema import foreign
from pipec.targets.base import File
from pipec.targets.kubeflow import TARGET
from pipec.targets.kubeflow.findings import UNREADABLE
from pipec.targets.kubeflow.verify import verify

EXAMPLES = sorted(path for path in (ROOT / "examples" / "pipelines").glob("*.yaml") if path.name != "pipec.yaml")
CORRECT = sorted(path for path in (ROOT / "tests" / "correct").glob("*.yaml") if path.name != "pipec.yaml")
ENVIRONMENTS = ("", "dev", "staging", "prod")
PLANS = {"wine": plans.wine, "short": plans.short, "chain": lambda: plans.chain(30), "single": lambda: plans.chain(1)}
GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.yaml"))
# A checkout of kubeflow/pipelines, of which the compiled pipelines of its tests are read.
UPSTREAM = os.environ.get("PIPEC_KFP_CHECKOUT", "")


def told(text: str) -> list[str]:
    """Return the errors that the verifier finds in a compiled text."""
    documents, found = foreign.read(Source("p.yaml", text), UNREADABLE)
    assert found == ()
    by_key = {next(key for key in ("platforms", "root") if key in each.value): each.value for each in documents}
    faults = verify(by_key["root"], by_key.get("platforms"), n_bytes=len(text))
    return [fault.message for fault in faults if fault.rule.severity is Severity.ERROR]


def compiled(plan: Plan) -> tuple[File, ...]:
    return TARGET.emit(plan, plans.options())


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_made_by_hand_is_emitted_without_a_fault(name: str) -> None:
    plan = PLANS[name]()
    (text,) = (file.text for file in compiled(plan) if file.path == f"{plan.pipeline}.yaml")
    assert told(text) == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_has_no_fault(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "pipelineInfo" in text:
        assert told(text) == []


def emissions(path: Path) -> Iterator[str]:
    """Yield each compiled pipeline of a file, in each environment in which Kubeflow takes it."""
    for environment in ENVIRONMENTS:
        try:
            _, files = api.compile_(api.Request(path=path, environment=environment, target="kubeflow"))
        except api.UsageError:
            continue  # not an environment of this project
        yield from (file.text for file in files if file.text.startswith("pipelineInfo"))


@pytest.mark.parametrize("path", [*EXAMPLES, *CORRECT], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_whatever_is_compiled_of_a_right_file_has_no_fault(path: Path) -> None:
    for text in emissions(path):
        assert told(text) == []


def test_some_of_the_right_files_are_compiled() -> None:
    assert sum(1 for path in [*EXAMPLES, *CORRECT] for _ in emissions(path)) >= 3


def test_kfp_has_written_everything_that_its_language_has() -> None:
    assert len(dsl_pipelines.PIPELINES) >= 25


@pytest.mark.parametrize("pipeline", dsl_pipelines.PIPELINES, ids=lambda pipeline: pipeline.name)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_kfp_compiles_has_no_fault(pipeline: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    assert told(path.read_text(encoding="utf-8")) == []


def upstream() -> list[Path]:
    folder = Path(UPSTREAM) / "test_data" / "sdk_compiled_pipelines" / "valid"
    return [path for path in sorted(folder.rglob("*.yaml")) if UPSTREAM]


@pytest.mark.skipif(not UPSTREAM, reason="no PIPEC_KFP_CHECKOUT names a checkout of kubeflow/pipelines")
def test_the_compiled_pipelines_of_kfp_s_own_tests_have_no_fault() -> None:
    paths = [path for path in upstream() if "pipelineInfo" in path.read_text(encoding="utf-8")]
    assert len(paths) >= 150
    assert {path.name: found for path in paths if (found := told(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "pipeline", [dsl_pipelines.condition, dsl_pipelines.cluster], ids=lambda pipeline: pipeline.name
)
def test_a_reader_of_yaml_1_1_sees_what_kfp_wrote_as_this_one_does(pipeline: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    text = path.read_text(encoding="utf-8")
    documents, _ = foreign.read(Source("p.yaml", text), UNREADABLE)
    assert [document.value for document in documents] == list(yaml.safe_load_all(text))
