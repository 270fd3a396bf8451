"""`pipec verify-ir`: findings at their places in compiled files, whoever compiled them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipec.cli import main
from pipec.schema import foreign

RIGHT = """\
pipelineInfo: {name: demo}
schemaVersion: 2.1.0
root:
  dag:
    tasks:
      a: {componentRef: {name: comp-a}}
components:
  comp-a: {executorLabel: exec-a}
deploymentSpec:
  executors:
    exec-a:
      container:
        image: registry.example/a:1
        args: [--rate, "1e-3"]
"""
PLATFORM = """\
---
platforms: {kubernetes: {deploymentSpec: {executors: {exec-a: {imagePullPolicy: Always}}}}}
"""


@pytest.fixture
def verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return what is printed of texts, written as `a.yaml` and so on, and the exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*texts: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        names = [f"{letter}.yaml" for letter, _ in zip("abc", texts, strict=False)]
        for name, text in zip(names, texts, strict=True):
            Path(name).write_text(text, encoding="utf-8")
        code = main(["verify-ir", *(names or ["nowhere.yaml"]), *options])
        return code, capsys.readouterr().out

    return call


def test_what_is_right_has_no_findings(verified) -> None:
    assert verified(RIGHT, RIGHT + PLATFORM) == (0, "a.yaml, b.yaml: no findings\n")


def test_a_finding_stands_beside_its_line(verified) -> None:
    code, out = verified(RIGHT.replace("name: comp-a}}", "name: comp-b}}"))
    assert code == 1
    assert out == (
        "a.yaml:6:32: error: there is no component `comp-b` [PIPE623 dangling-ir-reference]\n"
        "  |\n"
        "6 |       a: {componentRef: {name: comp-b}}\n"
        "  |                                ^^^^^^\n"
        "  = help: did you mean `comp-a`? known: `comp-a`\n"
        "\n"
        "a.yaml: 1 error\n"
    )


def places(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.endswith("]") and ": error: " in line]


def test_findings_of_all_files_and_of_both_documents_are_one_report(verified) -> None:
    bad = RIGHT.replace("name: demo", "name: Demo") + PLATFORM.replace("Always", "Often")
    code, out = verified(bad, RIGHT.replace("2.1.0", "2.0.0"))
    assert code == 1
    assert places(out) == [
        "a.yaml:1:22: error: the pipeline cannot be called `Demo`: Kubernetes takes a-z, 0-9 and `-`, "
        "and no `-` at an end [PIPE622 bad-ir-name]",
        "a.yaml:16:81: error: there is no policy `Often` to pull an image by [PIPE622 bad-ir-name]",
        "b.yaml:2:16: error: `schemaVersion` is `2.0.0`, and the backend takes `2.1.0` alone [PIPE621 misshapen-ir]",
    ]


def test_a_text_that_yaml_1_2_reads_as_a_number_is_told(verified) -> None:
    _, out = verified(RIGHT.replace('"1e-3"', "1e-3"))
    assert places(out) == ["a.yaml:14:24: error: `args` needs text, not `0.001` [PIPE621 misshapen-ir]"]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: [", "a.yaml:2:1: error: this is not YAML: did not find expected node content"),
        ("kind: Workflow\n", "a.yaml:1:1: error: this is neither a pipeline document nor a platform document"),
        ("", "a.yaml:1:1: error: the file holds no pipeline document"),
        ("- 1\n", "a.yaml:1:1: error: this is neither a pipeline document nor a platform document"),
        (PLATFORM, "a.yaml:1:1: error: the file holds no pipeline document"),
        (
            RIGHT + "---\n" + RIGHT,
            "a.yaml:16:1: error: the file holds two pipeline documents, and the backend takes one",
        ),
        ("root: &x {dag: *x}\n", "a.yaml:1:16: error: the alias `x` stands for nothing before it"),
    ],
)
def test_what_is_no_compiled_pipeline_is_told(text: str, finding: str, verified) -> None:
    code, out = verified(text)
    assert (code, places(out)) == (1, [f"{finding} [PIPE620 unreadable-ir]"])


def test_a_file_that_is_not_there_is_told(verified) -> None:
    code, out = verified()
    message = "nowhere.yaml:1:1: error: cannot read `nowhere.yaml`: no such file or directory [PIPE620 unreadable-ir]"
    assert (code, places(out)) == (1, [message])


def test_a_file_that_is_not_text_or_without_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_bytes(b"a: \xff\n")
    Path("b.yaml").write_text("a: 1\n", encoding="utf-8")
    monkeypatch.setattr(foreign, "MAX_BYTES", 4)
    assert main(["verify-ir", "b.yaml"]) == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["verify-ir", "a.yaml"]) == 1
    assert places(capsys.readouterr().out) == [
        "b.yaml:1:1: error: `b.yaml` is larger than 0 MiB [PIPE620 unreadable-ir]",
        "a.yaml:1:1: error: `a.yaml` is not UTF-8 text (line 1) [PIPE620 unreadable-ir]",
    ]


def test_a_pipeline_may_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = RIGHT.replace("exec-a:\n", "exec-b:\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(body.encode())))
    assert main(["verify-ir", "-"]) == 1
    assert places(capsys.readouterr().out) == [
        "<stdin>:8:27: error: there is no executor `exec-a` [PIPE623 dangling-ir-reference]"
    ]


def test_machines_read_findings_in_their_forms(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(RIGHT.replace("registry.example/a:1", '""'), encoding="utf-8")
    assert main(["verify-ir", str(path), "--format", "json"]) == 1
    (found,) = json.loads(capsysbinary.readouterr().out)["findings"]
    assert (found["code"], found["line"], found["column"]) == ("PIPE621", 12, 7)
    assert found["message"] == "the container of `exec-a` has no image"


def test_a_size_beyond_the_backend_is_an_error_unless_it_may_be_any(verified) -> None:
    large = RIGHT.replace("--rate", "x" * 1_300_000)
    code, out = verified(large)
    assert (code, out.splitlines()[-1]) == (1, "a.yaml: 1 error")
    code, out = verified(large, options=("--size-limit", "none"))
    assert (code, out.splitlines()[-1]) == (0, "a.yaml: 1 warning")


def test_an_item_of_a_list_is_told_at_its_first_key(verified) -> None:
    env = '        env:\n        - {name: A, value: "1"}\n        - name: A\n          value: "2"\n'
    _, out = verified(RIGHT + env)
    assert places(out) == ["a.yaml:17:11: error: `exec-a` sets the variable `A` twice [PIPE622 bad-ir-name]"]
