"""What holds of every form of the findings, whatever they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from needs import ROOT
from samples import SAMPLES

from pipec import report
from pipec.diagnostics import Report, joined

MACHINE = [form for form in report.FORMATS if form != "text"]
TABLE = [(form, name) for form in report.FORMATS for name in SAMPLES]
SGR = re.compile(r"\x1b\[[0-9;]*m")


def rendered(form: str, name: str) -> str:
    return report.render(SAMPLES[name].report, form, strict=SAMPLES[name].strict)


@pytest.mark.parametrize(("form", "name"), TABLE)
def test_a_form_is_the_same_twice_and_legal(form: str, name: str) -> None:
    text = rendered(form, name)
    assert text == rendered(form, name)
    assert text.encode().decode() == text
    assert text == "" or text.endswith("\n")
    match form:
        case "json" | "sarif" | "gitlab":
            json.loads(text)
        case "junit":
            ElementTree.fromstring(text.encode())
        case _:
            assert not set(re.sub(r"[\n\t]", "", text)) & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e"}


def test_a_form_is_the_same_in_another_process_with_other_hashes() -> None:
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\nfrom samples import SAMPLES\nfrom pipec import report\n"
        "for form in report.FORMATS:\n    for one in SAMPLES.values():\n"
        "        sys.stdout.buffer.write(report.render(one.report, form, strict=one.strict).encode())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "77")
    }  # fmt: skip
    assert outputs == {"".join(rendered(form, name) for form, name in TABLE).encode()}


@pytest.mark.parametrize("form", report.FORMATS)
def test_what_a_rule_hides_is_shown_in_no_form(form: str) -> None:
    assert "hunter" not in rendered(form, "hidden")


def test_what_a_rule_hides_is_shown_as_stars_even_below_another_finding() -> None:
    lines = [line.partition(" | ")[2] for line in rendered("text", "hidden").splitlines() if re.match(r"\d+ \|", line)]
    assert lines == ["env: {TOKEN: *******, USER: *******}"] * 3 + ["key: *", "*********"]


@pytest.mark.parametrize("name", SAMPLES)
def test_colours_change_no_other_byte(name: str) -> None:
    colored = report.render(SAMPLES[name].report, "text", strict=SAMPLES[name].strict, is_colored=True)
    assert SGR.sub("", colored) == rendered("text", name)
    assert bool(SGR.search(colored)) is bool(SAMPLES[name].report.findings)


@pytest.mark.parametrize("form", MACHINE)
def test_only_text_is_colored(form: str) -> None:
    assert report.render(SAMPLES["strict"].report, form, is_colored=True) == report.render(
        SAMPLES["strict"].report, form
    )


def test_errors_and_warnings_differ_in_colour() -> None:
    text = report.render(SAMPLES["strict"].report, "text", is_colored=True)
    assert (text.count("\x1b[1;31m"), text.count("\x1b[1;33m")) == (2, 6)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "no findings"), ("one-error", "1 error"), ("warnings", "3 warnings"), ("strict", "4 errors"),
        ("forty", "30 errors, 10 warnings"), ("ignored", "1 error, 2 ignored"),
    ],
)  # fmt: skip
def test_the_summary_counts_what_there_is(name: str, told: str) -> None:
    assert report.summary(SAMPLES[name].report, strict=SAMPLES[name].strict) == told


def test_the_summary_says_what_is_ignored_where_nothing_else_is_found() -> None:
    assert report.summary(Report(ignored=SAMPLES["ignored"].report.ignored)) == "no findings, 2 ignored"


@pytest.mark.parametrize("form", [form for form in MACHINE if form not in ("json", "sarif")])
def test_forms_that_cannot_say_so_leave_out_what_is_ignored(form: str) -> None:
    whole = SAMPLES["ignored"].report
    assert report.render(whole, form) == report.render(Report(whole.findings, whole.sources), form)


def test_json_lists_what_is_ignored_with_the_reason_and_its_place() -> None:
    body = json.loads(rendered("json", "ignored"))
    assert body["format_version"] == "1.1"
    assert [finding["line"] for finding in body["findings"]] == [2]
    there, here = body["ignored"]
    assert (there["code"], there["ignored_at"]["path"]) == ("PIPE901", "pipec.yaml")
    assert (here["code"], here["severity"], here["reason"]) == ("PIPE902", "warning", "it is a sketch")
    assert here["ignored_at"] == {"path": "p.yaml", "line": 2, "column": 20, "end_line": 2, "end_column": 30}
    assert json.loads(rendered("json", "ignored-strict"))["ignored"][1]["severity"] == "error"


def test_what_several_files_share_is_told_once() -> None:
    one, other = SAMPLES["ignored"].report, SAMPLES["warnings"].report
    both = joined((one, other, one))
    assert both.findings == tuple(sorted((*one.findings, *other.findings), key=lambda f: (f.loc, f.rule.code)))
    assert (both.ignored, len(both.sources)) == (one.ignored, 1)
