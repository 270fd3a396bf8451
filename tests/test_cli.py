"""The command line as a user meets it: exit codes, streams, and faults as one line."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipec import cli, report
from pipec.steps import catalog

ROOT = Path(__file__).parents[1]
PIPELINES = ROOT / "examples" / "pipelines"
WINE = str(PIPELINES / "wine.yaml")
HEAD = b"apiVersion: pipec/v1alpha1\nkind: Pipeline\n"
BAD = str(ROOT / "tests" / "rules" / "PIPE203-unknown-output" / "bad.yaml")


def pipec(*arguments: str, stdin: str | bytes = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    text = stdin if isinstance(stdin, bytes) else stdin.encode()
    found = subprocess.run(
        [sys.executable, "-m", "pipec", *arguments], input=text, capture_output=True, cwd=cwd, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    out, err = found.stdout.decode(), found.stderr.decode()
    assert "Traceback" not in err + out
    return subprocess.CompletedProcess(found.args, found.returncode, out, err)


def test_a_correct_pipeline_gives_exit_0_and_says_so() -> None:
    found = pipec("check", WINE)
    assert (found.returncode, found.stdout) == (0, f"{WINE}: no findings (8 steps)\n")


def test_findings_give_exit_1_on_standard_output() -> None:
    found = pipec("check", BAD)
    assert found.returncode == 1
    assert found.stdout.startswith(f"{BAD}:10:")
    assert found.stderr == ""


def test_the_command_line_offers_the_forms_there_are() -> None:
    assert cli._FORMATS == report.FORMATS


def test_json_findings_are_versioned_and_placed() -> None:
    found = pipec("check", BAD, "--format", "json")
    body = json.loads(found.stdout)
    (finding,) = body["findings"]
    assert body["format_version"] == "1.1"
    assert {k: finding[k] for k in ("code", "name", "severity", "line", "column", "end_line", "end_column")} == {
        "code": "PIPE203", "name": "unknown-output", "severity": "error",
        "line": 10, "column": 54, "end_line": 10, "end_column": 59,
    }  # fmt: skip
    assert (finding["path"], finding["related"]) == (BAD, [])


FORMS = ("json", "sarif", "github", "gitlab", "junit")
UNUSED = ROOT / "tests" / "rules" / "PIPE207-unused-parameter" / "bad.yaml"


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_printed_alone_and_the_exit_code_says_whether_there_is_an_error(form: str) -> None:
    found = pipec("check", WINE, BAD, "--format", form)
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout == pipec("check", BAD, WINE, "--format", form).stdout
    assert "PIPE203" in found.stdout
    assert pipec("check", WINE, "--format", form).returncode == 0


@pytest.mark.parametrize("form", FORMS)
def test_standard_input_is_told_in_each_form(form: str) -> None:
    found = pipec("check", "-", "--format", form, stdin="a: [")
    assert (found.returncode, found.stderr) == (1, "")
    shown = {"sarif": '"uri": "%3Cstdin%3E"', "github": "::<stdin>:1:5: ", "junit": 'classname="&lt;stdin&gt;"'}
    assert shown.get(form, '"path": "<stdin>"') in found.stdout


@pytest.mark.parametrize(
    ("form", "mild", "strict"),
    [
        ("text", ": warning: ", ": error: "), ("json", '"severity": "warning"', '"severity": "error"'),
        ("sarif", '"level": "warning",\n          "message"', '"level": "error",\n          "message"'),
        ("github", "::warning ", "::error "), ("gitlab", '"minor"', '"critical"'),
        ("junit", "<system-out>", "<failure "),
    ],
)  # fmt: skip
def test_strict_makes_warnings_errors_in_each_form(form: str, mild: str, strict: str) -> None:
    found = pipec("check", str(UNUSED), "--format", form)
    assert (found.returncode, mild in found.stdout, strict in found.stdout) == (0, True, False)
    found = pipec("check", str(UNUSED), "--format", form, "--strict")
    assert (found.returncode, mild in found.stdout, strict in found.stdout) == (1, False, True)


def test_a_form_is_utf_8_and_text_is_told_in_any_encoding(tmp_path, monkeypatch) -> None:
    (tmp_path / "\u00e9.yaml").write_text("a: [", encoding="utf-8")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert 'name="\u00e9.yaml"' in pipec("check", "\u00e9.yaml", "--format", "junit", cwd=tmp_path).stdout
    assert pipec("check", "\u00e9.yaml", cwd=tmp_path).stdout.startswith("\\xe9.yaml:1:5: error: ")


@pytest.mark.parametrize(
    ("color", "variables", "is_colored"),
    [
        ("auto", {}, False), ("auto", {"FORCE_COLOR": "1"}, True), ("auto", {"FORCE_COLOR": ""}, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ("auto", {"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
        ("always", {"NO_COLOR": "1"}, True), ("never", {"FORCE_COLOR": "1"}, False),
    ],
)  # fmt: skip
def test_colour_is_a_matter_of_the_option_then_of_the_environment(
    color: str, variables: dict[str, str], is_colored: bool, monkeypatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for text in (
        pipec("check", BAD, "--color", color).stdout,
        pipec("compile", BAD, "-t", "kubeflow", "--color", color).stderr,
        pipec("run", BAD, "--color", color).stderr,
    ):
        assert ("\x1b[1;31merror\x1b[0m: " in text, "\x1b[1;31m1 error\x1b[0m" in text) == (is_colored, is_colored)
    assert "\x1b" not in pipec("check", BAD, "--color", color, "--format", "json").stdout


@pytest.mark.parametrize(("variable", "is_colored"), [("NO_COLOR", False), ("UNUSED", True)])
def test_on_a_terminal_findings_are_coloured_unless_that_is_unwanted(variable: str, is_colored: bool) -> None:
    ours, theirs = os.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environ |= {"PYTHONPATH": str(ROOT / "src"), variable: "1"}
    ended = subprocess.run([sys.executable, "-m", "pipec", "check", BAD], stdout=theirs, env=environ, check=False)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)
    assert (ended.returncode, b"\x1b[1;31merror\x1b[0m" in shown) == (1, is_colored)


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("nonsense",), ("check",), ("check", WINE, "--format", "xml"), ("compile", WINE),
        ("compile", WINE, "-t", "jenkins"), ("compile", WINE, "-t", "kubeflow", "-O", "speed=11"),
        ("compile", WINE, "-t", "kubeflow", "-O", "size_limit=1MB"), ("verify-ir", WINE, "--size-limit", "1MB"),
        ("compile", WINE, "-t", "airflow", "-O", "operator=bash"), ("check", WINE, "--env", "moon"),
        ("check", WINE, "--set", "sauce=x"), ("check", WINE, "--set", "minimum_f1=high"),
        ("check", WINE, "--set", "minimum_f1=2"), ("check", WINE, "--set", "minimum_f1"),
        ("check", WINE, "--pipeline", "beer"), ("explain", "PIPE999"), ("steps", "tarin"),
        ("runs", "20200101-nothing"), ("why", "latest", "train"), ("approve", "latest", "approve", "--as", "ana"),
        ("serve", "--port", "70000"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_call_that_cannot_be_carried_out_gives_exit_2_and_one_reason(arguments: tuple[str, ...], tmp_path) -> None:
    found = pipec(*arguments, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.strip().splitlines()[-1].startswith("pipec")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin-1", "metadata: {name: \u00e9}".encode("latin-1")), ("utf-16", "a: 1".encode("utf-16")),
        ("nul", b"a: \x00"), ("random", bytes(range(256))), ("empty", b""), ("list", b"- 1\n- 2\n"),
        ("scalar", b"hello"), ("many", b"---\na: 1\n" * 70), ("deep", b"[" * 100_000),
        ("not-mappings", HEAD + b"metadata: 3\nsteps: [1]\nparameters: x\n"),
        ("nulls", HEAD + b"metadata:\nsteps:\n  a:\n"),
        ("with-list", HEAD + b"metadata: {name: a}\nsteps: {a: {uses: split, with: [1]}}\n"),
        ("env-list", HEAD + b"metadata: {name: a}\nsteps: {a: {uses: split}}\nenvironments: [x]\n"),
        ("odd-uses", HEAD + b"metadata: {name: a}\nsteps: {a: {uses: '@'}}\n"),
    ],
)  # fmt: skip
def test_bad_input_gives_findings_with_a_place_and_exit_1(name: str, content: bytes, tmp_path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_bytes(content)
    for command in (("check",), ("compile", "-t", "kubeflow", "-o", str(tmp_path / "out")), ("render",), ("graph",)):
        found = pipec(command[0], str(path), *command[1:])
        assert found.returncode == 1
        assert f"{path}:" in found.stdout + found.stderr
    assert not (tmp_path / "out").exists()


def test_standard_input_is_read_as_a_file() -> None:
    found = pipec("check", "-", stdin="a: [")
    assert found.returncode == 1
    assert found.stdout.startswith("<stdin>:1:5: error: ")
    assert pipec("check", "-", stdin=b"\xff\xfe").returncode == 1


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_what_cannot_be_read_is_a_finding(name: str, tmp_path) -> None:
    found = pipec("check", name, cwd=tmp_path)
    assert (found.returncode, "PIPE002" in found.stdout) == (1, True)


def test_files_outside_of_the_project_are_not_read(tmp_path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("expectations: []", encoding="utf-8")
    project = tmp_path / "project"
    project.mkdir()
    (project / "link.yaml").symlink_to(secret)
    (project / "folder").symlink_to(tmp_path)
    os.mkfifo(project / "pipe.yaml")
    (project / "large.yaml").write_text("#" * 70_000, encoding="utf-8")
    good = (ROOT / "tests" / "rules" / "PIPE203-unknown-output" / "good.yaml").read_text(encoding="utf-8")
    good = good.replace("[ml-leads]", "[ana@example.org]")
    for name in (
        "../secret.yaml",
        str(secret),
        "link.yaml",
        "folder/secret.yaml",
        "pipe.yaml",
        "large.yaml",
        "no.yaml",
    ):
        (project / "p.yaml").write_text(good.replace("../expectations.yaml", name), encoding="utf-8")
        found = pipec("check", "p.yaml", cwd=project)
        assert (found.returncode, "[PIPE002 unreadable-file]" in found.stdout) == (1, True), name


def test_compile_writes_whole_files_and_check_says_whether_they_are_current(tmp_path) -> None:
    arguments = ("compile", WINE, "--env", "prod", "-t", "kubeflow", "-o", str(tmp_path))
    assert pipec(*arguments, "--check").returncode == 1
    assert pipec(*arguments).returncode == 0
    assert pipec(*arguments, "--check").returncode == 0
    written = sorted(path.name for path in tmp_path.iterdir())
    assert "wine.yaml" in written
    assert not any(name.endswith(".tmp") for name in written)
    (tmp_path / "wine.yaml").write_text("edited", encoding="utf-8")
    found = pipec(*arguments, "--check")
    assert (found.returncode, "wine.yaml is not current" in found.stderr) == (1, True)


def test_several_printed_files_stay_apart(tmp_path) -> None:
    import yaml

    pipec("compile", WINE, "--env", "prod", "-t", "kubeflow", "-o", str(tmp_path))
    written = [(tmp_path / name).read_text(encoding="utf-8") for name in ("wine.yaml", "wine.schedule.yaml")]
    printed = pipec("compile", WINE, "--env", "prod", "-t", "kubeflow", "-o", "-").stdout
    assert "# wine.schedule.yaml\n" in printed
    documents = [body for text in written for body in yaml.safe_load_all(text)]
    assert [body for body in yaml.safe_load_all(printed) if "run" not in body] == documents


def test_nothing_is_written_where_anything_is_wrong(tmp_path) -> None:
    good = tmp_path / "wine.yaml"
    good.write_text("older", encoding="utf-8")
    assert pipec("compile", BAD, "-t", "kubeflow", "-o", str(tmp_path)).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["wine.yaml"]
    assert good.read_text(encoding="utf-8") == "older"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = pipec("compile", WINE, "--env", "prod", "-t", "kubeflow", "-o", str(tmp_path / "file"))
    assert (found.returncode, len(found.stderr.strip().splitlines())) == (2, 1)


@pytest.mark.parametrize("target", ["kubeflow", "airflow"])
def test_the_same_input_gives_the_same_bytes(target: str) -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "pipec", "compile", WINE, "--env", "prod", "-t", target, "-o", "-"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale},
            cwd=cwd, capture_output=True, check=True,
        ).stdout
        for seed, zone, locale, cwd in (("0", "UTC", "C", ROOT), ("77", "Asia/Tokyo", "C.UTF-8", PIPELINES))
    }  # fmt: skip
    assert len(outputs) == 1


def test_explain_prints_the_page_and_lists_all() -> None:
    assert pipec("explain", "pipe210").stdout.startswith(
        "PIPE210 dependency-cycle (error)\n\nSteps wait for each other."
    )
    assert pipec("explain").stdout.count("\n") >= 40


def test_steps_lists_the_library_and_shows_one() -> None:
    assert [line.split()[0] for line in pipec("steps").stdout.splitlines()] == list(catalog.names())
    assert "epochs: integer" in pipec("steps", "train").stdout


def test_render_lays_the_environment_and_sets_over_the_file() -> None:
    import yaml

    found = pipec("render", WINE, "--env", "prod", "--set", "minimum_f1=0.5")
    body = yaml.safe_load(found.stdout)
    assert body["parameters"]["source"]["default"] == "s3://wine/measured.parquet"
    assert body["parameters"]["minimum_f1"]["default"] == 0.5
    assert "environments" not in body


@pytest.mark.parametrize("name", ["pipec.yaml", "steps/publish.yaml"])
def test_documents_that_are_no_pipelines_are_checked_and_not_run(name: str) -> None:
    file = str(ROOT / "examples" / "pipelines" / name)
    assert pipec("check", file).stdout.endswith(f"{name}: no findings (0 steps)\n")
    for command in (["run"], ["graph"], ["render"], ["compile", "-t", "airflow", "-o", "-"]):
        found = pipec(command[0], file, *command[1:])
        assert found.returncode == 2
        assert "holds no pipeline" in found.stderr


def test_a_mistake_in_a_manifest_is_told_by_check(tmp_path: Path) -> None:
    file = tmp_path / "score.yaml"
    file.write_text('apiVersion: pipec/v1alpha1\nkind: Step\nmetadata: {name: s, version: "1"}\ncommand: []\n')
    found = pipec("check", str(file))
    assert found.returncode == 1
    assert ":4:10: error: " in found.stdout


def test_a_wrong_document_hides_nothing_of_those_after_it(tmp_path: Path) -> None:
    wrong = "apiVersion: v0\nkind: Pipeline\nmetadata: {name: a}\nsteps: {a: {uses: ingest, with: {source: x}}}\n"
    other = wrong.replace("v0", "pipec/v1alpha1").replace("name: a", "name: b").replace("uses: ingest", "uses: ingst")
    (tmp_path / "p.yaml").write_text(f"{wrong}---\n{other}")
    told = pipec("check", str(tmp_path / "p.yaml")).stdout
    assert "PIPE100" in told
    assert "PIPE201" in told


def test_graph_draws_every_step_and_what_flows() -> None:
    lines = pipec("graph", WINE).stdout.splitlines()
    assert lines[0] == "flowchart LR"
    assert "    s2 -->|train| s3" in lines
    assert sum('"' in line for line in lines) == 8


@pytest.mark.parametrize("kind", ["Pipeline", "Project", "Step"])
def test_each_kind_of_document_has_a_schema_for_editors(kind: str) -> None:
    body = json.loads(pipec("schema", "--kind", kind).stdout)
    assert (body["title"], body["properties"]["kind"]["const"]) == (f"pipec {kind.lower()}", kind)


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m pipec schema | head -n 1"
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")


def test_compiled_files_can_be_read_by_others(tmp_path) -> None:
    pipec("compile", WINE, "--env", "prod", "-t", "airflow", "-o", str(tmp_path))
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o444 for path in tmp_path.iterdir()}
    assert modes == {0o444}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("layers=[1, 2, 3]", "`layers` must have at most 2 items"),
        ('layers=["x"]', "`layers.0` needs a whole number, but `x` is text"),
        ("layers=null", "`layers` needs a list, but nothing stands here"),
        ("layers={}", "`layers` needs a list, but a mapping stands here"),
        ("rate=NaN", "parameter `rate` is of type number, and `NaN` is not one in JSON"),
        ("rate=1e999", "parameter `rate` is of type number, and `1e999` is not one in JSON"),
        ("rate=3", "`rate` must be at most 1, not `3`"),
    ],
)
def test_a_set_value_is_held_to_all_that_is_declared(given: str, told: str) -> None:
    document = HEAD + (
        b"metadata: {name: p}\nparameters:\n"
        b"  layers: {type: list, default: [1], items: {type: integer}, maxItems: 2}\n"
        b"  rate: {type: number, default: 1, maximum: 1}\n"
        b"steps: {ingest: {uses: ingest, with: {source: a.csv}}}\n"
    )
    found = pipec("render", "-", "--set", given, stdin=document)
    assert (found.returncode, found.stderr) == (2, f"pipec: --set: {told}\n")


def test_the_project_of_a_file_named_through_its_sub_folder_is_its_own(tmp_path) -> None:
    project = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {{name: p}}\nenvironments: {{{name}: {{}}}}\n"
    sub = tmp_path / "sub"
    sub.mkdir()
    (tmp_path / "pipec.yaml").write_text(project.format(name="outer"), encoding="utf-8")
    (sub / "pipec.yaml").write_text(project.format(name="inner"), encoding="utf-8")
    step = b"metadata: {name: p}\nsteps: {ingest: {uses: ingest, with: {source: a.csv}}}\n"
    (tmp_path / "p.yaml").write_bytes(HEAD + step)
    assert pipec("check", "../p.yaml", "--env", "outer", cwd=sub).returncode == 0


@pytest.mark.parametrize("given", ["sead: 1", "test_size: 2", 'seed: "${{ nope.x }}"'])
def test_what_an_environment_gives_a_step_is_judged_before_it_is_chosen(given: str) -> None:
    document = HEAD + (
        b"metadata: {name: p}\nsteps:\n  split: {uses: split, with: {data: a.csv, seed: 1}}\n"
        b"environments:\n  dev: {steps: {split: {with: {seed: null}}}}\n"
        b"  prod: {steps: {split: {with: {" + given.encode() + b"}}}}\n"
    )
    for arguments in ((), ("--env", "dev"), ("--env", "prod")):
        found = pipec("check", "-", *arguments, stdin=document)
        assert (found.returncode, found.stdout.count("<stdin>:8:"), found.stdout.count("error")) == (1, 1, 2)


def parked(folder: Path) -> Path:
    """Write a project whose second pipeline waits for a person at once, and return that file."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_text("none", encoding="utf-8")
    project = "apiVersion: pipec/v1alpha1\nkind: Project\nmetadata: {name: p}\nenvironments: {dev: {}}\n"
    (folder / "pipec.yaml").write_text(project, encoding="utf-8")
    one = HEAD.decode() + "metadata: {{name: {}}}\nsteps: {{ask: {{uses: approve, with: {{model: model}}}}}}\n"
    (folder / "p.yaml").write_text("---\n".join(one.format(name) for name in ("first", "second")), encoding="utf-8")
    return folder / "p.yaml"


