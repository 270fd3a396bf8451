"""Every message that fixtures, right pipelines and broken texts bring forth keeps the rules of the house.

What can be held mechanically is in `spoken.py`: case, full stops, words that help nobody, places that are in the text.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mutate
import pytest
import spoken

from pipec import api
from pipec.schema import check
from pipec.schema.model import Reference

TESTS = Path(__file__).parent
RULES = sorted(path for path in (TESTS / "rules").iterdir() if path.is_dir())
RIGHT = sorted(path for path in (TESTS / "correct").glob("*.yaml") if path.name != "pipec.yaml")
N_CASES = 600  # about ten seconds
# Codes of which some findings have no help, and why nothing could be pasted.
WITHOUT_HELP = {
    "PIPE001": "a problem of the parser that nobody has met is told in its words",
    "PIPE002": "the message says what stands in the way of the file",
    "PIPE103": "the message says the form that is wanted, and nothing tells what was meant",
    "PIPE104": "the message says the form or the bound, and nothing near fits it",
    "PIPE105": "the message says the form, and nothing near fits it",
    "PIPE111": "the message says the bound; which value is right only the user knows",
    "PIPE112": "the message says what is wanted, and the text is no number",
    "PIPE302": "an item or a cell: the message says the bound",
    "PIPE311": "the message says the bound; which value is right only the user knows",
    "PIPE412": "a value: the message says the bound",
}


def wrong(request: api.Request) -> Iterator[str]:
    """Yield what is wrong with how the findings of a call are told."""
    try:
        found = api.check(request).report
    except api.UsageError:
        return  # about the call, not about a text
    texts = {source.path: source.text.removeprefix("\ufeff").split("\n") for source in found.sources}
    for finding in found.findings:
        yield from spoken.faults(finding, texts)
        if not finding.help and finding.rule.code not in WITHOUT_HELP:
            yield f"{finding.rule.code} has no help: {finding.message}"


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_the_finding_of_a_fixture_keeps_the_rules(case: Path, monkeypatch) -> None:
    monkeypatch.chdir(case)
    for environment in ("", "dev", "prod"):
        assert list(wrong(api.Request(path=Path("bad.yaml"), environment=environment))) == []


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_what_a_target_refuses_is_told_by_the_rules(path: Path, monkeypatch) -> None:
    monkeypatch.chdir(path.parent)
    for target in api.TARGETS:
        for environment in ("", "staging", "prod"):
            assert list(wrong(api.Request(path=Path(path.name), environment=environment, target=target))) == []


def test_what_is_told_of_broken_texts_keeps_the_rules(tmp_path: Path) -> None:
    folder = shutil.copytree(mutate.EXAMPLES, tmp_path / "broken")
    found: set[str] = set()
    for number in range(N_CASES):
        case = mutate.case(2, number)
        for name, content in (("pipec.yaml", case.project), ("p.yaml", case.content), ("inner.yaml", case.inner)):
            (folder / name).write_bytes(content)
        found |= set(wrong(api.Request(path=folder / "p.yaml", environment=case.environment, sets=case.sets)))
    assert sorted(found) == []


def test_the_many_mistakes_of_one_file_are_told_by_the_rules(monkeypatch) -> None:
    monkeypatch.chdir(TESTS / "mistakes")
    assert list(wrong(api.Request(path=Path("mistakes.yaml")))) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The step is gone", "begins with a capital"),
        ("the step is gone.", "ends with a full stop"),
        ("the step is invalid", "says 'invalid'"),
        ("`x` needs an int", "says 'int'"),
        ("the step is gone!", "says '!'"),
        ("`x is gone", "has a backtick without its other"),
        ("`x` is not ``", "shows nothing between backticks"),
    ],
)
def test_a_message_that_breaks_a_rule_is_found(text: str, fault: str) -> None:
    assert list(spoken.broken(text)) == [fault]


def test_what_somebody_typed_may_say_anything() -> None:
    assert list(spoken.broken("`Invalid str!` is no step, but `.` is...")) == []


NAME = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
MEMORY = "^[1-9][0-9]*(Mi|Gi|Ti)$"
DURATION = "^[1-9][0-9]*[smhd]$"


@pytest.mark.parametrize(
    ("said", "pattern", "wanted"),
    [
        ("Wine_Quality", NAME, "wine-quality"),
        ("Größe 2", NAME, "grosse-2"),
        ("16GB", MEMORY, "16Gi"),
        ("512 mb", MEMORY, "512Mi"),
        ("90", DURATION, "90s"),
        (90, DURATION, "90s"),
        ("1 h", DURATION, "1h"),
        ("1h30m", DURATION, ""),
        (True, DURATION, ""),
        ("", NAME, ""),
        ("???", NAME, ""),
    ],
)
def test_a_value_that_is_nearly_right_comes_with_the_right_one(said: str | int, pattern: str, wanted: str) -> None:
    assert check.mended(said, pattern) == wanted


@pytest.mark.parametrize(
    ("parts", "width", "part", "columns"),
    [
        (("steps", "load", "data"), 15, 1, (13, 17)),
        (("steps", "load", "data"), 15, -1, (18, 22)),
        (("steps", "load", "*", "data"), 18, -1, (21, 25)),
        (("parameters", "x"), 12, 1, (18, 19)),
        (("steps", "load", "data"), 17, 1, (7, 24)),  # written with spaces: all of it
        (("status", "load"), 15, 1, (7, 22)),
    ],
)
def test_a_part_of_a_name_has_a_place(parts: tuple[str, ...], width: int, part: int, columns: tuple[int, int]) -> None:
    reference = Reference(parts, spoken.at(3, 7, width))
    span = reference.at(part).span
    assert (span.line, span.end_line, (span.column, span.end_column)) == (3, 3, columns)
