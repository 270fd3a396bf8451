"""What `pipec.lock` is to a pipeline: the digests that its plan names, and what its images must hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipec import api
from pipec.compiler.plan import Plan
from pipec.contents import Contents, Version
from pipec.schema.lock import Lock, Locked
from pipec.steps import catalog
from pipec.values import Attachment, ImageFile

DIGEST, OTHER = f"sha256:{'1a' * 32}", f"sha256:{'2b' * 32}"
NAMES = ("project:1", "environment:1", "pipeline:1", "step:1", "manifest:1", "inner:1", "loop:1")
PROJECT = """apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: wine}
image: "project:1"
environments:
  dev: {}
  test: {image: "environment:1"}
  prod: {production: true, image: "environment:1"}
"""
HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: wine}\n"
MANIFEST = """apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: score, version: "1"}
image: "manifest:1"
command: [score]
"""
INGEST = "{uses: ingest, with: {source: data/wine.csv}}"


def lock(*names: str, contents: Contents | None = None) -> Lock:
    return Lock({name: Locked(DIGEST, contents) for name in names}, exists=True)


def write(folder: Path, pipeline: str, locked: Lock | None, **others: str) -> Path:
    files = {"pipec.yaml": PROJECT, "p.yaml": HEAD + pipeline, "score.yaml": MANIFEST, **others}
    files |= {"pipec.lock": locked.text()} if locked else {}
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder / "p.yaml"


def told(path: Path, environment: str = "", target: str | None = None) -> list[tuple[str, str, str]]:
    found = api.check(api.Request(path=path, environment=environment, target=target)).report.findings
    return [(f.rule.code, f"{Path(f.loc.path).name}:{f.loc.span.line}", f.message) for f in found]


def plan(path: Path, environment: str = "") -> Plan:
    (unit,) = api.check(api.Request(path=path, environment=environment)).units
    assert unit.plan is not None
    return unit.plan


# Where the image is said that the one task runs in: by the pipeline, and by the environment that is chosen.
@pytest.mark.parametrize(
    ("pipeline", "environment", "name"),
    [
        (f"steps: {{a: {INGEST}}}", "", "project:1"),
        (f"steps: {{a: {INGEST}}}", "test", "environment:1"),
        (f"image: 'pipeline:1'\nsteps: {{a: {INGEST}}}", "test", "pipeline:1"),
        (f"image: 'pipeline:1'\nsteps: {{a: {INGEST[:-1]}, image: 'step:1'}}}}", "", "step:1"),
        (f"steps: {{a: {INGEST}}}\nenvironments: {{test: {{image: 'step:1'}}}}", "test", "step:1"),
        ("steps: {a: {uses: ./score.yaml}}", "", "manifest:1"),
        ("steps: {a: {uses: ./inner.yaml}}", "test", "inner:1"),
    ],
)
def test_an_image_is_pinned_wherever_it_is_said(tmp_path: Path, pipeline: str, environment: str, name: str) -> None:
    inner = f"{HEAD}image: 'inner:1'\nsteps: {{b: {INGEST}}}"
    path = write(tmp_path, pipeline, lock(*NAMES), inner__yaml=inner)
    (task,) = plan(path, environment).tasks
    assert task.image == f"{name}@{DIGEST}"


def test_the_tasks_of_a_loop_are_pinned(tmp_path: Path) -> None:
    loop = "{uses: ./score.yaml, image: 'loop:1', for_each: [1, 2]}"
    (task,) = plan(write(tmp_path, f"steps: {{a: {loop}}}", lock(*NAMES))).tasks
    assert task.loop is not None
    assert [each.image for each in task.loop.body] == [f"loop:1@{DIGEST}"]


def test_what_the_text_pins_stays(tmp_path: Path) -> None:
    pipeline = f"image: 'pipeline:1@{OTHER}'\nsteps: {{a: {INGEST}}}"
    (task,) = plan(write(tmp_path, pipeline, lock(*NAMES))).tasks
    assert task.image == f"pipeline:1@{OTHER}"


def test_without_a_lock_the_plan_says_what_the_text_does(tmp_path: Path) -> None:
    (task,) = plan(write(tmp_path, f"steps: {{a: {INGEST}}}", None)).tasks
    assert task.image == "project:1"


@pytest.mark.parametrize("target", sorted(api.TARGETS))
def test_both_targets_write_the_digest(tmp_path: Path, target: str) -> None:
    project = PROJECT.replace("dev: {}", "dev: {artifacts: 's3://ml/pipec'}")
    pipeline = "steps: {a: {uses: ingest, with: {source: 's3://ml/wine.csv'}}}"
    path = write(tmp_path, pipeline, lock(*NAMES), pipec__yaml=project)
    checked, files = api.compile_(api.Request(path=path, environment="dev", target=target))
    assert not checked.has_error
    assert any(f"project:1@{DIGEST}" in file.text for file in files)


@pytest.mark.parametrize(
    ("locked", "environment", "image", "expected"),
    [
        (None, "dev", "project:1", []),
        (None, "prod", "environment:1", [("PIPE407", "pipec.yaml:8", "may be another image tomorrow")]),
        (lock("project:1", "environment:1"), "prod", "environment:1", []),
        (lock("project:1"), "prod", "environment:1", [("PIPE407", "pipec.yaml:8", "may be another image tomorrow")]),
        (lock("environment:1"), "dev", "project:1", [("PIPE419", "pipec.yaml:4", "pipec.lock does not have it")]),
        (lock("environment:1"), "", "project:1", [("PIPE419", "pipec.yaml:4", "pipec.lock does not have it")]),
        (lock("project:1"), "", "project:1", []),
    ],
)
def test_what_nobody_pins_is_an_error_in_production_and_else_a_warning_beside_a_lock(
    tmp_path: Path, locked: Lock | None, environment: str, image: str, expected: list[tuple[str, str, str]]
) -> None:
    path = write(tmp_path, f"steps: {{a: {INGEST}}}", locked)
    message = f"`{image}` is named without a digest, and "
    assert told(path, environment) == [(code, at, message + why) for code, at, why in expected]


def contents(*steps: str, interface: str = "", variant: str = "light", **others: object) -> Contents:
    """Return what an image holds that has these steps. interface: their digest; empty: that of today."""
    found = {name: catalog.find(name) for name in steps}
    held = {name: Version("1", interface or each.digest) for name, each in found.items() if each}
    return Contents(pipec="0.0.9", variant=variant, python="3.11", steps=held, **others)  # type: ignore[arg-type]


def test_a_step_that_an_image_lacks_is_told_in_the_file_that_uses_it(tmp_path: Path) -> None:
    inner = f"{HEAD}steps:\n  b: {INGEST}"
    path = write(tmp_path, "steps: {a: {uses: ./inner.yaml}}", lock("project:1", contents=contents("split")),
                 inner__yaml=inner)  # fmt: skip
    message = "`project:1` cannot run `b`: by pipec.lock it has no step `ingest`"
    assert told(path) == [("PIPE420", "inner.yaml:5", message)]


def test_an_image_of_which_only_the_digest_is_locked_is_not_judged(tmp_path: Path) -> None:
    assert told(write(tmp_path, f"steps: {{a: {INGEST}}}", lock("project:1"))) == []


def test_the_image_of_the_chosen_environment_is_the_one_that_is_judged(tmp_path: Path) -> None:
    locked = Lock({"project:1": Locked(DIGEST, contents("ingest")), "environment:1": Locked(OTHER, contents())}, True)
    path = write(tmp_path, f"steps: {{a: {INGEST}}}", locked)
    assert told(path, "dev") == []
    assert [code for code, _, _ in told(path, "prod")] == ["PIPE420"]


MANIFEST_OF_FILE = """apiVersion: pipec/v1alpha1
kind: Step
metadata: {name: ask, version: "1"}
parameters: {file: {type: string, path: true}}
command: [ask]
args: ["${{ parameters.file }}"]
"""


def asks(name: str) -> str:
    return f"steps: {{a: {{uses: ./ask.yaml, with: {{file: {name}}}}}}}"


def given(path: Path) -> object:
    (task,) = plan(path).tasks
    return dict(task.parameters)["file"]


HELD = lock("project:1", contents=contents(files={"sql/rows.sql": OTHER, "big.sql": OTHER}))


def test_a_file_below_the_project_travels_by_content_though_the_image_has_it(tmp_path: Path) -> None:
    path = write(tmp_path, asks("big.sql"), HELD, ask__yaml=MANIFEST_OF_FILE, big__sql="select 1")
    assert given(path) == Attachment("big.sql", "select 1")


@pytest.mark.parametrize("name", ["sql/rows.sql", "./sql/../sql/rows.sql"])
def test_a_file_that_only_the_image_has_is_named_by_path_and_digest(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, asks(name), HELD, ask__yaml=MANIFEST_OF_FILE)
    assert given(path) == ImageFile("sql/rows.sql", OTHER)


def test_a_file_too_large_to_travel_is_taken_from_the_image(tmp_path: Path) -> None:
    path = write(tmp_path, asks("big.sql"), HELD, ask__yaml=MANIFEST_OF_FILE, big__sql="x" * ((64 << 10) + 1))
    assert given(path) == ImageFile("big.sql", OTHER)


def test_a_file_is_found_in_the_image_by_its_place_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    path = write(tmp_path, "steps: {a: {uses: ./sql/inner.yaml}}", HELD, ask__yaml=MANIFEST_OF_FILE)
    (tmp_path / "sql" / "inner.yaml").write_text(HEAD + asks("rows.sql").replace("./ask", "../ask"))
    assert given(path) == ImageFile("sql/rows.sql", OTHER)


def test_files_that_together_are_too_large_are_taken_from_the_image_as_far_as_it_has_them(tmp_path: Path) -> None:
    names = [f"f{n}.sql" for n in range(10)]
    held = lock("project:1", contents=contents(files=dict.fromkeys(names[:5], OTHER)))
    steps = ", ".join(f"a{n}: {{uses: ./ask.yaml, with: {{file: {name}}}}}" for n, name in enumerate(reversed(names)))
    path = write(tmp_path, f"steps: {{{steps}}}", held, ask__yaml=MANIFEST_OF_FILE)
    for name in names:
        (tmp_path / name).write_text("x" * (64 << 10))
    files = [dict(task.parameters)["file"] for task in plan(path).tasks]
    assert [type(file) for file in files] == [Attachment] * 8 + [ImageFile] * 2


@pytest.mark.parametrize(
    ("name", "locked", "text", "message", "advice"),
    [
        ("no.sql", HELD, None, "there is no file `no.sql`",
         "paths are relative to the file that says them; by pipec.lock the image does not have it either"),
        ("no.sql", None, None, "there is no file `no.sql`",
         "paths are relative to the file that says them; files of the image are known from `pipec image lock`"),
        ("no.sql", lock("project:1"), "x" * 70_000, "`no.sql` is larger than 64 KiB",
         "make it an artifact, or put it into the image: `pipec image build --with`, then `pipec image lock`"),
        ("../big.sql", HELD, None, "`../big.sql` lies outside of the project",
         "paths are relative to the file that says them; by pipec.lock the image does not have it either"),
    ],
)  # fmt: skip
def test_a_file_in_neither_place_is_told_where_it_is_named(
    tmp_path: Path, name: str, locked: Lock | None, text: str | None, message: str, advice: str
) -> None:
    others = {"no__sql": text} if text else {}
    path = write(tmp_path, asks(name), locked, ask__yaml=MANIFEST_OF_FILE, **others)
    (found,) = api.check(api.Request(path=path)).report.findings
    assert (found.rule.code, found.message, found.help) == ("PIPE002", message, advice)
    assert (found.loc.span.line, found.loc.span.column) == (4, 44)


@pytest.mark.parametrize("target", sorted(api.TARGETS))
def test_both_targets_hand_on_the_path_and_the_digest_of_a_file_of_the_image(tmp_path: Path, target: str) -> None:
    project = PROJECT.replace("dev: {}", "dev: {artifacts: 's3://ml/pipec'}")
    held = lock("project:1", contents=contents("ingest", "validate-data", files={"wine.yaml": OTHER}))
    data = "{source: 's3://ml/wine.csv'}"
    validate = "{uses: validate-data, with: {data: '${{ steps.a.data }}', expectations: wine.yaml}}"
    path = write(tmp_path, f"steps: {{a: {{uses: ingest, with: {data}}}, b: {validate}}}", held, pipec__yaml=project)
    checked, files = api.compile_(api.Request(path=path, environment="dev", target=target))
    assert not checked.report.findings
    text = "".join(file.text.replace("\\", "") for file in files)
    assert '"expectations": {"$image_file": ["wine.yaml"' in text
    assert OTHER in text


TRAIN = "{uses: train, with: {data: 's3://ml/rows', target: y, %s}}"
TEAM = lock("project:1", contents=contents("train", functions={"churn.model": ("build",)}))


def trains(folder: Path, given_: str, locked: Lock | None) -> Path:
    project = PROJECT.replace("dev: {}", "dev: {artifacts: 's3://ml/pipec'}")
    return write(folder, f"steps:\n  a: {TRAIN % given_}", locked, pipec__yaml=project)


@pytest.mark.parametrize("target", [None, *sorted(api.TARGETS)])
def test_a_function_that_the_image_has_is_compiled(tmp_path: Path, target: str | None) -> None:
    assert told(trains(tmp_path, "factory: 'churn.model:build'", TEAM), "dev", target) == []


@pytest.mark.parametrize("locked", [None, lock("project:1")], ids=["no lock", "digest alone"])
def test_without_a_target_an_unknown_image_says_nothing_of_a_function(tmp_path: Path, locked: Lock | None) -> None:
    assert told(trains(tmp_path, "factory: 'churn.model:build'", locked), "dev") == []


@pytest.mark.parametrize("target", sorted(api.TARGETS))
@pytest.mark.parametrize("locked", [None, lock("project:1")], ids=["no lock", "digest alone"])
def test_for_a_target_the_lock_must_say_what_the_image_of_a_function_holds(
    tmp_path: Path, locked: Lock | None, target: str
) -> None:
    path = trains(tmp_path, "factory: 'churn.model:build'", locked)
    message = f"{target} needs `churn.model:build` in the image of `a`, and pipec.lock does not say what that has"
    assert told(path, "dev", target) == [("PIPE601", "p.yaml:5", message)]


@pytest.mark.parametrize("target", [None, *sorted(api.TARGETS)])
def test_a_function_that_the_image_lacks_is_told_once(tmp_path: Path, target: str | None) -> None:
    path = trains(tmp_path, "factory: 'churn.model:tune'", TEAM)
    message = "by pipec.lock `project:1` has no function `tune` in `churn.model`"
    assert told(path, "dev", target) == [("PIPE421", "p.yaml:5", message)]


@pytest.mark.parametrize(
    ("given_", "parameters", "code", "message"),
    [
        ("factory: 'churn.model'", "", "PIPE111",
         "`factory` needs a function as `package.module:function`, not `churn.model`"),
        ("factory: 'churn.model:build', estimator: ridge", "", "PIPE111",
         "`factory` of `a` takes the place of `estimator`, and both are given"),
        ("factory: '${{ parameters.f }}'", "parameters: {f: {type: string, default: 'churn.model:build'}}\n", "PIPE122",
         "`factory` names a function, which must be known when the pipeline is compiled"),
    ],
)  # fmt: skip
def test_a_function_is_named_alone_and_known_when_it_is_compiled(
    tmp_path: Path, given_: str, parameters: str, code: str, message: str
) -> None:
    path = write(tmp_path, f"{parameters}steps:\n  a: {TRAIN % given_}", None)
    assert [(found, said) for found, _, said in told(path)] == [(code, message)]


def test_a_function_may_be_a_constant(tmp_path: Path) -> None:
    parameters = "parameters: {f: {type: string, default: 'churn.model:gone', const: true}}\n"
    given_ = "factory: '${{ parameters.f }}'"
    path = write(tmp_path, f"{parameters}steps:\n  a: {TRAIN % given_}", TEAM)
    assert [code for code, _, _ in told(path)] == ["PIPE421"]


def test_no_module_of_the_team_is_imported(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "churn_told.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    locked = lock("project:1", contents=contents("train", functions={"churn_told": ("build",)}))
    assert told(trains(tmp_path, "factory: 'churn_told:build'", locked), "dev", "kubeflow") == []
    assert "churn_told" not in sys.modules
