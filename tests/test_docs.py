"""The README is true: every block is run, every table is made from the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import images
import pytest
from needs import ROOT

from pipec import api, docker
from pipec.steps import catalog
from pipec.steps.interface import Input, Output
from pipec.targets.base import Feature, Support

README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands of a set-up that tests must not redo: they are looked at, not run.
SHIMS = {
    "make": 'cd "$ROOT" && for goal in "$@"; do command make -n "$goal" > /dev/null || exit; done',
    "pip": 'exec "$PYTHON" "$ROOT/tests/shim_pip.py" "$@"',
    "python": 'echo "$@" > "$ROOT_OF_TEST/python"',
    "ruff": ":",
    "mypy": ":",
}


def blocks(kind: str) -> list[str]:
    return [body for found, body in BLOCK.findall(README.read_text(encoding="utf-8")) if found == kind]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project like the examples, with the README's own files in it and `pipec` on the path."""
    work = tmp_path / "work"
    shutil.copytree(ROOT / "examples" / "pipelines", work, ignore=shutil.ignore_patterns(".pipec"))
    for body in blocks("yaml"):
        name = body.split("\n", 1)[0].removeprefix("# ")
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(body, encoding="utf-8")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    scripts = {"pipec": 'exec "$PYTHON" -m pipec "$@"', **SHIMS}
    for name, body in scripts.items():
        (binaries / name).write_text(f"#!/bin/bash\n{body.replace('command make', shutil.which('make') or 'make')}\n")
        (binaries / name).chmod(0o755)
    return work


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    binaries = folder.parent / "bin"
    environ = {
        **os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src"),
        "PYTHON": sys.executable, "ROOT": str(ROOT), "ROOT_OF_TEST": str(folder.parent),
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, check=False, timeout=300,
    )  # fmt: skip


def exchanges() -> list[tuple[str, str]]:
    """Return each command of the console blocks with what it should print."""
    text = "\n".join(blocks("console"))
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, output.rstrip("\n")) for command, _, output in (part.partition("\n") for part in parts)]


def test_the_console_blocks_print_what_they_show(folder: Path) -> None:
    assert len(exchanges()) >= 4
    for command, expected in exchanges():
        assert shell(command, folder).stdout.rstrip("\n") == expected, command


@pytest.mark.parametrize(
    "body", [b for b in blocks("sh") if "pipec image" not in b], ids=lambda body: body.split("\n", 1)[0][:40]
)
def test_the_shell_blocks_run(body: str, folder: Path) -> None:
    if "pipec serve" in body:
        # The server is given the store of this folder, a free port, and an end.
        body = body.replace(".pipec/releases &", f"{folder}/.pipec/releases --port 0 2> serve.log &")
        body += "\ncode=$?; kill %1; wait; exit $code"
    found = shell(f"set -e\n{body}", folder)
    assert found.returncode == 0, found.stdout


@pytest.mark.docker
def test_the_block_about_images_runs(folder: Path) -> None:
    (body,) = (each for each in blocks("sh") if "pipec image" in each)
    # The base that there is, and names that are not the user's own.
    for before, after in (("build  ", f"build --base {images.base()} --tag pipec-test-readme:1  "),
                          ("build --tag churn:1", "build --from pipec-test-readme:1 --tag churn:1"),
                          ("churn:1", "pipec-test-readme:2")):  # fmt: skip
        body = body.replace(before, after)
    (folder / "src").mkdir()
    (folder / "src" / "model.py").write_text("def build(): ...\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("numpy>=2\n", encoding="utf-8")
    try:
        found = shell(f"set -e\n{body}", folder)
        assert found.returncode == 0, found.stdout
        assert "team      files: 1, modules among them: 1" in found.stdout
    finally:
        subprocess.run([docker.command(), "image", "rm", "pipec-test-readme:2", "pipec-test-readme:1"], check=False)


def test_the_workflow_is_one_that_github_reads_and_its_commands_run(folder: Path) -> None:
    import yaml

    path = folder / ".github" / "workflows" / "pipelines.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    steps = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]["pipelines"]["steps"]
    shutil.copytree(folder, folder.parent / "pipelines")
    shutil.move(folder.parent / "pipelines", folder / "pipelines")
    compiled = shell("pipec compile pipelines/wine.yaml --env prod -t kubeflow -o compiled", folder)
    assert compiled.returncode == 0, compiled.stdout
    for step in steps:
        if "run" in step:
            assert shell(step["run"], folder).returncode == 0, step["run"]


def steps_table() -> str:
    rows = ["| step | reads | writes | default resources |", "|---|---|---|---|"]
    for interface in catalog.interfaces():
        reads = ", ".join(f"{i.name}{_how(i)}: {i.type}" for i in interface.inputs) or "-"
        writes = ", ".join(f"{o.name}{_how(o)}: {o.type}" for o in interface.artifacts)
        small = ", ".join(o.name for o in interface.small_outputs)
        use = f"{interface.resources.cpu:g} CPU, {interface.resources.memory_mib / 1024:g} GiB"
        rows.append(f"| `{interface.name}` | {reads} | {writes}{f'; {small}' if small else ''} | {use} |")
    return "\n".join(rows)


def _how(declared: Input | Output) -> str:
    facts = (("many", isinstance(declared, Input) and declared.many), ("optional", declared.optional))
    words = [word for word, holds in facts if holds]
    return f" ({', '.join(words)})" if words else ""


def targets_table() -> str:
    names = sorted(api.TARGETS)
    rows = [f"| feature | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for feature in Feature:
        cells = [api.TARGETS[name].features.get(feature, Support.REFUSED).value for name in names]
        rows.append(f"| {feature.value} | {' | '.join(cells)} |")
    return "\n".join(rows)


@pytest.mark.parametrize(("name", "table"), [("steps", steps_table), ("targets", targets_table)])
def test_the_tables_are_those_of_the_code(name: str, table, request) -> None:
    text = README.read_text(encoding="utf-8")
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = text.split(opening)
    shown, after = rest.split(closing, 1)
    if request.config.getoption("--update-golden"):
        README.write_text(f"{before}{opening}\n{table()}\n\n{closing}{after}", encoding="utf-8")
        shown = f"\n{table()}\n\n"
    assert shown.strip() == table()


def test_the_extras_that_the_readme_names_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = next(line for line in "\n".join(blocks("sh")).splitlines() if "pipec[torch]" in line)
    words = set(re.findall(r"[a-z0-9]+", named.partition("also ")[2]))
    assert words | {"steps", "torch"} == set(project["optional-dependencies"])
