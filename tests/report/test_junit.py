"""Findings as a JUnit report: counts that hold, names that differ, and nothing that XML has no place for."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from samples import ERROR, HOSTILE, SAMPLES, finding

from pipec import report
from pipec.diagnostics import Loc, Report, Source


def suites(whole: Report, *, strict: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(report.render(whole, "junit", strict=strict).encode())


@pytest.mark.parametrize("name", SAMPLES)
def test_the_counts_are_those_of_the_cases_and_no_two_cases_have_one_name(name: str) -> None:
    root = suites(SAMPLES[name].report, strict=SAMPLES[name].strict)
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert element.get("tests") == str(len(cases))
        assert element.get("failures") == str(len(list(element.iter("failure"))))
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    assert all(len(suite) >= 1 for suite in root)


def test_a_clean_file_has_a_case_that_passed() -> None:
    root = suites(SAMPLES["nothing"].report)
    assert [(suite.get("name"), [case.get("name") for case in suite]) for suite in root] == [
        ("p.yaml", ["no findings"]), ("pipec.yaml", ["no findings"]),
    ]  # fmt: skip
    assert root.get("failures") == "0"


def test_an_error_is_a_failure_with_its_message_and_the_line_it_speaks_of() -> None:
    whole = SAMPLES["one-error"].report
    (case,) = suites(whole).iter("testcase")
    (failure,) = case
    assert {**case.attrib, **failure.attrib} == {
        "classname": "p.yaml", "name": "PIPE901 self-wait at 2:3", "file": "p.yaml", "line": "2",
        "message": "`a` waits for itself", "type": "PIPE901",
    }  # fmt: skip
    assert failure.text == report.render(whole, "text")


def test_a_warning_passes_and_says_so_and_strict_makes_it_a_failure() -> None:
    whole = SAMPLES["warnings"].report
    assert [[below.tag for below in case] for case in suites(whole).iter("testcase")] == [["system-out"]] * 3
    assert [[below.tag for below in case] for case in suites(whole, strict=True).iter("testcase")] == [["failure"]] * 3


def test_two_findings_of_a_kind_at_one_place_have_two_names() -> None:
    whole = Report((finding(ERROR, 2, "one"), finding(ERROR, 2, "other")))
    names = [case.get("name") for case in suites(whole).iter("testcase")]
    assert names == ["PIPE901 self-wait at 2:3", "PIPE901 self-wait at 2:3 (2)"]


def test_what_is_quoted_is_read_back_and_declares_nothing() -> None:
    text = report.render(SAMPLES["hostile"].report, "junit")
    assert "<!" not in text
    message = next(suites(SAMPLES["hostile"].report).iter("failure")).get("message") or ""
    kept = '::error::x %0A ]]> <!ENTITY a "&"> &lt; \u241b[31m \u2400 \u2421'
    assert message.startswith(f"1 \\n{kept}")
    assert message.endswith("\U0001f600 [a](http://b)")


def test_every_character_of_a_line_comes_through_as_one_that_xml_has() -> None:
    odd = "".join(
        chr(code) for code in (*range(1, 0x300), 0x2028, 0x202E, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600)
    ).replace("\n", "")
    loc = Loc("p.yaml", finding(ERROR, 1).loc.span)
    whole = Report((ERROR.at(loc, odd),), (Source("p.yaml", odd[:200]),))
    (failure,) = suites(whole).iter("failure")
    assert len(failure.get("message") or "") == len(odd.replace("\r", "\\r"))
    assert HOSTILE not in (failure.text or "")