def test_what_a_parked_run_says_can_be_pasted_where_it_was_started(tmp_path) -> None:
    parked(tmp_path / "my wine")
    found = pipec("run", "my wine/p.yaml", "--pipeline", "second", "--env", "dev", cwd=tmp_path)
    lines = found.stdout.splitlines()
    run = lines[0].split()[1].rstrip(":")
    assert found.returncode == 75
    assert lines[1:4] == [
        f"step `ask` waits for a person: nobody has decided about `ask` of run {run} yet: decide, then go on with it",
        f"  next: `pipec approve {run} ask --as NAME --home 'my wine/.pipec'`, or with `--reject`",
        f"then go on with `pipec run 'my wine/p.yaml' --pipeline second --env dev --resume {run}`",
    ]
    pasted = shlex.split(lines[2].split("`")[1].replace("NAME", "ana"))[1:]
    said = pipec(*pasted, cwd=tmp_path)
    assert said.stdout == f"ask: ana says yes; go on with `pipec run FILE --resume {run}`\n"
    pasted = shlex.split(lines[3].split("`")[1])[1:]
    assert pipec(*pasted, cwd=tmp_path).returncode == 0


def test_a_rejected_run_is_refused_for_good(tmp_path) -> None:
    folder = parked(tmp_path / "p").parent
    pipec("run", "p.yaml", "--pipeline", "first", cwd=folder)
    assert pipec("approve", "latest", "ask", "--as", "bo", "--reject", "--reason", "no", cwd=folder).returncode == 0
    for _ in range(2):
        found = pipec("run", "p.yaml", "--pipeline", "first", "--resume", "latest", cwd=folder)
        told = "step `ask` was refused: `bo` rejected the model (no): change it and run the pipeline again"
        assert (found.returncode, found.stdout.splitlines()[1]) == (3, told)
