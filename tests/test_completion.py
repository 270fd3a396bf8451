"""Completion of the command line: the scripts hold all that the parser does, and complete in the shells themselves."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipec import api, cli, completion
from pipec.completion import words
from pipec.steps import catalog

COMMANDS = words.commands(cli._parser(), {})
# A session in which `pipec` itself cannot be called: whatever is offered, the script knows by itself.
BASH = """\
pipec() {{ echo called >&2; return 1; }}
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
complete -p pipec | grep -q -- '-F _pipec pipec' || exit 1
_pipec
(( ${{#COMPREPLY[@]}} == 0 )) || printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@cache
def script(shell: str) -> str:
    """Return what `pipec completion` prints."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["completion", shell]) == 0
    return printed.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with files of several names, and the scripts beside it."""
    folder = tmp_path / "project"
    (folder / "out dir").mkdir(parents=True)
    for name in ("wine.yaml", "wide open.yaml", "*.yaml"):
        (folder / name).write_text("", encoding="utf-8")
    for shell in completion.SHELLS:
        (tmp_path / f"script.{shell}").write_text(script(shell), encoding="utf-8")
    return folder


def run(command: list[str], folder: Path) -> str:
    environ = {**os.environ, "HOME": str(folder.parent), "XDG_CONFIG_HOME": str(folder.parent)}
    found = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, found.stderr) == (0, ""), found.stderr
    return found.stdout


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"this machine lacks {name}")
    return found


def in_bash(typed: str, folder: Path) -> list[str]:
    """Return what bash offers for the last word; a space at the end begins a new one. `=` is a word, as in bash."""
    given = [*shlex.split(typed), *([""] if typed.endswith(" ") else [])]
    cut = [part for word in given for part in _cut(word)]
    text = BASH.format(script=shlex.quote(str(folder.parent / "script.bash")), words=" ".join(map(shlex.quote, cut)))
    return run(["bash", "--norc", "--noprofile", "-c", text], folder).splitlines()


def _cut(word: str) -> list[str]:
    before, equals, after = word.partition("=")
    return [part for part in (before, equals, after) if part] or [""]


@pytest.mark.parametrize("name", completion.SHELLS)
def test_a_script_is_the_same_twice_and_holds_every_command_and_option(name: str) -> None:
    assert script(name) == completion.script(name, cli._parser(), _known())
    for command in COMMANDS:
        for option in command.options:
            for given in option.names:
                assert (given if name != "fish" else given.lstrip("-")) in script(name)
    assert {command.name for command in COMMANDS} == {"", *_subcommands()}
    for word in (
        *" ".join(_subcommands()).split(),
        *catalog.names(),
        *(rule.code for rule in api.explained()),
        *api.TARGETS,
    ):
        assert word in script(name)


def _known() -> dict[str, dict[str, str]]:
    return {
        "steps.name": {interface.name: interface.summary for interface in catalog.interfaces()},
        "explain.code": {rule.code: rule.name for rule in api.explained()},
        "target": dict.fromkeys(api.TARGETS, ""),
    }


def _subcommands() -> list[str]:
    return [*_below(cli._parser(), "")]


def _below(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    for choice in parser._actions:
        if isinstance(choice, argparse._SubParsersAction):
            for word, below in choice.choices.items():
                yield f"{name}{word}"
                yield from _below(below, f"{name}{word} ")


@pytest.mark.parametrize("name", completion.SHELLS)
def test_a_shell_reads_its_script(name: str, project: Path) -> None:
    assert run([shell(name), "-n", str(project.parent / f"script.{name}")], project) == ""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pipec ch", ["check"]),
        ("pipec re", ["render"]),
        ("pipec --v", ["--version"]),
        ("pipec check --fo", ["--format"]),
        ("pipec check --format ", ["text", "json", "sarif", "github", "gitlab", "junit"]),
        ("pipec check --format s", ["sarif"]),
        ("pipec check --format=g", ["github", "gitlab"]),
        ("pipec check --format=", ["text", "json", "sarif", "github", "gitlab", "junit"]),
        ("pipec check --format=json --col", ["--color"]),
        ("pipec check wi", ["wide open.yaml", "wine.yaml"]),
        ("pipec check one.yaml wi", ["wide open.yaml", "wine.yaml"]),
        ("pipec check - wine", ["wine.yaml"]),
        ("pipec check '*'", ["*.yaml"]),
        ("pipec check --env prod wine", ["wine.yaml"]),
        ("pipec check --env ", []),
        ("pipec compile --set a=b wine", ["wine.yaml"]),
        ("pipec compile --set a=", []),
        ("pipec compile -t ", ["kubeflow", "airflow"]),
        ("pipec compile -o ou", ["out dir"]),
        ("pipec compile wine.yaml -o wi", []),
        ("pipec compile wine.yaml --che", ["--check"]),
        ("pipec compile --strict wine.yaml ", ["-h", "--help", "--env", "--set", "--color", "-t", "--target", "-O",
                                               "--pipeline", "-o", "--output", "--check"]),
        ("pipec steps t", ["train", "trigger"]),
        ("pipec explain PIPE60", ["PIPE601"]),
        ("pipec runs --format j", ["json"]),
        ("pipec runs latest --ho", ["--home"]),
        ("pipec approve latest ", []),
        ("pipec completion ", ["bash", "zsh", "fish"]),
        ("pipec nonsense ", []),
        ("pipec image ", ["build", "lock", "inspect"]),
        ("pipec image bu", ["build"]),
        ("pipec image build --wh", ["--wheel", "--wheels"]),
        ("pipec image build --with ou", ["out dir"]),
        ("pipec image build --variant=l", ["light"]),
        ("pipec image lock --ch", ["--check"]),
        ("pipec image inspect wi", []),
    ],
)  # fmt: skip
def test_bash_offers_what_fits(typed: str, offered: list[str], project: Path) -> None:
    assert sorted(in_bash(typed, project)) == sorted(offered)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pipec ch", ["check"]),
        ("pipec check --format s", ["sarif"]),
        ("pipec check wi", ["wide open.yaml", "wine.yaml"]),
        ("pipec compile wine.yaml -t k", ["kubeflow"]),
        ("pipec compile -o ou", ["out dir/"]),
        ("pipec steps tr", ["train", "trigger"]),
        ("pipec why run ", []),
        ("pipec explain PIPE60", ["PIPE601"]),
        ("pipec image ", ["build", "inspect", "lock"]),
        ("pipec image build --variant l", ["light"]),
        ("pipec image build --with ou", ["out dir/"]),
        ("pipec image inspect --format j", ["json"]),
    ],
)
def test_fish_offers_what_fits(typed: str, offered: list[str], project: Path) -> None:
    source = f"source {shlex.quote(str(project.parent / 'script.fish'))}; complete -C {shlex.quote(typed)}"
    lines = run([shell("fish"), "--no-config", "-c", source], project).splitlines()
    assert sorted(line.split("\t")[0] for line in lines) == offered


def test_the_command_line_offers_the_shells_there_are() -> None:
    assert cli._SHELLS == completion.SHELLS
