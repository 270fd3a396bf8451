"""Findings that somebody answers for: on their line, or in the project's file; and what is wrong with answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec import api
from pipec.diagnostics import Ignorable, Source
from pipec.schema.ignore import of_project, of_text
from pipec.schema.tree import Mapping, read

HEAD = "apiVersion: pipec/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n"
SPLIT = (
    HEAD
    + "steps:\n  split:\n    uses: split\n    resources:\n      accelerator: {kind: gpu}%s\n    with: {data: a.csv}\n"
)
SHIP = HEAD + "steps:\n  ship: {uses: deploy, with: {model: s3://models/m}}%s\n"
PROJECT = HEAD.replace("Pipeline", "Project") + "environments: {dev: {}, prod: {production: true}}\n"


def told(folder: Path, text: str, project: str = PROJECT, **asked: str) -> tuple[set[str], set[str]]:
    """Return the codes of what is found, and of what is ignored."""
    (folder / "pipec.yaml").write_text(project)
    (folder / "p.yaml").write_text(text)
    report = api.check(api.Request(path=folder / "p.yaml", **asked)).report
    return {f.rule.code for f in report.findings}, {one.finding.rule.code for one in report.ignored}


def answer(code: str, *, step: str = "", path: str = "p.yaml") -> str:
    return PROJECT + f"ignore:\n  - {{code: {code}, path: {path}, reason: known{f', step: {step}' if step else ''}}}\n"


@pytest.mark.parametrize(
    ("comment", "found", "ignored"),
    [
        ("", {"PIPE401"}, set()),
        ("   # pipec: ignore[PIPE401] shared", set(), {"PIPE401"}),
        ("   #pipec:ignore [PIPE401] shared", set(), {"PIPE401"}),
        ("   # see RISK-12; # pipec: ignore[PIPE401] shared", set(), {"PIPE401"}),
        ("   # pipec: ignore[PIPE401, PIPE404] shared", {"PIPE011"}, {"PIPE401"}),
        ("   # pipec: ignore[PIPE401]", {"PIPE012"}, {"PIPE401"}),
        ("   # pipec: ignore shared", {"PIPE012", "PIPE401"}, set()),
        ("   # pipec: ignore[] shared", {"PIPE012", "PIPE401"}, set()),
        ("   # pipec: ignore[PIPE999] shared", {"PIPE012", "PIPE401"}, set()),
        ("   # pipec: ignore[PIPE301] shared", {"PIPE013", "PIPE401"}, set()),
        ("   # pipec: ignored[PIPE401] shared", {"PIPE401"}, set()),
    ],
)
def test_a_comment_answers_for_its_line(tmp_path: Path, comment: str, found: set[str], ignored: set[str]) -> None:
    assert told(tmp_path, SPLIT % comment) == (found, ignored)


def test_a_comment_alone_on_its_line_is_about_the_next_one_that_says_something(tmp_path: Path) -> None:
    above = "    # pipec: ignore[PIPE401] shared\n    # more of it\n\n    resources:\n      accelerator"
    text = (SPLIT % "").replace("    resources:\n      accelerator", above)
    assert told(tmp_path, text) == ({"PIPE401", "PIPE011"}, set())  # it is about `resources:`, not about what follows
    text = (SPLIT % "").replace("      accelerator", "      # pipec: ignore[PIPE401] shared\n      accelerator")
    assert told(tmp_path, text) == (set(), {"PIPE401"})


def test_what_looks_like_a_comment_inside_of_a_text_answers_for_nothing(tmp_path: Path) -> None:
    text = SPLIT % "" + '    description: "x # pipec: ignore[PIPE401] y"\n'
    text += "  more:\n    uses: split\n    with: {data: b.csv}\n    description: |\n      # pipec: ignore[PIPE999] y\n"
    assert told(tmp_path, text) == ({"PIPE401"}, set())


def test_an_ignored_error_does_not_keep_a_pipeline_from_being_compiled(tmp_path: Path) -> None:
    text = (SPLIT % " # pipec: ignore[PIPE401] ok").replace("split\n", "ingest\n").replace("data: a", "source: s3://a")
    (tmp_path / "p.yaml").write_text(text + "image: registry.example/steps:1\n")
    request = api.Request(path=tmp_path / "p.yaml", target="kubeflow")
    checked, files = api.compile_(request)
    assert not checked.has_error
    assert files


def test_the_safety_of_a_release_is_not_answered_for_in_its_own_file(tmp_path: Path) -> None:
    codes = {"PIPE501", "PIPE502"}
    found, ignored = told(tmp_path, SHIP % "   # pipec: ignore[PIPE501, PIPE502] urgent")
    assert (found, ignored) == (codes | {"PIPE013"}, set())


@pytest.mark.parametrize(
    ("project", "found", "ignored"),
    [
        (answer("PIPE501", step="ship"), {"PIPE502"}, {"PIPE501"}),
        (answer("PIPE501", step="ship", path="./p.yaml"), {"PIPE502"}, {"PIPE501"}),
        (answer("PIPE501", step="other"), {"PIPE501", "PIPE502", "PIPE011"}, set()),
        (answer("PIPE501"), {"PIPE501", "PIPE502", "PIPE013"}, set()),
        (answer("PIPE501", step="ship", path="q.yaml"), {"PIPE501", "PIPE502"}, set()),
        (answer("PIPE301", step="ship"), {"PIPE501", "PIPE502", "PIPE013"}, set()),
        (answer("PIPE999", step="ship"), {"PIPE501", "PIPE502", "PIPE012"}, set()),
    ],
    ids=[
        "its step",
        "another form of the path",
        "another step",
        "no step",
        "another file",
        "no rule of safety",
        "none",
    ],
)
def test_the_project_answers_for_the_release_of_a_step(
    tmp_path: Path, project: str, found: set[str], ignored: set[str]
) -> None:
    assert told(tmp_path, SHIP % "", project) == (found, ignored)


def test_the_answer_for_one_step_is_none_for_its_neighbour_on_the_line(tmp_path: Path) -> None:
    text = HEAD + "steps: {ship: {uses: deploy, with: {model: s3://a}}, send: {uses: deploy, with: {model: s3://b}}}\n"
    project = answer("PIPE501", step="ship") + "  - {code: PIPE502, path: p.yaml, step: ship, reason: known}\n"
    (tmp_path / "pipec.yaml").write_text(project)
    (tmp_path / "p.yaml").write_text(text)
    report = api.check(api.Request(path=tmp_path / "p.yaml")).report
    assert {one.finding.message.split("`")[1] for one in report.ignored} == {"ship"}
    assert {finding.message.split("`")[1] for finding in report.findings} == {"send"}


def test_the_project_may_answer_for_a_whole_file_where_no_release_is_at_stake(tmp_path: Path) -> None:
    assert told(tmp_path, SPLIT % "", answer("PIPE401")) == (set(), {"PIPE401"})


@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_an_answer_on_an_overlay_counts_whichever_environment_is_chosen(tmp_path: Path, environment: str) -> None:
    overlay = "environments:\n  prod:\n    steps:\n      split:\n        resources:\n          accelerator: {kind: gpu}"
    text = HEAD + overlay + "   # pipec: ignore[PIPE401] ok\nsteps: {split: {uses: split, with: {data: a.csv}}}\n"
    assert told(tmp_path, text, environment=environment) == (set(), {"PIPE401"})


@pytest.mark.parametrize("environment", ["", "dev", "prod"])
def test_an_answer_for_production_is_not_unused_elsewhere(tmp_path: Path, environment: str) -> None:
    project = answer("PIPE501", step="ship") + "  - {code: PIPE502, path: p.yaml, step: ship, reason: known}\n"
    ignored = set() if environment == "dev" else {"PIPE501", "PIPE502"}
    assert told(tmp_path, SHIP % "", project, environment=environment) == (set(), ignored)


def test_an_answer_is_called_unused_only_when_every_rule_has_judged(tmp_path: Path) -> None:
    text = SPLIT.replace("accelerator: {kind: gpu}", "cpu: 1") % "   # pipec: ignore[PIPE401] ok"
    assert told(tmp_path, text) == ({"PIPE011"}, set())
    assert told(tmp_path, text.replace("uses: split", "uses: splt")) == ({"PIPE201"}, set())


def test_an_answer_in_a_file_that_is_used_as_a_step_counts_there(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text((SPLIT % "   # pipec: ignore[PIPE401] ok").replace("name: p", "name: inner"))
    text = HEAD + "steps: {inside: {uses: ./inner.yaml}}\n"
    assert told(tmp_path, text) == (set(), {"PIPE401"})


def test_the_places_of_answers_are_those_of_their_codes() -> None:
    source = Source("p.yaml", "a: 1\nb: é # pipec: ignore[PIPE401, PIPE404] why\n")
    ignores, found = of_text(source)
    assert found == ()
    assert [(one.code, one.loc.span[:2], one.line, one.reason) for one in ignores] == [
        ("PIPE401", (2, 22), 2, "why"),
        ("PIPE404", (2, 31), 2, "why"),
    ]


def test_a_project_is_read_with_the_places_of_its_codes() -> None:
    (document,), _ = read(Source("pipec.yaml", "ignore:\n- {code: PIPE401, path: a/../b.yaml, reason: r}\n"))
    assert isinstance(document, Mapping)
    (one,) = of_project(document, lambda path: f"../{path}")
    assert (one.code, one.path, one.line, one.step, one.loc.span.line) == ("PIPE401", "../b.yaml", None, "", 2)


def test_rules_of_releases_are_the_projects_to_answer_for() -> None:
    for rule in api.explained():
        expected = rule.code.startswith("PIPE5") or rule.code == "PIPE407"
        assert (rule.ignorable is Ignorable.PROJECT) == expected, rule.code
