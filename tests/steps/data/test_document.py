"""Attached YAML and JSON, read as YAML 1.2 reads them, and no further."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipec.steps.data import document


def read(text: str, tmp_path: Path) -> object:
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    return document.read(tmp_path / "file.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[no, on, yes, y]", ["no", "on", "yes", "y"]),
        ("[1e-3, 1E5, .5, 017, 1_000, 12:30:45]", [0.001, 1e5, 0.5, 17, "1_000", "12:30:45"]),
        ("[true, ~, null, 2026-01-01, -7]", [True, None, None, "2026-01-01", -7]),
        ('{"a": [1, "x", null]}', {"a": [1, "x", None]}),
        ("'1': \"no\"", {"1": "no"}),
        ("", None),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(text: str, value: object, tmp_path: Path) -> None:
    assert read(text, tmp_path) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 1: `a` stands there twice"),
        ("a: &x 1\nb: *x\n", "line 1: anchors and aliases are not read here: write the value out"),
        ("a: !!python/name:os.system x\n", "line 1: tags such as `tag:yaml.org,2002:python/name:os.system`"),
        ("[" * 60_000, "line 1: one document, at most 32 levels deep, is read here"),
        ("a: 1\n---\nb: 2\n", "line 2: one document, at most 32 levels deep, is read here"),
        ("a: [1\nb: 2\n", "line 2: "),
        ("a: \0\n", ""),
    ],
    ids=["twice", "anchor", "tag", "deep", "two", "open", "control"],
)  # fmt: skip
def test_what_is_not_read_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(document.DocumentError) as fault:
        read(text, tmp_path)
    assert str(fault.value).startswith(message)
    assert "\n" not in str(fault.value)
