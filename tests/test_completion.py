"""Completion scripts: whole in themselves, read by their shells, and right about every command."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needs import missing

from pipec import cli, completion
from pipec.steps import catalog

ROOT = Path(__file__).resolve().parents[1]


def script(shell: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "pipec", "completion", shell], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    ).stdout  # fmt: skip


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        missing(shell)
    return str(path)


def asked(line: str, folder: Path) -> list[str]:
    """Return what bash offers behind a command line; its last word is the one that is typed."""
    (folder / "script").write_text(script("bash"))
    words = line.split(" ")
    code = """source ./script
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pipec 2> /dev/null; printf '%s\\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        [needs("bash"), "--norc", "-c", code, "bash", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_is_read_by_its_shell_and_calls_no_pipec(shell: str, tmp_path: Path) -> None:
    text = script(shell)
    (tmp_path / "script").write_text(text)
    read = subprocess.run([needs(shell), "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    assert "$(pipec" not in text
    assert "`pipec " not in text.split("\n", 3)[-1]
    assert text == script(shell)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pipec comp", ["compile", "completion"]),
        ("pipec check --fo", ["--format"]),
        ("pipec check --format s", ["sarif"]),
        ("pipec check --format = s", ["sarif"]),
        ("pipec check --color ", ["auto", "always", "never"]),
        ("pipec compile -t k", ["kubeflow"]),
        ("pipec compile p", ["p.yaml"]),
        ("pipec compile p.yaml -o ", ["sub"]),
        ("pipec check p.yaml q", ["q.yaml"]),
        ("pipec steps ev", ["evaluate"]),
        ("pipec explain PIPE50", [f"PIPE50{n}" for n in range(1, 10)]),
        ("pipec completion ", ["bash", "zsh", "fish"]),
        ("pipec schema --kind P", ["Pipeline", "Project"]),
        ("pipec run p.yaml --jobs ", []),
    ],
)
def test_bash_offers_what_may_stand_there(line: str, offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "p.yaml").touch()
    (tmp_path / "q.yaml").touch()
    (tmp_path / "sub").mkdir()
    assert asked(line, tmp_path) == offered


def test_fish_offers_what_may_stand_there(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script("fish"))
    for line, offered in (("pipec check --format=s", ["--format=sarif"]), ("pipec steps ev", ["evaluate"])):
        code = f"source {tmp_path}/script; complete -C '{line}'"
        done = subprocess.run([needs("fish"), "--no-config", "-c", code], capture_output=True, text=True, check=True)
        assert [word.split("\t")[0] for word in done.stdout.splitlines()] == offered


def test_every_option_and_word_is_in_every_script() -> None:
    parser = cli._parser()
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    texts = {shell: script(shell) for shell in completion.SHELLS}
    for name, command in subparsers.choices.items():
        for text in texts.values():
            assert name in text
        for action in command._actions:
            long = [option.lstrip("-") for option in action.option_strings if option.startswith("--")]
            words = [*long, *map(str, action.choices or ())]
            assert [(shell, word) for shell, text in texts.items() for word in words if word not in text] == []
    names = [interface.name for interface in catalog.interfaces()]
    assert [(shell, name) for shell, text in texts.items() for name in names if name not in text] == []


def test_the_shells_of_the_command_line_are_those_that_are_written() -> None:
    assert cli._SHELLS == completion.SHELLS
