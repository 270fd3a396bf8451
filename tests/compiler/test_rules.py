"""Every kind of finding has a folder: `bad.yaml` reports it and nothing else, `good.yaml` reports nothing.

A folder may hold further files that these two use as steps, and a project of its own with a lock.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipec import api, report
from pipec.steps import catalog

FOLDER = Path(__file__).parents[1] / "rules"
CASES = sorted(path for path in FOLDER.iterdir() if path.is_dir())
# Told about files and targets, not about a pipeline's text: their tests are test_nested.py and the targets' own.
ELSEWHERE = {"PIPE002", "PIPE601", *(f"PIPE62{n}" for n in range(10))}  # the last: of what others compiled
IN_PRODUCTION = ("PIPE407",)  # asked only where such an environment was chosen


def checked(path: Path) -> api.Checked:
    chosen = "prod" if path.resolve().parent.name.startswith(IN_PRODUCTION) else None
    return api.check(api.Request(path=path, environment=chosen))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bad_file_reports_its_own_code_alone(case: Path, golden, monkeypatch) -> None:
    monkeypatch.chdir(case)
    found = checked(Path("bad.yaml"))
    assert {finding.rule.code for finding in found.report.findings} == {case.name.split("-")[0]}
    golden(case / "bad.out", report.render(found.report, "text"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_good_file_reports_nothing(case: Path, monkeypatch) -> None:
    monkeypatch.chdir(case)
    assert checked(Path("good.yaml")).report.findings == ()


def test_every_rule_has_a_folder_of_its_name() -> None:
    rules = {f"{rule.code}-{rule.name}" for rule in api.explained() if rule.code not in ELSEWHERE}
    assert rules == {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_folder_holds_nothing_that_its_files_do_not_use(case: Path) -> None:
    used = "".join(path.read_text(encoding="utf-8") for path in case.glob("*.yaml") if path.stat().st_size < 1 << 20)
    own = {"bad.yaml", "bad.out", "good.yaml", "pipec.yaml", "pipec.lock"}
    others = {path.name for path in case.iterdir()} - own
    assert [name for name in sorted(others) if f"./{name}" not in used] == []


@pytest.mark.parametrize("case", [case for case in CASES if (case / "pipec.lock").exists()], ids=lambda case: case.name)
def test_an_image_of_today_in_a_lock_has_the_steps_of_today(case: Path, golden) -> None:
    lock = json.loads((case / "pipec.lock").read_text(encoding="utf-8"))
    for name, locked in lock["images"].items():
        for step, held in locked["contents"]["steps"].items() if name.endswith(":today") else ():
            interface = catalog.find(step)
            assert interface is not None
            held["interface"] = interface.digest
    golden(case / "pipec.lock", json.dumps(lock, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("rule", api.explained(), ids=lambda rule: rule.code)
def test_every_page_says_why_and_shows_bad_and_fixed(rule) -> None:
    for section in ("\nWhy: ", "\nBad:\n", "\nFix:\n"):
        assert section in rule.doc
    assert rule.summary.endswith(".")


def test_codes_and_names_are_each_used_once() -> None:
    rules = api.explained()
    assert len({rule.code for rule in rules}) == len({rule.name for rule in rules}) == len(rules)


def test_the_same_file_gives_the_same_findings_in_the_order_of_the_text() -> None:
    bad = FOLDER / "PIPE203-unknown-output" / "bad.yaml"
    findings = checked(bad).report.findings
    assert findings == checked(bad).report.findings
    assert list(findings) == sorted(findings, key=lambda finding: (finding.loc, finding.rule.code))
