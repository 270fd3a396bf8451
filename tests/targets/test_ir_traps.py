"""Strings full of traps, as values of parameters, arrive byte for byte in a step that Kubeflow runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ir_project import Project, features
from ir_runner import run_ir

TRAPS = {
    "json placeholder": "{{$}}",
    "input placeholder": "{{$.inputs.parameters['parameter-p1']}}",
    "output placeholder": "{{$.outputs.parameters['requested'].output_file}}",
    "run placeholder": "{{$.pipeline_job_uuid}}",
    "argo": "{{workflow.name}} {{=1+1}} {{inputs.parameters.x}}",
    "jinja": "{{ ds }} {% raw %} {# a #}",
    "current time": "[[CurrentTime]] [[RunUUID]] [[schedule.time]]",
    "known variable": "$(HOME) $(PATH) $(KFP_POD_NAME)",
    "dollars": "$ $$ $$$ $$(HOME) ${HOME} $HOME",
    "if present": '{"IfPresent": {"InputName": "x", "Then": ["a"]}}',
    "concat": '{"Concat": ["a", "b"]}',
    "quotes": 'it\'s "quoted" `id` \\ \\n \\"',
    "newlines": "\na\r\nb\n\n\tc\n",
    "blanks": "  a  ",
    "empty": "",
    "number": "1e-3",
    "numbers": "0x1F 1_000 .inf 08",
    "whole number": "12345678901234567890",
    "no": "no",
    "null": "null",
    "tilde": "~",
    "date": "2026-11-30",
    "sixty": "1:30",
    "merge": "<<",
    "flow": "{a: [b, c]}",
    "comment": "a # b",
    "anchor": "&a *a !b %c @d",
    "document": "---\n...\n",
    "html": "<b>&amp;</b> \u003c",
    "unicode": "ünï 日本 🙂 e\u0301",
    "separators": "a\u2028b\u2029c\u0085d\ufeffe",
    "directions": "\u202ea\u202c",
    "private": "\ue000 \U0010fffd",
    "no character": "\U0010ffff",
    "options": "--order -- -x",
    "glob": "* ? [a-z] ~ !1",
    "long": "0123456789" * 1000,
}
# What a run's own values must not hold: the launcher looks for placeholders in the executor input that it has just put
# into the arguments, and Kubernetes halves dollars there. A compiler sees neither.
LOST_AT_RUN_TIME = {"input placeholder", "output placeholder", "dollars"}
# What no file may hold: nobody who reviews it sees them.
HIDDEN = {"separators", "directions", "no character"}
WRITTEN = {name: text for name, text in TRAPS.items() if name not in HIDDEN}
OWN = ("{{", "[[", "$(", "$$")  # Kubeflow's, in the value of a parameter
CARRIED = {name: text for name, text in TRAPS.items() if name not in LOST_AT_RUN_TIME}


def pipeline(project: Project, name: str, texts: dict[str, str], defaults: dict[str, str] | None = None) -> str:
    """Write a pipeline that asks for a run with these values; return its file. defaults: parameters that it has."""
    body = {
        "apiVersion": "pipec/v1alpha1", "kind": "Pipeline", "metadata": {"name": name},
        "parameters": {key: {"type": "string", "default": text} for key, text in (defaults or {}).items()},
        "steps": {"ask": {"uses": "trigger", "with": {"pipeline": "other", "parameters": texts}}},
    }  # fmt: skip
    (project.folder / f"{name}.yaml").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
    return f"{name}.yaml"


def guarded(text: str) -> str:
    """Return a text as a file says it: `$${{` stands for `${{`."""
    return text.replace("${{", "$${{")


def in_order(values: dict[str, str]) -> list[str]:
    """Return the values of `p0`, `p1`, ... in that order."""
    return [values[name] for name in sorted(values, key=lambda name: int(name[1:]))]


def asked(project: Project) -> dict[str, str]:
    ((_, parameters, _),) = project.requests(project.store / "triggers")
    return dict(parameters)


@pytest.mark.docker
def test_traps_in_with_arrive_byte_for_byte(tmp_path: Path) -> None:
    project = features(tmp_path)
    file = pipeline(project, "traps", {f"p{n}": guarded(text) for n, text in enumerate(WRITTEN.values())})
    finished = project.there(file)
    assert finished.status == "succeeded", finished.ran["root/ask"].log
    assert dict(zip(WRITTEN, in_order(asked(project)), strict=True)) == WRITTEN


@pytest.mark.docker
def test_a_text_of_many_traps_arrives_byte_for_byte_inside_of_a_longer_one(tmp_path: Path) -> None:
    project = features(tmp_path)
    whole = "".join(WRITTEN.values())
    file = pipeline(project, "traps", {"whole": f"${{{{ parameters.p }}}}{guarded(whole)}"}, {"p": "-"})
    assert project.there(file).status == "succeeded"
    assert asked(project) == {"whole": f"-{whole}"}


@pytest.mark.docker
def test_traps_as_a_run_s_own_values_arrive_byte_for_byte(tmp_path: Path) -> None:
    project = features(tmp_path)
    names = [f"p{n}" for n in range(len(CARRIED))]
    file = pipeline(project, "traps", {n: f"${{{{ parameters.{n} }}}}" for n in names}, dict.fromkeys(names, "-"))
    finished = project.there(file, dict(zip(names, CARRIED.values(), strict=True)))
    assert finished.status == "succeeded", finished.ran["root/ask"].log
    assert dict(zip(CARRIED, in_order(asked(project)), strict=True)) == CARRIED


@pytest.mark.docker
def test_what_kubeflow_makes_of_dollars_in_a_run_s_own_value(tmp_path: Path) -> None:
    project = features(tmp_path)
    file = pipeline(project, "traps", {"p": "${{ parameters.p }}"}, {"p": "-"})
    assert project.there(file, {"p": "$$ $$(A)"}).status == "succeeded"
    assert asked(project) == {"p": "$ $(A)"}


@pytest.mark.parametrize("name", TRAPS)
def test_a_default_arrives_or_is_refused_at_its_place(tmp_path: Path, name: str) -> None:
    project = features(tmp_path, is_run=False)
    file = pipeline(project, "traps", {"p": "${{ parameters.p }}"}, {"p": TRAPS[name]})
    compiled, errors = project.compiled(file)
    if any(word in TRAPS[name] for word in OWN):
        assert errors == ["PIPE601 kubeflow would read `{{`, `[[`, `$(` or `$$` here as its own"]
    elif name in HIDDEN:
        assert [one.partition(":")[0] for one in errors] == ["PIPE004 a character that cannot be seen stands here"]
    else:
        assert compiled, errors


@pytest.mark.docker
def test_traps_in_defaults_arrive_byte_for_byte(tmp_path: Path) -> None:
    project = features(tmp_path)
    fair = {f"p{n}": text for n, text in enumerate(WRITTEN.values()) if not any(word in text for word in OWN)}
    assert len(fair) > 20
    file = pipeline(project, "traps", {name: f"${{{{ parameters.{name} }}}}" for name in fair}, fair)
    text, errors = project.compiled(file)
    assert run_ir(text, project.cluster).status == "succeeded", errors
    assert asked(project) == fair
