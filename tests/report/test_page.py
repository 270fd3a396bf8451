"""The page of all findings is what the rules say, whole and current."""

from __future__ import annotations

import re
from pathlib import Path

from pipec import api
from pipec.report.page import document, page

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_committed_page_is_what_the_rules_say_and_what_they_assume_of_devices(golden) -> None:
    golden(PAGE, document(api.explained(), api.devices()))


def test_every_rule_has_a_section_a_link_and_all_parts() -> None:
    text = document(api.explained(), ())
    headings = re.findall(r"^### (\S+) (\S+)$", text, re.MULTILINE)
    assert headings == [(rule.code, rule.name) for rule in api.explained()]
    links = re.findall(r"\(#([^)]+)\)", text.split("\n## ")[0])
    assert links == [f"{code}-{name}".lower() for code, name in headings]
    for rule in api.explained():
        assert all(vars_of(rule)), rule.code


def vars_of(rule) -> tuple[str, ...]:
    parts = page(rule)
    return parts.summary, parts.why, parts.bad, parts.fix
