"""Findings as annotations: as many as the runner keeps, the rest in the log, and no command that a stranger wrote."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from samples import SAMPLES

from pipec import report

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")
UNESCAPED = {"%0A": "\n", "%0D": "\r", "%3A": ":", "%2C": ",", "%25": "%"}


def lines(name: str) -> list[str]:
    return report.render(SAMPLES[name].report, "github", strict=SAMPLES[name].strict).splitlines()


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Return a command as the runner reads it: its kind, its properties, its message."""
    found = COMMAND.fullmatch(line)
    assert found, line

    def plain(text: str) -> str:
        return re.sub("|".join(UNESCAPED), lambda escape: UNESCAPED[escape[0]], text)

    properties = dict(pair.split("=", 1) for pair in found[2].split(","))
    return found[1], {key: plain(value) for key, value in properties.items()}, plain(found[3])


def test_nothing_found_is_nothing_said() -> None:
    assert lines("nothing") == []


def test_an_annotation_stands_at_its_place_with_notes_and_help() -> None:
    assert lines("one-error") == [
        "::error file=p.yaml,line=2,col=3,endLine=2,endColumn=4,title=PIPE901 self-wait::"
        "`a` waits for itself%0Ahelp: write `needs: []`"
    ]
    (line,) = lines("notes")
    assert read(line) == (
        "error",
        {"file": "p.yaml", "line": "2", "endLine": "3", "title": "PIPE901 self-wait"},
        "`a` waits for itself\nnote: q.yaml:7:1: `a` needs it\nnote: without `--env`\nhelp: write `needs: []`",
    )


@pytest.mark.parametrize(
    ("name", "kinds", "notice", "n_plain"),
    [
        ("forty", {"error": 10, "warning": 10, "notice": 1}, "+20 more errors", 20),
        ("forty-strict", {"error": 10, "notice": 1}, "+30 more errors", 30),
        ("warnings", {"warning": 3}, "", 0),
        ("strict", {"error": 4}, "", 0),
    ],
)
def test_no_more_are_sent_than_are_kept_and_the_rest_is_told(name: str, kinds, notice: str, n_plain: int) -> None:
    commands = [read(line) for line in lines(name) if line.startswith("::")]
    assert Counter(kind for kind, _, _ in commands) == kinds
    order = ["error", "warning", "notice"]
    assert [kind for kind, _, _ in commands] == sorted((kind for kind, _, _ in commands), key=order.index)
    assert [text for kind, _, text in commands if kind == "notice"] == (
        [f"{notice}: told below, in the log of this step"] if notice else []
    )
    plain = [line for line in lines(name) if not line.startswith("::")]
    assert len(plain) == n_plain
    told = [text for _, _, text in commands if text.startswith("line ")]
    told += [line.split(": ")[2].split(" [")[0] for line in plain]
    assert sorted(told) == sorted(finding.message for finding in SAMPLES[name].report.findings)


def test_the_rest_is_counted_by_kind() -> None:
    from samples import many

    text = report.render(many(11, 12), "github")
    assert "::notice title=pipec::+1 more error and +2 more warnings: told below, in the log of this step\n" in text
    assert text.splitlines()[-1] == "- p.yaml:23:3: warning: line 23 [PIPE902 idle-step]"


def test_what_a_stranger_wrote_is_no_command() -> None:
    told = lines("hostile")
    assert Counter(line.split(" ")[0].strip(":") for line in told if line.lstrip().startswith("::")) == {
        "error": 10, "notice": 1,
    }  # fmt: skip
    for line in told:
        if not line.startswith("::"):
            assert line.startswith("- ")
            assert "##[" not in line


def test_standard_input_is_told_at_the_run() -> None:
    (line,) = lines("stdin")
    assert read(line) == ("error", {"title": "PIPE901 self-wait"}, "<stdin>:2:3: `a` waits for itself")
