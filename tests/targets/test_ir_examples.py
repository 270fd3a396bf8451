"""Every example, run from its compiled IR in containers: its trace equals the engine's."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from images import base, built
from ir_container import Cluster
from ir_project import ANA, Project, opened
from needs import ROOT

EXAMPLES = ROOT / "examples" / "pipelines"
URLS = r"default: (data/[a-z-]+\.(?:csv|parquet))"  # a container sees no path of this machine


@dataclass(frozen=True, slots=True)
class Example:
    """A pipeline of an example's file. pipeline: its name. said: what an environment says of all pipelines of the file.

    parameters: small ones, for both runs. person: the step that waits for one. refused: what Kubeflow cannot say yet.
    """

    file: str
    pipeline: str
    said: str = "{}"
    parameters: tuple[tuple[str, Any], ...] = ()
    person: str = ""
    refused: Sequence[str] = ()


UNACCELERATED = "{steps: {train: {resources: {accelerator: null}}}}"
BY_HAND = "{triggers: null, concurrency: null}"  # schedules and followers have tests of their own
CASES = {
    "wine": Example("wine.yaml", "wine", "{steps: {deploy: {with: {servers: 0}}}}", person="approve"),
    "digits": Example("digits.yaml", "digits", UNACCELERATED, parameters=(("epochs", 20),)),
    "images": Example("images.yaml", "digit-images", UNACCELERATED, parameters=(("epochs", 6),)),
    "nightly": Example("nightly.yaml", "wine-nightly", BY_HAND, parameters=(("servers", 0),)),
    "scoring": Example("scoring.yaml", "scoring", BY_HAND),
    "retraining": Example("scoring.yaml", "retraining", BY_HAND),
}  # fmt: skip


def project(folder: Path, case: Example, *, is_run: bool = True) -> Project:
    """Return a copy of the examples with environments in which containers see this machine's files."""
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns(".pipec"), dirs_exist_ok=True)
    for name in ("root", "kfp"):
        opened(folder / name)
    images = (built("gpu"), base()) if is_run else ("i:1", "i:1")
    put(folder / "pipec.yaml", r"^image: .*", f"image: '{images[0]}'")
    put(folder / "steps/publish.yaml", r"^image: .*", f"image: {images[1]}")
    root = json.dumps(f"file://{folder}/root")
    put(folder / "pipec.yaml", r"^environments:\n", (
        "environments:\n"
        f"  here: {{artifacts: {root}, secrets: {{publisher: {{env: PUBLISH_TOKEN}}}}}}\n"
        f"  there: {{artifacts: {root}}}\n"
    ))  # fmt: skip
    for path in folder.glob("*.yaml"):
        text = re.sub(URLS, rf"default: 'file://{folder}/\1'", path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    text = (folder / case.file).read_text(encoding="utf-8")
    own = f"\nenvironments:\n  here: {case.said}\n  there: {case.said}\n"
    (folder / case.file).write_text(_told(text, own), encoding="utf-8")
    cluster = Cluster(
        root=folder / "kfp", shared=(folder / "root", folder / "data"), secrets={"publisher": {"token": "t"}}
    )
    return Project(folder=folder, cluster=cluster, environ={"PUBLISH_TOKEN": "t"})


def _told(text: str, own: str) -> str:
    """Return a file in which all its pipelines have these environments as well."""
    return re.sub(r"\nenvironments:\n", lambda _: own, text)


def put(path: Path, pattern: str, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    after, count = re.subn(pattern, text, before, flags=re.MULTILINE)
    assert count == 1, f"{path.name} has no line like {pattern}"
    path.write_text(after, encoding="utf-8")


def test_every_pipeline_of_the_examples_has_a_case() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.yaml")}
    found = {(file, name) for file, text in texts.items() if file != "pipec.yaml"
             for name in re.findall(r"^kind: Pipeline\nmetadata:\n  name: (\S+)", text, re.MULTILINE)}  # fmt: skip
    assert found == {(case.file, case.pipeline) for case in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_what_of_the_examples_kubeflow_refuses_yet_is_listed(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    text, errors = project(tmp_path, case, is_run=False).compiled(case.file, case.pipeline)
    told = {one.partition(" ")[2] for one in errors if one.startswith("PIPE6")}
    assert bool(text) == (not case.refused), errors
    assert told >= set(case.refused)


@pytest.mark.docker
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.refused])
def test_an_example_does_the_same_here_and_on_kubeflow(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    made = project(tmp_path, case)
    parameters = dict(case.parameters)
    words = [word for key, value in parameters.items() for word in ("--set", f"{key}={value}")]
    words += ["--pipeline", case.pipeline, *(["--approve-as", ANA] if case.person else [])]
    asked = made.person(case.pipeline, case.person) if case.person else nullcontext()
    with ThreadPoolExecutor(1) as pool, asked:
        going = pool.submit(made.there, case.file, parameters, case.pipeline)
        here = made.here(case.file, *words)
        there = going.result()
    assert here["status"] == "succeeded"
    assert made.trace(case.file, there, case.pipeline) == here
